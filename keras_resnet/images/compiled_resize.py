"""Pillow's resize of 8-bit RGB, compiled by Numba: its arithmetic to the last bit, in vector instructions.

As in Pillow 13 (`src/libImaging/Resample.c`), an output pixel is the weighted mean of the input pixels under the
filter, which is widened by the factor of shrinking; weights are rounded to 22 bits; across comes first and down second,
or the other way round where much less is left so, with pixels rounded in between. Down is a sum of whole rows, which
LLVM vectorises as it stands. Across has three bytes a pixel, which it does not: there the four bytes from a pixel on
are taken as one vector, and the fourth sum is thrown away.

Nothing here holds Python's lock. Compiled at the first call, in some seconds; not kept in a file, since Numba fails
where it cannot write one.
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
"""Of a weight's fraction: a sum of 8-bit pixels, negative lobes included, stays within 32."""
HALF = 1 << (BITS - 1)

compiled = numba.njit(nogil=True, error_model="numpy")


def resize_rgb(pixels: np.ndarray, size: tuple[int, int], cubic: bool) -> np.ndarray:
    """What `Image.resize` of Pillow makes of an RGB image.

    Args:
        pixels: uint8 (height, width, 3).
        size: Height and width of the result.
        cubic: Bicubic (a = -0.5) instead of bilinear.

    Returns:
        uint8 (*size, 3).
    """
    height, width = size
    flat = np.empty(height * width * 3 + 1, np.uint8)
    _resize(np.ascontiguousarray(pixels).reshape(len(pixels), -1), flat, height, width, cubic)
    return flat[:-1].reshape(height, width, 3)


@compiled
def _resize(pixels: np.ndarray, result: np.ndarray, height: int, width: int, cubic: bool) -> None:
    """From uint8 (height, 3 * width) to a flat array, which has one byte more than the pixels."""
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
    """Each row of (height, 3 * width) to another width, in a flat array with one byte more than the pixels."""
    height, length = pixels.shape
    first, taps, weights = _weights(length // 3, width, cubic)
    # Four bytes are read and written where three are meant. What is written too much belongs to the next pixel, which
    # comes later, or is the byte more; what is read too much must be there behind the last row as well.
    last_row = np.zeros(length + 1, np.uint8)
    last_row[:length] = pixels[height - 1]
    for y in range(height):
        row = last_row.ctypes.data if y == height - 1 else pixels.ctypes.data + y * length
        target = result.ctypes.data + y * width * 3
        for x in range(width):
            _sum_of_pixels(target + 3 * x, row + 3 * first[x], weights[x].ctypes.data, taps[x])


@compiled
def _down(pixels: np.ndarray, result: np.ndarray, cubic: bool) -> None:
    """Each column of (height, length) to another height."""
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
    """Of each output pixel: the first input pixel, how many there are, and their weights, int32 (outside, most)."""
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
    """Store the weighted sum of pixels, three bytes apart, as four bytes; all arguments but `taps` are addresses."""

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
