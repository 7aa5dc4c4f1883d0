"""Is one of two models better? Tests and intervals for answers to the same images.

Everything here takes which images each model is right on, or the accuracies of several trainings; it knows no models.
Images that belong together, such as photographs of one person, are not independent: where their groups are given, a
group counts as one observation of its sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_resnet.errors import UsageError

LEVEL = 0.05
"""A difference with a smaller p is one; intervals hold 1 less this of the probability."""
POWER = 0.8
"""The chance with which a test set of the size that is named would show the difference (Cohen, 1988)."""
RESAMPLES = 10_000
CHUNK = 4_000_000
"""Random numbers that a bootstrap draws at once."""
MOST_TRAININGS = 10_000
MOST_EXACT = 20_000
"""From so many images on, exactness needs no more than a few in a hundred."""


@dataclass(frozen=True)
class TTest:
    """A paired t-test over trainings.

    Args:
        difference: The mean of the differences.
        interval: The 95 % interval of that; infinite with one training.
        t: The statistic.
        p: Two-sided.
        trainings: How many pairs there were.
    """

    difference: float
    interval: tuple[float, float]
    t: float
    p: float
    trainings: int


def paired_difference(
    first: np.ndarray, second: np.ndarray, groups: np.ndarray | None = None
) -> tuple[float, tuple[float, float]]:
    """The difference of two accuracies on the same images, in points, with its 95 % interval.

    The interval is Bonett and Price's (Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based
    on Paired Data, 2012): it holds where few images or none are decided otherwise, too. Of grouped images, counts are
    divided by the design effect, as Rao and Scott do (A Simple Method for the Analysis of Clustered Binary Data, 1992),
    and the quantile is Student's.

    Args:
        first, second: bool (n,): which images each is right on.
        groups: (n,), a number or name for each image; None: images are independent.

    Returns:
        The second's accuracy less the first's; and the bounds of the interval.
    """
    from scipy.stats import norm, t

    images = len(first)
    lost, won = int((first & ~second).sum()), int((~first & second).sum())
    effect, quantile = design_effect(first, second, groups), float(norm.ppf(1 - LEVEL / 2))
    if groups is not None:
        quantile = float(t.ppf(1 - LEVEL / 2, max(len(np.unique(groups)) - 1, 1)))
    size = images / effect + 2
    a, b = (won / effect + 1) / size, (lost / effect + 1) / size
    half = quantile * math.sqrt(max(a + b - (a - b) ** 2, 0.0) / size)
    bounds = max(-1.0, a - b - half), min(1.0, a - b + half)
    return 100 * (won - lost) / images, (100 * bounds[0], 100 * bounds[1])


def design_effect(first: np.ndarray, second: np.ndarray, groups: np.ndarray | None) -> float:
    """How many times as many images are needed as of independent ones: the ratio of the difference's variances.

    Where the models never differ it is unknown, and the largest is taken: that of images which are all alike in a
    group.

    Args:
        first, second, groups: As `paired_difference`.

    Returns:
        At least 1; 1 of independent images.
    """
    if groups is None:
        return 1.0
    sums, sizes = _of_groups(first, second, groups)
    images, count = len(first), len(sums)
    mean = float(sums.sum()) / images
    lone = float((first != second).mean()) - mean**2
    if count < 2 or lone <= 0:
        return float((sizes.astype(np.float64) ** 2).sum() / images)
    clustered = count / (count - 1) * float(((sums - mean * sizes) ** 2).sum()) / images
    return max(1.0, clustered / lone)


def mcnemar(first: np.ndarray, second: np.ndarray, groups: np.ndarray | None = None) -> float:
    """McNemar's exact test: the p of an unequal number of images on which only one of two models is right.

    Under its null hypothesis an image that only one is right on is as often the one's as the other's (McNemar, Note on
    the Sampling Error of the Difference Between Correlated Proportions, 1947). By group, a whole group's sum changes
    its sign, and the distribution of the total is computed exactly; with groups of one image that is the same test.

    Args:
        first, second: bool (n,): which images each is right on.
        groups: As `paired_difference`.

    Returns:
        The two-sided p, 0–1; 1 where both are right on the same images.

    Example:
        >>> import numpy as np
        >>> first = np.array([True] * 90 + [False] * 10)
        >>> second = np.array([True] * 97 + [False] * 3)  # right on seven more
        >>> round(mcnemar(first, second), 4)
        0.0156
    """
    from scipy.stats import binomtest

    lost, won = int((first & ~second).sum()), int((~first & second).sum())
    if groups is None:
        return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
    sums = np.abs(_of_groups(first, second, groups)[0])
    total = int(sums.sum())
    chances = np.zeros(2 * total + 1)  # of each sum from -total on
    chances[total] = 1.0
    for one in sums[sums > 0]:
        up, down = np.zeros_like(chances), np.zeros_like(chances)
        up[one:], down[:-one] = chances[:-one], chances[one:]
        chances = (up + down) / 2
    far = np.abs(np.arange(-total, total + 1)) >= abs(won - lost)
    return min(1.0, float(chances[far].sum()))


def bootstrap_difference(
    first: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """The paired bootstrap's 95 % interval of the difference of two accuracies, in points, by percentiles.

    Images, or whole groups, are drawn with replacement (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
    Where the models are right on the same images, all resamples are alike and the interval has no width:
    `paired_difference` has one there.

    Args:
        first, second: bool (n,): which images each is right on.
        groups: As `paired_difference`.
        resamples: How many.
        seed: Of the draws.
    """
    random = np.random.default_rng(seed)
    images = len(first)
    if groups is None:
        # Of an image only matters whom it favours: the counts of the three kinds are what resampling would give.
        lost, won = int((first & ~second).sum()), int((~first & second).sum())
        drawn = random.multinomial(images, [lost / images, won / images, 1 - (lost + won) / images], resamples)
        values = (drawn[:, 1] - drawn[:, 0]) / images
    else:
        sums, sizes = _of_groups(first, second, groups)
        parts, each = [], max(1, CHUNK // len(sums))
        for start in range(0, resamples, each):
            chosen = random.integers(len(sums), size=(min(each, resamples - start), len(sums)))
            parts.append(sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1))
        values = np.concatenate(parts)
    low, high = np.quantile(values, [LEVEL / 2, 1 - LEVEL / 2])
    return 100 * float(low), 100 * float(high)


def paired_t_test(differences: Sequence[float] | np.ndarray, test_by_train: float = 0.0) -> TTest:
    """Student's paired t-test over trainings, corrected where they were tested on resampled images.

    Folds and repeated splits share training images, so that their figures vary less than those of new data. The
    variance of the mean is then (1/J + test/train)·s² instead of s²/J (Nadeau and Bengio, Inference for the
    Generalization Error, 2003). Seeds on one split need no correction: the test then speaks of other seeds on these
    test images.

    Args:
        differences: Of the figures of each pair of trainings, J of them.
        test_by_train: Test images divided by training images, where each pair has another split; 0: all have the same.

    Returns:
        The test; with one training p is 1, and with equal differences that are not 0 it is 0.

    Raises:
        UsageError: There are no differences, or the ratio is below 0.

    Example:
        >>> print(f"{paired_t_test([0.8, 1.1, 0.4, 0.9, 0.6], test_by_train=0.25).p:.3f}")
        0.014
    """
    from scipy.stats import t as student

    found = np.asarray(differences, np.float64)
    if not len(found) or test_by_train < 0:
        raise UsageError(
            f"a t-test needs differences, and a ratio of 0 or more; received {len(found)} and {test_by_train:g}"
        )
    mean, count = float(found.mean()), len(found)
    if count == 1:
        return TTest(mean, (-math.inf, math.inf), 0.0, 1.0, 1)
    error = math.sqrt((1 / count + test_by_train) * float(found.var(ddof=1)))
    if error < 1e-12 * max(1.0, abs(mean)):  # all alike, but for rounding
        is_same = abs(mean) < 1e-12
        return TTest(mean, (mean, mean), 0.0 if is_same else math.copysign(math.inf, mean), float(is_same), count)
    statistic = mean / error
    half = float(student.ppf(1 - LEVEL / 2, count - 1)) * error
    return TTest(mean, (mean - half, mean + half), statistic, float(2 * student.sf(abs(statistic), count - 1)), count)


def holm(values: Sequence[float]) -> tuple[float, ...]:
    """The p of several tests, raised so that all of them together err as often as one.

    Args:
        values: Each test's p.

    Returns:
        Each one's adjusted p (Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979), at most 1.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        (0.03, 0.06, 0.06)
    """
    adjusted = [0.0] * len(values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = highest
    return tuple(adjusted)


def images_needed(difference: float, disagreement: float) -> int | None:
    """How many images a test set needs so that McNemar's exact test shows a difference with a chance of 80 %.

    It begins with n = (z₀.₉₇₅ √ψ + z₀.₈ √(ψ − δ²))² / δ² (Connor, Sample Size for Testing Differences in Proportions
    for the Paired-Sample Design, 1987, after Miettinen, 1968). That is of the test without exactness: images are added
    until the exact test has the power.

    Args:
        difference: Of the accuracies, δ, in points.
        disagreement: The share of images on which just one is right, ψ, in points; at least |δ|.

    Returns:
        The number; None where there is no difference.

    Example:
        >>> images_needed(1.0, 4.0)
        3290
    """
    from scipy.stats import norm

    delta, share = abs(difference) / 100, max(disagreement, abs(difference)) / 100
    if not delta:
        return None
    z, power = float(norm.ppf(1 - LEVEL / 2)), float(norm.ppf(POWER))
    low = math.ceil((z * math.sqrt(share) + power * math.sqrt(max(share - delta**2, 0.0))) ** 2 / delta**2)
    if low > MOST_EXACT or _power(low, delta, share) >= POWER:
        return low
    high = 2 * low + 10
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(middle, delta, share) >= POWER else (middle, high)
    return high


def _power(images: int, difference: float, disagreement: float) -> float:
    """The chance that McNemar's exact test shows a difference; the arguments as shares."""
    from scipy.stats import binom

    around, width = images * disagreement, 8 * math.sqrt(images * disagreement) + 8
    alone = np.arange(max(0, math.floor(around - width)), min(images, math.ceil(around + width)) + 1)
    most = binom.ppf(LEVEL / 2, alone, 0.5)  # so many of them, or one fewer, favour the worse model
    most -= binom.cdf(most, alone, 0.5) > LEVEL / 2
    better = (disagreement + difference) / 2 / disagreement
    shown = binom.cdf(most, alone, 1 - better) + binom.cdf(most, alone, better)
    return float((binom.pmf(alone, images, disagreement) * shown).sum())


def trainings_needed(differences: Sequence[float] | np.ndarray) -> int | None:
    """How many pairs of trainings a paired t-test needs to show the mean difference with a chance of 80 %.

    Args:
        differences: Of the pairs that there are; two or more.

    Returns:
        The number, from the noncentral t distribution; None where there is no difference, or no number up to 10,000
        would do.
    """
    from scipy.stats import nct
    from scipy.stats import t as student

    found = np.asarray(differences, np.float64)
    mean, deviation = abs(float(found.mean())), float(found.std(ddof=1))
    if mean < 1e-12:
        return None
    if not deviation:
        return 2

    def power(count: int) -> float:
        least = float(student.ppf(1 - LEVEL / 2, count - 1))
        return float(nct.sf(least, count - 1, mean / deviation * math.sqrt(count)))

    if power(MOST_TRAININGS) < POWER:
        return None
    low, high = 1, MOST_TRAININGS  # power grows with the number
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def _of_groups(first: np.ndarray, second: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each group, how many more images the second is right on, and how many images there are; int64."""
    number = np.unique(groups, return_inverse=True)[1].reshape(-1)
    gained = second.astype(np.int64) - first.astype(np.int64)
    return np.bincount(number, gained).astype(np.int64), np.bincount(number)
