"""What all pictures share; they need the extra `plots` (matplotlib)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_resnet.atomic import write_with
from keras_resnet.errors import MissingExtraError
from keras_resnet.visible import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def available() -> bool:
    """Whether pictures can be drawn."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


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
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # `savefig` would draw all to find its places, and then draw it again to the same file.
    canvas = FigureCanvasAgg(figure)
    # Without matplotlib's version inside, the same data give the same file.
    metadata: Any = {"Software": None}
    write_with(path, lambda temporary: canvas.print_png(temporary, metadata=metadata))


def cut(name: str, most: int = 20) -> str:
    """A name of at most so many letters, all of which can be seen."""
    name = visible(name)
    return name if len(name) <= most else f"{name[: most - 1]}…"


def short(name: str, most: int = 20) -> str:
    """The same for matplotlib, for which `$` would begin a formula."""
    return cut(name, most).replace("$", r"\$")
