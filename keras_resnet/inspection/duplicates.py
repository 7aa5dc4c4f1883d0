"""Images that are there more than once: the same bytes, or the same picture saved again.

Two pictures are compared by the gradients of their grey thumbnails, 14×14 of them across and down, as
one vector of length 1. Re-encoding, resizing, brightening and slight cropping hardly turn that vector;
another photograph of the same thing on the same wall does. How near is too near depends on the pile:
handwritten ones are nearer to each other than photographs of ships. So it is measured first how far
images of this pile lie from their nearest neighbours, and a pair counts if it is several times nearer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

MOST_COMPARED = 100_000
"""Every image is compared with every other: twice as many take four times as long."""
SAMPLE = 1000
NEARER = 0.3
"""A pair is a duplicate if its distance is this share of what is usual between nearest neighbours,"""
SURELY_NEAR, SURELY_FAR = 0.02, 0.15
"""but always at the one distance (1 - cosine) and never beyond the other: measured on photographs of hands,
CIFAR-10 and digits of 8×8 pixels against copies saved again."""
OTHER_COLOURS = 0.4
"""Mean difference of colours, in standard deviations, from which pictures of one shape are two pictures."""
FAINT = 1.0
"""Of 255: mean gradient below which a thumbnail shows nothing that could be compared."""
BLOCK = 1 << 24
"""Similarities that are in memory at a time."""


def exact_groups(digests: Sequence[bytes]) -> list[np.ndarray]:
    """The positions of each digest that is there more than once."""
    _, number = np.unique(np.array([*digests], dtype="S32"), return_inverse=True)
    return _groups(number)


def near_groups(thumbnails: np.ndarray, seed: int = 0) -> list[np.ndarray]:
    """The positions of pictures that are each nearly the same as another of their group.

    Args:
        thumbnails: uint8 (n, 32, 32, 3). Beyond `MOST_COMPARED` a choice of them is compared.
        seed: Of the choice, and of the sample by which the usual distance is measured.
    """
    random = np.random.default_rng(seed)
    chosen = np.arange(len(thumbnails))
    if len(chosen) > MOST_COMPARED:
        chosen = np.sort(random.choice(chosen, MOST_COMPARED, replace=False))
        thumbnails = thumbnails[chosen]
    if len(chosen) < 2:
        return []
    shapes = _in_parts(_shapes, thumbnails)
    colours = _in_parts(_colours, thumbnails)
    alike = 1 - _near(shapes, random.permutation(len(shapes))[:SAMPLE])
    component = np.arange(len(shapes))
    rows = max(1, BLOCK // len(shapes))
    for start in range(0, len(shapes), rows):
        first, second = np.nonzero(shapes[start : start + rows] @ shapes[start:].T >= alike)
        first, second = first + start, second + start
        unjoined = (first < second) & (component[first] != component[second])
        first, second = first[unjoined], second[unjoined]
        same = _same_colours(colours, first, second)
        component = _joined(component, first[same], second[same])
    return [chosen[group] for group in _groups(component)]


def _near(shapes: np.ndarray, sample: np.ndarray) -> float:
    """The distance at which a pair of this pile is a duplicate."""
    distances = []
    for part in np.array_split(sample, max(1, len(sample) * len(shapes) // BLOCK)):
        distance = 1 - shapes[part] @ shapes.T
        # Duplicates, and each image itself, say nothing of how far apart different images are.
        distance[distance <= SURELY_NEAR] = np.inf
        distances.append(distance.min(axis=1))
    usual = float(np.median(np.concatenate(distances)))
    return float(np.clip(NEARER * usual, SURELY_NEAR, SURELY_FAR))


def _shapes(thumbnails: np.ndarray) -> np.ndarray:
    """float32 (n, 392): gradients of grey 16×16 thumbnails, each image's of length 1; zeros for a faint one."""
    grey = _halved(thumbnails @ np.array([0.299, 0.587, 0.114], np.float32))
    across, down = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2], grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    gradients = np.stack([across, down], axis=1).reshape(len(grey), -1)
    gradients[np.abs(gradients).mean(axis=1) < FAINT] = 0
    gradients -= gradients.mean(axis=1, keepdims=True)
    return gradients / np.maximum(np.linalg.norm(gradients, axis=1, keepdims=True), 1e-6)


def _colours(thumbnails: np.ndarray) -> np.ndarray:
    """float16 (n, 768): colours of 16×16 thumbnails, each image's of mean 0 and deviation 1."""
    colours = _halved(thumbnails.astype(np.float32)).reshape(len(thumbnails), -1)
    colours -= colours.mean(axis=1, keepdims=True)
    return (colours / np.maximum(colours.std(axis=1, keepdims=True), 1)).astype(np.float16)


def _same_colours(colours: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    parts = max(1, len(first) * colours.shape[1] // BLOCK)
    differences = [
        np.abs(colours[i] - colours[j]).mean(axis=1, dtype=np.float32)
        for i, j in zip(np.array_split(first, parts), np.array_split(second, parts), strict=True)
    ]
    return np.concatenate(differences) < OTHER_COLOURS


def _halved(thumbnails: np.ndarray) -> np.ndarray:
    """Every 2×2 pixels averaged."""
    count, height, width, *channels = thumbnails.shape
    return thumbnails.reshape(count, height // 2, 2, width // 2, 2, *channels).mean(axis=(2, 4), dtype=np.float32)


def _in_parts(describe: Callable[[np.ndarray], np.ndarray], thumbnails: np.ndarray) -> np.ndarray:
    """A description of all thumbnails, whose float intermediates never take more than some 50 MB."""
    return np.concatenate([describe(thumbnails[start : start + 4096]) for start in range(0, len(thumbnails), 4096)])


def _joined(component: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Components after the pairs have been joined."""
    if not len(first):
        return component
    links = coo_array((np.ones(len(first), bool), (component[first], component[second])), shape=(len(component),) * 2)
    return connected_components(links, directed=False)[1][component]


def _groups(number: np.ndarray) -> list[np.ndarray]:
    """Positions that have the same number, where there is more than one; by their first."""
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order])) + 1
    return sorted((group for group in np.split(order, starts) if len(group) > 1), key=lambda group: int(group[0]))
