"""Resize pixels as Pillow does, antialiased, by Pillow itself or by compiled code that is several times faster.

Besides decoding, a random crop of a JPEG costs mostly the resize, and Pillow's handles one number at a time. With
Numba (the extra `fast`) RGB pixels are resized by vector instructions. Both give the same bits
(tests/images/test_resampling.py), so that batches are the same with and without it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def resized(pixels: np.ndarray, size: tuple[int, int], resize: str) -> np.ndarray:
    """Squeeze one image to a size.

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
    except ImportError:  # Numba is missing, or does not work with this NumPy
        return None
    return resize_rgb
