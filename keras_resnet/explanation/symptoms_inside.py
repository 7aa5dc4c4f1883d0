"""Problems inside a network in training: gradients, ReLUs, batch normalisation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from keras_resnet.explanation.history import FEWEST_EPOCHS, FEWEST_STEP_ROWS, History, end, median, series, stage_series

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
        looked = int(series(history.epochs, "images_looked_at")[-1:].sum())
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
