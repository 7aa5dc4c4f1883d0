"""Shear, shift and rotate a batch of images, each by its own amount; what comes in from outside is black.

One kernel of TensorFlow warps the whole batch. Signs and centres are those of Pillow, in whose terms
AutoAugment and its successors were published.
"""

from __future__ import annotations

import math

import tensorflow as tf


def warp(images: tf.Tensor, rows: tuple[tuple[tf.Tensor | float, ...], ...], *, smooth: bool = False) -> tf.Tensor:
    """Images whose pixel (x, y) is the old one at (a x + b y + c, d x + e y + f).

    Args:
        images: (batch, height, width, channels), uint8 or float.
        rows: ((a, b, c), (d, e, f)), each a number or float32 (batch,); coordinates are those of
            pixels' centres, the first pixel's being 0.5, as Pillow has them.
        smooth: Bilinear instead of the nearest pixel.
    """
    batch = tf.shape(images)[0]
    # The kernel counts from the first pixel's centre, so that the offsets move by half a pixel.
    (a, b, c), (d, e, f) = rows
    c, f = a * 0.5 + b * 0.5 + c - 0.5, d * 0.5 + e * 0.5 + f - 0.5
    numbers = [tf.broadcast_to(tf.cast(n, tf.float32), (batch,)) for n in (a, b, c, d, e, f, 0.0, 0.0)]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack(numbers, axis=1),
        output_shape=tf.shape(images)[1:3],
        interpolation="BILINEAR" if smooth else "NEAREST",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )


def shear_x(images: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    """Rows move left by `amount` times their height: float32 (batch,)."""
    return warp(images, ((1.0, amount, 0.0), (0.0, 1.0, 0.0)))


def shear_y(images: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    """Columns move up by `amount` times their distance from the left edge: float32 (batch,)."""
    return warp(images, ((1.0, 0.0, 0.0), (amount, 1.0, 0.0)))


def translate_x(images: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
    """Move left by whole pixels, the fraction dropped: float32 (batch,)."""
    width = images.shape[2]
    columns = tf.cast(pixels, tf.int32)[:, None] + tf.range(width)  # the cast drops the fraction
    inside = tf.cast((columns >= 0) & (columns < width), images.dtype)[:, None, :, None]
    return tf.gather(images, tf.clip_by_value(columns, 0, width - 1), axis=2, batch_dims=1) * inside


def translate_y(images: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
    """Move up by whole pixels, the fraction dropped: float32 (batch,)."""
    height = images.shape[1]
    rows = tf.cast(pixels, tf.int32)[:, None] + tf.range(height)
    inside = tf.cast((rows >= 0) & (rows < height), images.dtype)[:, :, None, None]
    return tf.gather(images, tf.clip_by_value(rows, 0, height - 1), axis=1, batch_dims=1) * inside


def rotate(images: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    """Turn counter-clockwise about the centre: float32 (batch,)."""
    height, width = images.shape[1:3]
    angle = -degrees * (math.pi / 180)
    cos, sin = tf.cos(angle), tf.sin(angle)
    x, y = width / 2, height / 2
    return warp(images, ((cos, sin, x - cos * x - sin * y), (-sin, cos, y + sin * x - cos * y)))
