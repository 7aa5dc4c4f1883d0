"""Random numbers that depend on nothing but (seed, epoch, sample, draw).

A sample gets the same numbers in any batch, order or number of workers, from any batch on: that is
what makes a resumed training see exactly what an uninterrupted one sees. `tf.random.stateless_*`
takes one seed a tensor; here every sample of a batch has its own, in one vectorised hash.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import tensorflow as tf


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
    """

    seed: int
    epoch: tf.Tensor
    samples: tf.Tensor

    def bits(self, draw: str) -> tf.Tensor:
        """uint32 (batch,), all different; `draw` names what it is for, and other names are independent."""
        stream = zlib.crc32(draw.encode())
        bits = mix(tf.constant(self.seed & 0xFFFFFFFF, tf.uint32) + tf.constant(0x9E3779B9, tf.uint32))
        for word in (tf.cast(self.epoch, tf.uint32), tf.constant(stream, tf.uint32), tf.cast(self.samples, tf.uint32)):
            # The sample comes last: `mix` is a bijection, so no two samples share a number.
            bits = mix(tf.bitwise.bitwise_xor(bits, word) + tf.constant(0x9E3779B9, tf.uint32))
        return bits

    def uniform(self, draw: str) -> tf.Tensor:
        """float32 (batch,) in [0, 1)."""
        top = tf.bitwise.right_shift(self.bits(draw), tf.constant(8, tf.uint32))  # float32 holds 24 bits exactly
        return tf.cast(top, tf.float32) * (1.0 / (1 << 24))

    def integer(self, draw: str, low: int, high: int) -> tf.Tensor:
        """int32 (batch,), each of low … high equally likely."""
        return low + tf.cast(tf.floor(self.uniform(draw) * float(high - low + 1)), tf.int32)
