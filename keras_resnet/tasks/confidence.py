"""What a model's own confidence is worth: whether it means what it says, and which answers to leave to people.

Every task has these figures: it says what its model states (`Task.statements`) and how sure of it that is
(`Task.confidence`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from keras_resnet.tasks.calibration import reliability
from keras_resnet.tasks.intervals import Estimate, Interval, share_interval
from keras_resnet.tasks.ranking import mean_share_above
from keras_resnet.tasks.task import Answers, Metric

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
"""Shares of the images that are answered, for which the accuracy is listed."""


def calibration_error(answers: Answers) -> Estimate:
    """The expected calibration error, over 15 bins of equal width (Guo et al., On calibration, 2017)."""
    return reliability(*answers.task.statements(answers)).estimate(answers.groups)


def adaptive_calibration_error(answers: Answers) -> Estimate:
    """The same over 15 bins of as many answers each (Nixon et al., Measuring calibration, 2019)."""
    return reliability(*answers.task.statements(answers), adaptive=True).estimate(answers.groups)


def risk_coverage_area(answers: Answers) -> Estimate:
    """The share of wrong answers among the surest, averaged over all coverages (AURC; Geifman et al. 2019)."""
    sure = answers.task.confidence(answers)
    area = mean_share_above(sure, ~answers.right, at=np.ones(len(sure), bool))
    return area.estimate(answers.groups)


CONFIDENCE_METRICS = {
    "ece": Metric("calibration error (ECE)", calibration_error),
    "adaptive_ece": Metric("adaptive calibration error", adaptive_calibration_error),
    "aurc": Metric("errors against coverage, area (AURC)", risk_coverage_area, "{:.4f}"),
}
"""Rows that every task has."""


@dataclass(frozen=True)
class Covered:
    """The answers of which a model is surest.

    Args:
        coverage: The share of the images that are answered, at least as large as was asked for.
        confidence: The lowest confidence among them.
        accuracy: The share of them that is wholly right.
        interval: Its 95 % interval.
    """

    coverage: float
    confidence: float
    accuracy: float
    interval: Interval


def accuracy_at_coverage(answers: Answers, coverages: tuple[float, ...] = COVERAGES) -> Iterator[Covered]:
    """How many answers are right if only the surest are given (El-Yaniv & Wiener 2010).

    Args:
        answers: Whose.
        coverages: Shares of the images to answer, in (0, 1]. Images of one confidence are answered together.
    """
    sure = answers.task.confidence(answers)
    ordered = np.sort(sure)[::-1]
    for coverage in coverages:
        least = ordered[max(int(np.ceil(coverage * len(ordered) - 1e-9)), 1) - 1]
        of = sure >= least
        hits = answers.right[of]
        interval = share_interval(hits, None if answers.groups is None else answers.groups[of])
        yield Covered(float(of.mean()), float(least), float(hits.mean()), interval)
