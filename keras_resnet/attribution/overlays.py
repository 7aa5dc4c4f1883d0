"""The picture of an explanation: the image, each map over it, and the curves that test them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.attribution.explanation import Attribution, Explanation
from keras_resnet.pictures import new_figure, save, short

MAP = "viridis"
"""Its lightness rises throughout, and colour-blind people see it so, too."""
OVER = 0.6
"""How much of the colour of the map is in an overlay; the rest is the image in grey."""
OWN, ELSEWHERE = "#0072B2", "#D55E00"
SIDE = 2.7
"""Inches of a panel."""

Axes = Any


def draw_explanation(found: Explanation, path: Path) -> None:
    """Draw one image with its maps, a row for each class, as a PNG file.

    Args:
        found: What was found.
        path: The file; its name ends in `.png`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    classes = list(dict.fromkeys(one.number for one in found.maps))
    rows = [[one for one in found.maps if one.number == number] for number in classes]
    checked = any(one.faithfulness for one in found.maps)
    across = 1 + len(rows[0])
    figure = new_figure(SIDE * across + 0.9, (SIDE + 0.55 + (1.75 if checked else 0)) * len(rows) + 0.4)
    figure.suptitle(_heading(found), fontsize=12)
    grid = figure.add_gridspec(
        len(rows) * (2 if checked else 1),
        across + 1,
        height_ratios=([1, 0.62] if checked else [1]) * len(rows),
        width_ratios=[1] * across + [0.06],
    )
    for row, maps in enumerate(rows):
        line = row * (2 if checked else 1)
        picture = figure.add_subplot(grid[line, 0])
        draw_image(picture, found.image)
        picture.set_title(f"{short(maps[0].class_name, 26)}\n{percent(maps[0].probability)}", fontsize=11)
        for column, one in enumerate(maps, 1):
            axes = figure.add_subplot(grid[line, column])
            draw_overlay(axes, found.image, one)
            axes.set_title(f"{one.title}\n{_below(one)}", fontsize=10)
            if one.faithfulness:
                _draw_curves(figure.add_subplot(grid[line + 1, column]), one, legend=column == 1)
        _draw_scale(figure.add_subplot(grid[line, across]))
        if checked:
            words = figure.add_subplot(grid[line + 1, 0])
            words.axis("off")
            words.text(0, 1, WORDS, fontsize=8, va="top", wrap=True, transform=words.transAxes, linespacing=1.3)
    save(figure, path)


WORDS = (
    "The map's test. Erasing what\nit marks first should lower the\nprobability fast; showing it\n"
    "first should raise it fast: the\nfull lines should lie apart.\nDotted: the same map laid\nelsewhere on the image."
)


def overlay(image: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """A map in colours over an image in grey.

    Args:
        image: uint8 (height, width, channels).
        shares: float (height, width), 0–1.

    Returns:
        float (height, width, 3), 0–1.
    """
    from matplotlib import colormaps

    grey = image[..., :3].astype(float).mean(axis=-1, keepdims=True) / 255
    return (1 - OVER) * grey + OVER * colormaps[MAP](shares)[..., :3]


def draw_overlay(axes: Axes, image: np.ndarray, found: Attribution) -> None:
    """Draw a map over its image.

    Args:
        axes: Where.
        image: uint8 (height, width, channels).
        found: The map.
    """
    axes.imshow(overlay(image, found.shown()))
    axes.axis("off")


def draw_image(axes: Axes, image: np.ndarray) -> None:
    """Draw an image of 1 or 3 channels; of others, the first."""
    axes.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=255)
    axes.axis("off")


def percent(share: float) -> str:
    """A share in 0–1 as people read it; one that would be rounded to nothing as less than the least shown."""
    return f"{share:.1%}" if share >= 0.0005 or share == 0 else "<0.1%"


def _heading(found: Explanation) -> str:
    said = ", ".join(f"{short(name, 24)} {percent(share)}" for name, share in found.top[:3])
    return f"{short(Path(found.name).name, 40)} – the model says: {said}"


def _below(one: Attribution) -> str:
    if one.remark:
        return "marks nothing" if "nothing" in one.remark else "not finite"
    return one.faithfulness.verdict if one.faithfulness else ""


def _draw_curves(axes: Axes, one: Attribution, *, legend: bool) -> None:
    found = one.faithfulness
    assert found is not None
    shares = np.linspace(0, 1, len(found.deletion))
    for curve, elsewhere, colour, name in (
        (found.insertion, found.insertion_elsewhere, OWN, "shown first"),
        (found.deletion, found.deletion_elsewhere, ELSEWHERE, "erased first"),
    ):
        axes.plot(shares, curve, color=colour, label=name)
        axes.plot(shares, elsewhere.mean(axis=0), color=colour, linestyle=":")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axes.set_xlabel("share of the image", fontsize=8)
    if legend:
        axes.set_ylabel("probability", fontsize=8)
        axes.legend(fontsize=7, loc="center right")
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.grid(alpha=0.3)


def _draw_scale(axes: Axes) -> None:
    """The colours that overlays have: those of the map, mixed with a middle grey."""
    from matplotlib import colormaps

    levels = np.linspace(1, 0, 256)[:, None]
    axes.imshow((1 - OVER) * 0.5 + OVER * colormaps[MAP](levels)[..., :3], aspect="auto", extent=(0, 1, 0, 1))
    axes.set(xticks=(), yticks=(0, 1), yticklabels=("nothing", "most"))
    axes.yaxis.tick_right()
    axes.tick_params(labelsize=8)
