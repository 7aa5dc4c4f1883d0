"""How LiteRT turns scales into integers: what its kernels do before they run, to the last bit.

A real factor becomes a multiplier of 31 bits and a shift. Which products of scales are rounded to float32 on the way
differs from operator to operator, and follows LiteRT's `Prepare` functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from keras_resnet.errors import ModelError
from keras_resnet.quantize.graph import Tensor

ADD_SHIFT = 20
"""By how many bits sums are moved to the left before they are rounded."""
MOST_SHIFT = 30
RELU, RELU_N1_TO_1, RELU6 = 1, 2, 3
LIMITS = {RELU: (0.0, math.inf), RELU_N1_TO_1: (-1.0, 1.0), RELU6: (0.0, 6.0)}
"""Of fused activations, as the schema numbers them."""


@dataclass(frozen=True)
class Factor:
    """A real factor as integers: `multiplier * 2 ** (shift - 31)`."""

    multiplier: int
    shift: int

    @classmethod
    def of(cls, real: float) -> Factor:
        """The nearest one.

        Args:
            real: 0 or above.

        Raises:
            ModelError: It is larger than the kernels can shift.
        """
        mantissa, shift = math.frexp(real)
        multiplier = math.floor(mantissa * 2**31 + 0.5)
        if multiplier == 2**31:
            multiplier, shift = 2**30, shift + 1
        if shift > MOST_SHIFT:
            raise ModelError(f"a result is {real:.3g} times the scale of what it is made of, too much for the C code")
        return cls(0, 0) if shift < -31 else cls(multiplier, shift)

    def over(self, count: int) -> Factor:
        """Divided by a whole number, by which a mean divides its sum."""
        bits = min(count.bit_length() - 1, 32, 31 + self.shift)
        return Factor((self.multiplier << bits) // count, self.shift - bits)


def of_filters(taken: Tensor, weights: Tensor, given: Tensor) -> list[Factor]:
    """Of each filter of a convolution, or of a dense layer with a scale for each output.

    Args:
        taken, weights, given: Its input, its weights, its output.

    Returns:
        As many as the weights have scales.
    """
    filters = weights.shape[weights.axis] if len(weights.scales) > 1 else 1
    return [
        Factor.of(float(taken.scales[0]) * float(scale) / float(given.scales[0])) for scale in weights.scales[:filters]
    ]


def of_dense(taken: Tensor, weights: Tensor, given: Tensor) -> list[Factor]:
    """Of a dense layer: with one scale for all, that and the input's are first multiplied as float32.

    Args:
        taken, weights, given: As `of_filters`.
    """
    if len(weights.scales) > 1:
        return of_filters(taken, weights, given)
    return [Factor.of(float(taken.scales[0] * weights.scales[0]) / float(given.scales[0]))]


def of_sum(a: Tensor, b: Tensor, given: Tensor) -> tuple[Factor, Factor, Factor]:
    """Of both inputs of a sum or a difference, and of its result.

    Args:
        a, b: The inputs.
        given: The result.
    """
    twice = 2.0 * float(max(a.scales[0], b.scales[0]))
    result = twice / float(np.float32(1 << ADD_SHIFT) * given.scales[0])
    return Factor.of(float(a.scales[0]) / twice), Factor.of(float(b.scales[0]) / twice), Factor.of(result)


def of_product(a: Tensor, b: Tensor, given: Tensor) -> Factor:
    """Of a product: all in float32.

    Args:
        a, b, given: As `of_sum`.
    """
    return Factor.of(float(a.scales[0] * b.scales[0] / given.scales[0]))


def of_reduction(taken: Tensor, given: Tensor) -> Factor:
    """Of a sum over a side."""
    return Factor.of(float(taken.scales[0]) / float(given.scales[0]))


def limits(activation: int, given: Tensor) -> tuple[int, int]:
    """The least and the largest number that a fused activation lets through.

    Raises:
        KeyError: It is no activation with limits.
    """
    least, most = -128, 127
    if activation:
        low, high = LIMITS[activation]
        scale, zero = given.scales[0], int(given.zeros[0])
        least = max(least, zero + _rounded(np.float32(low) / scale))
        most = most if math.isinf(high) else min(most, zero + _rounded(np.float32(high) / scale))
    return least, most


def _rounded(real: np.float32) -> int:
    """To the nearest whole number, halves away from zero."""
    return int(math.copysign(math.floor(abs(float(real)) + 0.5), float(real)))
