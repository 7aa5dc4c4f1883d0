"""Whether a split is honest: series of photographs on both sides of it, and what tells images apart but their class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from keras_resnet.data.leakage import leaking, of_series
from keras_resnet.data.sources.grouping import Photographs, by_series
from keras_resnet.data.sources.listing import Listing
from keras_resnet.inspection.findings import Finding, Subject, printable
from keras_resnet.inspection.looks import Seen
from keras_resnet.tasks.intervals import wilson_interval

TELLING = 0.2
"""How much of what a guess gets wrong an attribute must get right, surely."""
BRIGHTNESSES = 10
"""Parts of equal size that images are put into by their brightness."""
FEWEST = 20
"""Of so many images something can be said."""
MOST_NAMED = 4


def kinship(listing: Listing, seen: Seen, split_names: Sequence[str]) -> list[Finding]:
    """What a split by class may hide.

    Args:
        listing: The images.
        seen: What was found in them.
        split_names: The split of each image; empty for none.
    """
    positions = np.array(list(seen.looks), np.int64)
    if len(positions) < FEWEST:
        return []
    captures = {position: look.capture for position, look in seen.looks.items()}
    photographs = Photographs(listing, captures, seen.thumbnails)
    found = [*_shared_series(photographs, positions, np.array(split_names, dtype=object))]
    attributes = _attributes(photographs, seen, positions)
    if listing.labels.ndim == 1:
        found += _telling(attributes, listing.labels[positions])
    return found + _cameras(attributes["camera"])


def _shared_series(photographs: Photographs, positions: np.ndarray, split_names: np.ndarray) -> list[Finding]:
    """Series that are trained on and tested on."""
    series, splits = by_series(photographs).groups[positions], split_names[positions]
    remark = of_series(series, splits)
    if remark is None:
        return []
    order, shared = np.argsort(series, kind="stable"), leaking(series, splits)
    members = np.split(order, np.flatnonzero(np.diff(series[order])) + 1)
    groups = tuple(
        tuple(Subject(int(positions[place]), str(splits[place])) for place in one)
        for one in sorted((one for one in members if shared[one].any()), key=len, reverse=True)
    )
    return [Finding(remark.code, remark.severity, remark.title, remark.advice, groups)]


def _attributes(photographs: Photographs, seen: Seen, positions: np.ndarray) -> dict[str, np.ndarray]:
    """What images have beside their class, a text each; empty where it is not known."""
    looks = seen.looks.values()
    light = seen.thumbnails[positions].mean(axis=(1, 2, 3))
    bounds = np.quantile(light, np.arange(1, BRIGHTNESSES) / BRIGHTNESSES)
    return {
        "camera": np.array(photographs.cameras, dtype=object)[positions],
        "size": np.array(["{}×{}".format(*look.header.upright[::-1]) for look in looks], dtype=object),
        "file format": np.array([look.header.format for look in looks], dtype=object),
        "colours (grey or not)": np.array(["grey" if look.grey else "coloured" for look in looks], dtype=object),
        "brightness": np.array([str(part) for part in np.searchsorted(bounds, light)], dtype=object),
    }


def _telling(attributes: dict[str, np.ndarray], labels: np.ndarray) -> list[Finding]:
    """Attributes that tell the class: a network may learn them in place of what the images show."""
    guess = np.bincount(labels).max() / len(labels)
    shares = {name: told(values, labels) for name, values in attributes.items()}
    found = []
    for name, share in sorted(shares.items(), key=lambda one: -one[1]):
        low, _ = wilson_interval(round(share * len(labels)), len(labels))
        if low < guess + TELLING * (1 - guess):
            continue
        title = f"the {name} alone tells the class of {share:.0%} of the images"
        advice = (
            f"Always the most frequent class would be right for {guess:.0%}. A network may learn the {name} and not "
            "what the images show, and no test with such images would tell. Unless what they show differs in it by "
            "nature, take images of every class in the same way."
        )
        found.append(Finding("class-by-circumstance", "warning", title, advice))
    return found


def told(values: np.ndarray, labels: np.ndarray) -> float:
    """The share of images whose class is the most frequent one among the other images of the same value.

    Args:
        values: (n,), of any kind.
        labels: int (n,), counted from 0.
    """
    _, codes = np.unique(values.astype(str), return_inverse=True)
    counts = np.zeros((codes.max() + 1, labels.max() + 1), np.int64)
    np.add.at(counts, (codes, labels), 1)
    others = counts[codes]
    own = np.arange(len(labels)), labels
    others[own] -= 1
    mine = others[own]
    others[own] = -1
    return float((mine > others.max(axis=1)).mean())


def _cameras(cameras: np.ndarray) -> list[Finding]:
    """That there are several, each with enough images to be held out."""
    counts = Counter(cameras.tolist())
    known = [(name, count) for name, count in counts.most_common() if name and count >= FEWEST]
    if len(known) < 2:
        return []
    named = ", ".join(f"{count:,} by {printable(name)}" for name, count in known[:MOST_NAMED])
    title = f"the images are of several cameras: {named}" + (", others" if len(counts) > MOST_NAMED else "")
    advice = (
        "A test that has images of each camera says nothing of another one. --split group --group-by camera holds one "
        "out: that figure is nearer to what a new camera will give."
    )
    return [Finding("several-cameras", "note", title, advice)]
