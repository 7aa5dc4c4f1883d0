"""Is one of two models better? Intervals for answers to the same images."""

from __future__ import annotations

import math

import numpy as np


def paired_difference(first: np.ndarray, second: np.ndarray) -> tuple[float, tuple[float, float]]:
    """The difference of two accuracies on the same images, in points, with its 95 % interval.

    The interval is Bonett and Price's (Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based
    on Paired Data, 2012): it holds where few images or none are decided otherwise, too.

    Args:
        first, second: bool (n,): which images each is right on.

    Returns:
        The second's accuracy less the first's; and the bounds of the interval.
    """
    images = len(first)
    lost, won = int((first & ~second).sum()), int((~first & second).sum())
    a, b = (won + 1) / (images + 2), (lost + 1) / (images + 2)
    half = 1.959964 * math.sqrt(max(a + b - (a - b) ** 2, 0.0) / (images + 2))
    bounds = max(-1.0, a - b - half), min(1.0, a - b + half)
    return 100 * (won - lost) / images, (100 * bounds[0], 100 * bounds[1])
