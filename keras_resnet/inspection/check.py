"""Check labelled images before a training: what is wrong with them, and what is unusual. It changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_resnet.data import duplicates
from keras_resnet.data.class_names import remarks_on_names
from keras_resnet.data.images import OnRead
from keras_resnet.data.remarks import imbalance, of_counts, of_few, of_parts, of_splits
from keras_resnet.data.sources.listing import Listing
from keras_resnet.data.sources.table_rows import LABEL_SEPARATOR
from keras_resnet.data.splits.divide import divide
from keras_resnet.errors import DataError, listed
from keras_resnet.images.image_file import REASONS
from keras_resnet.inspection import findings
from keras_resnet.inspection.findings import BLOCKING, SEVERITIES, Finding, printable
from keras_resnet.inspection.gallery import ClassPictures, gallery
from keras_resnet.inspection.kinship import kinship
from keras_resnet.inspection.label_doubts import doubt_labels
from keras_resnet.inspection.looks import Look, Seen, inspect_images
from keras_resnet.inspection.strangers import strangers
from keras_resnet.tasks.task import Task
from keras_resnet.visible import visible

Seeing = Callable[[Listing, np.ndarray], np.ndarray]
"""What a trained network sees in the images of a listing at these positions: float (n, features)."""
FORMAT = 1
MOST_NAMED = 5
"""Images of a finding that are named in its line; the files name all."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of upright images, in pixels.

    Args:
        widths, heights: The smallest, the median and the largest.
        different: The number of different sizes.
    """

    widths: tuple[int, int, int]
    heights: tuple[int, int, int]
    different: int


@dataclass(frozen=True)
class Report:
    """What was found in some images.

    Args:
        name: What the page calls them.
        listing: The images and their labels.
        split_names: The split of each image; empty where it is in none.
        readable: bool (n,).
        sizes: Of the readable images; None if there are none.
        formats, modes: The number of files of each file format and of each of Pillow's modes.
        findings: The most serious first.
        tolerated: The largest share of unreadable images with which a training would begin, 0–1.
        gallery: A few readable images of each class, chosen by the seed.
    """

    name: str
    listing: Listing = field(repr=False)
    split_names: tuple[str, ...] = field(repr=False)
    readable: np.ndarray = field(repr=False)
    sizes: Sizes | None
    formats: Mapping[str, int]
    modes: Mapping[str, int]
    findings: tuple[Finding, ...]
    tolerated: float = 0.0
    gallery: tuple[ClassPictures, ...] = field(default=(), repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each image."""
        return self.listing.names

    @property
    def labels(self) -> np.ndarray:
        """In the form that the task has."""
        return self.listing.labels

    @property
    def task(self) -> Task:
        """What is asked of the images."""
        return self.listing.task

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how the images were found."""
        return self.listing.notes

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.task.class_names

    @property
    def trainable(self) -> bool:
        """Whether a training would begin."""
        unreadable = int((~self.readable).sum())
        if unreadable > self.tolerated * len(self.names):
            return False
        return not any(finding.code in BLOCKING - REASONS.keys() for finding in self.findings)

    @property
    def counts(self) -> np.ndarray:
        """int64 (classes,): the number of readable images of each class."""
        return self.task.images_of_classes(self.labels[self.readable])

    @property
    def summary(self) -> str:
        """The numbers in one sentence."""
        number = Counter(finding.severity for finding in self.findings)
        kinds = ", ".join(f"{number[severity]} {severity}{'s' * (number[severity] != 1)}" for severity in SEVERITIES)
        readable = int(self.readable.sum())
        return f"{len(self.names):,} images of {len(self.class_names):,} classes, {readable:,} readable: {kinds}."

    @property
    def verdict(self) -> str:
        """Whether to train on these images, in a sentence."""
        number = Counter(finding.severity for finding in self.findings)
        if not self.trainable:
            return "Training cannot begin with these images; see the errors."
        if number["error"]:
            return "Training can begin, but its figures could not be trusted; see the errors."
        if number["warning"]:
            return "Training can begin; the warnings are worth a look."
        return "Training can begin; nothing was found that speaks against it."

    @property
    def lines(self) -> list[str]:
        """The findings in words, with the first images of each, then the numbers and the verdict."""
        found = []
        for finding in self.findings:
            if not finding.groups:
                found.append(f"{finding.severity}: {finding.title}: {finding.advice}")
            elif finding.severity != "note":
                names = [self.names[subject.position] for group in finding.groups for subject in group]
                found.append(f"{finding.severity}: {finding.title}: {listed(names, MOST_NAMED)}")
        return [*found, *(f"note: {note}" for note in self.notes), self.summary, self.verdict]

    def __str__(self) -> str:
        return visible("\n".join(self.lines))

    def splits_of(self, label: int) -> dict[str, int]:
        """The number of images of a class in each split."""
        inside = (self.split_names[position] for position in self.task.members(self.labels, label))
        return dict(Counter(name for name in inside if name))

    def image(self, position: int) -> dict[str, str]:
        """The name, class and split of the image at a position."""
        return {
            "image": printable(self.names[position]),
            "class": printable(LABEL_SEPARATOR.join(self.task.names_of(self.labels[position]))),
            "split": self.split_names[position],
        }

    def to_dict(self) -> dict[str, Any]:
        """All of it, for a JSON file."""
        counts = self.counts
        concerned = {s.position for finding in self.findings for group in finding.groups for s in group}
        images = {position: self.image(position) for position in concerned}
        return {
            "format": FORMAT,
            "verdict": self.verdict,
            "trainable": self.trainable,
            "images": len(self.names),
            "readable": int(self.readable.sum()),
            "classes": [
                {"name": printable(name), "readable": int(counts[label]), "splits": self.splits_of(label)}
                for label, name in enumerate(self.class_names)
            ],
            "imbalance": round(imbalance(counts), 4),
            "largest_class_share": round(float(counts.max() / max(1, counts.sum())), 4),
            "sizes": self.sizes
            and {"widths": self.sizes.widths, "heights": self.sizes.heights, "different": self.sizes.different},
            "formats": dict(self.formats),
            "modes": dict(self.modes),
            "findings": [findings.as_json(finding, images) for finding in self.findings],
            "notes": [printable(note) for note in self.notes],
        }


def check(
    listing: Listing,
    *,
    splits: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
    tolerated: float = 0.0,
    name: str = "images",
    progress: OnRead | None = None,
    seeing: Seeing | None = None,
) -> Report:
    """Read every image of a listing once and say what is wrong or unusual.

    Args:
        listing: The images and their labels.
        splits: The positions of each split, to find copies across splits. None: those that a training would have;
            if they cannot be made, that is a finding.
        seed: Of those splits, and of every random choice where there are too many images.
        tolerated: The largest share of unreadable images that a training is told to skip, 0–1.
        name: What the page calls the images.
        progress: Called with the number of images that have been read and the number of all.
        seeing: Gives what a trained network sees in the readable images, by which labels are doubted, and images are
            found that are like no others, or nearly the same as another; None: labels are doubted by edges and colours.
    """
    found: list[Finding] = []
    if splits is None:
        splits, refused = _splits(listing, seed)
        found += refused
    split_names = np.full(len(listing), "", dtype=object)
    for split, positions in splits.items():
        split_names[positions] = split
    seen = inspect_images(listing, progress)
    readable = np.zeros(len(listing), bool)
    readable[list(seen.looks)] = True
    counts = listing.task.images_of_classes(listing.labels[readable])
    left_out = len(seen.failures) <= tolerated * len(listing)
    found += findings.unreadable(seen, left_out=left_out)
    found += findings.few_classes(counts, fewest=1 if listing.task.several else 2)
    parts = {
        name: listing.task.images_of_classes(listing.labels[positions[readable[positions]]])
        for name, positions in splits.items()
    }
    found += findings.remarked(
        [
            *remarks_on_names(listing.class_names),
            *of_few(counts, listing.class_names),
            *of_parts(parts, listing.class_names),
            *of_counts(counts, listing.class_names, several=listing.task.several),
            *of_splits(listing.given, splits),
        ]
    )
    found += findings.odd(seen.looks)
    looked_at = np.array(list(seen.looks), np.int64)
    vectors = seeing(listing, looked_at) if seeing and seen.looks else None
    found += _repeated(listing, seen, tuple(split_names), seed, vectors)
    found += _doubted(listing, seen, seed, vectors)
    found += kinship(listing, seen, tuple(split_names))
    if vectors is not None:
        found += findings.strange(*strangers(vectors), looked_at)
    return Report(
        name=name,
        listing=listing,
        split_names=tuple(split_names),
        readable=readable,
        sizes=_sizes(seen.looks),
        formats=dict(Counter(look.header.format for look in seen.looks.values()).most_common()),
        modes=dict(Counter(look.header.mode for look in seen.looks.values()).most_common()),
        findings=tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))),
        tolerated=tolerated,
        gallery=gallery(
            seen.thumbnails[looked_at] if vectors is None else vectors,
            looked_at,
            listing.task,
            listing.labels[looked_at],
            seed,
        ),
    )


def _splits(listing: Listing, seed: int) -> tuple[Mapping[str, np.ndarray], list[Finding]]:
    """The splits of a training; if they cannot be made, the source's own, and a finding."""
    try:
        return divide(listing.labels, listing.class_names, listing.given, seed=seed), []
    except DataError as error:
        return listing.given, [Finding("cannot-split", "error", "cannot be split for a training", f"{error}.")]


def _repeated(
    listing: Listing, seen: Seen, split_names: tuple[str, ...], seed: int, vectors: np.ndarray | None
) -> list[Finding]:
    positions = np.array(list(seen.looks), np.int64)
    exact = [positions[group] for group in duplicates.exact_groups([look.digest for look in seen.looks.values()])]
    firsts = _firsts(positions, exact)
    near = _with_copies([firsts[group] for group in duplicates.near_groups(seen.thumbnails[firsts], seed)], exact)
    found = findings.repeated("exact", exact, listing.labels, split_names)
    found += findings.repeated("near", near, listing.labels, split_names)
    if vectors is not None:
        different = _firsts(firsts, near)
        groups = duplicates.alike_groups(vectors[np.searchsorted(positions, different)])
        alike = _with_copies([different[group] for group in groups], [*exact, *near])
        found += findings.repeated("alike", alike, listing.labels, split_names)
    if len(firsts) > duplicates.MOST_COMPARED:
        title = "too many images to compare each with every other"
        advice = (
            f"Near duplicates were looked for among {duplicates.MOST_COMPARED:,} of {len(firsts):,}, chosen at random."
        )
        found.append(Finding("not-all-compared", "note", title, advice))
    return found


def _firsts(positions: np.ndarray, groups: list[np.ndarray]) -> np.ndarray:
    """The positions without the copies of others: of each group only the first, which is compared for all."""
    return np.setdiff1d(positions, np.concatenate([group[1:] for group in groups])) if groups else positions


def _with_copies(found: list[np.ndarray], groups: list[np.ndarray]) -> list[np.ndarray]:
    """Groups of images that were compared for their copies, and these."""
    copies = {int(group[0]): group for group in groups}  # a later group, of near copies, holds the exact ones
    return [
        np.sort(np.concatenate([copies.get(position, np.array([position])) for position in group.tolist()]))
        for group in found
    ]


def _doubted(listing: Listing, seen: Seen, seed: int, vectors: np.ndarray | None) -> list[Finding]:
    if listing.task.several:
        return [findings.not_doubted("labels are doubted where each image has one")]
    positions = np.array(list(seen.looks), np.int64)
    doubts = doubt_labels(seen.thumbnails[positions], listing.labels[positions], seed, vectors)
    finding = findings.doubted(doubts, positions, listing.class_names)
    return [finding] if finding else []


def _sizes(looks: Mapping[int, Look]) -> Sizes | None:
    if not looks:
        return None
    sizes = np.array([look.header.upright for look in looks.values()])
    (heights, widths) = (
        (int(side.min()), int(np.median(side)), int(side.max())) for side in (sizes[:, 0], sizes[:, 1])
    )
    return Sizes(widths, heights, len(np.unique(sizes, axis=0)))
