"""Random numbers that depend on (seed, epoch, sample, draw) alone.

A sample gets the same numbers in any batch, at any place in it, and with any number of workers. So a training that
continues sees exactly the images that an uninterrupted one sees. `tf.random.stateless_*` takes one seed for a whole
tensor; here every sample of a batch has its own seed, and one vectorised hash serves them all.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import tensorflow as tf
from scipy import stats


def mix(bits: tf.Tensor) -> tf.Tensor:
    """The finaliser of MurmurHash3 (Appleby, public domain): a bijection of uint32 in which every bit affects all."""
    bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32)))
    bits = bits * tf.constant(0x85EBCA6B, tf.uint32)
    bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(13, tf.uint32)))
    bits = bits * tf.constant(0xC2B2AE35, tf.uint32)
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32)))


@dataclass(frozen=True)
class SampleRandom:
    """The randomness of one batch.

    Args:
        seed: The seed of the training.
        epoch: Scalar integer tensor.
        samples: Integer tensor (batch,): the index of each sample in the data set.
        step: Scalar integer tensor: the number of the batch in its epoch, for numbers drawn once for a whole batch.
        copies: Integer tensor (batch,): different numbers where a sample appears several times in an epoch (repeated
            augmentation, balanced sampling). None: every sample appears once.
        scope: Put before the name of every draw.
    """

    seed: int
    epoch: tf.Tensor
    samples: tf.Tensor
    step: tf.Tensor | int = 0
    copies: tf.Tensor | None = None
    scope: str = ""

    def within(self, scope: str) -> SampleRandom:
        """The same samples with independent numbers: draws of one name in two scopes differ."""
        return replace(self, scope=f"{self.scope}{scope}/")

    @property
    def once(self) -> SampleRandom:
        """Numbers for the batch as a whole: every draw gives one number."""
        return replace(self, samples=tf.reshape(self.step, (1,)), copies=None, scope=f"{self.scope}batch/")

    def bits(self, draw: str) -> tf.Tensor:
        """uint32 (batch,), all different. `draw` names their purpose; other names give independent numbers."""
        return self._table((draw,))[0]

    def _table(self, draws: Sequence[str]) -> tf.Tensor:
        """uint32 (draws, batch): the bits of several draws, at hardly more cost than those of one."""
        names = [zlib.crc32(f"{self.scope}{draw}".encode()) for draw in draws]
        words = [self.epoch, tf.constant(names, tf.uint32)[:, None]]
        if self.copies is not None:
            words.append(self.copies)
        bits = mix(tf.constant(self.seed & 0xFFFFFFFF, tf.uint32) + tf.constant(0x9E3779B9, tf.uint32))
        for word in (*words, self.samples):
            # The sample comes last: as `mix` is a bijection, no two samples get the same number.
            bits = mix(tf.bitwise.bitwise_xor(bits, tf.cast(word, tf.uint32)) + tf.constant(0x9E3779B9, tf.uint32))
        return bits

    def uniforms(self, draws: Sequence[str]) -> tf.Tensor:
        """float32 (draws, batch) in [0, 1): what `uniform` gives for each."""
        return unit_interval(self._table(draws))

    def uniform(self, draw: str, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        """float32 (batch,) in [low, high).

        Args:
            draw: What the numbers are for.
            low, high: Their range.
        """
        return low + unit_interval(self.bits(draw)) * (high - low)

    def several(self, draw: str, count: int, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        """float32 (batch, count) in [low, high): several numbers for each sample.

        Args:
            draw: What the numbers are for.
            count: How many a sample gets.
            low, high: Their range.
        """
        return low + tf.transpose(self.uniforms([f"{draw} {number}" for number in range(count)])) * (high - low)

    def integer(self, draw: str, low: int, high: int) -> tf.Tensor:
        """int32 (batch,), uniform.

        Args:
            draw: What the numbers are for.
            low, high: The smallest and largest, both included.
        """
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
        """int32 (batch, length): for each sample, 0 … length - 1 in a random order."""
        return tf.argsort(self.several(draw, length), axis=1)


def unit_interval(bits: tf.Tensor) -> tf.Tensor:
    """uint32 to float32 in [0, 1)."""
    top = tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32))  # float32 holds 24 bits exactly
    return tf.cast(top, tf.float32) * (1.0 / (1 << 24))


PACKET = 64
"""A multiple of the numbers that any processor's vector instructions take at once."""


def in_whole_packets(function: Callable[[tf.Tensor], tf.Tensor], numbers: tf.Tensor) -> tf.Tensor:
    """Apply exp, log, sin or cos so that each result depends on its own number alone.

    TensorFlow takes several numbers at once by vector instructions, and the last ones of a tensor one by one by others.
    Of exp and log the last bit then differs in one number of six. So without this, what is drawn for an image would
    depend on its batch. (Square roots and sums are rounded alike by both.)

    Args:
        function: Number by number; it is called with more numbers than there are.
        numbers: Floats of any shape.

    Returns:
        The function of each; same shape and dtype.
    """
    flat = tf.reshape(numbers, (-1,))
    count = tf.size(flat)
    results = function(tf.pad(flat, [[0, -count % PACKET]], constant_values=1))[:count]
    return tf.ensure_shape(tf.reshape(results, tf.shape(numbers)), numbers.shape)


def integer_between(numbers: tf.Tensor, low: int, high: int) -> tf.Tensor:
    """Turn uniform numbers into uniform whole numbers.

    Args:
        numbers: float32 in [0, 1), any shape.
        low, high: The smallest and largest result, both included.

    Returns:
        int32 of the same shape.
    """
    return low + tf.cast(tf.floor(numbers * float(high - low + 1)), tf.int32)


QUANTILES = 4096


@lru_cache
def beta_quantiles(alpha: float) -> np.ndarray:
    """float32 (4096,): quantiles of Beta(alpha, alpha) in the middle of each of 4,096 equal steps.

    (The usual generator of beta variates needs an unknown number of draws.)
    """
    return stats.beta.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, alpha, alpha).astype(np.float32)
