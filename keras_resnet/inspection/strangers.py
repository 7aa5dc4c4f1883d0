"""Images that are like no others, as a trained network sees them: a placeholder, a picture of something else."""

from __future__ import annotations

import numpy as np

from keras_resnet.likeness import closest_others

NEIGHBOURS = 5
FEWEST = 30
"""Of fewer images it cannot be told what is usual among them."""
DEVIATIONS, LESS_ALIKE = 5.0, 0.2
"""How far an image's likeness to its neighbours lies below the median: in deviations, and in all. Measured with the
ResNet-50 of ImageNet: signs with a line of text, noise and plain grey lie at least 8 deviations and 0.33 below among
photographs of streets, cells and hands, and none of these photographs more than 10 deviations and 0.2. Among
photographs of 141 different things, signs cannot be told: nothing is alike there."""


def strangers(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Find images that are like no others.

    Args:
        vectors: float (n, features), what a network sees in each.

    Returns:
        int64 (k,): which, the strangest first; float (k,): how alike they are to their neighbours, 1 being the same;
        and what is usual.
    """
    if len(vectors) < FEWEST:
        return np.zeros(0, np.int64), np.zeros(0), 0.0
    alike = closest_others(vectors, NEIGHBOURS)[1].mean(axis=1, dtype=np.float64)
    usual = float(np.median(alike))
    deviation = 1.4826 * float(np.median(np.abs(alike - usual)))  # of a normal distribution
    far = usual - alike > max(DEVIATIONS * deviation, LESS_ALIKE)
    order = np.argsort(alike, kind="stable")
    found = order[far[order]]
    return found, alike[found], usual
