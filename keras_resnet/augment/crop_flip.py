"""Shift and mirror a batch of images, each by its own amount.

The CIFAR augmentation of He et al., 2015: pad, crop at random, mirror half of the images.
"""

from __future__ import annotations

import tensorflow as tf

from keras_resnet.augment.randomness import SampleRandom


def pad_crop(images: tf.Tensor, random: SampleRandom, *, margin: int, flip: bool) -> tf.Tensor:
    """Pad with black by `margin` pixels, crop the old size at a random place, mirror half if `flip`.

    Padding, crop and mirror are one choice of rows and columns, so that two gathers over the batch
    do all three.

    Args:
        images: (batch, height, width, channels), any dtype; the height and width are static.
        random: One number a sample decides each of shift down, shift right, mirror.
        margin: Pixels, at least 0; shifts are uniform in -margin … margin.
        flip: Mirror left and right with probability one half.

    Returns:
        The images' shape and dtype.
    """
    height, width = images.shape[1:3]
    padded = tf.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    top = random.integer("crop top", 0, 2 * margin)
    left = random.integer("crop left", 0, 2 * margin)
    rows = top[:, None] + tf.range(height)
    columns = tf.range(width)[None]
    if flip:
        mirrored = random.uniform("flip") < 0.5
        columns = tf.where(mirrored[:, None], width - 1 - columns, columns)
    columns = left[:, None] + columns
    return tf.gather(tf.gather(padded, rows, batch_dims=1), columns, axis=2, batch_dims=1)
