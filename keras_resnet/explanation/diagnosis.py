"""Find problems in a training's record, and say in plain words what to do about them.

The thresholds beside the checks separate healthy trainings from those with a problem. Those marked "measured" come
from trainings of ResNet-8 on digits: with the recipe as it is, with other batch sizes and learning rates, and with the
problems that `tests/explanation/test_ill_trainings.py` causes.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from keras_resnet.explanation.history import FEWEST_EPOCHS, FEWEST_STEP_ROWS, History, end, median, series, stage_series


@dataclass(frozen=True)
class Symptom:
    """A problem of a training.

    Args:
        code: For programs: a key of `CHECKS`.
        text: For people: what was seen, with numbers, and what to do.
    """

    code: str
    text: str


# Inside the network: gradients, ReLUs, batch normalisation.

UNEVEN_GRADIENTS = 1e-3
"""Ratio of the first to the last stage's gradient norm (or its inverse). Measured: 0.3 to 3 in healthy trainings, 2e-8
in a stack of ten sigmoid layers without shortcuts. Glorot & Bengio, 2010, describe the decay from layer to layer."""
GRADIENT_GROWTH = 100.0
"""Growth of the gradient norm of all layers from the first to the last fifth of a training. Measured: at most 5 in
healthy trainings."""
DEAD_SHARE = 0.2
"""Share of a stage's channels. Karpathy et al., CS231n notes, saw 0.4 with learning rates that are too high.
Measured: at most 0.03 in healthy trainings, 0.19 at ten times the learning rate, and 0.25 or more with channels that
begin at 0 on both paths and so stay dead."""
SMALL_BATCH = 16
"""Images that a batch normalisation sees. Wu & He, "Group Normalization", 2018: ResNet-50's error is 23.7 % with 16
or more images, 24.8 % with 8, 27.3 % with 4 and 34.7 % with 2."""
UNSETTLED = 0.5
"""Standard deviations by which normalisation statistics moved in an epoch, or by which they differ from the inputs of
the layers. Measured at the end: at most 0.03 and 0.15 in healthy trainings, 2.3 and 960 where the learning rate was too
high."""
FEWEST_LOOKED_AT = 32
"""With fewer images the second figure is mostly chance: the mean of 32 images errs by 0.18 standard deviations."""


def exploding(history: History) -> Iterator[str]:
    """Numbers that are infinite or NaN, and gradients that grow from layer to layer or during the training."""
    remedy = "lower --learning-rate, lengthen --warmup-epochs, or clip gradients by --clip norm"
    broken = first_broken(history)
    if broken:
        name, place = broken
        yield f"The {name} was infinite or not a number at {place}: {remedy}."
        return
    ends = _first_and_last_norm(history)
    if not ends:
        return
    first, last, ratios = ends
    ratio = median(end(ratios))
    if ratio > 1 / UNEVEN_GRADIENTS:
        yield (
            f"Gradients explode on their way back: at the end the norm in {first} is {ratio:.2g} times that in {last}. "
            f"Check that a normalisation follows every convolution; otherwise {remedy}."
        )
    norms = stage_series(history.last_phase, "gradient_norms")
    total = np.sqrt(np.nansum([norm**2 for norm in norms.values()], axis=0))
    before, after = median(end(total[::-1])), median(end(total))
    if after > GRADIENT_GROWTH * before:
        yield f"The gradient norm grew from {before:.2g} to {after:.2g} during the training: {remedy}."


def vanishing(history: History) -> Iterator[str]:
    """Gradients that hardly reach the first layers."""
    ends = _first_and_last_norm(history)
    if not ends:
        return
    first, last, ratios = ends
    ratio = median(end(ratios))
    if ratio < UNEVEN_GRADIENTS:
        when = "during the whole training" if median(ratios) < UNEVEN_GRADIENTS else "at the end"
        yield (
            f"Gradients vanish {when}: the norm in {first} is {ratio:.1g} of that in {last}, so that the first layers "
            "hardly learn. Check that shortcuts and normalisations are in place, that the initial weights fit, and "
            "that no stage is dead."
        )


def dead_units(history: History) -> Iterator[str]:
    """ReLUs whose output is always zero."""
    courses = stage_series(history.epochs, "dead_units")
    ends = {stage: median(shares[-FEWEST_EPOCHS:]) for stage, shares in courses.items()}
    ill = [stage for stage, share in ends.items() if share >= DEAD_SHARE]
    if ill:
        looked = int(np.nansum(series(history.epochs, "images_looked_at")[-1:]))
        places = ", ".join(f"{ends[stage]:.0%} in {stage}" for stage in ill)
        always = all(courses[stage][0] >= DEAD_SHARE for stage in ill)
        remedy = (
            "They were dead after the first epoch already: check the initial weights, or use a lower"
            if always
            else "Begin anew with a lower"
        )
        yield (
            f"Dead ReLUs: the channels that are zero for all {looked or 'the'} validation images are {places}; without "
            f"a gradient they stay so. {remedy} --learning-rate or a longer --warmup-epochs."
        )


def batch_too_small(history: History) -> Iterator[str]:
    """Batch normalisation over too few images."""
    batch = series(history.epochs, "batch_per_normalisation")[-1:]
    if 0 < batch.sum() < SMALL_BATCH:
        yield (
            f"Batch normalisation sees {batch[0]:.0f} image{'s' if batch[0] > 1 else ''} at a time; with fewer than "
            f"{SMALL_BATCH} its statistics are so uncertain that accuracy suffers. Raise --batch-size, or split the "
            "batch into fewer parts (--accumulate); when fine-tuning, use --freeze-batchnorm."
        )


def unsettled_statistics(history: History) -> Iterator[str]:
    """Moving averages, which the finished network normalises by, that differ from the inputs of its layers."""
    epochs = history.epochs
    if len(epochs) < FEWEST_EPOCHS or not series(epochs, "batch_per_normalisation")[-1] > 0:
        return
    looked = series(epochs, "images_looked_at")[-1]
    kinds = {"batchnorm_drift": "still move by {} standard deviations an epoch"}
    if looked >= FEWEST_LOOKED_AT:
        kinds["batchnorm_gap"] = "differ by {} standard deviations from the layers' inputs for validation images"
    for key, words in kinds.items():
        ends = {stage: median(one[-FEWEST_EPOCHS:]) for stage, one in stage_series(epochs, key).items()}
        worst = max(ends, key=lambda stage: np.nan_to_num(ends[stage]), default="")
        if worst and ends[worst] >= UNSETTLED:
            seen = words.format(f"{ends[worst]:.2g}")
            yield (
                f"Batch normalisation has not settled: the moving statistics of {worst} {seen}. The finished network "
                "normalises by them: train longer, let the learning rate fall towards the end, or raise --batch-size."
            )
            return


def first_broken(history: History) -> tuple[str, str] | None:
    """The first number that was infinite or NaN: its name and where it occurred; None if there was none."""
    for row in history.steps:
        if np.isnan(series([row], "loss")).any():
            return "training loss", f"update {row['step']}"
        if np.isnan(list(stage_series([row], "gradient_norms").values())).any():
            return "gradient", f"update {row['step']}"
    for row in history.epochs:
        for key, name in (("loss", "training loss"), ("val_loss", "validation loss")):
            if np.isnan(series([row], key)).any():
                return name, f"the end of epoch {row['epoch']}"
    return None


def _first_and_last_norm(history: History) -> tuple[str, str, np.ndarray] | None:
    """The first and last of the stages that are trained at the end, and the ratio of their norms over the steps."""
    rows = history.last_phase
    norms = {stage: one for stage, one in stage_series(rows, "gradient_norms").items() if np.nanmax(one, initial=0) > 0}
    if len(rows) < FEWEST_STEP_ROWS or len(norms) < 2:
        return None
    first, *_, last = norms
    with np.errstate(divide="ignore", invalid="ignore"):
        return first, last, norms[first] / norms[last]


# The course of the training: the learning rate, overfitting, speed.

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


CHECKS: dict[str, Callable[[History], Iterator[str]]] = {
    "exploding-gradients": exploding,
    "vanishing-gradients": vanishing,
    "dead-relu": dead_units,
    "learning-rate-too-high": learning_rate_too_high,
    "not-learning": not_learning,
    "overfitting": overfitting,
    "batch-too-small": batch_too_small,
    "batchnorm-unsettled": unsettled_statistics,
    "throughput-collapse": throughput_collapse,
}


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
