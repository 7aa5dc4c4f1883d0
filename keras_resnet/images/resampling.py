"""Pixels brought to a size by Pillow's antialiased resize, or by the same compiled: the same bits several times faster.

Most of what a random crop of a JPEG costs besides decoding is the resize, and Pillow's handles one number at
a time. With Numba (the extra `fast`) RGB pixels are resized by vector instructions instead; which of the two is at
work changes no pixel (tests/images/test_resampling.py), so batches repeat with and without it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def resized(pixels: np.ndarray, size: tuple[int, int], resize: str) -> np.ndarray:
    """One image squeezed to a size.

    Args:
        pixels: uint8 (height, width) or (height, width, 3).
        size: Height and width of the result.
        resize: A key of `FILTERS`.

    Returns:
        uint8 (*size) or (*size, 3).
    """
    compiled = _compiled() if pixels.ndim == 3 else None
    if compiled is None:
        return np.asarray(Image.fromarray(pixels).resize(size[::-1], FILTERS[resize]))
    return compiled(pixels, size, resize == "bicubic")


@cache
def _compiled() -> Callable[[np.ndarray, tuple[int, int], bool], np.ndarray] | None:
    try:
        from keras_resnet.images.compiled_resize import resize_rgb
    except ImportError:  # no Numba, or one that refuses this NumPy
        return None
    return resize_rgb
