"""Pictures of a training and of its result; matplotlib, an extra."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.atomic import write_with
from keras_resnet.errors import MissingExtraError
from keras_resnet.runs.run import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELLED_CLASSES = 40
"""Above this many classes their names and the cells' numbers would only blacken the picture."""


def available() -> bool:
    """Whether pictures can be drawn."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def learning_curves(rows: list[Row], path: Path) -> None:
    """Loss, accuracy and learning rate against the epoch, as a PNG file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = _figure(12, 4)
    left, middle, right = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in rows]
    for axes, name in ((left, "loss"), (middle, "accuracy")):
        axes.plot(epochs, [row[name] for row in rows], label="training, augmented", color="#1f77b4")
        axes.plot(epochs, [row[f"val_{name}"] for row in rows], label="validation", color="#d62728")
        axes.set(title=name.capitalize(), xlabel="epoch")
        axes.grid(alpha=0.3)
    left.set_ylim(bottom=0)
    middle.set_ylim(top=1.005)
    best = max(rows, key=lambda row: (row["val_accuracy"], row["epoch"]))
    middle.plot(best["epoch"], best["val_accuracy"], "o", color="#d62728", label=f"best: {best['val_accuracy']:.1%}")
    left.legend()
    middle.legend(loc="lower right")
    right.plot(epochs, [row["learning_rate"] for row in rows], color="#2ca02c")
    right.set(title="Learning rate at the epoch's end", xlabel="epoch")
    right.grid(alpha=0.3)
    _save(figure, path)


def confusion_picture(confusion: np.ndarray, class_names: tuple[str, ...], title: str, path: Path) -> None:
    """The confusion matrix as a PNG file: rows are the true classes, shades their shares, numbers images.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    count = len(class_names)
    side = min(max(5.0, 0.55 * count), 22.0)
    figure = _figure(side + 1.5, side)
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, label="share of the true class", fraction=0.046)
    axes.set(title=title, xlabel="predicted class", ylabel="true class")
    if count <= LABELLED_CLASSES:
        names = [_short(name) for name in class_names]
        axes.set_xticks(range(count), names, rotation=90 if max(map(len, names)) > 2 else 0)
        axes.set_yticks(range(count), names)
        for row, column in zip(*np.nonzero(confusion), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(confusion[row, column]), ha="center", va="center", color=colour, fontsize=9)
    _save(figure, path)


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing pictures", "plots") from None
    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    # Without the software's version in it, the same data give the same file.
    options: dict[str, Any] = {"format": "png", "metadata": {"Software": None}}
    write_with(path, lambda temporary: figure.savefig(temporary, **options))


def _short(name: str) -> str:
    # "$" would begin a formula
    return (name if len(name) <= 20 else f"{name[:19]}…").replace("$", r"\$")
