"""Find problems in a training's record, and say in plain words what to do about them.

The thresholds beside the checks separate healthy trainings from those with a problem. Those marked "measured" come
from trainings of ResNet-8 on digits: with the recipe as it is, with other batch sizes and learning rates, and with the
problems that `tests/explanation/test_ill_trainings.py` causes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from keras_resnet.explanation import symptoms_inside, symptoms_outside
from keras_resnet.explanation.history import History

CHECKS: dict[str, Callable[[History], Iterator[str]]] = {
    "exploding-gradients": symptoms_inside.exploding,
    "vanishing-gradients": symptoms_inside.vanishing,
    "dead-relu": symptoms_inside.dead_units,
    "learning-rate-too-high": symptoms_outside.learning_rate_too_high,
    "not-learning": symptoms_outside.not_learning,
    "overfitting": symptoms_outside.overfitting,
    "batch-too-small": symptoms_inside.batch_too_small,
    "batchnorm-unsettled": symptoms_inside.unsettled_statistics,
    "throughput-collapse": symptoms_outside.throughput_collapse,
}


@dataclass(frozen=True)
class Symptom:
    """A problem of a training.

    Args:
        code: For programs: a key of `CHECKS`.
        text: For people: what was seen, with numbers, and what to do.
    """

    code: str
    text: str


def diagnose(history: History) -> list[Symptom]:
    """Look for problems in a training.

    Args:
        history: The training's record.

    Returns:
        The problems in the order of `CHECKS`; none if the training looks healthy.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # of series that are all NaN; their results are NaN, too
        return [Symptom(code, text) for code, check in CHECKS.items() for text in check(history)]
