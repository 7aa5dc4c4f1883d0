"""From a split to batches, as tf.data.

The order is a permutation by (seed, epoch), and the augmentation a function of (seed, epoch,
sample), so that the batches from any epoch on are the same whether or not the earlier ones were
ever read. Nothing has a state that a checkpoint would have to hold.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from keras_resnet.augment.policies import Policy
from keras_resnet.augment.randomness import SampleRandom
from keras_resnet.data.images import Split


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Full batches in an epoch; at least one."""
    return max(1, len(split) // batch_size)


def training_batches(
    split: Split,
    num_classes: int,
    batch_size: int,
    policy: Policy,
    *,
    seed: int,
    first_epoch: int = 0,
    epochs: int = 1,
) -> tf.data.Dataset:
    """Shuffled, augmented batches of the epochs `first_epoch` … `epochs` - 1, one after the other.

    An epoch has full batches only: a last batch of a few images would disturb batch normalisation,
    and with another permutation every epoch no image is left out for long. A split smaller than
    `batch_size` makes one batch.

    Args:
        split: What to train on.
        num_classes: Length of the one-hot labels.
        batch_size: At least 1.
        policy: The augmentation.
        seed: 0 … 2^31 - 1.
        first_epoch: Where to begin.
        epochs: Where to end.

    Returns:
        A dataset of (images, labels): uint8 (batch, height, width, channels), float32 (batch, num_classes).
    """
    count, size, steps = len(split), min(batch_size, len(split)), steps_per_epoch(split, batch_size)
    labels = tf.constant(split.labels)

    def positions(epoch: tf.Tensor) -> tf.data.Dataset:
        batches = tf.reshape(permutation(count, seed, epoch)[: steps * size], (steps, size))
        return tf.data.Dataset.from_tensor_slices(batches).map(lambda batch: (epoch, batch))

    def batch(epoch: tf.Tensor, order: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = _read(split, order, size)
        return policy(images, SampleRandom(seed, epoch, order)), tf.one_hot(tf.gather(labels, order), num_classes)

    dataset = tf.data.Dataset.range(first_epoch, epochs).flat_map(positions)
    return dataset.map(batch, num_parallel_calls=2, deterministic=True).prefetch(4)


def permutation(count: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """int64 (count,): 0 … count - 1 in the order of this epoch.

    (`tf.random.experimental.index_shuffle` would do without a sort, but of 50,000 images the orders
    of two epochs correlate by 0.65.)
    """
    numbers = SampleRandom(seed, epoch, tf.range(count)).bits("order")
    return tf.cast(tf.argsort(tf.cast(numbers, tf.int64), stable=True), tf.int64)


def evaluation_batches(split: Split, num_classes: int, batch_size: int) -> tf.data.Dataset:
    """All images of a split in order, as they are; the last batch may be smaller.

    Returns:
        A dataset of (images, labels) as `training_batches` gives them.
    """
    count = len(split)
    labels = tf.constant(split.labels)

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        order = tf.range(step * batch_size, tf.minimum((step + 1) * batch_size, count))
        return _read(split, order, None), tf.one_hot(tf.gather(labels, order), num_classes)

    return tf.data.Dataset.range(math.ceil(count / batch_size)).map(batch).prefetch(2)


def _read(split: Split, positions: tf.Tensor, size: int | None) -> tf.Tensor:
    images = tf.numpy_function(split.read, [positions], tf.uint8, stateful=False)
    images.set_shape((size, *split.images.shape))
    return images


def pixel_statistics(split: Split, most: int = 10_000) -> tuple[float, float]:
    """Mean and standard deviation of all pixels and channels, on the 0–255 scale, rounded to whole ones.

    One number for all channels, and a whole one: the exported INT8 network then normalises its
    input without any rounding error, at no measurable cost in accuracy (batch normalisation
    follows the first convolution).

    Args:
        split: The training images.
        most: Look at no more than so many of them, evenly spaced.
    """
    positions = np.unique(np.linspace(0, len(split) - 1, min(most, len(split))).astype(np.int64))
    total = squares = count = 0.0
    for start in range(0, len(positions), 256):
        pixels = split.read(positions[start : start + 256]).astype(np.float64)
        total, squares, count = total + pixels.sum(), squares + np.square(pixels).sum(), count + pixels.size
    mean = total / count
    return float(round(mean)), float(max(1, round(math.sqrt(max(squares / count - mean**2, 0.0)))))
