"""Histograms of oriented gradients: what described images before networks did."""

from __future__ import annotations

import numpy as np

ORIENTATIONS = 9
CELLS = 8
"""Along the shorter side, as in the paper's window of 64 × 128 pixels with cells of 8 × 8."""
SMALLEST_CELL = 2
CLIPPED = 0.2
LEAST = 1e-2
"""Added to a block's length, so that the noise of a plain area does not become its strongest feature."""


def hog(images: np.ndarray) -> np.ndarray:
    """Describe images by histograms of oriented gradients.

    After Dalal and Triggs (Histograms of Oriented Gradients for Human Detection, 2005): gradients by [-1, 0, 1] without
    smoothing, of each pixel those of the channel where they are largest; 9 orientations without a sign; votes shared
    between neighbouring orientations and cells; blocks of 2 × 2 cells that overlap by half, each with a length of 1,
    clipped at 0.2, and again with a length of 1. The paper's Gaussian window over a block is left out. A cell is an
    eighth of the shorter side, and at least 2 pixels.

    Args:
        images: uint8 (n, height, width, channels), 4 pixels or more a side.

    Returns:
        float32 (n, (rows - 1) · (columns - 1) · 36) for as many rows and columns of cells, in [0, 1].

    Example:
        >>> import numpy as np
        >>> from keras_resnet.experiments.hog import hog
        >>> edge = np.zeros((1, 64, 64, 3), np.uint8)
        >>> edge[:, :, 32:] = 255
        >>> described = hog(edge).reshape(7, 7, 4, 9)
        >>> described.shape, described.any((0, 1, 2)).nonzero()[0].tolist()  # it rises from left to right
        ((7, 7, 4, 9), [0, 8])
    """
    votes = _votes(images.astype(np.float32))
    height, width = images.shape[1:3]
    cell = max(SMALLEST_CELL, min(height, width) // CELLS)
    cells = np.einsum(
        "nyxb,yi,xj->nijb", votes, _shares(height, cell), _shares(width, cell), optimize=True
    )  # votes are shared between cells along each axis alone
    above, below = cells[:, :-1], cells[:, 1:]
    corners = [part[:, :, columns] for part in (above, below) for columns in (slice(None, -1), slice(1, None))]
    blocks = np.concatenate(corners, axis=-1)
    blocks = _of_length_one(np.minimum(_of_length_one(blocks), CLIPPED))
    return blocks.reshape(len(images), -1).astype(np.float32)


def _votes(images: np.ndarray) -> np.ndarray:
    """The size of each pixel's gradient, shared between the two orientations it lies between: (n, h, w, 9)."""
    across, down = np.zeros_like(images), np.zeros_like(images)
    across[:, :, 1:-1] = images[:, :, 2:] - images[:, :, :-2]
    down[:, 1:-1] = images[:, 2:] - images[:, :-2]
    strongest = (across**2 + down**2).argmax(-1, keepdims=True)  # whole numbers: equal ones are equal
    across, down = (np.take_along_axis(one, strongest, -1) for one in (across, down))
    size = np.hypot(across, down) / 255
    place = np.arctan2(down, across) % np.pi * (ORIENTATIONS / np.pi) - 0.5  # 0: the middle of the first orientation
    lower = np.floor(place)
    upper_share = (place - lower).astype(np.float32)
    votes = np.zeros((*images.shape[:3], ORIENTATIONS), np.float32)
    first = lower.astype(np.int64) % ORIENTATIONS
    np.put_along_axis(votes, first, size * (1 - upper_share), -1)
    np.put_along_axis(votes, (first + 1) % ORIENTATIONS, size * upper_share, -1)
    return votes


def _shares(pixels: int, cell: int) -> np.ndarray:
    """How much of each pixel's vote goes to each cell along one axis, by the distance of their middles: (h, cells)."""
    middles = (np.arange(pixels // cell) + 0.5) * cell - 0.5
    return np.maximum(0, 1 - np.abs(np.arange(pixels)[:, None] - middles) / cell).astype(np.float32)


def _of_length_one(blocks: np.ndarray) -> np.ndarray:
    return blocks / np.sqrt((blocks**2).sum(-1, keepdims=True) + LEAST**2)
