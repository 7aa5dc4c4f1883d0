"""The picture of methods and networks on one data set: accuracy against what each costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from keras_resnet import pictures
from keras_resnet.experiments.costs import Costs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "osD^vP*X<>p8"
"""In turn; with another number of colours, so that no two rows look alike."""
COLOURS = 10


class Row(Protocol):
    """What is drawn of a `Baseline`."""

    @property
    def title(self) -> str: ...
    @property
    def accuracy(self) -> float: ...
    @property
    def interval(self) -> tuple[float, float]: ...
    @property
    def parameters(self) -> int: ...
    @property
    def costs(self) -> Costs | None: ...


AXES: dict[str, Callable[[Row], float | None]] = {
    "parameters": lambda row: row.parameters,
    "multiply-accumulates of an image": lambda row: None if row.costs is None else row.costs.macs,
    "ms an image, INT8, LiteRT on one thread": lambda row: None if row.costs is None else row.costs.int8_latency_ms,
    "bytes of the INT8 file": lambda row: None if row.costs is None else row.costs.int8_bytes,
}
"""What accuracy is drawn against, a picture each; None: it is not known of a row."""


def draw(rows: Sequence[Row], title: str, path: Path) -> None:
    """Draw rows as a PNG file.

    Args:
        rows: In the order of the legend.
        title: Above all.
        path: The file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    shown = {text: value for text, value in AXES.items() if any(value(row) is not None for row in rows)}
    columns = min(2, len(shown))
    height = 3.6 if len(shown) == 1 else 7.2
    figure = pictures.new_figure(5 * columns + 3.4, height)
    grid = figure.subplots(-(-len(shown) // columns), columns, squeeze=False)
    top = min(1.0, max(row.interval[1] for row in rows)) + 0.05
    for axes, (text, value) in zip(grid.flat, shown.items(), strict=False):
        _panel(axes, rows, text, value)
        axes.set_ylim(0, top)
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False)
    figure.suptitle(f"{title}, 95 % intervals")
    pictures.save(figure, path)


def _mark(axes: Axes) -> None:
    """Numbers below, few enough to be read: of one decade 1, 2 and 5, of several 1 each; 20k for 20,000."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, NullLocator

    low, high = axes.get_xlim()
    few = high / low < 100
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=9))
    axes.xaxis.set_major_formatter(EngFormatter(sep="") if high > 1000 else "{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _panel(axes: Axes, rows: Sequence[Row], text: str, value: Callable[[Row], float | None]) -> None:
    for number, row in enumerate(rows):
        where = value(row)
        if where is None:
            continue
        low, high = row.interval
        reach = [[max(0, row.accuracy - low)], [max(0, high - row.accuracy)]]  # rounding leaves less than 0
        label = f"{pictures.short(row.title, 34)}: {row.accuracy:.1%}"
        axes.errorbar(
            [where], [row.accuracy], reach, linestyle="", capsize=3, markersize=7, label=label,
            marker=MARKERS[number % len(MARKERS)], color=f"C{number % COLOURS}",
        )  # fmt: skip
    axes.set(xscale="log", xlabel=text, ylabel="accuracy")
    axes.margins(x=0.1)
    _mark(axes)
    axes.grid(alpha=0.3)
