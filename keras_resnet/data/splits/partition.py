"""Divide images that have several classes, that must stay together in groups, or by time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_resnet.errors import DataError, listed

BY_CLASS = ", which cannot happen if images are split by class"


class Method(ABC):
    """A way to divide images; all positions it returns are sorted."""

    @abstractmethod
    def split(self, positions: np.ndarray, validation: float, test: float) -> tuple[np.ndarray, ...]:
        """Divide images into training, validation and test.

        Args:
            positions: int64 (n,), sorted: the images to divide.
            validation: The share for validation, in [0, 1).
            test: The share for the test, in [0, 1).

        Returns:
            The positions of train, validation and test; a share of 0 gives an empty part.

        Raises:
            DataError: There are too few images, groups or times, or a class would have none to train on.
        """

    @abstractmethod
    def fold(self, positions: np.ndarray, number: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Take one of several folds for the test.

        Args:
            positions: int64 (n,), sorted: the images to divide.
            number: Which fold, counted from 1.
            count: How many there are.

        Returns:
            What is left to train and validate with, and the test.

        Raises:
            DataError: As `split`.
        """

    @abstractmethod
    def check_apart(self, earlier: np.ndarray, later: np.ndarray) -> None:
        """Check parts that the data themselves give.

        Raises:
            DataError: The method would not have separated them so.
        """


@dataclass(frozen=True)
class BySeveralClasses(Method):
    """Each part has every class in its proportion, as far as images with several classes allow."""

    labels: np.ndarray
    class_names: tuple[str, ...]
    seed: int

    def split(self, positions: np.ndarray, validation: float, test: float) -> tuple[np.ndarray, ...]:
        shares = [1 - validation - test, validation, test]
        self._check_counts(positions, sum(map(bool, shares)))
        parts = self._shared(positions, [share for share in shares if share])
        return (*parts, *[positions[:0]] * shares.count(0))

    def fold(self, positions: np.ndarray, number: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        self._check_counts(positions, max(count, 3))
        test = self._shared(positions, [1 / count] * count)[number - 1]
        return np.setdiff1d(positions, test, assume_unique=True), test

    def check_apart(self, earlier: np.ndarray, later: np.ndarray) -> None:
        pass

    def subset(self, positions: np.ndarray, most: int) -> np.ndarray:
        """Choose at most this many of the positions, every class in about its proportion."""
        if most >= len(positions):
            return positions
        share = most / len(positions)
        taken, others = self._shared(positions, [share, 1 - share])
        random = np.random.default_rng(self.seed)
        if len(taken) < most:
            taken = np.concatenate([taken, random.permutation(others)[: most - len(taken)]])
        return np.sort(random.permutation(taken)[:most])

    def _shared(self, positions: np.ndarray, shares: list[float]) -> list[np.ndarray]:
        part_of = share_groups(self.labels[positions], np.arange(len(positions)), shares, self.seed)
        return [positions[part_of == part] for part in range(len(shares))]

    def _check_counts(self, positions: np.ndarray, needed: int) -> None:
        counts = self.labels[positions].sum(axis=0)
        scarce = [f"{name} ({n})" for name, n in zip(self.class_names, counts, strict=True) if 0 < n < needed]
        if scarce:
            raise DataError(f"every class needs at least {needed} images to be divided; too few in {listed(scarce)}")


@dataclass(frozen=True)
class ByGroup(Method):
    """No group is in two parts; each part has every class in its proportion, as far as that allows."""

    labels: np.ndarray
    class_names: tuple[str, ...]
    seed: int
    groups: np.ndarray

    def split(self, positions: np.ndarray, validation: float, test: float) -> tuple[np.ndarray, ...]:
        shares = [1 - validation - test, validation, test]
        if all(shares) and len(np.unique(self.groups[positions])) == 2:
            return self._one_held_out(positions, validation, test)
        parts = self._shared(positions, [share for share in shares if share])
        check_training(self.labels, self.class_names, parts[0], parts[1:], f"are in groups of another part{BY_CLASS}")
        return (*parts, *[positions[:0]] * shares.count(0))

    def fold(self, positions: np.ndarray, number: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        test = self._shared(positions, [1 / count] * count)[number - 1]
        rest = np.setdiff1d(positions, test, assume_unique=True)
        check_training(self.labels, self.class_names, rest, [test], f"are in groups of this test fold{BY_CLASS}")
        return rest, test

    def check_apart(self, earlier: np.ndarray, later: np.ndarray) -> None:
        shared = np.intersect1d(self.groups[earlier], self.groups[later])
        if len(shared):
            raise DataError(
                f"{len(shared)} groups are in more than one of the data's splits: put each group into one of them, or "
                "split by class"
            )

    def _one_held_out(self, positions: np.ndarray, validation: float, test: float) -> tuple[np.ndarray, ...]:
        """Of two groups, as two cameras, one is the test, and the other is divided by class."""
        rest, tested = self._shared(positions, [1 - test, test])
        shares = [1 - validation / (1 - test), validation / (1 - test)]
        part_of = share_groups(self.labels[rest], np.arange(len(rest)), shares, self.seed)
        train, choosing = (rest[part_of == part] for part in range(2))
        check_training(self.labels, self.class_names, train, [choosing, tested], f"are in the other group{BY_CLASS}")
        return train, choosing, tested

    def _shared(self, positions: np.ndarray, shares: list[float]) -> list[np.ndarray]:
        part_of = share_groups(self.labels[positions], self.groups[positions], shares, self.seed)
        parts = [positions[part_of == part] for part in range(len(shares))]
        if not all(map(len, parts)):
            raise DataError(
                "a split by group leaves a part without images: too many classes are in one group only, which is "
                "needed for training. Give images of more groups, or split by class"
            )
        return parts


@dataclass(frozen=True)
class ByTime(Method):
    """The earliest images are for training, the next for validation, the latest for the test; images taken at the same
    time stay together.
    """

    labels: np.ndarray
    class_names: tuple[str, ...]
    times: np.ndarray

    def split(self, positions: np.ndarray, validation: float, test: float) -> tuple[np.ndarray, ...]:
        shares = [1 - validation - test, validation, test]
        wanted = np.cumsum([share for share in shares if share])[:-1] * len(positions)
        order = self._ordered(positions)
        parts = [np.sort(part) for part in np.split(order, cut_in_time(self.times[order], wanted.tolist()))]
        why = f"were taken later than the training images{BY_CLASS}"
        check_training(self.labels, self.class_names, parts[0], parts[1:], why)
        return (*parts, *[positions[:0]] * shares.count(0))

    def fold(self, positions: np.ndarray, number: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """As scikit-learn's `TimeSeriesSplit`: the tests follow one another, each after the images to train on."""
        order = self._ordered(positions)
        block = len(order) / (count + 1)
        # The cut at 0 is not used: it ensures two different times before the first test, for training and validation.
        cuts = cut_in_time(self.times[order], [0.0, *(block * (index + 1) for index in range(count))])
        start, end = [*cuts[1:], len(order)][number - 1 : number + 1]
        return np.sort(order[:start]), np.sort(order[start:end])

    def check_apart(self, earlier: np.ndarray, later: np.ndarray) -> None:
        early = (self.times[later] <= self.times[earlier].max()).sum() if len(earlier) else 0
        if early:
            raise DataError(
                f"{early} images are no later than the last image of an earlier split of the data (training, "
                "validation, test): move them, or split by class"
            )

    def _ordered(self, positions: np.ndarray) -> np.ndarray:
        return positions[np.argsort(self.times[positions], kind="stable")]


def check_training(
    labels: np.ndarray, class_names: tuple[str, ...], train: np.ndarray, others: Sequence[np.ndarray], why: str
) -> None:
    """Refuse parts in which a class has images to validate or test with and none to train on.

    Args:
        labels: int (n,), or 0 and 1 (n, classes).
        class_names: For the message.
        train: The positions for training.
        others: The positions of the other parts.
        why: For the message: why no image is left.

    Raises:
        DataError: There is such a class.
    """
    wanted = classes_of(labels[np.concatenate([train[:0], *others])])[1]
    missing = np.setdiff1d(wanted, classes_of(labels[train])[1])
    if len(missing):
        raise DataError(
            f"no image of {listed([class_names[label] for label in missing])} is left to train on: all {why}. "
            "Give more images of the class, or leave it out"
        )


def classes_of(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of an image and one of its classes: int64 (pairs,) positions of images, int64 (pairs,) classes.

    Args:
        labels: int (n,), or 0 and 1 (n, classes) if an image may have any number of classes.
    """
    if labels.ndim == 1:
        return np.arange(len(labels)), labels
    images, classes = np.nonzero(labels)
    return images, classes


def share_groups(labels: np.ndarray, groups: np.ndarray, shares: Sequence[float], seed: int) -> np.ndarray:
    """Put each group into one part, so that every part comes near its share of every class.

    The groups are placed one after the other; those that have most of their classes come first. Each goes where the
    squared distance to the wanted shares, summed over the classes, grows least. The last groups of a class go to parts
    that have none of it yet, to the first part before the others.

    (scikit-learn's `StratifiedGroupKFold` has only equal folds, so that 70:10:20 would need ten groups or more; it
    takes minutes for 100,000 groups and comes less near on average. Its `GroupShuffleSplit` ignores the classes.)

    Args:
        labels: int (n,), or 0 and 1 (n, classes); images without any class count as a class of their own.
        groups: int (n,).
        shares: The wanted share of each part, all above 0.
        seed: Decides between groups that have equal fractions of their classes.

    Returns:
        int64 (n,): the part of each image.

    Raises:
        DataError: There are fewer groups than parts.
    """
    known, group = np.unique(groups, return_inverse=True)
    if len(known) < len(shares):
        raise DataError(
            f"{len(known)} groups cannot be put into {len(shares)} parts without dividing a group: give images of more "
            "groups, or split by class"
        )
    if labels.ndim == 2:
        labels = np.column_stack([labels, ~labels.any(axis=1)])
    images, shown = classes_of(labels)
    classes = int(shown.max()) + 1
    pairs, counts = np.unique(group[images] * classes + shown, return_counts=True)
    owners, members = pairs // classes, pairs % classes
    fractions = counts / np.bincount(shown)[members]
    random = np.random.default_rng(seed).permutation(len(known))
    order = random[np.argsort(-np.bincount(owners, fractions**2)[random], kind="stable")]
    starts = np.searchsorted(owners, np.arange(len(known) + 1)).tolist()
    contents = list(zip(members.tolist(), fractions.tolist(), strict=True))
    parts = np.empty(len(known), np.int64)
    placing = _Placing(shares, np.bincount(members).tolist())
    for index in order.tolist():
        parts[index] = placing.place(contents[starts[index] : starts[index + 1]])
    return parts[group]


class _Placing:
    """Where the groups placed so far have gone. These are plain lists, since most groups have few of many classes.

    Args:
        shares: As in `share_groups`.
        waiting: For each class, the number of groups that have it and are not placed yet.
    """

    def __init__(self, shares: Sequence[float], waiting: list[int]) -> None:
        self.shares = shares
        self.waiting = waiting
        self.lacking = [len(shares)] * len(waiting)  # for each class, the number of parts that have none of it
        self.held = [[0.0] * len(waiting) for _ in shares]  # for each part, the fraction of each class that it has

    def place(self, content: list[tuple[int, float]]) -> int:
        """Choose the part for a group, given the classes that it has and its fraction of each."""
        urgent = [label for label, _ in content if self.waiting[label] <= self.lacking[label]]
        best = min(range(len(self.shares)), key=lambda part: self._cost(part, content, urgent))
        held = self.held[best]
        for label, fraction in content:
            self.waiting[label] -= 1
            self.lacking[label] -= not held[label]
            held[label] += fraction
        return best

    def _cost(self, part: int, content: list[tuple[int, float]], urgent: list[int]) -> tuple[int, int, float]:
        held, share = self.held[part], self.shares[part]
        missed = sum(not held[label] for label in urgent)
        # (held + fraction - share)² - (held - share)², divided by the share: errors weigh more in small parts.
        growth = sum(fraction * (2 * (held[label] - share) + fraction) for label, fraction in content) / share
        return (-missed if part == 0 else 0, -missed, growth)


def cut_in_time(times: np.ndarray, wanted: Sequence[float]) -> list[int]:
    """Where to cut images that are ordered by time, so that images taken at the same time stay together.

    Args:
        times: (n,), ascending.
        wanted: Where the cuts should be, as numbers of images, ascending.

    Returns:
        The nearest places where the time changes, a different one for each cut.

    Raises:
        DataError: There are fewer different times than parts.
    """
    changes = np.flatnonzero(np.diff(times)) + 1
    if len(changes) < len(wanted):
        raise DataError(
            f"images of {len(changes) + 1} different times cannot be divided into {len(wanted) + 1} parts that follow "
            "one another: give more exact times, or split by class"
        )
    cuts: list[int] = []
    end = len(changes)
    for index in reversed(range(len(wanted))):  # each leaves at least one change for every cut before it
        end = index + int(np.argmin(np.abs(changes[index:end] - wanted[index])))
        cuts.insert(0, int(changes[end]))
    return cuts
