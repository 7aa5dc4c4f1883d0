"""A check's report as one HTML page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.data.remarks import imbalance
from keras_resnet.data.sources.listing import Listing
from keras_resnet.html_page import SIDE, picture, render
from keras_resnet.images.decode import small_copy
from keras_resnet.images.image_file import ImageError
from keras_resnet.inspection.check import Report
from keras_resnet.inspection.findings import Finding, Subject, counted
from keras_resnet.inspection.gallery import ClassPictures

if TYPE_CHECKING:
    from keras_resnet.data.mosaic import Batch  # needs TensorFlow

MOST_PICTURES = 24
"""Pictures of one finding."""
MOST_OF_GROUP = 8
"""Pictures of one group of images."""
MOST_CLASSES = 200
"""Rows of the table of classes."""
MOST_OPEN = 12
"""Classes whose pictures are seen at once; those of the others are unfolded by a click."""


def page(report: Report, batch: Batch | None = None) -> str:
    """Draw the page.

    Args:
        report: The results of the check. Images that are shown are read again.
        batch: A training batch as the network gets it; None: none is shown.

    Returns:
        HTML.
    """
    counts = report.counts
    splits = [name for name in ("train", "validation", "test") if name in report.split_names]
    small = cache(partial(_picture, report.listing))  # several findings may show an image
    return render(
        "keras_resnet.inspection",
        "check.html.jinja",
        name=report.name,
        report=report,
        worst=report.findings[0].severity if report.findings else "fine",
        summary=report.summary,
        findings=[_finding(finding, report, small) for finding in report.findings],
        gallery=[_pictures(one, report, small) for one in report.gallery],
        most_open=MOST_OPEN,
        batch=batch and _batch(batch),
        splits=splits,
        classes=_classes(report, splits),
        smaller_classes=max(0, len(counts) - MOST_CLASSES),
        imbalance=imbalance(counts),
        largest_share=counts.max() / max(1, counts.sum()),
        kinds=", ".join(f"{count:,} {kind}" for kind, count in (*report.formats.items(), *report.modes.items())),
    )


def _finding(finding: Finding, report: Report, picture: Callable[[int], str]) -> dict[str, Any]:
    groups = list(_shown(finding, report.split_names))
    return {
        "severity": finding.severity,
        "code": finding.code,
        "title": counted(finding.images, finding.title),
        "advice": finding.advice,
        "groups": [[_image(subject, report, picture) for subject in group] for group in groups],
        "images": finding.images,
        "left": finding.images - sum(map(len, groups)),
    }


def _pictures(shown: ClassPictures, report: Report, picture: Callable[[int], str]) -> dict[str, Any]:
    images = [
        {
            "picture": picture(position),
            "class": report.image(position)["class"],
            "lines": [line for line in (report.image(position)["image"], remark) if line],
        }
        for position, remark in zip(shown.positions, shown.remarks, strict=True)
    ]
    return {"name": report.class_names[shown.label], "count": int(report.counts[shown.label]), "images": images}


def _batch(batch: Batch) -> dict[str, Any]:
    height, width = batch.images.shape[1:3]
    kind = "PNG" if max(height, width) <= SIDE else "JPEG"
    shown = zip(batch.images, batch.labels, strict=True)
    return {
        "size": f"{height} × {width}",
        "images": [
            {"picture": picture(one, kind=kind), "label": label, "lines": label.split("\n")} for one, label in shown
        ],
    }


def _shown(finding: Finding, splits: Sequence[str]) -> Iterator[tuple[Subject, ...]]:
    """The groups to show, cut to as many images as fit on a page; of a group in several splits some of each."""
    room = MOST_PICTURES
    for group in finding.groups:
        seen = Counter[str]()
        turns = []
        for subject in group:
            turns.append(seen[splits[subject.position]])
            seen[splits[subject.position]] += 1
        ordered = [group[place] for place in np.argsort(turns, kind="stable")]
        part = tuple(ordered[: min(room, MOST_OF_GROUP)])
        if not part:
            return
        room -= len(part)
        yield part


def _image(subject: Subject, report: Report, picture: Callable[[int], str]) -> dict[str, Any]:
    described = report.image(subject.position)
    place = " · ".join(filter(None, (described["class"], described["split"])))
    return {
        "picture": picture(subject.position),
        "class": described["class"],
        "lines": list(
            filter(None, (described["image"], place, "" if subject.remark == described["split"] else subject.remark))
        ),
    }


def _picture(listing: Listing, position: int) -> str:
    """A small copy of an image for the page; empty if the image cannot be read."""
    try:
        return picture(small_copy(listing.contents.read(position), SIDE))
    except ImageError:
        return ""


def _classes(report: Report, splits: Sequence[str]) -> list[dict[str, Any]]:
    """The largest classes: the number of readable images, that of each split, and the length of the bar in %."""
    counts = report.counts
    most = max(1, int(counts.max()))
    rows = []
    for label in (-counts).argsort(kind="stable")[:MOST_CLASSES].tolist():
        inside = report.splits_of(label)
        rows.append(
            {
                "name": report.class_names[label],
                "readable": int(counts[label]),
                "bar": 100 * counts[label] / most,
                "splits": [inside.get(name, 0) for name in splits],
            }
        )
    return rows
