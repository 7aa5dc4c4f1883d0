"""Pictures of the course of a training; they need the extra `plots` (matplotlib)."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.explanation.diagnosis import DEAD_SHARE, UNSETTLED, Symptom
from keras_resnet.explanation.history import History, series, stage_series
from keras_resnet.pictures import new_figure, save

# Okabe & Ito's colours, which colour-blind people can tell apart.
TRAINING, VALIDATION, THIRD, ALARM = "#0072B2", "#D55E00", "#009E73", "#B00020"
STAGE_SHADES = (0.0, 0.88)
"""The part of viridis that is visible on white, for stages from the stem to the head."""
MARKERS = "osD^vP"
TALL = 20.0
"""If a loss is more than this many times the median, the axis is logarithmic, or the rest would look flat."""
LINE_OF_WORDS = 200
"""Letters on one line under the picture."""

Axes = Any


def learning_curves(history: History, path: Path) -> None:
    """Draw loss, accuracy and learning rate by epoch, as a PNG file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(12, 4)
    left, middle, right = figure.subplots(1, 3)
    draw_losses(left, history)
    draw_accuracies(middle, history)
    right.plot(series(history.epochs, "epoch"), series(history.epochs, "learning_rate"), color=THIRD)
    right.set(title="Learning rate at the epoch's end", xlabel="epoch")
    right.grid(alpha=0.3)
    save(figure, path)


def training_picture(history: History, symptoms: Sequence[Symptom], title: str, path: Path) -> None:
    """Draw all that was recorded of a training on one sheet, with the warnings below, as a PNG file.

    Args:
        history: The record, with at least one epoch.
        symptoms: The problems that `diagnose` found.
        title: The title of the sheet.
        path: The file; its name ends in `.png`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    words = [
        line for one in symptoms for line in textwrap.wrap(f"•  {one.text}", LINE_OF_WORDS, subsequent_indent="    ")
    ]
    foot = 0.5 + 0.27 * (len(words) + 1)
    figure = new_figure(19, 9 + foot)
    halves: Any = figure.subfigures(2, 1, height_ratios=(9, foot))
    above, below = halves
    above.suptitle(title.replace("$", r"\$"), fontsize=17, fontweight="bold")
    panels = above.subplots(2, 4, gridspec_kw={"wspace": 0.06, "hspace": 0.06})
    for axes, draw in zip(panels.flat, PANELS, strict=True):
        draw(axes, history)
        axes.set_title(axes.get_title(), fontsize=13)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
    heading = "Warnings" if symptoms else "No warnings."
    colour = ALARM if symptoms else THIRD
    below.text(0.012, 1 - 0.3 / foot, heading, fontsize=14, fontweight="bold", color=colour, va="top")
    below.text(0.012, 1 - 0.65 / foot, "\n".join(words).replace("$", r"\$"), fontsize=11.5, va="top", linespacing=1.35)
    save(figure, path)


def draw_losses(axes: Axes, history: History) -> None:
    """Draw training and validation loss by epoch."""
    _draw_pair(axes, history, "loss")
    axes.set(title="Loss", xlabel="epoch")
    losses = np.concatenate([series(history.epochs, name) for name in ("loss", "val_loss")])
    if np.nanmax(losses, initial=0) > TALL * np.nanmedian(losses):
        _make_logarithmic(axes)
    else:
        axes.set_ylim(bottom=0)
    axes.legend()


def draw_accuracies(axes: Axes, history: History) -> None:
    """Draw training and validation accuracy by epoch, and mark the best."""
    _draw_pair(axes, history, "accuracy")
    epochs, accuracy = series(history.epochs, "epoch"), series(history.epochs, "val_accuracy")
    if np.isfinite(accuracy).any():
        best = len(accuracy) - 1 - int(np.nanargmax(accuracy[::-1]))
        axes.plot(epochs[best], accuracy[best], "o", color=VALIDATION, label=f"best: {accuracy[best]:.1%}")
    axes.set(title="Accuracy", xlabel="epoch")
    axes.set_ylim(top=1.005)
    axes.legend()


def draw_learning_rate(axes: Axes, history: History) -> None:
    """Draw the learning rate by update."""
    rows = history.steps or history.epochs
    axes.plot(series(rows, "step"), series(rows, "learning_rate"), color=THIRD)
    axes.set(title="Learning rate", xlabel="update")
    axes.set_ylim(bottom=0)


def draw_throughput(axes: Axes, history: History) -> None:
    """Draw images a second by update, and their running median."""
    rows = history.steps or history.epochs
    steps, rates = series(rows, "step"), series(rows, "images_per_second")
    axes.set(title="Throughput", xlabel="update", ylabel="images a second")
    if not np.isfinite(rates).any():
        return _say_missing(axes)
    axes.plot(steps, rates, color=TRAINING, alpha=0.35, linewidth=1)
    around = [float(np.nanmedian(rates[max(0, place - 4) : place + 5])) for place in range(len(rates))]
    axes.plot(steps, around, color=TRAINING, label=f"median: {np.nanmedian(rates):,.0f}")
    axes.set_ylim(0, 1.7 * max(around))  # single rates may be far off, where the time was short
    axes.legend(loc="lower right")
    return None


def draw_gradient_norms(axes: Axes, history: History) -> None:
    """Draw the norm of each stage's gradient by update."""
    axes.set(title="Gradient norm by stage", xlabel="update")
    _draw_stages(axes, history.steps, "step", "gradient_norms", logarithmic=True)


def draw_drift(axes: Axes, history: History) -> None:
    """Draw how far normalisation statistics moved in each epoch."""
    axes.set(title="Batch norm: how far statistics moved", xlabel="epoch", ylabel="standard deviations")
    _draw_stages(axes, history.epochs, "epoch", "batchnorm_drift", logarithmic=True, ill=UNSETTLED)


def draw_gap(axes: Axes, history: History) -> None:
    """Draw how far normalisation statistics are from the inputs of their layers."""
    axes.set(title="Batch norm: moving v. actual statistics", xlabel="epoch", ylabel="standard deviations")
    _draw_stages(axes, history.epochs, "epoch", "batchnorm_gap", logarithmic=True, ill=UNSETTLED)


def draw_dead_units(axes: Axes, history: History) -> None:
    """Draw the share of each stage's channels that are always zero."""
    axes.set(title="Dead ReLU channels", xlabel="epoch")
    _draw_stages(axes, history.epochs, "epoch", "dead_units", ill=DEAD_SHARE)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g}%")


PANELS: tuple[Callable[[Axes, History], None], ...] = (
    draw_losses,
    draw_accuracies,
    draw_learning_rate,
    draw_throughput,
    draw_gradient_norms,
    draw_drift,
    draw_gap,
    draw_dead_units,
)


def _draw_pair(axes: Axes, history: History, name: str) -> None:
    epochs = series(history.epochs, "epoch")
    marker = "o" if len(epochs) == 1 else None
    axes.plot(epochs, series(history.epochs, name), label="training, augmented", color=TRAINING, marker=marker)
    axes.plot(epochs, series(history.epochs, f"val_{name}"), label="validation", color=VALIDATION, marker=marker)
    axes.grid(alpha=0.3)


def _draw_stages(
    axes: Axes, rows: Sequence[Any], x: str, key: str, *, logarithmic: bool = False, ill: float = 0.0
) -> None:
    from matplotlib import colormaps

    places, stages = series(rows, x), stage_series(rows, key)
    if not any(np.isfinite(one).any() for one in stages.values()):
        return _say_missing(axes)
    shades = colormaps["viridis"](np.linspace(*STAGE_SHADES, len(stages)))
    for number, (stage, values) in enumerate(stages.items()):
        shown = np.where(values > 0, values, np.nan) if logarithmic else values
        marker = MARKERS[number % len(MARKERS)]
        every = max(1, len(places) // 10)
        axes.plot(places, shown, label=stage, color=shades[number], marker=marker, markersize=5, markevery=every)
    if ill:
        axes.axhline(ill, color=ALARM, linestyle=":", label="a problem if above at the end")
    if logarithmic:
        _make_logarithmic(axes)
    axes.legend(ncols=2, fontsize=9)
    return None


def _make_logarithmic(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def _say_missing(axes: Axes) -> None:
    axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", va="center", color="grey")
