"""Apply a different operation to every image of a batch, at the cost of one operation an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

Operation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""(images, amounts) → images of the same shape; amounts are float32 (batch,)."""


def identity(images: tf.Tensor, amount: tf.Tensor | None = None) -> tf.Tensor:
    """The images as they are."""
    return images


def each_its_own(
    images: tf.Tensor, operations: Sequence[Operation], choice: tf.Tensor, amounts: tf.Tensor
) -> tf.Tensor:
    """Apply `operations[choice[i]]` with `amounts[i]` to image i.

    The batch is split by operation, each operation works on its part, and the parts are joined again: fourteen
    operations cost little more than one. (Keras computes all fourteen on the whole batch and then selects; KerasCV
    goes through the images one by one.)

    Args:
        images: (batch, height, width, channels), any dtype.
        operations: The operations to choose from.
        choice: int32 (batch,), 0 … len(operations) - 1.
        amounts: float32 (batch,).

    Returns:
        Images of the same shape and dtype.
    """
    count = len(operations)
    places = tf.dynamic_partition(tf.range(tf.shape(images)[0]), choice, count)
    results = []
    for operation, place in zip(operations, places, strict=True):
        part = tf.gather(images, place)
        part.set_shape((None, *images.shape[1:]))
        results.append(operation(part, tf.gather(amounts, place)))
    joined = tf.dynamic_stitch(places, results)
    joined.set_shape(images.shape)
    return joined
