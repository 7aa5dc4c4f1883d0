"""Pillow's resize of 8-bit RGB images, compiled by Numba to vector instructions: the same arithmetic, to the last bit.

As in Pillow 13 (`src/libImaging/Resample.c`), an output pixel is the weighted mean of the input pixels under the
filter, which is as many times wider as the image shrinks. Weights are rounded to 22 bits. Rows are resized first and
columns second, or the other way round if that leaves far fewer pixels in between, and pixels are rounded in between.
For columns whole rows are added up, which LLVM vectorises by itself. For rows a pixel has three bytes, which LLVM does
not vectorise: there the four bytes that begin with a pixel are one vector, and the fourth sum is thrown away.

Nothing here holds Python's lock. The code is compiled at the first call, which takes some seconds, and is not cached in
a file, since Numba fails where it cannot write one.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

BITS = 22
"""Of a weight's fraction. A sum of 8-bit pixels then fits into 32 bits, the filter's negative parts included."""
HALF = 1 << (BITS - 1)

compiled = numba.njit(nogil=True, error_model="numpy")


def resize_rgb(pixels: np.ndarray, size: tuple[int, int], cubic: bool) -> np.ndarray:
    """Resize an RGB image as Pillow's `Image.resize` does.

    Args:
        pixels: uint8 (height, width, 3).
        size: Height and width of the result.
        cubic: Whether bicubic (a = -0.5) instead of bilinear.

    Returns:
        uint8 (*size, 3).
    """
    height, width = size
    flat = np.empty(height * width * 3 + 1, np.uint8)
    _resize(np.ascontiguousarray(pixels).reshape(len(pixels), -1), flat, height, width, cubic)
    return flat[:-1].reshape(height, width, 3)


@compiled
def _resize(pixels: np.ndarray, result: np.ndarray, height: int, width: int, cubic: bool) -> None:
    """From uint8 (height, 3 * width) into a flat array that is one byte longer than the result."""
    fewer_rows, fewer_columns = len(pixels) - height, pixels.shape[1] // 3 - width
    if fewer_rows > 0 and fewer_rows > 2 * fewer_columns:
        between = np.empty((height, pixels.shape[1]), np.uint8)
        _down(pixels, between, cubic)
        _across(between, result, width, cubic)
    else:
        wide = np.empty(len(pixels) * width * 3 + 1, np.uint8)
        _across(pixels, wide, width, cubic)
        _down(wide[:-1].reshape(len(pixels), width * 3), result[:-1].reshape(height, width * 3), cubic)


@compiled
def _across(pixels: np.ndarray, result: np.ndarray, width: int, cubic: bool) -> None:
    """Bring each row of (height, 3 * width) to another width; `result` is flat and one byte longer than the pixels."""
    height, length = pixels.shape
    first, taps, weights = _weights(length // 3, width, cubic)
    # Four bytes are read and written for each pixel of three. The fourth written byte is overwritten by the next pixel,
    # or is the one that the result is longer by; the fourth read byte must exist behind the last row, too.
    last_row = np.zeros(length + 1, np.uint8)
    last_row[:length] = pixels[height - 1]
    for y in range(height):
        row = last_row.ctypes.data if y == height - 1 else pixels.ctypes.data + y * length
        target = result.ctypes.data + y * width * 3
        for x in range(width):
            _sum_of_pixels(target + 3 * x, row + 3 * first[x], weights[x].ctypes.data, taps[x])


@compiled
def _down(pixels: np.ndarray, result: np.ndarray, cubic: bool) -> None:
    """Bring each column of (height, length) to another height."""
    height, length = result.shape
    first, taps, weights = _weights(len(pixels), height, cubic)
    sums = np.empty(length, np.int32)
    for y in range(height):
        sums[:] = HALF
        for tap in range(taps[y]):
            row, weight = pixels[first[y] + tap], weights[y, tap]
            for x in range(length):
                sums[x] += np.int32(row[x]) * weight
        for x in range(length):
            result[y, x] = min(max(sums[x] >> BITS, 0), 255)


@compiled
def _weights(inside: int, outside: int, cubic: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each output pixel: its first input pixel, their number, and their weights, int32 (outside, most)."""
    scale = inside / outside
    wider = max(scale, 1.0)
    support = (2.0 if cubic else 1.0) * wider
    first, taps = np.empty(outside, np.int32), np.empty(outside, np.int32)
    weights = np.zeros((outside, int(np.ceil(support)) * 2 + 1), np.int32)
    exact = np.empty(weights.shape[1])
    for place in range(outside):
        centre = (place + 0.5) * scale
        first[place] = max(int(centre - support + 0.5), 0)
        taps[place] = min(int(centre + support + 0.5), inside) - first[place]
        total = 0.0
        for tap in range(taps[place]):
            exact[tap] = _filter(abs((tap + first[place] - centre + 0.5) * (1.0 / wider)), cubic)
            total += exact[tap]
        for tap in range(taps[place]):
            weight = exact[tap] / total * (1 << BITS)
            weights[place, tap] = int(weight - 0.5 if weight < 0 else weight + 0.5)
    return first, taps, weights


@compiled
def _filter(distance: float, cubic: bool) -> float:
    if not cubic:
        return max(1.0 - distance, 0.0)
    if distance < 1:
        return (1.5 * distance - 2.5) * distance * distance + 1
    if distance < 2:
        return (((distance - 5) * distance + 8) * distance - 4) * -0.5
    return 0.0


@intrinsic
def _sum_of_pixels(_: Any, target: Any, pixels: Any, weights: Any, taps: Any) -> Any:
    """Store the weighted sum of pixels that are three bytes apart, as four bytes; all but `taps` are addresses."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, pixels, weights, taps = arguments
        word, count = ir.IntType(32), taps.type
        bytes_of_pixel, sums_of_pixel = ir.VectorType(ir.IntType(8), 4), ir.VectorType(word, 4)

        def four(number: int) -> ir.Constant:
            return ir.Constant(sums_of_pixel, [number] * 4)

        def at(address: Any, kind: Any, step: int, index: Any) -> Any:
            moved = builder.add(address, builder.mul(index, ir.Constant(count, step)))
            return builder.load(builder.inttoptr(moved, kind.as_pointer()), align=1)

        sums = cgutils.alloca_once_value(builder, four(HALF))
        with cgutils.for_range(builder, taps) as loop:
            pixel = builder.zext(at(pixels, bytes_of_pixel, 3, loop.index), sums_of_pixel)
            one = builder.insert_element(four(0), at(weights, word, 4, loop.index), ir.Constant(word, 0))
            weight = builder.shuffle_vector(one, one, four(0))
            builder.store(builder.add(builder.load(sums), builder.mul(pixel, weight)), sums)
        mean = builder.ashr(builder.load(sums), four(BITS))
        mean = builder.select(builder.icmp_signed("<", mean, four(0)), four(0), mean)
        mean = builder.select(builder.icmp_signed(">", mean, four(255)), four(255), mean)
        target = builder.inttoptr(target, bytes_of_pixel.as_pointer())
        builder.store(builder.trunc(mean, bytes_of_pixel), target, align=1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), generate
