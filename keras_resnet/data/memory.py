"""Memory that NumPy and TensorFlow share, so that graphs read pixels without calling Python."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

ALIGNMENT = 64
"""In bytes: TensorFlow ends the process if a tensor's memory does not begin at a multiple of this."""


def memory_for_images() -> int:
    """The bytes that decoded images may take: a quarter of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4


def aligned_empty(shape: tuple[int, ...]) -> np.ndarray:
    """An uninitialised uint8 array of this shape that TensorFlow can read."""
    size = int(np.prod(shape))
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].reshape(shape)


def aligned(pixels: np.ndarray) -> np.ndarray:
    """The pixels where TensorFlow can read them; they are copied if need be, unless they are too many for that.

    Args:
        pixels: uint8.
    """
    if _is_shareable(pixels) or pixels.nbytes > memory_for_images():
        return pixels
    copy = aligned_empty(pixels.shape)
    copy[...] = pixels
    return copy


def as_tensor(pixels: np.ndarray) -> tf.Tensor | None:
    """The same memory as a tensor on the CPU; None if TensorFlow cannot read it."""
    import tensorflow as tf

    return tf.experimental.dlpack.from_dlpack(pixels.__dlpack__()) if _is_shareable(pixels) else None


def _is_shareable(pixels: np.ndarray) -> bool:
    flags = pixels.flags  # read-only memory is left out, since DLPack cannot express it
    return flags.c_contiguous and flags.writeable and pixels.size > 0 and pixels.ctypes.data % ALIGNMENT == 0
