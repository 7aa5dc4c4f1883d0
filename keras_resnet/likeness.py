"""How alike images are to one another, as a trained network sees them: the cosine between what it sees in two."""

from __future__ import annotations

import numpy as np

BLOCK = 1 << 24
"""Likenesses that are in memory at a time."""


def closest_others(vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The other images that each image is most like.

    Args:
        vectors: float (n, features), what a network sees in each.
        count: How many others, at least 1 and fewer than n.

    Returns:
        int64 (n, count), which, the most alike first; and float32 (n, count), how alike they are, 1 being the same.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    order, alike = np.zeros((len(vectors), count), np.int64), np.zeros((len(vectors), count), np.float32)
    rows = max(1, BLOCK // max(1, len(vectors)))
    for start in range(0, len(vectors), rows):
        likenesses = directions[start : start + rows] @ directions.T
        places = np.arange(len(likenesses))
        likenesses[places, start + places] = -np.inf  # each is itself
        best = np.argpartition(-likenesses, count - 1, axis=1)[:, :count]
        best = np.take_along_axis(
            best, np.argsort(-np.take_along_axis(likenesses, best, axis=1), axis=1, kind="stable"), axis=1
        )
        order[start : start + rows] = best
        alike[start : start + rows] = np.take_along_axis(likenesses, best, axis=1)
    return order, alike
