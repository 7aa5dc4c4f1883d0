"""What looks ill in a training's record, in plain words, with what to do about it.

The thresholds, beside the checks, say where healthy and ill trainings lie apart. Those that say
"measured" were taken from trainings of ResNet-8 on digits, with the recipe as it is, with other
batches and learning rates, and made ill as `tests/explanation/test_ill_trainings.py` makes them.
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
    """Something that looks ill.

    Args:
        code: For programs; a key of `CHECKS`.
        text: For people: what was seen, with its numbers, and what to do.
    """

    code: str
    text: str


def diagnose(history: History) -> list[Symptom]:
    """Look for what is ill in a training.

    Args:
        history: Its record.

    Returns:
        In the order of `CHECKS`; none if it looks healthy.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # of series that are all NaN, whose figures are NaN as well
        return [Symptom(code, text) for code, check in CHECKS.items() for text in check(history)]
