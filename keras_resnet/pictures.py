"""The picture of a confusion matrix, and what all pictures share; they need the extra `plots` (matplotlib)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.atomic import write_with
from keras_resnet.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELLED_CLASSES = 40
"""With more classes, the picture has no room for their names and for numbers in the cells."""


def available() -> bool:
    """Whether pictures can be drawn."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def confusion_picture(confusion: np.ndarray, class_names: tuple[str, ...], title: str, path: Path) -> None:
    """Draw a confusion matrix as a PNG file. Shades are shares of the true class, numbers are images.

    Args:
        confusion: int (classes, classes): images of each true class (row) and predicted class (column).
        class_names: Of the classes.
        title: The title of the picture.
        path: The file to write.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    count = len(class_names)
    side = min(max(5.0, 0.55 * count), 22.0)
    figure = new_figure(side + 1.5, side)
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, label="share of the true class", fraction=0.046)
    axes.set(title=title, xlabel="predicted class", ylabel="true class")
    if count <= LABELLED_CLASSES:
        names = [short(name) for name in class_names]
        axes.set_xticks(range(count), names, rotation=90 if max(map(len, names)) > 2 else 0)
        axes.set_yticks(range(count), names)
        for row, column in zip(*np.nonzero(confusion), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(confusion[row, column]), ha="center", va="center", color=colour, fontsize=9)
    save(figure, path)


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure.

    Args:
        width, height: In inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing pictures", "plots") from None
    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file, whole or not at all."""
    # Without matplotlib's version inside, the same data give the same file.
    options: dict[str, Any] = {"format": "png", "metadata": {"Software": None}}
    write_with(path, lambda temporary: figure.savefig(temporary, **options))


def short(name: str, most: int = 20) -> str:
    """A name for a picture, cut to at most so many letters."""
    # "$" would begin a formula in matplotlib
    return (name if len(name) <= most else f"{name[: most - 1]}…").replace("$", r"\$")
