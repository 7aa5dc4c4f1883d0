"""Divide images into training, validation (to choose the best epoch) and test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_resnet.data.splits.partition import ByGroup, BySeveralClasses, ByTime, Method, check_training
from keras_resnet.data.splits.plan import PARTS, SplitPlan
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
    plan: SplitPlan | None = None,
    groups: np.ndarray | None = None,
    times: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Divide images into train, validation and test.

    The source's own splits are kept: validation images choose the best epoch, and test images nothing. If it has
    validation images and no test, as ImageNet without its secret labels, they are the test: figures are of images that
    chose nothing. If it has no validation images, or none any more, some are taken from the training images. If it has
    only training images, or no splits, these are divided by the plan.

    Args:
        labels: int (n,), or 0 and 1 (n, classes) if an image may have any number of classes.
        class_names: For messages.
        given: The positions of the source's own splits; empty if it has none.
        seed: Of the split, and of the choice of images if there is a limit.
        limit: Use at most this many images of each of the source's splits, or of all images; None: all.
        whole: Do not divide: all images are for the test if the source has no splits of its own.
        plan: How to divide; None: by class.
        groups: int (n,), for a plan by group.
        times: float (n,), for a plan by time.

    Returns:
        The positions of the images in each split, sorted.

    Raises:
        DataError: A class has too few images, the source's splits have none for training, the groups or times that
            the plan needs are not known, or the source's splits do not keep them apart.
        UsageError: The plan has folds, but the source has splits of its own.
    """

    def limited(positions: np.ndarray, parts: int = 1) -> np.ndarray:
        if limit is None:
            return positions
        if labels.ndim == 2:
            return BySeveralClasses(labels, class_names, seed).subset(positions, limit)
        return positions[stratified_subset(labels[positions], limit, len(class_names), seed, fewest=parts)]

    if "validation" in given and "test" not in given:
        given = {"test" if name == "validation" else name: positions for name, positions in given.items()}
    if whole:
        parts = {name: limited(positions) for name, positions in (given or {"test": np.arange(len(labels))}).items()}
        return {name: parts.get(name, np.arange(0)) for name in PARTS}
    plan = plan or SplitPlan()
    method = _method(plan, labels, class_names, groups, times, seed)
    if not given:
        positions = limited(np.arange(len(labels)), _images_needed(plan.fold[1]) if plan.fold else len(PARTS))
        if plan.fold is None:
            return dict(zip(PARTS, method.split(positions, VALIDATION_FRACTION, TEST_FRACTION), strict=True))
        rest, test = method.fold(positions, *plan.fold)
        train, validation, _ = method.split(rest, VALIDATION_FRACTION / (1 - TEST_FRACTION), 0.0)
        return {"train": train, "validation": validation, "test": test}
    carved = len(PARTS) - sum(name in given for name in PARTS[1:])
    parts = {name: limited(positions, carved if name == "train" else 1) for name, positions in given.items()}
    _check_given(parts, plan, method)
    others = [part for name, part in parts.items() if name != "train"]
    check_training(labels, class_names, parts["train"], others, "are in the data's other splits")
    if "validation" not in parts:
        share = 0.0 if "test" in parts else TEST_FRACTION
        parts["train"], parts["validation"], test = method.split(parts["train"], VALIDATION_FRACTION, share)
        parts.setdefault("test", test)
    return {name: parts.get(name, np.arange(0)) for name in PARTS}


@dataclass(frozen=True)
class ByClass(Method):
    """Each part has every class in its proportion."""

    labels: np.ndarray
    class_names: tuple[str, ...]
    seed: int

    def split(self, positions: np.ndarray, validation: float, test: float) -> tuple[np.ndarray, ...]:
        labels = self.labels[positions]
        parts = stratified_split(labels, self.class_names, self.seed, validation=validation, test=test)
        return tuple(positions[part] for part in parts)

    def fold(self, positions: np.ndarray, number: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = self.labels[positions]
        _check_counts(labels, self.class_names, _images_needed(count), f"divided into {count} folds")
        from sklearn.model_selection import StratifiedKFold  # takes two seconds, which a prediction need not wait for

        folds = StratifiedKFold(count, shuffle=True, random_state=self.seed).split(labels, labels)
        rest, test = list(folds)[number - 1]
        return positions[rest], positions[test]

    def check_apart(self, earlier: np.ndarray, later: np.ndarray) -> None:
        pass


def _method(
    plan: SplitPlan,
    labels: np.ndarray,
    class_names: tuple[str, ...],
    groups: np.ndarray | None,
    times: np.ndarray | None,
    seed: int,
) -> Method:
    if plan.method == "class":
        return (ByClass if labels.ndim == 1 else BySeveralClasses)(labels, class_names, seed)
    known = groups if plan.method == "group" else times
    if known is None:
        without = ", or group by series, camera or folder (--group-by)" if plan.method == "group" else ""
        raise DataError(
            f"a split by {plan.method} needs the {plan.method} of every image, but the data have none: "
            f"give a table with the columns path, label and {plan.method}{without}"
        )
    return ByGroup(labels, class_names, seed, known) if plan.method == "group" else ByTime(labels, class_names, known)


def _check_given(parts: dict[str, np.ndarray], plan: SplitPlan, method: Method) -> None:
    if "train" not in parts:
        raise DataError(f"the data have no training split, only {listed(parts)}")
    if plan.fold is not None:
        raise UsageError(
            f"the data are already divided into {listed(parts)}, and folds would mix these: leave the fold out, or "
            "give the data undivided"
        )
    if others := [parts[name] for name in PARTS[1:] if name in parts]:
        method.check_apart(parts["train"], np.concatenate(others))
    if len(others) == 2:
        method.check_apart(*others)


def stratified_split(
    labels: np.ndarray,
    class_names: tuple[str, ...],
    seed: int,
    *,
    validation: float = VALIDATION_FRACTION,
    test: float = TEST_FRACTION,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Divide positions into train, validation and test, every class in its proportion and at least once.

    Args:
        labels: int (n,).
        class_names: For messages.
        seed: The same seed gives the same split.
        validation: The share of all images for validation, in [0, 1); 0 gives an empty part.
        test: The share for the test, likewise.

    Returns:
        Three sorted int64 arrays of positions; each position is in one of them.

    Raises:
        DataError: A class has fewer images than there are parts.
        UsageError: The shares leave nothing to train on.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise UsageError(f"validation and test shares must leave images to train on; received {validation}, {test}")
    needed = 1 + (validation > 0) + (test > 0)
    _check_counts(labels, class_names, needed, "split into training, validation and test")
    rest, test_part = _part(np.arange(len(labels)), labels, test, len(class_names), seed, left=needed - (test > 0))
    share = validation / (1 - test)
    train, validation_part = _part(rest, labels, share, len(class_names), seed, left=1)
    return train, validation_part, test_part


def stratified_subset(labels: np.ndarray, most: int, classes: int, seed: int, *, fewest: int = 1) -> np.ndarray:
    """Choose at most so many images, every class in its proportion and at least once.

    Args:
        labels: int (n,).
        most: How many.
        classes: How many classes there are.
        seed: The same seed chooses the same images.
        fewest: Images that each class keeps if it has as many and `most` allows it.

    Returns:
        Sorted int64 positions.

    Raises:
        UsageError: There are more classes than images to choose.
    """
    if most >= len(labels):
        return np.arange(len(labels))
    counts = np.bincount(labels, minlength=classes)
    if most < (counts > 0).sum():
        raise UsageError(f"a limit of {most} images is less than one for each of {(counts > 0).sum()} classes")
    quotas = counts * most / len(labels)
    kept = next(least for n in range(fewest, 0, -1) if (least := np.minimum(counts, n)).sum() <= most)
    sizes = np.maximum(np.floor(quotas).astype(np.int64), kept)
    while sizes.sum() > most:  # rare classes were rounded up: take from the class that is furthest above its quota
        sizes[np.argmax(np.where(sizes > kept, sizes - quotas, -np.inf))] -= 1
    while sizes.sum() < most:
        sizes[np.argmax(np.where(sizes < counts, quotas - sizes, -np.inf))] += 1
    random = np.random.default_rng(seed)
    chosen = [random.permutation(np.flatnonzero(labels == label))[:size] for label, size in enumerate(sizes)]
    return np.sort(np.concatenate(chosen))


def _part(
    positions: np.ndarray, labels: np.ndarray, share: float, classes: int, seed: int, *, left: int
) -> tuple[np.ndarray, np.ndarray]:
    """Divide positions in two; the second part has `share` of them, at least one of every class.

    Of every class, at least `left` stay in the first part.
    """
    if not share:
        return positions, positions[:0]
    size = min(max(round(share * len(positions)), classes), len(positions) - classes)
    from sklearn.model_selection import train_test_split

    _, second = train_test_split(positions, test_size=size, stratify=labels[positions], random_state=seed)
    inside, own = np.isin(positions, second), labels[positions]
    has, out, into = (np.bincount(own[of], minlength=classes) for of in (slice(None), ~inside, inside))
    random = np.random.default_rng(seed)
    # A class that is much rarer than the others may have been left out of a part.
    for label in np.flatnonzero((has > 0) & ((into == 0) | (out < left))):
        members = random.permutation(np.flatnonzero(own == label))
        inside[members] = np.arange(len(members)) < np.clip(into[label], 1, len(members) - left)
    return positions[~inside], positions[inside]


def _images_needed(folds: int) -> int:
    """Images of a class that folds need: of three, a fold of two would leave one for training and validation."""
    return 4 if folds == 2 else folds


def _check_counts(labels: np.ndarray, class_names: tuple[str, ...], needed: int, purpose: str) -> None:
    counts = np.bincount(labels, minlength=len(class_names))
    scarce = [f"{name} ({count})" for name, count in zip(class_names, counts, strict=True) if count < needed]
    if scarce:
        raise DataError(f"every class needs at least {needed} images to be {purpose}; too few in {listed(scarce)}")
