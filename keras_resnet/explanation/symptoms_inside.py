"""What may be ill inside a network in training: gradients, ReLUs, batch normalisation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from keras_resnet.explanation.history import FEWEST_EPOCHS, FEWEST_STEP_ROWS, History, end, median, series, stage_series

UNEVEN_GRADIENTS = 1e-3
"""Ratio of the first to the last stage's gradient norm (or its inverse). Measured: healthy 0.3 to 3; a stack of
ten sigmoid layers without shortcuts 2e-8. Glorot & Bengio, 2010, describe the decay from layer to layer."""
GRADIENT_GROWTH = 100.0
"""Growth of the whole norm from the first to the last fifth of a training. Measured: healthy at most 5."""
DEAD_SHARE = 0.2
"""Share of a stage's channels. Karpathy et al., CS231n notes, saw 0.4 with learning rates that are too high.
Measured: healthy at most 0.03, at ten times the learning rate 0.19; channels that begin at 0 on both paths, and so
stay dead, 0.25 and more."""
SMALL_BATCH = 16
"""Images a normalisation sees. Wu & He, "Group Normalization", 2018: ResNet-50's error is 23.7 % at 16 and
above, 24.8 % at 8, 27.3 % at 4 and 34.7 % at 2."""
UNSETTLED = 0.5
"""Deviations by which normalisation statistics moved in an epoch, or differ from what the layers receive.
Measured at the end: healthy at most 0.03 and 0.15; after too high a learning rate 2.3 and 960."""
FEWEST_LOOKED_AT = 32
"""Images without which the second is mostly chance: the mean of 32 errs by 0.18 deviations."""


def exploding(history: History) -> Iterator[str]:
    """Numbers that are no numbers, or gradients that grow through the layers or through the training."""
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
            f"Gradients explode on their way back: in the end {first}'s norm is {ratio:.2g} times {last}'s. Check that "
            f"every convolution is followed by a normalisation; else {remedy}."
        )
    norms = stage_series(history.last_phase, "gradient_norms")
    total = np.sqrt(np.nansum([norm**2 for norm in norms.values()], axis=0))
    before, after = median(end(total[::-1])), median(end(total))
    if after > GRADIENT_GROWTH * before:
        yield f"The gradient norm grew from {before:.2g} to {after:.2g} in the course of the training: {remedy}."


def vanishing(history: History) -> Iterator[str]:
    """Gradients that hardly reach the first layers."""
    ends = _first_and_last_norm(history)
    if not ends:
        return
    first, last, ratios = ends
    ratio = median(end(ratios))
    if ratio < UNEVEN_GRADIENTS:
        when = "all along" if median(ratios) < UNEVEN_GRADIENTS else "in the end"
        yield (
            f"Gradients vanish {when}: {first}'s norm is {ratio:.1g} of {last}'s, so that the first layers hardly "
            "learn. Check that shortcuts and normalisations are in place, that initial weights fit, and that no "
            "stage is dead."
        )


def dead_units(history: History) -> Iterator[str]:
    """ReLUs that never let anything through."""
    courses = stage_series(history.epochs, "dead_units")
    ends = {stage: median(shares[-FEWEST_EPOCHS:]) for stage, shares in courses.items()}
    ill = [stage for stage, share in ends.items() if share >= DEAD_SHARE]
    if ill:
        looked = int(series(history.epochs, "images_looked_at")[-1:].sum())
        places = ", ".join(f"{ends[stage]:.0%} in {stage}" for stage in ill)
        always = all(courses[stage][0] >= DEAD_SHARE for stage in ill)
        remedy = (
            "They were dead after the first epoch already: look at the initial weights, or take a lower"
            if always
            else "Begin anew with a lower"
        )
        yield (
            f"Dead ReLUs: {places} of the channels are zero for every one of {looked or 'the'} validation images, and "
            f"get no gradient that could revive them. {remedy} --learning-rate or a longer --warmup-epochs."
        )


def batch_too_small(history: History) -> Iterator[str]:
    """Batch normalisation over too few images."""
    batch = series(history.epochs, "batch_per_normalisation")[-1:]
    if 0 < batch.sum() < SMALL_BATCH:
        yield (
            f"Batch normalisation sees {batch[0]:.0f} image{'s' if batch[0] > 1 else ''} at a time; under "
            f"{SMALL_BATCH} its statistics are so uncertain that accuracy suffers. Raise --batch-size, or split it "
            "into fewer parts (--accumulate); when fine-tuning, --freeze-batchnorm."
        )


def unsettled_statistics(history: History) -> Iterator[str]:
    """Moving averages, which the finished network normalises by, that are not what its layers receive."""
    epochs = history.epochs
    if len(epochs) < FEWEST_EPOCHS or not series(epochs, "batch_per_normalisation")[-1] > 0:
        return
    looked = series(epochs, "images_looked_at")[-1]
    kinds = {"batchnorm_drift": "still move by {} deviations an epoch"}
    if looked >= FEWEST_LOOKED_AT:
        kinds["batchnorm_gap"] = "are {} deviations away from what the layers receive for validation images"
    for key, words in kinds.items():
        ends = {stage: median(one[-FEWEST_EPOCHS:]) for stage, one in stage_series(epochs, key).items()}
        worst = max(ends, key=lambda stage: np.nan_to_num(ends[stage]), default="")
        if worst and ends[worst] >= UNSETTLED:
            seen = words.format(f"{ends[worst]:.2g}")
            yield (
                f"Batch normalisation has not settled: {worst}'s moving statistics {seen}. The "
                "finished network normalises by them: train longer, let the learning rate fall towards the end, or "
                "raise --batch-size."
            )
            return


def first_broken(history: History) -> tuple[str, str] | None:
    """What was first infinite or not a number, and where."""
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
    """Of the stages that are trained in the end, the first and last, and the course of their norms' ratio."""
    rows = history.last_phase
    norms = {stage: one for stage, one in stage_series(rows, "gradient_norms").items() if np.nanmax(one, initial=0) > 0}
    if len(rows) < FEWEST_STEP_ROWS or len(norms) < 2:
        return None
    first, *_, last = norms
    with np.errstate(divide="ignore", invalid="ignore"):
        return first, last, norms[first] / norms[last]
