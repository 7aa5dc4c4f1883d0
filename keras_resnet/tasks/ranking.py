"""Figures of an order of images by their scores: areas under curves, with the influence of each image.

An image that has the same score as others counts as much before them as behind them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from keras_resnet.tasks.intervals import Estimate, bounded_interval, degrees_of_freedom


@dataclass(frozen=True)
class Area:
    """An area under a curve.

    Args:
        value: In [0, 1].
        influences: float64 (n,), of each image; see `keras_resnet.tasks.intervals.variance`.
        units: How many independent images it is worth if it is 0 or 1.
        most: How many it is worth at most.
    """

    value: float
    influences: np.ndarray
    units: float
    most: float = np.inf

    def estimate(self, groups: np.ndarray | None = None) -> Estimate:
        """The area with its interval, by groups if there are any."""
        freedom = degrees_of_freedom(self.influences, groups)
        interval = bounded_interval(
            self.value, self.influences, groups, units=self.units, most=self.most, freedom=freedom
        )
        return Estimate(self.value, interval)


def roc_auc(scores: np.ndarray, positive: np.ndarray) -> Area | None:
    """The area under the ROC curve: how often an image with the class is scored above one without.

    As scikit-learn's `roc_auc_score`; influences are DeLong's structural components (DeLong et al. 1988). As in that
    paper, variances with and without the class are divided by one less than there are images.

    Args:
        scores: float (n,).
        positive: bool (n,), which images have the class.

    Returns:
        None where all images have the class, or none.
    """
    above, below = np.sort(scores[~positive]), np.sort(scores[positive])
    if not len(above) or not len(below):
        return None
    shares = np.empty(len(scores))
    shares[positive] = _share_below(scores[positive], above)
    shares[~positive] = 1 - _share_below(scores[~positive], below)
    value = min(float(shares[positive].mean()), 1.0)
    counts = np.where(positive, len(below), len(above))
    influences = (shares - value) * len(scores) / counts * np.sqrt(counts / np.maximum(counts - 1, 1))
    return Area(value, influences, 4 * len(below) * len(above) / len(scores))


def average_precision(scores: np.ndarray, positive: np.ndarray) -> Area | None:
    """The area under precision by recall, as scikit-learn's `average_precision_score`; None where none is positive.

    Args:
        scores: float (n,).
        positive: bool (n,), which images have the class.
    """
    if not positive.any():
        return None
    # It hangs on the few images with the class, by whose own the variance is found too low.
    return replace(mean_share_above(scores, positive, at=positive), most=float(positive.sum()))


def mean_share_above(scores: np.ndarray, hits: np.ndarray, at: np.ndarray) -> Area:
    """The share of hits among the images scored at least as high, averaged over some of the images.

    At the hits themselves it is average precision; of errors at all images, the area of errors against coverage.

    Args:
        scores: float (n,).
        hits: bool (n,).
        at: bool (n,), the images to average over, at least one.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, hit, there = scores[order], hits[order].astype(np.float64), at[order].astype(np.float64)
    # Images of one score belong together: each has the counts at the last of them.
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
    block = np.repeat(np.arange(len(last)), np.diff(last, prepend=-1))
    images, counted = (last + 1.0)[block], np.cumsum(hit)[last][block]
    share, places = counted / images, there.sum()
    value = min(float(share @ there / places), 1.0)
    # Each image also changes the shares at all that are scored as high as itself or lower.
    gains = np.cumsum((there / images)[::-1])[::-1]
    losses = np.cumsum((there * counted / images**2)[::-1])[::-1]
    first = np.append(0, last[:-1] + 1)[block]
    influences = np.empty(len(scores))
    influences[order] = (there * (share - value) + hit * gains[first] - losses[first]) * len(scores) / places
    return Area(value, influences, float(places))


def mean_of(areas: Iterator[Area | None]) -> Area | None:
    """The mean area of several classes on the same images; those without one are left out."""
    total: Area | None = None
    count = 0
    for area in areas:
        if area is not None:
            count += 1
            total = area if total is None else _sum(total, area)
    if total is None:
        return None
    worth = (count**2 * one for one in (total.units, total.most))
    return Area(min(total.value / count, 1.0), total.influences / count, *worth)


def _sum(one: Area, other: Area) -> Area:
    """Of values, of influences, and of the units' reciprocals: variances of independent classes add up."""
    pairs = ((one.units, other.units), (one.most, other.most))
    worth = (min(pair) / (1 + min(pair) / max(pair)) if min(pair) < np.inf else np.inf for pair in pairs)
    return Area(one.value + other.value, one.influences + other.influences, *worth)


def _share_below(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which share of others, which are sorted, lies below each score; those equal to it count half."""
    below, at_most = (np.searchsorted(others, scores, side) for side in ("left", "right"))
    return (below + at_most) / (2 * len(others))
