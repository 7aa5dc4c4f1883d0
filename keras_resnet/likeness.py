"""How alike images are to one another, as a trained network sees them: the cosine between what it sees in two."""

from __future__ import annotations

import numpy as np

BLOCK = 1 << 24
"""Likenesses that are in memory at a time."""


def closest(vectors: np.ndarray, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The images that each of some others is most like.

    Args:
        vectors: float (n, features), what a network sees in each.
        queries: float (q, features), what it sees in those that are asked for.
        count: How many, at least 1; all of them if there are fewer.

    Returns:
        int64 (q, count), which, the most alike first; and float32 (q, count), how alike they are, 1 being the same.
    """
    return _closest(_directions(vectors), _directions(queries), min(count, len(vectors)), without_itself=False)


def closest_others(vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The other images that each image is most like.

    Args:
        vectors: float (n, features), what a network sees in each.
        count: How many others, at least 1; all of them if there are fewer.

    Returns:
        As `closest`, for each of the images.
    """
    directions = _directions(vectors)
    return _closest(directions, directions, min(count, max(len(vectors) - 1, 0)), without_itself=True)


def _closest(
    among: np.ndarray, asked: np.ndarray, count: int, *, without_itself: bool
) -> tuple[np.ndarray, np.ndarray]:
    order, alike = np.zeros((len(asked), count), np.int64), np.zeros((len(asked), count), np.float32)
    rows = max(1, BLOCK // max(1, len(among)))
    for start in range(0, len(asked) if count else 0, rows):
        block = slice(start, start + rows)
        likenesses = asked[block] @ among.T
        if without_itself:
            places = np.arange(len(likenesses))
            likenesses[places, start + places] = -np.inf
        least = np.partition(likenesses, -count, axis=1)[:, -count, None]
        above, just = likenesses > least, likenesses == least
        # Of those that are as much alike as the last one, the first by position.
        above |= just & (np.cumsum(just, axis=1) <= count - above.sum(axis=1, keepdims=True))
        best = np.nonzero(above)[1].reshape(-1, count)
        ranks = np.argsort(-np.take_along_axis(likenesses, best, axis=1), axis=1, kind="stable")
        order[block] = np.take_along_axis(best, ranks, axis=1)
        alike[block] = np.take_along_axis(likenesses, order[block], axis=1)
    return order, alike


def _directions(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
