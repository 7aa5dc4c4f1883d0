"""How far apart are two accuracies that have no images in pairs? Differences of independent figures.

Two trainings whose test images are others give two shares; several trainings a side give two means. Everything here
takes counts or accuracies; it knows no models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from keras_resnet.errors import UsageError
from keras_resnet.evaluation.paired import LEVEL
from keras_resnet.tasks.intervals import Interval, wilson_interval


def independent_difference(
    hits: int,
    images: int,
    other_hits: int,
    other_images: int,
    *,
    intervals: tuple[Interval, Interval] | None = None,
) -> tuple[float, Interval]:
    """The difference of two accuracies on images of two independent samples, in points, with its 95 % interval.

    The interval is made of the two Wilson intervals (Newcombe, Interval Estimation for the Difference Between
    Independent Proportions: Comparison of Eleven Methods, 1998, method 10). It has a width where all are right, too.
    Of images in groups, the two intervals by group are combined in the same way, which is right of any two (Zou and
    Donner, Construction of Confidence Limits about Effect Measures: A General Approach, 2008).

    Args:
        hits, images: How many are right in the first sample, and of how many, at least 1.
        other_hits, other_images: The same of the second.
        intervals: The 95 % intervals of the two shares; None: Wilson's, of images that are independent.

    Returns:
        The second's accuracy less the first's; and the bounds of the interval.

    Example:
        Newcombe's own, 48 of 80 and 56 of 70:

        >>> from keras_resnet.evaluation.unpaired import independent_difference
        >>> difference, (low, high) = independent_difference(48, 80, 56, 70)
        >>> print(f"{difference:.2f}, {low:.2f} to {high:.2f}")
        20.00, 5.24 to 33.39
    """
    first, second = hits / images, other_hits / other_images
    if intervals is None:
        intervals = wilson_interval(hits, images), wilson_interval(other_hits, other_images)
    (low, high), (other_low, other_high) = intervals
    difference = second - first
    bounds = (
        difference - math.hypot(second - other_low, high - first),
        difference + math.hypot(other_high - second, first - low),
    )
    return 100 * difference, (100 * bounds[0], 100 * bounds[1])


@dataclass(frozen=True)
class UncertainMean:
    """A mean, or the difference of two, and the parts of its variance.

    Args:
        mean: The figure.
        parts: Of the variance, independent of each other: how large, and from how many degrees of freedom.
    """

    mean: float
    parts: tuple[tuple[float, float], ...]

    @property
    def error(self) -> float:
        """The standard error."""
        return math.sqrt(sum(variance for variance, _ in self.parts))

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the whole variance (Welch 1938, Satterthwaite 1946); infinite where it is 0."""
        weighed = sum(variance**2 / freedom for variance, freedom in self.parts)
        return self.error**4 / weighed if weighed else math.inf

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval, Student's."""
        from scipy.stats import t as student

        half = float(student.ppf(1 - LEVEL / 2, self.freedom)) * self.error
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float:
        """Of the test that the true mean is 0, two-sided."""
        from scipy.stats import t as student

        if self.error < 1e-12:  # all alike, but for rounding
            return float(abs(self.mean) < 1e-12)
        return float(2 * student.sf(abs(self.mean) / self.error, self.freedom))

    def less(self, other: Self) -> UncertainMean:
        """Take off another that is independent of it; `p` of what is left is that of Welch's test.

        Args:
            other: What is taken off.
        """
        return UncertainMean(self.mean - other.mean, self.parts + other.parts)


def mean_accuracy(
    accuracies: Sequence[float],
    *,
    test_by_train: float = 0.0,
    images: float | None = None,
    groups: int | None = None,
) -> UncertainMean:
    """The mean accuracy of several trainings, and how sure it is of images like these.

    Folds share training images, so that their accuracies vary less than those of new data: the variance is
    (1/J + test/train)·s² (Nadeau and Bengio, Inference for the Generalization Error, 2003). Seeds on one split share
    all images. Their spread, s²/J, knows nothing of the draw of the test images, whose variance is added: Agresti and
    Coull's p(1 − p)/n (Approximate Is Better than Exact, 1998), which is above 0 where all are right, too. Two means
    are compared by Welch's test (The Generalization of Student's Problem, 1947).

    Args:
        accuracies: Of the trainings, J of them, two or more, each 0–1.
        test_by_train: Test images divided by training images, where each training has another split; 0 or more.
        images: How many test images there are, at least 1, where all trainings have the same; None: they do not. Of
            images in groups, how many independent ones they are worth, at least 0: `effective_images`.
        groups: In how many groups these are; None: each image is by itself.

    Returns:
        The mean, 0–1, whose `less` is the test.

    Raises:
        UsageError: There are fewer than two accuracies, or a number is out of range.

    Example:
        >>> from keras_resnet.evaluation.unpaired import mean_accuracy
        >>> at_random = mean_accuracy([0.97, 0.98, 0.96, 0.97, 0.97], test_by_train=0.25)
        >>> by_camera = mean_accuracy([0.90, 0.84, 0.88, 0.93, 0.85], test_by_train=0.25)
        >>> found = by_camera.less(at_random)
        >>> print(f"{found.mean:.3f}, {found.interval[0]:.3f} to {found.interval[1]:.3f}, p = {found.p:.3f}")
        -0.090, -0.158 to -0.022, p = 0.020
    """
    count = len(accuracies)
    if count < 2 or not test_by_train >= 0 or (images is not None and images < (0 if groups else 1)):
        raise UsageError(
            "a mean's uncertainty needs the accuracies of two trainings or more, a ratio of 0 or more, and 1 image or "
            f"more; received {count}, {test_by_train:g} and {images}"
        )
    mean = float(np.mean(accuracies))
    parts: list[tuple[float, float]] = [((1 / count + test_by_train) * float(np.var(accuracies, ddof=1)), count - 1)]
    if images is not None:
        share = (mean * images + 2) / (images + 4)
        parts.append((share * (1 - share) / (images + 4), max(groups - 1, 1) if groups else images))
    return UncertainMean(mean, tuple(parts))
