"""Maps of any model that answers: parts of the image are covered, and the answers compared.

Nothing inside the model is looked at, so that they are had of every exported file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_resnet.inference.predictor import Predictor

WINDOWS = 6
"""Of occlusion, along the shorter side; neighbours overlap by half."""
CELLS = 7
"""Of the masks of RISE along a side, as in the paper."""
SHOWN = 0.5
"""The share of the cells that a mask shows."""
CHUNK = 256
"""Images in memory at a time."""


def log_odds(predictor: Predictor, images: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """The logarithms of p / (1 - p) of some classes, float64 (n, classes).

    A probability near 1 hardly moves whatever is covered; its odds do.

    Args:
        predictor: The model.
        images: uint8 (n, height, width, channels).
        classes: By number.
    """
    from scipy.special import logsumexp

    logits = predictor.logits(images).astype(np.float64)
    if predictor.task.several:
        return logits[:, classes]
    return np.stack([logits[:, one] - logsumexp(np.delete(logits, one, axis=1), axis=1) for one in classes], axis=1)


def occlusion(predictor: Predictor, image: np.ndarray, classes: Sequence[int], fill: np.ndarray) -> np.ndarray:
    """By how much the log-odds of a class fall where a window is covered; of a pixel, the mean of the windows over it.

    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", 2014, who show the probability.

    Args:
        predictor: The model.
        image: uint8 (height, width, channels).
        classes: By number.
        fill: (channels,), the colour of the window.

    Returns:
        float32 (classes, height, width); below 0 where covering raises them.
    """
    height, width = image.shape[:2]
    side = max(1, round(min(height, width) / WINDOWS))
    rows, columns = (_starts(length, side) for length in (height, width))
    corners = [(top, left) for top in rows for left in columns]
    before = log_odds(predictor, image[None], classes)
    total, times = np.zeros((len(classes), height, width)), np.zeros((height, width))
    for start in range(0, len(corners), CHUNK):
        part = corners[start : start + CHUNK]
        covered = np.repeat(image[None], len(part), axis=0)
        for one, (top, left) in zip(covered, part, strict=True):
            one[top : top + side, left : left + side] = np.rint(fill)
        falls = before - log_odds(predictor, covered, classes)
        for fall, (top, left) in zip(falls, part, strict=True):
            total[:, top : top + side, left : left + side] += fall[:, None, None]
            times[top : top + side, left : left + side] += 1
    return (total / times).astype(np.float32)


def _starts(length: int, side: int) -> list[int]:
    """Where windows begin: at every half of a window, and so that the last ends at the end."""
    return sorted({*range(0, max(length - side, 0) + 1, max(1, side // 2)), max(length - side, 0)})


def rise(
    predictor: Predictor, image: np.ndarray, classes: Sequence[int], fill: np.ndarray, *, samples: int, seed: int
) -> np.ndarray:
    """RISE: by how much the probability of a class is higher where a pixel is shown than on average, over random masks.

    Petsiuk et al., "RISE: Randomized Input Sampling for Explanation of Black-box Models", 2018. The mean probability is
    subtracted, which changes no order among pixels, and the mean of a pixel is over the masks that were drawn.

    Args:
        predictor: The model.
        image: uint8 (height, width, channels).
        classes: By number.
        fill: (channels,), the colour of what is not shown.
        samples: Masks.
        seed: Of the masks.

    Returns:
        float32 (classes, height, width), of either sign.
    """
    random = np.random.default_rng(seed)
    height, width = image.shape[:2]
    total, shown, average = np.zeros((len(classes), height, width)), np.zeros((height, width)), np.zeros(len(classes))
    for start in range(0, samples, CHUNK):
        masks = random_masks(min(CHUNK, samples - start), (height, width), random)
        seen = np.rint(fill + masks[..., None] * (image - fill)).astype(np.uint8)
        shares = predictor.task.probabilities(predictor.logits(seen).astype(np.float64))[:, classes]
        total += np.einsum("nk,nhw->khw", shares, masks)
        shown += masks.sum(axis=0)
        average += shares.sum(axis=0)
    return (total / np.maximum(shown, 1e-9) - (average / samples)[:, None, None]).astype(np.float32)


def random_masks(count: int, size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Masks of few cells that are shown or not, enlarged bilinearly and shifted by less than a cell.

    Args:
        count: How many.
        size: Height and width.
        random: Draws them.

    Returns:
        float32 (count, height, width), 0–1.
    """
    cells = max(2, min(CELLS, min(size) // 4))
    drawn = (random.random((count, cells + 1, cells + 1)) < SHOWN).astype(np.float32)
    height, width = size
    masks = np.empty((count, height, width), np.float32)
    for mask, grid in zip(masks, drawn, strict=True):
        shift = random.random(2)
        down, across = (
            shift[axis] + np.arange(length) * (cells - 1) / length for axis, length in enumerate((height, width))
        )
        mask[:] = _bilinear(grid, down, across)
    return masks


def _bilinear(grid: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The values of a grid at fractional rows and columns."""
    top, left = rows.astype(int), columns.astype(int)
    down, across = (rows - top)[:, None], columns - left
    above = grid[top][:, left] * (1 - across) + grid[top][:, left + 1] * across
    below = grid[top + 1][:, left] * (1 - across) + grid[top + 1][:, left + 1] * across
    return above * (1 - down) + below * down
