"""A training in two sentences for whoever reads no curves: which weights it kept, and how well it learnt."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from keras_resnet.explanation.diagnosis import FEWEST_EPOCHS_OVERFITTING, Symptom, first_broken
from keras_resnet.explanation.history import History, series

UNDERFITS = {"not-learning", "learning-rate-too-high"}
"""Symptoms of a network that has not even learnt its training images."""


def headline(history: History) -> str:
    """Say how good the best epoch was, and which weights were kept.

    Args:
        history: The record of the training.

    Example:
        >>> from keras_resnet.explanation.history import History
        >>> from keras_resnet.explanation.summary import headline
        >>> rows = [{"event": "epoch", "epoch": n, "val_accuracy": one} for n, one in enumerate((0.8, 0.94, 0.93), 1)]
        >>> kept = {"epoch": 2, "metric": "accuracy", "value": 0.94, "split": "validation", "images": 500}
        >>> headline(History.of(rows, kept=kept))
        'Best validation accuracy 94.0 % in epoch 2 of 3, whose weights are kept.'
    """
    kept = history.kept
    metric = kept["metric"] if kept else "accuracy"
    name = f"validation {metric.replace('_', ' ')}"
    last = history.epochs[-1]["epoch"] if history.epochs else 0
    best = best_epoch(history, metric)
    highest = f"{_in_words(best[1], metric)} in epoch {best[0]}" if best else ""
    if kept is None:
        return f"Best {name} {highest} of {last}." if best else f"Trained for {last} epochs; no {name} was recorded."
    value = _in_words(kept["value"], metric)
    if not kept["epoch"]:
        return f"The linear probe is kept: its {name} of {value} is not exceeded by an epoch."
    if best is None or kept["value"] is None or math.isclose(best[1], kept["value"], abs_tol=1e-4):  # as recorded
        return f"Best {name} {value} in epoch {kept['epoch']} of {last}, whose weights are kept."
    text = f"The weights of epoch {kept['epoch']} of {last} are kept, with a {name} of {value}; the best was {highest}"
    few = f", and {kept['images']:,} images are too few to choose by" if kept["epoch"] == last else ""
    return f"{text}{few}."


def verdict(history: History, symptoms: Sequence[Symptom]) -> str:
    """Say whether the network over- or underfits.

    Args:
        history: The record of the training.
        symptoms: What `diagnose` found in it.

    Example:
        >>> from keras_resnet.explanation.diagnosis import Symptom
        >>> from keras_resnet.explanation.history import History
        >>> from keras_resnet.explanation.summary import verdict
        >>> verdict(History((), ()), [Symptom("overfitting", "…")])
        'It overfits: it is much better on its training images than on others.'
    """
    codes = {one.code for one in symptoms}
    if broken := first_broken(history):
        return f"It went wrong: the {broken[0]} became infinite or not a number at {broken[1]}."
    if codes & UNDERFITS:
        return "It underfits: it has not even learnt its training images."
    if "overfitting" in codes:
        return "It overfits: it is much better on its training images than on others."
    if "wrong-labels" in codes:
        return "It has learnt its training images by heart, and guesses others: look at the labels."
    if len(history.epochs) < FEWEST_EPOCHS_OVERFITTING:
        return f"Whether it over- or underfits cannot be seen in fewer than {FEWEST_EPOCHS_OVERFITTING} epochs."
    losses = series(history.epochs, "loss")
    fell = f", and it learnt: the training loss fell from {losses[0]:.3g} to {losses[-1]:.3g}"
    return f"It does not overfit{fell * bool(losses[-1] < losses[0])}."


def best_epoch(history: History, metric: str = "accuracy") -> tuple[int, float] | None:
    """The last epoch with the highest value on validation images, and that value; None: none was recorded."""
    values = series(history.epochs, f"val_{metric}")
    if not np.isfinite(values).any():
        return None
    place = len(values) - 1 - int(np.nanargmax(values[::-1]))
    return history.epochs[place]["epoch"], float(values[place])


def _in_words(value: float | None, metric: str) -> str:
    if value is None:
        return "unknown"
    return f"{100 * value:.1f} %" if metric == "accuracy" else f"{value:.3f}"
