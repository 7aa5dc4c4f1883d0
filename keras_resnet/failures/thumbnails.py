"""Sections of small pictures, each with its labels and a probability."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet.pictures import new_figure, save, short

COLUMNS = 8
INCHES = 1.55
"""Of a picture with its text."""
TITLE = 0.5
"""Inches of a section's title."""


@dataclass(frozen=True)
class Thumbnail:
    """A small picture.

    Args:
        pixels: uint8 (height, width, channels), of 1 or 3 channels.
        labels: Above it, with arrows between them.
        path: The image's name, whose end is below.
        probability: Beside the text, in [0, 1]; None: none.
    """

    pixels: np.ndarray
    labels: tuple[str, ...]
    path: str
    probability: float | None


def draw(heading: str, sections: Iterable[tuple[str, Sequence[Thumbnail]]], path: Path) -> None:
    """Draw them.

    Args:
        heading: Above all.
        sections: A title and its pictures each; those without pictures say so.
        path: A PNG file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    listed = list(sections)
    rows = [math.ceil(len(thumbnails) / COLUMNS) for _, thumbnails in listed]
    heights = [TITLE + (INCHES + 0.45) * count for count in rows]
    figure = new_figure(INCHES * COLUMNS, sum(heights) + TITLE)
    figure.suptitle(short(heading, 90), fontsize=13)
    parts = figure.subfigures(len(listed), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, count, (title, thumbnails) in zip(parts, rows, listed, strict=True):
        part.suptitle(title if thumbnails else f"{title}: none", fontsize=11, ha="left", x=0.01)
        if not count:
            continue
        grid = part.subplots(count, COLUMNS, squeeze=False)
        for axes in grid.flat:
            axes.axis("off")
        for axes, one in zip(grid.flat, thumbnails, strict=False):
            axes.imshow(one.pixels[..., 0] if one.pixels.shape[-1] == 1 else one.pixels, cmap="gray", vmin=0, vmax=255)
            said = "" if one.probability is None else f"\n{one.probability:.1%}"
            axes.set_title(" → ".join(short(label, 12) for label in one.labels) + said, fontsize=8)
            axes.text(
                0.5, -0.03, short(one.path[-22:], 22), transform=axes.transAxes, fontsize=6, ha="center", va="top"
            )
    save(figure, path)
