"""Conformal prediction: sets of classes that hold the true one as often as is asked, whatever the model is worth.

Split conformal prediction (Vovk et al. 2005; Angelopoulos & Bates, A gentle introduction, 2021) with the score 1 - p of
the true class (LAC; Sadinle et al. 2019), whose sets are the smallest on average. It holds for images like those that
the threshold is from; on others it promises nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.errors import DataError, UsageError
from keras_resnet.tasks.intervals import Interval, share_interval
from keras_resnet.tasks.task import Answers

LARGEST = 10
"""Set sizes that are counted one by one."""


@dataclass(frozen=True)
class PredictionSets:
    """What sets of classes were worth on a test set.

    Args:
        asked: The coverage that was asked for.
        threshold: Classes with at least this probability are in an image's set.
        calibrated_on: How many images the threshold is from.
        achieved: The share of the test images whose set holds their class.
        interval: The 95 % interval of that.
        mean_size: The mean number of classes in a set.
        sizes: How many images have a set of each size, from 0 classes on; the last entry is of so many or more.
    """

    asked: float
    threshold: float
    calibrated_on: int
    achieved: float
    interval: Interval
    mean_size: float
    sizes: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        found = {name: value for name, value in vars(self).items() if name not in ("interval", "sizes")}
        return {**found, "achieved_95%_interval": list(self.interval), "sizes": list(self.sizes)}


def conformal_threshold(probabilities: np.ndarray, labels: np.ndarray, coverage: float) -> float:
    """The probability from which on a class belongs to an image's set.

    Args:
        probabilities: float (n, classes), of images that neither trained the model nor test it.
        labels: int (n,), their classes.
        coverage: How often a set is to hold the true class, in (0, 1).

    Returns:
        A probability in [0, 1]. `probabilities >= threshold` are the sets, bool (m, classes). Over all draws of these
        images and the next, the next image's set holds its class with at least this probability, and with at most
        1 / (n + 1) more if no two probabilities are equal.

    Raises:
        UsageError: The coverage is out of range.
        DataError: There are too few images for it.

    Example:
        >>> shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
        >>> conformal_threshold(shares, np.array([0, 0, 1, 1]), coverage=0.6)
        0.7
    """
    if not 0 < coverage < 1:
        raise UsageError(f"coverage is a share between 0 and 1, as 0.9; received {coverage}")
    count = len(labels)
    needed = math.ceil((count + 1) * coverage - 1e-9)
    if needed > count:
        raise DataError(
            f"{count} validation images are too few for sets that hold the true class in {coverage:.4g} of all cases: "
            f"at least {math.ceil(coverage / (1 - coverage) - 1e-9)} are needed. Ask for a lower coverage, or give "
            "more images"
        )
    own = np.sort(probabilities[np.arange(count), labels])[::-1]
    return float(own[needed - 1])


def judge_sets(calibration: Answers, test: Answers, coverage: float) -> PredictionSets:
    """Make sets of classes, and count how often they hold the true one.

    Args:
        calibration: A model's answers for images that the threshold is from.
        test: Its answers for others.
        coverage: As `conformal_threshold`.

    Raises:
        As `conformal_threshold`; UsageError, too, where an image may have several classes.
    """
    if test.task.several:
        raise UsageError("prediction sets are for images that have one class each; here an image may have several")
    threshold = conformal_threshold(calibration.probabilities, calibration.labels, coverage)
    sets = test.probabilities >= threshold
    held = sets[np.arange(len(sets)), test.labels]
    sizes = sets.sum(axis=1)
    return PredictionSets(
        coverage,
        threshold,
        len(calibration.labels),
        float(held.mean()),
        share_interval(held, test.groups),
        float(sizes.mean()),
        tuple(np.bincount(sizes.clip(max=LARGEST)).tolist()),
    )
