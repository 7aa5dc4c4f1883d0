"""Change the brightness and colours of a batch of images, each by its own amount.

Each gives the pixels that Pillow's operation of the same name gives (`ImageEnhance`, `ImageOps`),
in which AutoAugment and its successors were published; tests compare them. uint8 stays uint8;
floats, on the 0–255 scale, are not rounded. `equalize` and `posterize` are for uint8.
"""

from __future__ import annotations

import math

import tensorflow as tf


def blend(base: tf.Tensor, images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """`base` at factor 0, the image at 1, further away from the base above: floats in, images' dtype out.

    Args:
        base: Broadcasts to the images.
        images: (batch, height, width, channels).
        factor: float32 (batch,).
    """
    pixels = tf.cast(images, tf.float32)
    base = tf.cast(base, tf.float32)
    mixed = tf.clip_by_value(base + factor[:, None, None, None] * (pixels - base), 0.0, 255.0)
    return tf.cast(mixed, images.dtype)  # to uint8 it drops the fraction, as Pillow does


def grey(images: tf.Tensor) -> tf.Tensor:
    """Luminance (ITU-R 601) of (batch, height, width, 1 or 3); one channel, the same dtype."""
    if images.shape[-1] == 1:
        return images
    if images.dtype.is_floating:
        return tf.tensordot(images, tf.constant([0.299, 0.587, 0.114], images.dtype), 1)[..., None]
    # Pillow's whole numbers out of 65,536: the sums stay below 2^24, where float32 is exact.
    weighted = tf.tensordot(tf.cast(images, tf.float32), tf.constant([[19595.0], [38470.0], [7471.0]]), 1)
    return tf.cast((weighted + 32768.0) * (1 / 65536), images.dtype)


def brightness(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """0 gives black, 1 the image."""
    return blend(tf.constant(0.0), images, factor)


def contrast(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """0 gives each image's mean grey, 1 the image."""
    mean = tf.reduce_mean(tf.cast(grey(images), tf.float32), axis=(1, 2, 3), keepdims=True)
    return blend(mean if images.dtype.is_floating else tf.floor(mean + 0.5), images, factor)


def saturation(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """0 gives grey, 1 the image; AutoAugment calls it Color."""
    return images if images.shape[-1] == 1 else blend(grey(images), images, factor)


def sharpness(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """0 gives the image smoothed by a 3×3 kernel, 1 the image; the outermost pixels stay."""
    if min(images.shape[1:3]) < 3:
        return images
    pixels = tf.cast(images, tf.float32)
    # The sum over 3×3 as that of three rows, then of three columns, and the centre four times more.
    rows = pixels[:, :-2] + pixels[:, 1:-1] + pixels[:, 2:]
    sums = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4.0 * pixels[:, 1:-1, 1:-1]
    smooth = sums / 13.0
    if not images.dtype.is_floating:
        smooth = tf.floor(smooth + 0.5)
    inside = blend(smooth, images[:, 1:-1, 1:-1], factor)
    middle = tf.concat([images[:, 1:-1, :1], inside, images[:, 1:-1, -1:]], axis=2)
    return tf.concat([images[:, :1], middle, images[:, -1:]], axis=1)


def invert(images: tf.Tensor, amount: tf.Tensor | None = None) -> tf.Tensor:
    """White for black; there is no amount."""
    return 255 - images


def solarize(images: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Inverts pixels of at least the threshold, 0–255: float32 (batch,)."""
    limit = threshold[:, None, None, None]
    if images.dtype.is_floating:
        return tf.where(images >= limit, 255 - images, images)
    # Bytes are compared as bytes: above the byte below the limit, and all if there is none below.
    below = tf.cast(tf.clip_by_value(tf.math.ceil(limit) - 1.0, 0.0, 255.0), tf.uint8)
    inverted = (images > below) | (limit <= 0.0)
    return tf.bitwise.bitwise_xor(images, tf.cast(inverted, tf.uint8) * 255)


def posterize(images: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Keeps so many of the highest bits, 0–8: float32 (batch,)."""
    mask = 256.0 - tf.pow(2.0, 8.0 - bits)
    return tf.bitwise.bitwise_and(images, tf.cast(mask, tf.uint8)[:, None, None, None])


def autocontrast(images: tf.Tensor, amount: tf.Tensor | None = None) -> tf.Tensor:
    """Stretches each channel so that its darkest pixel is black and its brightest white; there is no amount."""
    # In float64, as Pillow reckons: in float32 a few values would end up one lower.
    low = tf.cast(tf.reduce_min(images, axis=(1, 2), keepdims=True), tf.float64)
    high = tf.cast(tf.reduce_max(images, axis=(1, 2), keepdims=True), tf.float64)
    scale = tf.where(high > low, 255.0 / tf.maximum(high - low, 1e-9), 1.0)
    offset = tf.where(high > low, -low * scale, 0.0)
    if images.dtype.is_floating:
        return images * tf.cast(scale, images.dtype) + tf.cast(offset, images.dtype)
    return tf.cast(tf.clip_by_value(tf.cast(images, tf.float64) * scale + offset, 0.0, 255.0), images.dtype)


def equalize(images: tf.Tensor, amount: tf.Tensor | None = None) -> tf.Tensor:
    """Makes all brightnesses of a channel about equally frequent; there is no amount."""
    batch, channels = tf.shape(images)[0], images.shape[-1]
    planes = tf.reshape(tf.range(batch * channels), (batch, 1, 1, channels)) * 256
    counts = tf.math.bincount(
        tf.reshape(tf.cast(images, tf.int32) + planes, (-1,)),
        minlength=batch * channels * 256,
        maxlength=batch * channels * 256,
    )
    counts = tf.reshape(counts, (batch * channels, 256))
    last = tf.reshape(tf.cast(tf.reduce_max(images, axis=(1, 2)), tf.int32), (-1,))  # the last that is not empty
    pixels = math.prod(images.shape[1:3])
    step = (pixels - tf.gather(counts, last, batch_dims=1)) // 255
    below = tf.cumsum(counts, axis=1, exclusive=True)
    levels = tf.minimum((step[:, None] // 2 + below) // tf.maximum(step, 1)[:, None], 255)
    levels = tf.where(step[:, None] > 0, levels, tf.range(256)[None])
    return _look_up(tf.transpose(tf.reshape(levels, (batch, channels, 256)), (0, 2, 1)), images)


def _look_up(tables: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """uint8 images through tables (batch, 256, channels) of their new values, fractions dropped."""
    batch, channels = tf.shape(images)[0], images.shape[-1]
    flat = tf.reshape(tf.cast(tables, tf.uint8), (-1,))
    starts = tf.range(batch)[:, None, None, None] * (256 * channels) + tf.range(channels)
    return tf.gather(flat, tf.cast(images, tf.int32) * channels + starts)


def hue(images: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Turns the colour wheel by a part of a whole turn, -0.5–0.5: float32 (batch,)."""
    if images.shape[-1] == 1:
        return images
    colours = tf.image.rgb_to_hsv(tf.cast(images, tf.float32) / 255.0)
    turned = tf.math.floormod(colours[..., 0] + turn[:, None, None], 1.0)
    pixels = 255.0 * tf.image.hsv_to_rgb(tf.stack([turned, colours[..., 1], colours[..., 2]], axis=-1))
    return pixels if images.dtype.is_floating else tf.cast(tf.round(pixels), images.dtype)
