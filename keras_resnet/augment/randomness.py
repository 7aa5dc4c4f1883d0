"""Random numbers that depend on nothing but (seed, epoch, sample, draw).

A sample gets the same numbers in any batch, order or number of workers, from any batch on: that is
what makes a resumed training see exactly what an uninterrupted one sees. `tf.random.stateless_*`
takes one seed a tensor; here every sample of a batch has its own, in one vectorised hash.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import tensorflow as tf
from scipy import stats


def mix(bits: tf.Tensor) -> tf.Tensor:
    """The finaliser of MurmurHash3 (Appleby, public domain): a bijection of uint32 that scatters every bit."""
    bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32)))
    bits = bits * tf.constant(0x85EBCA6B, tf.uint32)
    bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(13, tf.uint32)))
    bits = bits * tf.constant(0xC2B2AE35, tf.uint32)
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32)))


@dataclass(frozen=True)
class SampleRandom:
    """The randomness of one batch.

    Args:
        seed: Of the whole training.
        epoch: Scalar integer tensor.
        samples: Integer tensor (batch,), each sample's index in the data set.
        step: Scalar integer tensor, the batch's number in its epoch; decides what is drawn once a batch.
        copies: Integer tensor (batch,), by which the showings of a sample in one epoch differ (repeated
            augmentation, balanced sampling); None where every sample is shown once.
        scope: Put before the name of every draw.
    """

    seed: int
    epoch: tf.Tensor
    samples: tf.Tensor
    step: tf.Tensor | int = 0
    copies: tf.Tensor | None = None
    scope: str = ""

    def within(self, scope: str) -> SampleRandom:
        """The same samples with other numbers: draws of one name in two scopes are independent."""
        return replace(self, scope=f"{self.scope}{scope}/")

    @property
    def once(self) -> SampleRandom:
        """Numbers for the batch as a whole: every draw has length one."""
        return replace(self, samples=tf.reshape(self.step, (1,)), copies=None, scope=f"{self.scope}batch/")

    def bits(self, draw: str) -> tf.Tensor:
        """uint32 (batch,), all different; `draw` names what it is for, and other names are independent."""
        return self._table((draw,))[0]

    def _table(self, draws: Sequence[str]) -> tf.Tensor:
        """uint32 (draws, batch): the bits of several draws, for hardly more than those of one."""
        names = [zlib.crc32(f"{self.scope}{draw}".encode()) for draw in draws]
        words = [self.epoch, tf.constant(names, tf.uint32)[:, None]]
        if self.copies is not None:
            words.append(self.copies)
        bits = mix(tf.constant(self.seed & 0xFFFFFFFF, tf.uint32) + tf.constant(0x9E3779B9, tf.uint32))
        for word in (*words, self.samples):
            # The sample comes last: `mix` is a bijection, so no two samples share a number.
            bits = mix(tf.bitwise.bitwise_xor(bits, tf.cast(word, tf.uint32)) + tf.constant(0x9E3779B9, tf.uint32))
        return bits

    def uniforms(self, draws: Sequence[str]) -> tf.Tensor:
        """float32 (draws, batch) in [0, 1): what `uniform` gives for each."""
        return unit_interval(self._table(draws))

    def uniform(self, draw: str, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        """float32 (batch,) in [low, high)."""
        return low + unit_interval(self.bits(draw)) * (high - low)

    def several(self, draw: str, count: int, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        """float32 (batch, count) in [low, high): so many numbers for each sample.

        Args:
            draw: What they are for.
            count: How many.
            low, high: Their range.
        """
        return low + tf.transpose(self.uniforms([f"{draw} {number}" for number in range(count)])) * (high - low)

    def integer(self, draw: str, low: int, high: int) -> tf.Tensor:
        """int32 (batch,), each of low … high equally likely."""
        return integer_between(self.uniform(draw), low, high)

    def event(self, draw: str, probability: float | tf.Tensor) -> tf.Tensor:
        """True with this probability: bool (batch,)."""
        return self.uniform(draw) < probability

    def quantile(self, draw: str, table: np.ndarray) -> tf.Tensor:
        """float32 (batch,) from the distribution whose quantiles at equal steps `table` holds."""
        return tf.gather(tf.constant(table, tf.float32), self.integer(draw, 0, len(table) - 1))

    def beta(self, draw: str, alpha: float) -> tf.Tensor:
        """float32 (batch,) from Beta(alpha, alpha)."""
        return self.quantile(draw, beta_quantiles(alpha))

    def permutation(self, draw: str, length: int) -> tf.Tensor:
        """int32 (batch, length): 0 … length - 1 in an order of each sample's own."""
        return tf.argsort(self.several(draw, length), axis=1)


def unit_interval(bits: tf.Tensor) -> tf.Tensor:
    """uint32 to float32 in [0, 1)."""
    top = tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32))  # float32 holds 24 bits exactly
    return tf.cast(top, tf.float32) * (1.0 / (1 << 24))


def integer_between(numbers: tf.Tensor, low: int, high: int) -> tf.Tensor:
    """Numbers in [0, 1) as int32, each of low … high equally likely."""
    return low + tf.cast(tf.floor(numbers * float(high - low + 1)), tf.int32)


QUANTILES = 4096


@lru_cache
def beta_quantiles(alpha: float) -> np.ndarray:
    """Quantiles of Beta(alpha, alpha) at the middles of 4,096 equal steps.

    A generator of gamma variates would need a number of draws that is not known beforehand.
    """
    return stats.beta.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, alpha, alpha).astype(np.float32)
