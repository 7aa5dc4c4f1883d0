"""Whether probabilities mean what they say: of answers given 80 %, 80 % should be right.

The expected calibration error is the mean distance of the two over bins of probabilities: of equal width (Naeini et
al. 2015, Guo et al. 2017), or of equal numbers of answers (adaptive; Nguyen & O'Connor 2015, Nixon et al. 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_resnet.tasks.intervals import (
    Estimate,
    Z,
    bounded_interval,
    by_group,
    critical,
    degrees_of_freedom,
    mean_interval,
    variance,
)

BINS = 15
DRAWS = 1000
STEPS = 12


@dataclass(frozen=True)
class Reliability:
    """Probabilities beside what came true, in bins; those without answers are left out.

    Args:
        predicted: float64 (bins,), the mean probability.
        observed: float64 (bins,), the share that came true.
        answers: int64 (bins,), how many.
        gaps: float64 (images, bins), by how much the answers of each image came true more than was said.
        true: float64 (images,), the share of the answers of each image that came true.
    """

    predicted: np.ndarray
    observed: np.ndarray
    answers: np.ndarray
    gaps: np.ndarray
    true: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error, in [0, 1]."""
        return float(np.abs(self.gaps.sum(axis=0)).sum() / self.answers.sum())

    def estimate(self, groups: np.ndarray | None = None, *, seed: int = 0) -> Estimate:
        """The error with its 95 % interval, by groups if there are any.

        Chance keeps even the bins of a perfect model from 0, so that the error is found too high, and in images drawn
        from these higher still: quantiles of a bootstrap would leave the true error out. So the interval holds the
        errors under which the one that was found is not among the 2.5 % lowest or highest (test inversion; Carpenter
        1999). The bins' sums are drawn as they vary in many images, normally, around those that were found, made
        smaller or larger together.

        Bins are never further from the truth than all answers together are. So the interval reaches at least as far
        as that of the share that came true, beside what was said in the mean.

        Args:
            groups: int (images,), or None.
            seed: Of the draws.

        Returns:
            Without an interval where there are fewer than two images, or groups.
        """
        sums = self.gaps if groups is None else np.stack([by_group(one, groups) for one in self.gaps.T], axis=1)
        units, found = len(sums), sums.sum(axis=0)
        if units < 2:
            return Estimate(self.error, None)
        values, vectors = np.linalg.eigh(np.cov(sums, rowvar=False).reshape(len(found), -1) * units)
        totals = sums.sum(axis=1)
        spread = critical(degrees_of_freedom(totals - totals.mean())) / Z
        deviations = vectors * np.sqrt(values.clip(0)) * spread
        noise = np.random.default_rng(seed).standard_normal((DRAWS, len(found))) @ deviations.T
        size = np.abs(found).sum()
        highest, drawn, every = float(np.abs(noise).sum(axis=1).max()), np.empty_like(noise), np.ones(len(found))

        def times(quantile: float) -> float:
            """How many times as large the gaps must be for the found error to be this quantile of the drawn ones."""
            low, high = 0.0, 1.0 + 4 * highest / max(float(size), 1e-300)
            for _ in range(STEPS):
                middle = (low + high) / 2
                np.abs(np.add(noise, middle * found, out=drawn), out=drawn)
                below = np.count_nonzero(drawn @ every < size) > quantile * DRAWS
                low, high = (middle, high) if below else (low, middle)
            return low

        low, high = (float(times(quantile) * self.error) for quantile in (0.975, 0.025))
        return Estimate(self.error, (min(low, 1.0), min(max(high, self._farthest(groups)), 1.0)))

    def _farthest(self, groups: np.ndarray | None) -> float:
        """How far what was said in the mean may be from the share that comes true.

        That has Wilson's interval, which has a width also where all came true. It is narrower as far as what was said
        varies with what came true.
        """
        answers = float(self.answers.sum())
        share, over = float(self.true.mean()), float(self.gaps.sum()) / answers
        low, high = bounded_interval(share, self.true - share, groups, units=answers)
        gaps = self.gaps.sum(axis=1) * len(self.gaps) / answers
        alone = variance(self.true - share, groups)
        narrower = min(np.sqrt(variance(gaps - over, groups) / alone), 1.0) if alone > 0 else 1.0
        return float(max(over + narrower * (high - share), narrower * (share - low) - over))


def reliability(probabilities: np.ndarray, happened: np.ndarray, *, adaptive: bool = False) -> Reliability:
    """Sort answers into bins by their probabilities.

    Args:
        probabilities: float (n,) or (n, answers of an image), in [0, 1].
        happened: bool, of the same shape.
        adaptive: Whether bins have equal numbers of answers, else equal widths.

    Example:
        >>> said, right = np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False])
        >>> round(reliability(said, right).error, 6)
        0.1
    """
    said, true = (np.reshape(one, (len(probabilities), -1)).astype(np.float64) for one in (probabilities, happened))
    if adaptive:
        edges = np.quantile(said, np.arange(1, BINS) / BINS)
        bins = np.searchsorted(edges, said, side="left")
    else:
        bins = np.clip(np.ceil(said * BINS).astype(np.int64) - 1, 0, BINS - 1)  # (0, 1/15], … as Guo et al.
    images = len(said)
    places = (np.arange(images)[:, None] * BINS + bins).ravel()
    gaps = np.bincount(places, (true - said).ravel(), minlength=images * BINS).reshape(images, BINS)
    answers, predicted, observed = (
        np.bincount(bins.ravel(), one, minlength=BINS) for one in (None, said.ravel(), true.ravel())
    )
    kept = answers > 0
    answers = answers[kept].astype(np.int64)
    return Reliability(predicted[kept] / answers, observed[kept] / answers, answers, gaps[:, kept], true.mean(axis=1))


def mean_log_loss(losses: np.ndarray, wrong: np.ndarray, groups: np.ndarray | None = None) -> Estimate:
    """The log loss of some images with its 95 % interval.

    It hangs on wrong answers, each of which costs log 2 or more, as a right one would have been given less than a half.
    Where few are wrong, others may be rarer than these images show: the upper bound is never below log 2 times that of
    the share of wrong answers.

    Args:
        losses: float64 (n,), -log of what the true answer was given, in nats, of each image in the mean.
        wrong: bool (n,) or (n, answers of an image), which answers are wrong.
        groups: int (n,), or None.
    """
    value, shares = float(losses.mean()), np.reshape(wrong, (len(losses), -1)).mean(axis=1)
    share = float(shares.mean())
    most = bounded_interval(share, shares - share, groups, units=wrong.size)[1]
    return Estimate(value, mean_interval(value, losses - value, groups, least=float(np.log(2)) * most))
