"""Which images train, which choose the best epoch, and which are kept for the end."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split

from keras_resnet.errors import DataError, UsageError, listed

VALIDATION_FRACTION = 0.1
TEST_FRACTION = 0.2


def divide(
    labels: np.ndarray,
    class_names: tuple[str, ...],
    given: dict[str, np.ndarray],
    *,
    seed: int,
    limit: int | None = None,
    whole: bool = False,
) -> dict[str, np.ndarray]:
    """The positions of train, validation and test.

    What the source itself separates is kept. Where it gives two parts only, the one that is not
    for training is the test (so ImageNet's validation images are used), and validation images are
    taken from the training part; where it gives none, all is split by class.

    Args:
        labels: int (n,).
        class_names: For messages.
        given: Positions of the splits the source separates; empty if it does not.
        seed: Of the split and of the limit's choice.
        limit: Take at most this many images of each given split, or of all.
        whole: Split nothing: what the source does not separate is all for the test.

    Raises:
        DataError: A class has too few images, or the source has no training part.
    """

    def limited(positions: np.ndarray) -> np.ndarray:
        if limit is None:
            return positions
        return positions[stratified_subset(labels[positions], limit, len(class_names), seed)]

    def split(positions: np.ndarray, **shares: float) -> tuple[np.ndarray, ...]:
        return tuple(positions[part] for part in stratified_split(labels[positions], class_names, seed, **shares))

    if whole:
        parts = {name: limited(positions) for name, positions in (given or {"test": np.arange(len(labels))}).items()}
        return {name: parts.get(name, np.arange(0)) for name in ("train", "validation", "test")}
    if not given:
        train, validation, test = split(limited(np.arange(len(labels))))
        return {"train": train, "validation": validation, "test": test}
    parts = {name: limited(positions) for name, positions in given.items()}
    if "train" not in parts:
        raise DataError(f"the data have no training part, only {listed(parts)}")
    if len(parts) < 3:
        parts["test"] = parts.get("test", parts.pop("validation", parts["train"][:0]))
        share = 0.0 if len(parts["test"]) else TEST_FRACTION
        parts["train"], parts["validation"], carved = split(parts["train"], test=share)
        parts["test"] = parts["test"] if len(parts["test"]) else carved
    return {name: parts[name] for name in ("train", "validation", "test")}


def stratified_split(
    labels: np.ndarray,
    class_names: tuple[str, ...],
    seed: int,
    *,
    validation: float = VALIDATION_FRACTION,
    test: float = TEST_FRACTION,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split positions into train, validation and test, every class in its proportion.

    A class that is very rare beside the others may be missing from the smaller parts.

    Args:
        labels: int (n,).
        class_names: For messages.
        seed: The same seed gives the same split.
        validation: Share of all images for validation, in [0, 1); 0 gives an empty split.
        test: Likewise for the test.

    Returns:
        Three sorted int64 arrays of positions that together hold each position once.

    Raises:
        DataError: A class has fewer images than there are splits.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise UsageError(f"validation and test shares must leave something to train on; received {validation}, {test}")
    needed = 1 + (validation > 0) + (test > 0)
    counts = np.bincount(labels, minlength=len(class_names))
    scarce = [f"{name} ({count})" for name, count in zip(class_names, counts, strict=True) if count < needed]
    if scarce:
        raise DataError(
            f"every class needs at least {needed} images to be split into training, validation and test; "
            f"too few in {listed(scarce)}"
        )
    rest, test_part = _part(np.arange(len(labels)), labels, test, len(class_names), seed)
    share = validation / (1 - test)
    train, validation_part = _part(rest, labels, share, len(class_names), seed)
    return train, validation_part, test_part


def stratified_subset(labels: np.ndarray, most: int, classes: int, seed: int) -> np.ndarray:
    """At most `most` sorted positions, every class in its proportion and at least once."""
    if most >= len(labels):
        return np.arange(len(labels))
    counts = np.bincount(labels, minlength=classes)
    if most < (counts > 0).sum():
        raise UsageError(f"a limit of {most} images is less than one for each of {(counts > 0).sum()} classes")
    quotas = counts * most / len(labels)
    sizes = np.maximum(np.floor(quotas).astype(np.int64), counts > 0)
    while sizes.sum() > most:  # rare classes were rounded up: take from those furthest over their quota
        sizes[np.argmax(np.where(sizes > 1, sizes - quotas, -np.inf))] -= 1
    while sizes.sum() < most:
        sizes[np.argmax(np.where(sizes < counts, quotas - sizes, -np.inf))] += 1
    random = np.random.default_rng(seed)
    chosen = [random.permutation(np.flatnonzero(labels == label))[:size] for label, size in enumerate(sizes)]
    return np.sort(np.concatenate(chosen))


def _part(
    positions: np.ndarray, labels: np.ndarray, share: float, classes: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions split in two; the second holds `share` of them, at least as many as there are classes."""
    if not share:
        return positions, positions[:0]
    size = min(max(round(share * len(positions)), classes), len(positions) - classes)
    first, second = train_test_split(positions, test_size=size, stratify=labels[positions], random_state=seed)
    return np.sort(first), np.sort(second)
