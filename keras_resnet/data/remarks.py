"""What is to be said of labelled images before a training: how they are divided, how few they are, and how uneven."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.errors import listed

IMBALANCED, UNEVEN = 10, 3
"""How many times as many images as the smallest class the largest has, for a warning and for a note."""
VERY_FEW, FEW = 10, 20
"""A class with fewer images has too few, for a warning and for a note."""
MOST_FOLDS = 5


_REMEDY = (
    "Put images of them into this part, if the data are divided. If not, a class needs three images, by group three "
    "groups, and by time some images among the latest."
)
_WITHOUT = {
    "train": (
        "classes-not-trained",
        "warning",
        "the model has an output for each and never learns it. Give images of these classes, or leave them out.",
    ),
    "validation": (
        "classes-not-validated",
        "note",
        f"how well they are recognised has no say in which epoch is the best. {_REMEDY}",
    ),
    "test": (
        "classes-not-tested",
        "warning",
        "the figures say nothing of how well they are recognised, and the balanced accuracy leaves them out. "
        f"{_REMEDY}",
    ),
}
"""For each part the code, the severity and the meaning of classes that it has no image of."""


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


def of_few(counts: np.ndarray, class_names: Sequence[str]) -> list[Remark]:
    """That classes have few images.

    Args:
        counts: int64 (classes,): the images of each class, in all parts together.
        class_names: Of the classes.
    """
    few = [f"{name} ({count})" for name, count in zip(class_names, counts, strict=True) if count < FEW]
    if not few:
        return []
    folds = int(np.clip(counts.min(), 3, MOST_FOLDS))
    advice = (
        f"{listed(few)}: too few to train a network from scratch, and to say much by a test, where one image more or "
        f"less is a large share of a class. Begin with trained weights (--weights); the linear probe before the "
        f"fine-tuning is made for so few. Test each image once by --fold 1/{folds} to --fold {folds}/{folds}, if the "
        "data are not divided. Add images, or leave these classes out."
    )
    severity = "warning" if counts.min() < VERY_FEW else "note"
    return [Remark("few-images", severity, f"classes with fewer than {FEW} images", advice)]


def of_parts(parts: Mapping[str, np.ndarray], class_names: Sequence[str]) -> list[Remark]:
    """That a part of the data has no image of some classes, though it has images.

    Args:
        parts: int64 (classes,): the images of each class, of the splits of a training; without training images
            nothing is said.
        class_names: Of the classes.
    """
    if "train" not in parts or not parts["train"].any():
        return []
    found = []
    for part, (code, severity, meaning) in _WITHOUT.items():
        if part in parts and parts[part].any() and (absent := np.flatnonzero(parts[part] == 0)).size:
            names = listed([class_names[label] for label in absent.tolist()])
            title = f"classes without a {part if part != 'train' else 'training'} image"
            found.append(Remark(code, severity, title, f"{names}: {meaning}"))
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
