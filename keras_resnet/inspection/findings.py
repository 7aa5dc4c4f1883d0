"""What can be found in a pile of labelled images, in plain words, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.errors import listed
from keras_resnet.images.image_file import REASONS
from keras_resnet.inspection.label_doubts import Doubts
from keras_resnet.inspection.looks import EXTREME_ASPECT, TINY, Inspection, Look

SEVERITIES = ("error", "warning", "note")
BLOCKING = frozenset({*REASONS, "one-class", "cannot-split"})
"""Codes of findings with which training does not begin."""
FEW = 10
IMBALANCED, UNEVEN = 10, 3
MOST_DOUBTED = 100
TRUSTED = 0.95
"""A model that agrees with fewer of the labels is often wrong where it contradicts one."""

ODDITIES = {
    "dark-16-bit": (
        "warning",
        "16-bit grey of which less than an eighth of the scale is used",
        "Training divides by the full scale and sees nearly black images. Cameras of 10 or 12 bits write such files: "
        "stretch the values to 0–65535 first.",
    ),
    "blank": ("warning", "nothing to see", "All pixels are alike, or nearly: remove the images or find out why."),
    "tiny": (
        "warning",
        f"shorter side under {TINY} pixels",
        "Make sure that these are no thumbnails saved by mistake.",
    ),
    "extreme-aspect": (
        "warning",
        f"more than {EXTREME_ASPECT} times as long as wide",
        "Training squeezes images to a square unless it crops them; such strips lose their shape or their ends.",
    ),
    "animated": ("warning", "several frames or pages", "Training takes the first; save the one you mean on its own."),
    "transparent": (
        "note",
        "transparent pixels",
        "Training lays them over white; if the object is white too, it vanishes: save the images over another colour.",
    ),
    "cmyk": ("note", "saved in printing colours (CMYK)", "Training turns them into RGB; colours may be a little off."),
    "16-bit": ("note", "16 bits a channel", "Training brings them down to 8 bits; nothing needs to be done."),
    "palette": ("note", "colours from a palette", "Training looks the colours up; nothing needs to be done."),
    "exif-rotated": (
        "note",
        "stored turned or mirrored, with an EXIF orientation",
        "Training turns them upright. So must the program that later feeds the model.",
    ),
    "wrong-extension": (
        "note",
        "content of another format than the file name says",
        "Training goes by the content; other programs may not: rename the files.",
    ),
}
GREY_AMONG_COLOUR = (
    "grey-among-colour",
    "grey images among coloured ones",
    "If one class is mostly grey, the model learns that instead of the objects.",
)
COLOUR_AMONG_GREY = (
    "colour-among-grey",
    "coloured images among grey ones",
    "If colour means nothing here, train with one channel.",
)
_AGAIN = {"exact": ("duplicate", "the same file"), "near": ("near-duplicate", "nearly the same picture")}
_WHERE = {
    "label-conflict": (
        {"exact": "error", "near": "warning"},
        "under different labels",
        "At most one label can be right: decide, and remove the others.",
    ),
    "across-splits": (
        {"exact": "error", "near": "warning"},
        "in several splits",
        "What was trained on is tested on, and the test's figures are too good: keep copies in one split, or one copy.",
    ),
    "": (
        {"exact": "warning", "near": "note"},
        "more than once",
        "Copies within a class and split count several times; remove what was not meant so.",
    ),
}


@dataclass(frozen=True)
class Subject:
    """An image that a finding concerns.

    Args:
        position: In the listing.
        remark: What was found of this one; may be empty.
    """

    position: int
    remark: str = ""


@dataclass(frozen=True)
class Finding:
    """One kind of thing found.

    Args:
        code: Stable, for programs.
        severity: `error`, `warning` or `note`.
        title: What it is.
        advice: What it does to a training, and what to do.
        groups: The images concerned; those of one group belong together, as copies do.
    """

    code: str
    severity: str
    title: str
    advice: str
    groups: tuple[tuple[Subject, ...], ...] = ()

    @property
    def images(self) -> int:
        """How many images are concerned."""
        return sum(map(len, self.groups))


def unreadable(inspection: Inspection, *, left_out: bool) -> list[Finding]:
    """Images that cannot be read, by reason; `left_out` says whether a training goes on without them."""
    what = "Training leaves them out" if left_out else "Training stops at them"
    severity, advice = "warning" if left_out else "error", f"{what}: repair or remove the files."
    return [
        Finding(code, severity, f"cannot be read: {reason}", advice, _singles(failures))
        for code, reason in REASONS.items()
        if (failures := [(p, error.detail) for p, error in inspection.failures.items() if error.code == code])
    ]


def odd(looks: Mapping[int, Look]) -> list[Finding]:
    """Images that can be read and are unusual."""
    found = [
        Finding(code, severity, title, advice, _singles((p, _described(looks[p])) for p in positions))
        for code, (severity, title, advice) in ODDITIES.items()
        if (positions := [position for position, look in looks.items() if code in look.oddities])
    ]
    grey = [position for position, look in looks.items() if look.grey]
    few_grey = len(grey) <= len(looks) / 2
    fewer = grey if few_grey else sorted(looks.keys() - grey)
    if fewer:
        code, title, advice = GREY_AMONG_COLOUR if few_grey else COLOUR_AMONG_GREY
        found.append(Finding(code, "note", title, advice, _singles((p, "") for p in fewer)))
    return found


def repeated(kind: str, groups: Iterable[np.ndarray], labels: np.ndarray, splits: Sequence[str]) -> list[Finding]:
    """Images that are there more than once.

    Args:
        kind: `exact` or `near`.
        groups: Positions of images that are alike.
        labels: Of all images.
        splits: Of all images, a name each; empty where there is none.
    """
    sorted_by: dict[str, list[tuple[Subject, ...]]] = {where: [] for where in _WHERE}
    for group in groups:
        subjects = tuple(Subject(int(position)) for position in group)
        conflict = len(np.unique(labels[group], axis=0)) > 1
        leak = len({splits[position] for position in group} - {""}) > 1
        for where, holds in (("label-conflict", conflict), ("across-splits", leak), ("", not (conflict or leak))):
            if holds:
                sorted_by[where].append(subjects)
    code, again = _AGAIN[kind]
    return [
        Finding(f"{code}-{where}".rstrip("-"), severities[kind], f"{again} {title}", advice, tuple(sorted_by[where]))
        for where, (severities, title, advice) in _WHERE.items()
        if sorted_by[where]
    ]


def unbalanced(counts: np.ndarray, class_names: Sequence[str], *, fewest: int = 2) -> list[Finding]:
    """Classes with too few images, absolutely or beside others.

    Args:
        counts: int (classes,), readable images of each.
        class_names: Their names.
        fewest: How many classes a training needs.
    """
    found = []
    if (counts > 0).sum() < fewest:
        title = "fewer than two classes" if fewest == 2 else "no class has an image"
        found.append(Finding("one-class", "error", title, f"A training needs {fewest} or more."))
    few = [f"{name} ({count})" for name, count in zip(class_names, counts, strict=True) if count < FEW]
    if few:
        advice = f"Too few to learn from and to test on: {listed(few)}. Add images or leave the classes out."
        found.append(Finding("few-images", "warning", f"classes with fewer than {FEW} images", advice))
    ratio = imbalance(counts)
    if ratio >= UNEVEN:
        largest = class_names[int(counts.argmax())]
        advice = (
            f"Always guessing {largest!r} is right on {counts.max() / counts.sum():.1%} of the images: read accuracy "
            "beside that, and look at the F1 of each class."
        )
        title = f"the largest class has {ratio:.1f} times as many images as the smallest"
        found.append(Finding("imbalance", "warning" if ratio >= IMBALANCED else "note", title, advice))
    return found


def imbalance(counts: np.ndarray) -> float:
    """The largest class's images for one of the smallest's, empty classes left out; 0 without images."""
    return float(counts.max() / counts[counts > 0].min()) if counts.any() else 0.0


def doubted(doubts: Doubts, positions: np.ndarray, class_names: Sequence[str]) -> Finding | None:
    """Labels that the model doubts; `positions` are those of the images that it was asked about."""
    if doubts.reason:
        return not_doubted(doubts.reason)
    if not len(doubts.positions):
        return None
    advice = (
        f"A simple model that had not seen them is sure of another class. It agrees with {doubts.accuracy:.1%} of the "
        f"labels of {doubts.looked_at:,} images, and where it is that sure with "
        f"{1 - len(doubts.positions) / doubts.sure:.1%}; what is left are wrong labels and its own mistakes, the most "
        "doubtful first. Look, and correct the labels that are wrong."
    )
    if len(doubts.positions) > MOST_DOUBTED:
        advice += f" The first {MOST_DOUBTED} of {len(doubts.positions):,} are listed."
    seen = zip(positions[doubts.positions], doubts.suggested, doubts.probability, strict=True)
    subjects = [(int(p), f"looks like {class_names[label]} ({sure:.0%})") for p, label, sure in seen]
    severity = "warning" if doubts.accuracy >= TRUSTED else "note"
    return Finding("suspicious-label", severity, "labels that may be wrong", advice, _singles(subjects[:MOST_DOUBTED]))


def not_doubted(reason: str) -> Finding:
    """That nothing can be said of wrong labels, and why."""
    advice = f"Nothing can be said of wrong labels: {reason}."
    return Finding("labels-not-checked", "note", "labels that could not be checked", advice)


def printable(text: str) -> str:
    """A name as valid Unicode: bytes of a file name that are no UTF-8 are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def as_json(finding: Finding, describe: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """A finding for a JSON file; `describe` says what an image is called, by position."""
    groups = [[{**describe[s.position], "remark": printable(s.remark)} for s in group] for group in finding.groups]
    texts = {name: printable(getattr(finding, name)) for name in ("code", "severity", "title", "advice")}
    return {**texts, "images": finding.images, "groups": groups}


def _singles(subjects: Iterable[tuple[int, str]]) -> tuple[tuple[Subject, ...], ...]:
    return tuple((Subject(position, remark),) for position, remark in subjects)


def _described(look: Look) -> str:
    height, width = look.header.upright
    return f"{look.header.format} {look.header.mode}, {width}×{height}"
