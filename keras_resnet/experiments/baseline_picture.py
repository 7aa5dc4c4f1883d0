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
    for axes, (text, value) in zip(grid.flat, shown.items(), strict=False):
        _panel(axes, rows, text, value)
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False)
    figure.suptitle(f"{title}, 95 % intervals")
    pictures.save(figure, path)


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
    axes.set(xscale="log", xlabel=text, ylabel="accuracy", ylim=(0, 1.05))
    axes.grid(alpha=0.3)
    axes.margins(x=0.1)
