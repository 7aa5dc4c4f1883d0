"""What is to be said of labelled images before any of them is decoded: how they are divided, and how unevenly."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

IMBALANCED, UNEVEN = 10, 3
"""How many times as many images as the smallest class the largest has, for a warning and for a note."""


@dataclass(frozen=True)
class Remark:
    """Something that a user should know, and that keeps no training from beginning.

    Args:
        code: For programs; it does not change between versions.
        severity: `warning` or `note`.
        title: What was found.
        advice: What it means, and what to do.
    """

    code: str
    severity: str
    title: str
    advice: str

    def __str__(self) -> str:
        return f"{self.title}: {self.advice}"


def of_splits(given: Collection[str], parts: Mapping[str, Collection[Any]]) -> list[Remark]:
    """What a training does where the data do not have all three splits.

    Args:
        given: The names of the splits that the data themselves have.
        parts: The images of each split in the training.
    """
    train, validation, test = (len(parts.get(name, ())) for name in ("train", "validation", "test"))
    found = []
    if "validation" in given and "test" not in given and test and validation:
        advice = (
            f"The {test:,} validation images are the test, so that figures are of images that choose nothing. "
            f"{validation:,} of the {train + validation:,} training images choose the best epoch and are not trained "
            "on. Name a part test to have both."
        )
        return [Remark("no-test-images", "note", "the data have no test images", advice)]
    if given and "validation" not in given and validation:
        taken = f"{validation:,} of the {train + validation + ('test' not in given) * test:,} training images"
        also = "" if "test" in given else f", and {test:,} more are the test"
        advice = f"{taken} choose the best epoch and are not trained on{also}. Name a part validation to choose them."
        found.append(Remark("no-validation-images", "note", "the data have no validation images", advice))
    if validation and not test:
        advice = (
            f"The {validation:,} validation images choose the best epoch, and the figures are of the same images, for "
            "which they are a little too good. Name a part test for figures of images that chose nothing."
        )
        found.append(Remark("no-test-images", "note", "the data have no test images", advice))
    return found


def of_counts(counts: np.ndarray, class_names: Sequence[str], *, several: bool = False) -> list[Remark]:
    """That some classes have far fewer images than others.

    Args:
        counts: int64 (classes,): the images of each class.
        class_names: Of the classes.
        several: Whether an image may have any number of classes.
    """
    ratio = imbalance(counts)
    if ratio < UNEVEN:
        return []
    if several:
        advice = (
            "Compare the average precision of each class with the share of images that have it; more images of the "
            "rare classes help. Balanced sampling and class weights are for one label an image."
        )
    else:
        advice = (
            f"Always guessing {class_names[int(counts.argmax())]!r} is right for {counts.max() / counts.sum():.1%} of "
            "the images: compare the accuracy with that, and look at the balanced accuracy and the recall of each "
            "class. More images of the rare classes help, and training with --sampling balanced or --class-weights "
            "balanced (in a Recipe sampling, class_weights)."
        )
    title = f"the largest class has {ratio:.1f} times as many images as the smallest"
    return [Remark("imbalance", "warning" if ratio >= IMBALANCED else "note", title, advice)]


def imbalance(counts: np.ndarray) -> float:
    """How many times as many images the largest class has as the smallest one that has any; 0 without images."""
    return float(counts.max() / counts[counts > 0].min()) if counts.any() else 0.0
