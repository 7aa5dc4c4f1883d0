"""Problems in the course of a training: the learning rate, overfitting, speed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from keras_resnet.explanation.history import FEWEST_EPOCHS, FEWEST_STEP_ROWS, History, median, series, stage_series
from keras_resnet.explanation.symptoms_inside import first_broken

FEWEST_EPOCHS_OVERFITTING = 5
"""With fewer epochs, a rise of the validation loss may be noise."""
VALIDATION_RISE = 0.25
"""Relative rise of the validation loss above its minimum. Measured: at most 0.01 in healthy trainings."""
SMALL_GAP, LARGE_GAP = 0.05, 0.2
"""Training accuracy minus validation accuracy: a problem above the first if the loss rises, and above the second in any
case. A ResNet on CIFAR-10 ends at 0.06 to 0.08 (He et al., 2015: training error near 0, test error 6 to 8 %)."""
FALL_OF_LEARNING = 0.1
"""Relative fall of the training loss that counts as learning. Measured: 0.2 to 0.8 in healthy trainings, 0.03 at a
tenth of the learning rate."""
LEARNT = 0.9
"""Accuracy at which a loss need not fall any more: a pretrained network may begin there."""
RISE_OF_LOSS = 1.1
"""Ratio of the last to the first training loss above which the learning rate is too high."""
MOTIONLESS = 0.02
"""Drift of normalisation statistics, in standard deviations an epoch, below which weights hardly move. Measured: 0.05
to 0.4 in healthy trainings at the highest rate, 0.01 in the middle of a training at a tenth of it."""
THROUGHPUT_SHARE = 0.5
"""Images a second in the last third of a training, divided by those in the first third."""
SHORTEST_TIMED = 60.0
"""Seconds: in a shorter training, speeds are mostly chance."""


def learning_rate_too_high(history: History) -> Iterator[str]:
    """A loss that has risen."""
    losses = _losses(history)
    if len(losses) < FEWEST_EPOCHS or first_broken(history):
        return
    first, last = losses[0], median(losses[-FEWEST_EPOCHS:])
    if last > RISE_OF_LOSS * first:
        rates = series(history.epochs, "learning_rate")
        yield (
            f"The training loss rose from {first:.3g} to {last:.3g}: the learning rate, {_highest(rates)}, is too "
            "high. Try a tenth of it."
        )


def not_learning(history: History) -> Iterator[str]:
    """A loss that does not fall."""
    losses, accuracy = _losses(history), series(history.epochs, "accuracy")
    if len(history.epochs) < FEWEST_EPOCHS or not np.isfinite(losses).all():
        return
    first, last = losses[0], median(losses[-FEWEST_EPOCHS:])
    if not first * (1 - FALL_OF_LEARNING) < last <= first * RISE_OF_LOSS or accuracy[-1] >= LEARNT:
        return
    drift = _drift_of_body(history)
    if drift < MOTIONLESS:
        remedy = (
            f"The weights hardly move (normalisation statistics shift by {drift:.1g} standard deviations an epoch), so "
            "the learning rate is too low: try ten times as much."
        )
    else:
        remedy = (
            "Try a tenth of the learning rate and ten times as much, and check that the labels fit the images "
            "(keras-resnet check)."
        )
    rates = series(history.epochs, "learning_rate")
    yield (
        f"The network does not learn: the training loss was {first:.3g} at first and is {last:.3g} after "
        f"{len(history.epochs)} epochs (learning rate {_highest(rates)}). {remedy}"
    )


def overfitting(history: History) -> Iterator[str]:
    """A network that is much better on its training images than on validation images."""
    train, validation = (series(history.epochs, name) for name in ("loss", "val_loss"))
    if len(train) < FEWEST_EPOCHS_OVERFITTING or not np.isfinite([train, validation]).all():
        return
    validation = _smooth(validation)
    best = int(validation.argmin())
    ends = [median(series(history.epochs, name)[-FEWEST_EPOCHS:]) for name in ("accuracy", "val_accuracy")]
    gap = ends[0] - ends[1]
    images = history.validation_images
    chance = 2 * math.sqrt(ends[1] * (1 - ends[1]) / images) if images else 0.0
    rises = validation[-1] > (1 + VALIDATION_RISE) * validation[best] and train[-1] < train[best]
    seen = f"training accuracy is {ends[0]:.0%}, validation accuracy {ends[1]:.0%}"
    if rises and gap >= max(SMALL_GAP, chance):
        seen = (
            f"the validation loss was lowest after epoch {best + 1} ({validation[best]:.3g}) and has risen to "
            f"{validation[-1]:.3g} while the training loss fell to {train[-1]:.3g}; {seen}"
        )
    elif gap < max(LARGE_GAP, chance):
        return
    yield (
        f"Overfitting: {seen}. More images help most; otherwise augment more (--augment, --automatic), raise "
        "--weight-decay, train fewer --epochs, use a smaller --model, or begin with pretrained weights."
    )


def throughput_collapse(history: History) -> Iterator[str]:
    """A training that has become slow."""
    rows = history.last_phase[1:]  # the first includes compilation
    rates = series(rows, "images_per_second")
    third = len(rates) // 3
    if third < FEWEST_STEP_ROWS or np.nansum(series(history.epochs, "seconds")) < SHORTEST_TIMED:
        return
    before, after = median(rates[:third]), median(rates[-third:])
    if after < THROUGHPUT_SHARE * before:
        yield (
            f"Training slowed down from {before:.0f} to {after:.0f} images a second. Possible causes: other programs, "
            "too little memory (swapping), a processor that is too hot, a slow disk or network that images come from."
        )


def _losses(history: History) -> np.ndarray:
    """Training losses: of the first row of steps, which the mean of the first epoch hides, and of each epoch."""
    return np.concatenate([series(history.steps[:1], "loss"), series(history.epochs, "loss")])


def _drift_of_body(history: History) -> float:
    """The median drift of the stages after the warm-up, without the stem, whose input never changes; NaN: unknown."""
    drifts = [one for stage, one in stage_series(history.epochs[2:], "batchnorm_drift").items() if stage != "stem"]
    return median(np.concatenate(drifts)) if drifts else math.nan


def _smooth(values: np.ndarray) -> np.ndarray:
    """The median of each value and its neighbours."""
    padded = np.pad(values, 1, mode="edge")
    return np.median([padded[:-2], values, padded[2:]], axis=0)


def _highest(rates: np.ndarray) -> str:
    return f"{np.nanmax(rates):.2g} at its highest" if np.isfinite(rates).any() else "unknown"
