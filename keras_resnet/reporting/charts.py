"""Charts as numbers: where lines, ticks and marks lie in a drawing, which `charts.html.jinja` makes an SVG of.

An SVG that is a part of the page follows its light and dark dress, prints sharply, and needs no matplotlib.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

WIDTH, HEIGHT = 460, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 42
"""Margins, in units of the drawing."""
MOST_MARKERS = 16
"""Of one line."""
KINDS = 6
"""Lines that differ in colour, dashes and marker."""
TALL = 20.0
"""If a value is so many times the median, the axis is logarithmic, or the rest would look flat."""


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Args:
        name: What it shows.
        x, y: float (n,); where y is no number, the line has a gap.
        kind: Which of the six looks, 0–5.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    kind: int


@dataclass(frozen=True)
class Marks:
    """What stands on the axis below, where no line lies.

    Args:
        name: What each of them says.
        x: float (n,), within the axis.
        kind: Which of the six looks, 0–5; none that a line has.
    """

    name: str
    x: np.ndarray
    kind: int


@dataclass(frozen=True)
class Tick:
    """A tick of an axis: where it lies, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True)
class DrawnLine:
    """A line in units of the drawing: its parts, each as an SVG path, and where its markers lie."""

    name: str
    kind: int
    parts: tuple[str, ...]
    markers: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Chart:
    """A chart that a template can draw.

    Args:
        title: Above it.
        description: What it shows, for who does not see it.
        x_label, y_label: Below, and beside.
        lines: In the order of the key.
        x_ticks, y_ticks: Of the axes.
        mark: Where a vertical line lies, and what stands beside it; None: nowhere.
        mark_height: Where that text stands: above or below the lines.
        diagonal: Whether a line leads from the lower left to the upper right corner.
        on_axis: Markers without a line, on the axis below.
    """

    title: str
    description: str
    x_label: str
    y_label: str
    lines: tuple[DrawnLine, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    mark: Tick | None = None
    mark_height: float = TOP + 11
    diagonal: bool = False
    on_axis: tuple[DrawnLine, ...] = ()
    frame: dict[str, float] = field(
        default_factory=lambda: {
            "width": WIDTH,
            "height": HEIGHT,
            "left": LEFT,
            "right": WIDTH - RIGHT,
            "top": TOP,
            "bottom": HEIGHT - BOTTOM,
        }
    )


def chart(
    title: str,
    description: str,
    lines: Sequence[Line],
    labels: tuple[str, str],
    *,
    percent: bool = False,
    limits: tuple[float, float] | None = None,
    across: tuple[float, float] | None = None,
    mark: tuple[float, str] | None = None,
    diagonal: bool = False,
    on_axis: Sequence[Marks] = (),
) -> Chart | None:
    """Lay out a line chart.

    Args:
        title, description: As `Chart`.
        lines: What is drawn; those without numbers are left out.
        labels: Below, and beside.
        percent: Whether y is a share, 0–1.
        limits: Of y; None: as the lines need, from 0.
        across: Of x; None: as the lines need. In whole numbers, unless given.
        mark: The x of a vertical line, which the axis reaches to, and its text.
        diagonal: As `Chart`.
        on_axis: What stands on the axis below; what lies beyond its ends is left out.

    Returns:
        None if no line has a number.

    Example:
        >>> import numpy as np
        >>> loss = Line("training", np.array([1.0, 2, 3]), np.array([2.0, 1.0, 0.5]), 0)
        >>> drawn = chart("Loss", "It falls.", [loss], ("epoch", "loss"))
        >>> [tick.text for tick in drawn.x_ticks], drawn.lines[0].parts
        (['1', '2', '3'], ('58.0,14.0 252.0,121.0 446.0,174.5',))
    """
    shown = [one for one in lines if np.isfinite(one.y).any()]
    if not shown:
        return None
    x, y = (np.concatenate([getattr(one, axis) for one in shown]) for axis in ("x", "y"))
    y = y[np.isfinite(y)]
    logarithmic = limits is None and not percent and y.min() > 0 and y.max() > TALL * np.median(y)
    low, high = limits or (float(y.min()) if logarithmic else min(0.0, float(y.min())), float(y.max()))
    high = high if high > low else low + 1
    first, last = across or (float(x.min()), float(x.max()))
    if mark is not None:
        first, last = min(first, mark[0]), max(last, mark[0])
    last = last if last > first else first + 1

    def right(value: float) -> float:
        return LEFT + (value - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        bounds = [low, high, max(value, low)]
        bottom, top, place = map(math.log, bounds) if logarithmic else bounds
        share = (place - bottom) / (top - bottom)
        return HEIGHT - BOTTOM - min(max(share, 0.0), 1.0) * (HEIGHT - BOTTOM - TOP)

    drawn = tuple(_drawn(one, right, up) for one in shown)
    beside = [] if mark is None else [y for one in drawn for x, y in one.markers if abs(x - right(mark[0])) < WIDTH / 3]
    is_high = bool(beside) and np.mean(beside) < HEIGHT / 2
    heights = _powers(low, high) if logarithmic else round_numbers(low, high)
    return Chart(
        title,
        description,
        *labels,
        drawn,
        tuple(Tick(right(one), f"{one:g}") for one in round_numbers(first, last, whole=across is None)),
        tuple(Tick(up(one), f"{100 * one:g}%" if percent else f"{one:g}") for one in heights),
        None if mark is None else Tick(right(mark[0]), mark[1]),
        HEIGHT - BOTTOM - 8 if is_high else TOP + 11,
        diagonal,
        tuple(
            DrawnLine(one.name, one.kind, (), tuple((round(right(x), 1), HEIGHT - BOTTOM) for x in inside))
            for one in on_axis
            if (inside := [x for x in one.x.tolist() if first <= x <= last])
        ),
    )


def _drawn(line: Line, right: Callable[[float], float], up: Callable[[float], float]) -> DrawnLine:
    parts: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(line.x.tolist(), line.y.tolist(), strict=True):
        if math.isfinite(y):
            parts[-1].append((round(right(x), 1), round(up(y), 1)))
        elif parts[-1]:
            parts.append([])
    places = [place for part in parts for place in part]
    step = max(1, math.ceil(len(places) / MOST_MARKERS))
    # The last value is what is read off most often.
    markers = tuple(places[::-1][::step])
    return DrawnLine(
        line.name, line.kind % KINDS, tuple(" ".join(f"{x},{y}" for x, y in part) for part in parts if part), markers
    )


def round_numbers(low: float, high: float, most: int = 6, *, whole: bool = False) -> list[float]:
    """Numbers for the ticks of an axis: multiples of 1, 2 or 5 times a power of ten, a few of them.

    Args:
        low, high: What the axis reaches over.
        most: How many at most, about.
        whole: Whether only whole numbers will do.

    Example:
        >>> round_numbers(0, 0.93)
        [0.0, 0.2, 0.4, 0.6, 0.8]
        >>> round_numbers(1, 30, whole=True)
        [5, 10, 15, 20, 25, 30]
    """
    rough = (high - low) / most
    power = 10 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough * 0.999)
    if whole:
        step = max(1.0, round(step))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _powers(low: float, high: float) -> list[float]:
    """The same for a logarithmic axis."""
    tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [factor * 10.0**ten for ten in tens for factor in (1, 2, 5)]
    inside = [one for one in every if low * 0.999 <= one <= high * 1.001]
    return inside if len(inside) <= 7 else [one for one in inside if f"{one:e}".startswith("1.")]
