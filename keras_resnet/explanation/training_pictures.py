"""Pictures of the course of a training; they need the extra `plots` (matplotlib).

No legend lies over a curve: each curve has its name beside its end, in the order of the ends.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.explanation.diagnosis import DEAD_SHARE, UNSETTLED, Symptom
from keras_resnet.explanation.history import CONTINUED, SETBACK, TURNS, History, LogRow, series, stage_series
from keras_resnet.explanation.summary import best_epoch, headline, verdict
from keras_resnet.pictures import new_figure, save, short

# Okabe & Ito's colours, which colour-blind people can tell apart; lines differ by their dashes and marks, too.
TRAINING, VALIDATION, THIRD, ALARM = "#0072B2", "#D55E00", "#009E73", "#B00020"
INK, FAINT = "#333333", "#767676"
STAGE_SHADES = (0.0, 0.8)
"""The part of viridis that is visible on white, for stages from the stem to the head."""
MARKERS = "osD^vP"
LOOKS = {CONTINUED: ("^", INK, "▲"), SETBACK: ("X", ALARM, "✖")}
"""How events look on the axis of epochs: mark, colour, and the mark in the words below."""
FEW_EPOCHS = 30
"""With no more, each epoch has a mark."""
TALL = 20.0
"""If a loss is more than this many times the median, the axis is logarithmic, or the rest would look flat."""
WIDTH = 12.5
"""Of the sheet, in inches; its smallest letters can be read where it is shown 1,000 pixels wide."""
LINE_OF_WORDS = 155
"""Letters on one line under the picture."""
LETTERS, TITLE, WORDS = 9.5, 12, 10.5
"""Sizes of texts, in points."""
HIGHEST = 0.95
"""Where the highest name of a curve may stand; what marks an epoch stands above the panel."""
ROOM_FOR_MARK = 18.0
"""Points above a panel for that."""
MOST_NAMED = 9
"""Curves of a panel that are named; of more, the first, the last, and some between."""

DEVIATIONS = "standard deviations"

Axes = Any


@dataclass(frozen=True)
class Curve:
    """A line of a panel, as its name is put beside its end.

    Args:
        name: In words.
        x, y: float64 (n,); NaN where there is no number.
        colour: Of the line.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: Any

    @property
    def end(self) -> tuple[float, float] | None:
        """Its last point; None: it has none."""
        finite = np.flatnonzero(np.isfinite(self.y))
        return (float(self.x[finite[-1]]), float(self.y[finite[-1]])) if len(finite) else None


def learning_curves(history: History, path: Path) -> None:
    """Draw loss, accuracy and learning rate by epoch, as a PNG file.

    Args:
        history: The record, with at least one epoch.
        path: The file; its name ends in `.png`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(WIDTH, 4)
    _give_room(figure)
    left, middle, right = figure.subplots(1, 3)
    draw_losses(left, history)
    draw_accuracies(middle, history)
    right.set(title="Learning rate at the epoch's end", xlabel="epoch")
    _draw(right, [_curve("", history.epochs, "epoch", "learning_rate", THIRD)])
    for axes in (left, middle, right):
        _dress(axes, ROOM_FOR_MARK)
    save(figure, path)


def training_picture(history: History, symptoms: Sequence[Symptom], title: str, path: Path) -> None:
    """Draw all that was recorded of a training on one sheet, as a PNG file.

    What a newcomer needs stands above: how good it is, which weights are kept, loss and accuracy. What an expert wants
    stands below: the learning rate, the throughput, the inside of the network, and the warnings.

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
    head, large, small, foot = 1.3, 4.2, 5.6, 0.45 + 0.23 * (len(words) + 1)
    figure = new_figure(WIDTH, head + large + small + foot)
    _give_room(figure)
    rows: Any = figure.subfigures(4, 1, height_ratios=(head, large, small, foot))
    above, newcomers, experts, below = rows
    count = f"  {len(symptoms)} warning{'s' * (len(symptoms) != 1)}: see below." if symptoms else ""
    above.text(0.012, 0.92, short(title, 100), fontsize=16, fontweight="bold", va="top", color=INK)
    above.text(0.012, 0.54, headline(history).replace("$", r"\$"), fontsize=13.5, va="top", color=INK)
    above.text(0.012, 0.24, verdict(history, symptoms) + count, fontsize=13.5, va="top", color=INK)
    panels = [*newcomers.subplots(1, 2, gridspec_kw={"wspace": 0.04}).flat]
    panels += experts.subplots(2, 3, gridspec_kw={"wspace": 0.04, "hspace": 0.06}).flat
    for axes, draw in zip(panels, PANELS, strict=True):
        draw(axes, history)
        _dress(axes, ROOM_FOR_MARK if draw in NEWCOMERS else 8)
    heading = "Warnings" if symptoms else "No warnings."
    colour = ALARM if symptoms else THIRD
    below.text(0.012, 1 - 0.12 / foot, heading, fontsize=13, fontweight="bold", color=colour, va="top")
    text = "\n".join(words).replace("$", r"\$")
    below.text(0.012, 1 - 0.42 / foot, text, fontsize=WORDS, va="top", linespacing=1.3, color=INK)
    save(figure, path)


def draw_losses(axes: Axes, history: History) -> None:
    """Draw training and validation loss by epoch, and mark the kept one."""
    axes.set(title="Loss (less is better)", xlabel="epoch")
    losses = np.concatenate([series(history.epochs, name) for name in ("loss", "val_loss")])
    tall = np.isfinite(losses).any() and bool(np.nanmax(losses) > TALL * np.nanmedian(losses))
    _draw_pair(axes, history, "loss", logarithmic=tall, bottom=None if tall else 0)


def draw_accuracies(axes: Axes, history: History) -> None:
    """Draw training and validation accuracy by epoch, and mark the kept one, or else the best."""
    axes.set(title="Accuracy (more is better)", xlabel="epoch")
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g} %")
    _draw_pair(axes, history, "accuracy", top=1.005)


def draw_learning_rate(axes: Axes, history: History) -> None:
    """Draw the learning rate by update."""
    axes.set(title="Learning rate", xlabel="update")
    _draw(axes, [_curve("", history.steps or history.epochs, "step", "learning_rate", THIRD)], bottom=0)


def draw_throughput(axes: Axes, history: History) -> None:
    """Draw images a second by update, faintly, and their running median."""
    rows = history.steps or history.epochs
    rates = _curve("", rows, "step", "images_per_second", TRAINING)
    axes.set(title="Throughput, images a second", xlabel="update")
    if rates.end is None:
        return _say(axes, "not recorded")
    with np.errstate(all="ignore"):
        around = [_median(rates.y[max(0, place - 4) : place + 5]) for place in range(len(rates.y))]
    axes.plot(rates.x, rates.y, color=TRAINING, alpha=0.35, linewidth=1)
    median = Curve(f"median\n{np.nanmedian(rates.y):,.0f}", rates.x, np.array(around), TRAINING)
    # single rates may be far off, where the time was short
    return _draw(axes, [median], bottom=0, top=1.7 * float(np.nanmax(around)))


def draw_gradient_norms(axes: Axes, history: History) -> None:
    """Draw the norm of each stage's gradient by update."""
    axes.set(title="Gradient norm by stage", xlabel="update")
    _draw_stages(axes, history.steps, "step", "gradient_norms", logarithmic=True)


def draw_drift(axes: Axes, history: History) -> None:
    """Draw how far normalisation statistics moved in each epoch, in standard deviations."""
    axes.set(title="Batch norm: how far statistics moved", xlabel="epoch", ylabel=DEVIATIONS)
    _draw_stages(axes, history.epochs, "epoch", "batchnorm_drift", logarithmic=True, ill=UNSETTLED)


def draw_gap(axes: Axes, history: History) -> None:
    """Draw how far normalisation statistics are from the inputs of their layers, in standard deviations."""
    axes.set(title="Batch norm: how far they are off", xlabel="epoch", ylabel=DEVIATIONS)
    _draw_stages(axes, history.epochs, "epoch", "batchnorm_gap", logarithmic=True, ill=UNSETTLED)


def draw_dead_units(axes: Axes, history: History) -> None:
    """Draw the share of each stage's channels that are always zero."""
    axes.set(title="Dead ReLU channels", xlabel="epoch")
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g} %")
    _draw_stages(axes, history.epochs, "epoch", "dead_units", ill=DEAD_SHARE, bottom=0)


NEWCOMERS: tuple[Callable[[Axes, History], None], ...] = (draw_losses, draw_accuracies)
EXPERTS: tuple[Callable[[Axes, History], None], ...] = (
    draw_learning_rate,
    draw_throughput,
    draw_gradient_norms,
    draw_drift,
    draw_gap,
    draw_dead_units,
)
PANELS = NEWCOMERS + EXPERTS


def _draw_pair(axes: Axes, history: History, name: str, **view: Any) -> None:
    rows = history.epochs
    curves = [
        _curve("training,\naugmented", rows, "epoch", name, TRAINING),
        _curve("validation", rows, "epoch", f"val_{name}", VALIDATION),
    ]
    marked = _marked(history)
    if marked:
        epoch, what = marked
        axes.axvline(epoch, color=INK, linestyle="--", linewidth=1, zorder=1)
        values = curves[1].y[(curves[1].x == epoch) & np.isfinite(curves[1].y)]
        kept = history.kept
        if kept and not epoch and kept["metric"] == name and kept["value"] is not None:
            values = np.array([kept["value"]])  # of the linear probe, which no row has
        mark = {"markeredgecolor": INK, "markersize": 8, "zorder": 4, "clip_on": False}
        if len(values):  # an empty line that is not clipped would confuse the layout
            axes.plot([epoch] * len(values), values, "D", color=VALIDATION, **mark)
        aligned = "left" if epoch < len(rows) / 4 else "right" if epoch > 3 * len(rows) / 4 else "center"
        x = axes.get_xaxis_transform()
        axes.text(epoch, 1.015, what, transform=x, ha=aligned, va="bottom", fontsize=LETTERS, color=INK)
    keys = (name, f"val_{name}")
    broken = [row["epoch"] for row in rows if any(key in row and np.isnan(series([row], key)[0]) for key in keys)]
    for epoch in broken:
        axes.axvspan(epoch - 0.5, epoch + 0.5, color=ALARM, alpha=0.12, linewidth=0)
    if broken:
        words = {"ha": "center", "va": "bottom", "fontsize": LETTERS, "color": ALARM}
        axes.text(np.median(broken), 0.03, "no finite\nnumber", transform=axes.get_xaxis_transform(), **words)
    _draw(axes, curves, dashes=("-", "--"), **view)
    _mark_turns(axes, history)


def _mark_turns(axes: Axes, history: History) -> None:
    """Put what may have bent the curves on the axis, and its meaning beside the axis's name: no curve lies there."""
    low, high = axes.get_xlim()
    for kind, (mark, colour, letter) in LOOKS.items():
        places = np.array([place for place in history.places(kind) if low <= place <= high])
        if len(places):
            axes.plot(
                places, np.zeros(len(places)), mark, color=colour, markeredgecolor="white", markersize=9, zorder=5,
                clip_on=False, transform=axes.get_xaxis_transform(),
            )  # fmt: skip
            axes.set_xlabel(f"{axes.get_xlabel()}     {letter} {TURNS[kind]}")


def _marked(history: History) -> tuple[int, str] | None:
    """The epoch to mark, and what it is: the kept one, or the best if none is known to be kept."""
    if history.kept:
        epoch = history.kept["epoch"]
        if not epoch:
            return 0, "kept: the linear probe"
        known = {row["epoch"] for row in history.epochs}  # the table may be cut off
        return (epoch, f"kept: epoch {epoch}") if epoch in known else None
    best = best_epoch(history)
    return (best[0], f"best: epoch {best[0]}") if best else None


def _draw_stages(
    axes: Axes, rows: Sequence[LogRow], x: str, key: str, *, logarithmic: bool = False, ill: float = 0.0, **view: Any
) -> None:
    from matplotlib import colormaps

    places, stages = series(rows, x), stage_series(rows, key)
    shades = colormaps["viridis"](np.linspace(*STAGE_SHADES, len(stages)))
    curves = [
        Curve(stage, places, np.where(values > 0, values, np.nan) if logarithmic else values, shade)
        for (stage, values), shade in zip(stages.items(), shades, strict=True)
    ]
    if not any(np.isfinite(one).any() for one in stages.values()):
        return _say(axes, "not recorded")
    if logarithmic and not any(one.end for one in curves):
        return _say(axes, "always 0")
    if ill:
        axes.axhline(ill, color=ALARM, linestyle=":", linewidth=1.5)
        curves.append(Curve("too much", places[-1:], np.array([ill]), ALARM))
    return _draw(axes, curves, marks=MARKERS, logarithmic=logarithmic, **view)


def _curve(name: str, rows: Sequence[LogRow], x: str, y: str, colour: Any) -> Curve:
    return Curve(name, series(rows, x), series(rows, y), colour)


def _draw(
    axes: Axes,
    curves: Sequence[Curve],
    *,
    dashes: Sequence[str] = ("-",),
    marks: str = "",
    logarithmic: bool = False,
    bottom: float | None = None,
    top: float | None = None,
) -> None:
    """Draw curves, and put their names beside their ends."""
    if not any(curve.end for curve in curves):
        return _say(axes, "not recorded")
    for number, curve in enumerate(curves):
        count = len(curve.x)
        mark = marks[number % len(marks)] if marks else "o" if count <= FEW_EPOCHS else None
        every = max(1, count // 8) if marks else 1
        style = {"linestyle": dashes[number % len(dashes)], "marker": mark, "markersize": 4.5, "markevery": every}
        axes.plot(curve.x, curve.y, color=curve.colour, label=curve.name, **style)
    axes.margins(x=0.02)
    if logarithmic:
        _make_logarithmic(axes)
    axes.set_ylim(bottom, top)
    if bottom is not None and top is None:
        axes.set_ylim(top=1.05 * axes.get_ylim()[1])
    x = np.concatenate([curve.x for curve in curves])
    if x.min() == x.max():
        axes.set_xlim(x.min() - 0.5, x.max() + 0.5)
    _name_ends(axes, [one for one in curves if one.name and one.end])
    return None


def _name_ends(axes: Axes, curves: Sequence[Curve]) -> None:
    """Write each curve's name right of the panel, as near to the height of its end as the other names allow."""
    if len(curves) > MOST_NAMED:
        curves = [curves[place] for place in np.unique(np.linspace(0, len(curves) - 1, MOST_NAMED).round().astype(int))]
    limits = axes.get_xlim(), axes.get_ylim()
    axes.set(xlim=limits[0], ylim=limits[1])  # or the names would move them
    to_panel = axes.transData + axes.transAxes.inverted()
    ends = [(curve, curve.end) for curve in curves if curve.end]
    ends.sort(key=lambda one: to_panel.transform(one[1])[1])
    heights = _apart([float(np.clip(to_panel.transform(end)[1], 0, HIGHEST)) for _, end in ends])
    for (curve, end), height in zip(ends, heights, strict=True):
        line = {"arrowstyle": "-", "color": curve.colour, "linewidth": 0.8, "shrinkA": 0, "relpos": (0, 0.5)}
        place = {"xy": end, "xytext": (1.06, height), "textcoords": "axes fraction", "annotation_clip": False}
        axes.annotate(curve.name, **place, va="center", fontsize=LETTERS, color=INK, arrowprops=line, linespacing=0.95)


def _apart(heights: Sequence[float], gap: float = 0.105) -> list[float]:
    """Rising numbers from 0 to `HIGHEST`, moved no further than puts a gap between any two."""
    gap = min(gap, HIGHEST / max(1, len(heights) - 1))
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap) if placed else height)
    most = HIGHEST
    for number in reversed(range(len(placed))):
        placed[number] = min(placed[number], most)
        most = placed[number] - gap
    return placed


def _make_logarithmic(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def _give_room(figure: Any) -> None:
    """Keep texts away from the edges."""
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.06)


def _dress(axes: Axes, pad: float) -> None:
    """What all panels share.

    Args:
        axes: A panel that is drawn.
        pad: Points between it and its title.
    """
    title = axes.get_title()
    axes.set_title("")  # in the middle
    axes.set_title(title, fontsize=TITLE, loc="left", color=INK, pad=pad)
    axes.tick_params(labelsize=LETTERS, colors=INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(size=LETTERS, color=INK)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1, nbins=6)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _median(values: np.ndarray) -> float:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else np.nan


def _say(axes: Axes, words: str) -> None:
    axes.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False)
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=FAINT, fontsize=LETTERS)
