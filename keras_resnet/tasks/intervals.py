"""How sure a figure is: its 95 % interval, by images or by groups of images that are not independent.

Three ways, for three kinds of figures:

- a *share* of images, or another figure between 0 and 1 (mean recall, an area under a curve): Wilson's interval. Where
  images come in groups, or the figure is no plain share, it is that of as many independent images as would give the
  figure its variance (the effective sample size; Korn & Graubard 1998, Dean & Pagano 2015);
- a *mean* of positive numbers, as the log loss: Student's t on the logarithm;
- anything else: the percentile bootstrap, which draws images, or groups of them, again and again.

Variances come from *influences*: how much a figure changes with the weight of each image (the infinitesimal jackknife;
Jaeckel 1972, Efron 1982). Of an area under a ROC curve they are DeLong's (1988), and summed by groups Obuchowski's
(1997). They take one pass over the images, where a bootstrap takes a thousand. Where a few images have most of the
influence, the variance is known badly: intervals are as wide as its degrees of freedom ask for (Satterthwaite 1946).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Interval = tuple[float, float]


class Estimate(NamedTuple):
    """A figure and its 95 % interval; None where that is not known."""

    value: float
    interval: Interval | None


Z = 1.959963984540054
"""What 95 % of a normal distribution lie within, in deviations."""
DRAWS = 200
"""Of a bootstrap: each computes the figure anew."""


def wilson_interval(hits: float, images: float, z: float = Z) -> Interval:
    """The interval of a share (Wilson, Probable inference, 1927).

    Args:
        hits: How many images are right.
        images: Of so many, above 0; need not be whole, where it is an effective number.
        z: How many deviations wide; default: 95 %.

    Returns:
        Its bounds, 0–1.

    Example:
        >>> low, high = wilson_interval(404, 412)
        >>> f"{low:.4f} {high:.4f}"
        '0.9622 0.9901'
    """
    low, high = wilson_intervals(np.array([hits], float), np.array([images], float), z)[0]
    return float(low), float(high)


def wilson_intervals(hits: np.ndarray, images: np.ndarray, z: float = Z) -> np.ndarray:
    """`wilson_interval` of many shares, float64 (n, 2); NaN where there are no images.

    Args:
        hits, images: float (n,).
        z: As there.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        share, weight = hits / images, z * z / images
        centre = (share + weight / 2) / (1 + weight)
        half = np.sqrt(weight * share * (1 - share) + weight * weight / 4) / (1 + weight)
    # Exactly 0 and 1 at the ends, where rounding gives 1e-17.
    low, high = np.where(hits == 0, 0.0, centre - half), np.where(hits == images, 1.0, centre + half)
    return np.stack([low, high], axis=-1).clip(0, 1)


def share_interval(hits: np.ndarray, groups: np.ndarray | None = None) -> Interval:
    """The interval of the share of images that count: Wilson's, by group if there are groups.

    Args:
        hits: bool (n,), at least one.
        groups: int (n,), or None.
    """
    share = float(hits.mean())
    return bounded_interval(share, hits - share, groups, units=len(hits))


def bounded_interval(
    value: float,
    influences: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    units: float,
    most: float | None = None,
    freedom: float | None = None,
) -> Interval:
    """The interval of a figure between 0 and 1: Wilson's for the effective number of images.

    Args:
        value: The figure.
        influences: float (n,), of each image; see `variance`.
        groups: int (n,), or None.
        units: How many independent images the figure is taken to be worth where all that were seen are right or all
            wrong, so that no variance shows.
        most: How many it is worth at most; default: `units`.
        freedom: Of the variance; default: known exactly, and by group one less than there are groups. That is right of
            a share, whose variance follows from itself.
    """
    effective = effective_images(value, influences, groups, units=units, most=most)
    if not effective:
        return 0.0, 1.0
    if freedom is None and groups is not None:
        freedom = len(np.unique(groups)) - 1
    return wilson_interval(value * effective, effective, critical(freedom))


def effective_images(
    value: float,
    influences: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    units: float,
    most: float | None = None,
) -> float:
    """How many independent images would give a figure between 0 and 1 its variance.

    Args:
        value, influences, groups, units, most: As `bounded_interval`.

    Returns:
        The number, which need not be whole; 0 of a single group, which says nothing of others.

    Example:
        Ten photographs of each of four persons, all of them right or all wrong:

        >>> right, person = np.repeat([1, 1, 1, 0], 10), np.repeat([0, 1, 2, 3], 10)
        >>> print(f"{effective_images(0.75, right - 0.75, person, units=40):.1f}")
        3.0
    """
    alone = variance(influences)
    effective = min(value * (1 - value) / alone, units if most is None else most) if alone > 0 else units
    if groups is None:
        return effective
    count = len(np.unique(groups))
    if count < 2:
        return 0.0
    together = variance(influences, groups)
    # A variance by groups that is lower than by images is chance.
    return min(value * (1 - value) / together if together > 0 else count, effective)


def mean_interval(
    value: float, influences: np.ndarray, groups: np.ndarray | None = None, *, least: float = 0.0
) -> Interval | None:
    """The interval of a positive figure without an upper bound: Student's t on its logarithm.

    Args:
        value: The figure.
        influences: float (n,); see `variance`.
        groups: int (n,), or None.
        least: Where the upper bound lies at least, as is known otherwise.

    Returns:
        None where nothing varies.
    """
    units = len(influences) if groups is None else len(np.unique(groups))
    spread = np.sqrt(variance(influences, groups)) if units > 1 else 0.0
    if value <= 0 or not spread:
        return None
    factor = float(np.exp(critical(degrees_of_freedom(influences, groups)) * spread / value))
    return value / factor, max(value * factor, least)


def variance(influences: np.ndarray, groups: np.ndarray | None = None) -> float:
    """The variance of a figure.

    Args:
        influences: float (n,): n times the derivative of the figure by the weight of each image, so that of a mean
            they are the deviations from it. They sum to 0.
        groups: int (n,): images of one group vary together; None: each by itself.
    """
    count = len(influences)
    if groups is None:
        return float(influences @ influences) / count**2
    sums = by_group(influences, groups)
    return float(sums @ sums) / count**2 * len(sums) / max(len(sums) - 1, 1)


def by_group(influences: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """The sums of each group, float (number of groups,); without groups the influences themselves."""
    if groups is None:
        return influences
    return np.bincount(np.unique(groups, return_inverse=True)[1], influences)


def degrees_of_freedom(influences: np.ndarray, groups: np.ndarray | None = None) -> float:
    """From how many independent normal values the variance of a figure would be known as well.

    Satterthwaite's (1946) for the variance of a mean, whose own variance is s⁴ (κ / n + 2 / (n - 1)) with κ the excess
    kurtosis, estimated without bias (Joanes & Gill 1998).

    Args:
        influences: float (n,); see `variance`.
        groups: int (n,), or None.

    Returns:
        From 1 to the number of images, or groups, less 1.

    Example:
        Nine images say the same and one is far off:

        >>> round(degrees_of_freedom(np.array([-1.0] * 9 + [9.0])), 1)
        1.6
        >>> round(degrees_of_freedom(np.linspace(-1, 1, 10)), 1)
        9.0
    """
    sums = by_group(influences, groups)
    units = len(sums)
    square = float((sums**2).mean())
    if units < 4 or square <= 0:
        return max(units - 1.0, 1.0)
    excess = float((sums**4).mean()) / square**2 - 3
    excess = (units - 1) / ((units - 2) * (units - 3)) * ((units + 1) * excess + 6)
    return float(np.clip(2 / (max(excess, 0.0) / units + 2 / (units - 1)), 1, units - 1))


def critical(freedom: float | None) -> float:
    """How many deviations wide 95 % are.

    Args:
        freedom: Of the variance, by Student's t; None: it is known exactly.
    """
    if freedom is None:
        return Z
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))


def bootstrap_interval(
    value: Callable[[np.ndarray], float | None], count: int, groups: np.ndarray | None = None, *, seed: int = 0
) -> Interval | None:
    """The percentile bootstrap of any figure (Efron 1979); by group: of whole groups (Davison & Hinkley 1997).

    Args:
        value: Gives the figure of the images at some positions, int64 (m,), which may repeat.
        count: How many images there are.
        groups: int (count,), or None.
        seed: Of the draws.

    Returns:
        None where the figure means nothing in more than a tenth of the draws, or is the same in all.
    """
    random = np.random.default_rng(seed)
    members: Sequence[np.ndarray] | np.ndarray = np.arange(count)[:, None]
    if groups is not None:
        order = np.argsort(groups, kind="stable")
        members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    found = []
    for _ in range(DRAWS):
        drawn = random.integers(0, len(members), len(members))
        one = value(np.concatenate([members[index] for index in drawn]) if groups is not None else drawn)
        if one is not None and np.isfinite(one):
            found.append(float(one))
    if len(found) < 0.9 * DRAWS or min(found) == max(found):
        return None
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
