"""Change the brightness and colours of a batch of images, each by its own amount.

Each function gives the pixels of Pillow's operation of the same name (`ImageEnhance`, `ImageOps`), with which
AutoAugment and its successors were published; tests compare them. uint8 stays uint8. Floats are on the 0–255 scale and
are not rounded. `equalize` and `posterize` are for uint8 only.
"""

from __future__ import annotations

import math

import tensorflow as tf


def blend(base: tf.Tensor, images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blend images with a base: factor 0 gives the base, 1 the image, and more than 1 leads away from the base.

    Args:
        base: Broadcasts to the images.
        images: (batch, height, width, channels), on the 0–255 scale.
        factor: float32 (batch,), at least 0.

    Returns:
        Images of the same shape and dtype, clipped to 0–255.
    """
    pixels = tf.cast(images, tf.float32)
    base = tf.cast(base, tf.float32)
    mixed = tf.clip_by_value(base + factor[:, None, None, None] * (pixels - base), 0.0, 255.0)
    return tf.cast(mixed, images.dtype)  # fractions are dropped, as in Pillow


def grey(images: tf.Tensor, copies: int = 1) -> tf.Tensor:
    """Luminance (ITU-R 601) of (batch, height, width, 1 or 3), repeated in so many channels if there are colours."""
    return images if images.shape[-1] == 1 else tf.cast(_luminance(images, copies), images.dtype)


def _luminance(images: tf.Tensor, copies: int = 1) -> tf.Tensor:
    """`grey` as floats; whole numbers where the images are uint8."""
    pixels = images if images.dtype.is_floating else tf.cast(images, tf.float32)
    if images.shape[-1] == 1:
        return pixels
    if images.dtype.is_floating:
        return tf.tensordot(
            pixels, tf.constant([[0.299] * copies, [0.587] * copies, [0.114] * copies], pixels.dtype), 1
        )
    # Pillow's coefficients, in units of 1/65,536: the sums need 24 bits, which float32 holds exactly.
    parts = [[19595 / 65536] * copies, [38470 / 65536] * copies, [7471 / 65536] * copies]
    return tf.floor(tf.tensordot(pixels, tf.constant(parts), 1) + 0.5)


def brightness(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """0 gives black, 1 the image."""
    return blend(tf.constant(0.0), images, factor)


def contrast(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """0 gives each image's mean grey, 1 the image."""
    mean = tf.reduce_mean(_luminance(images), axis=(1, 2, 3), keepdims=True)
    return blend(mean if images.dtype.is_floating else tf.floor(mean + 0.5), images, factor)


def saturation(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """0 gives grey, 1 the image; AutoAugment calls it Color."""
    # Three channels of grey: to repeat one would take twice as long as to compute three.
    return images if images.shape[-1] == 1 else blend(_luminance(images, 3), images, factor)


def sharpness(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """0 gives the image smoothed by a 3×3 kernel, 1 the image; the outermost pixels stay."""
    if min(images.shape[1:3]) < 3:
        return images
    pixels = tf.cast(images, tf.float32)
    # The sum over 3×3: over three rows, then over three columns; the centre counts five times.
    rows = pixels[:, :-2] + pixels[:, 1:-1] + pixels[:, 2:]
    sums = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4.0 * pixels[:, 1:-1, 1:-1]
    smooth = sums / 13.0
    if not images.dtype.is_floating:
        smooth = tf.floor(smooth + 0.5)
    inside = blend(smooth, images[:, 1:-1, 1:-1], factor)
    middle = tf.concat([images[:, 1:-1, :1], inside, images[:, 1:-1, -1:]], axis=2)
    return tf.concat([images[:, :1], middle, images[:, -1:]], axis=1)


def invert(images: tf.Tensor, amount: tf.Tensor | None = None) -> tf.Tensor:
    """Negative image; takes no amount."""
    return 255 - images


def solarize(images: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Inverts values at or above the threshold, float32 (batch,), 0–255."""
    limit = threshold[:, None, None, None]
    if images.dtype.is_floating:
        return tf.where(images >= limit, 255 - images, images)
    # Bytes are compared with a byte: at or above the limit means above the byte below it. Below 0 there is none.
    below = tf.cast(tf.clip_by_value(tf.math.ceil(limit) - 1.0, 0.0, 255.0), tf.uint8)
    inverted = (images > below) | (limit <= 0.0)
    return tf.bitwise.bitwise_xor(images, tf.cast(inverted, tf.uint8) * 255)


def posterize(images: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Keeps only the highest bits, as many as float32 (batch,), 0–8, says."""
    mask = tf.bitwise.left_shift(255, 8 - tf.cast(bits, tf.int32))
    return tf.bitwise.bitwise_and(images, tf.cast(mask & 255, tf.uint8)[:, None, None, None])


def autocontrast(images: tf.Tensor, amount: tf.Tensor | None = None) -> tf.Tensor:
    """Stretches each channel so that its darkest value becomes 0 and its brightest 255; takes no amount."""
    # In float64, as in Pillow: in float32 a few values would end up one lower.
    low = tf.cast(tf.reduce_min(images, axis=(1, 2)), tf.float64)
    high = tf.cast(tf.reduce_max(images, axis=(1, 2)), tf.float64)
    scale = tf.where(high > low, 255.0 / tf.maximum(high - low, 1e-9), 1.0)
    offset = tf.where(high > low, -low * scale, 0.0)
    kind = images.dtype if images.dtype.is_floating else tf.float64
    stretched = _rows(tf.cast(images, kind)) * _row_of(scale, images, kind) + _row_of(offset, images, kind)
    if not images.dtype.is_floating:
        stretched = tf.cast(tf.clip_by_value(stretched, 0.0, 255.0), images.dtype)
    return tf.reshape(stretched, tf.shape(images))


def _rows(images: tf.Tensor) -> tf.Tensor:
    """(batch, height, width × channels): TensorFlow is fastest along whole rows, also with one number a channel."""
    return tf.reshape(images, (-1, images.shape[1], images.shape[2] * images.shape[3]))


def _row_of(numbers: tf.Tensor, images: tf.Tensor, kind: tf.DType) -> tf.Tensor:
    """Numbers of each channel, (batch, channels), repeated along rows of the images: (batch, 1, width × channels)."""
    return tf.tile(tf.cast(numbers, kind), (1, images.shape[2]))[:, None]


def equalize(images: tf.Tensor, amount: tf.Tensor | None = None) -> tf.Tensor:
    """Makes all values of a channel about equally frequent; takes no amount."""
    channels = images.shape[-1]
    planes = tf.shape(images)[0] * channels
    # Each channel of each image has 256 places of its own for counts and new values; float32 counts exactly up to 2^24
    # pixels.
    firsts = tf.reshape(tf.range(planes) * 256, (-1, channels))
    places = tf.reshape(_rows(tf.cast(images, tf.int32)) + _row_of(firsts, images, tf.int32), (-1,))
    counts = tf.math.bincount(places, minlength=planes * 256, maxlength=planes * 256, dtype=tf.float32)
    counts = tf.reshape(counts, (planes, 256))
    return tf.reshape(tf.gather_nd(tf.reshape(_levels(counts, images), (-1,)), places[:, None]), tf.shape(images))


def _levels(counts: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """The new value of each old value, uint8 (planes, 256), from the counts of old values."""
    last = tf.reshape(tf.cast(tf.reduce_max(images, axis=(1, 2)), tf.int32), (-1,))  # the largest value that occurs
    pixels = math.prod(images.shape[1:3])
    step = tf.floor((pixels - tf.gather(counts, last, batch_dims=1)) / 255.0)[:, None]
    below = tf.cumsum(counts, axis=1, exclusive=True)
    levels = tf.minimum(tf.floor((tf.floor(step / 2) + below) / tf.maximum(step, 1.0)), 255.0)
    return tf.cast(tf.where(step > 0, levels, tf.range(256.0)), tf.uint8)


def hue(images: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Turns the colour wheel by float32 (batch,) of a whole turn, -0.5–0.5."""
    if images.shape[-1] == 1:
        return images
    colours = tf.image.rgb_to_hsv(tf.cast(images, tf.float32) / 255.0)
    turned = tf.math.floormod(colours[..., 0] + turn[:, None, None], 1.0)
    pixels = 255.0 * tf.image.hsv_to_rgb(tf.stack([turned, colours[..., 1], colours[..., 2]], axis=-1))
    return pixels if images.dtype.is_floating else tf.cast(tf.round(pixels), images.dtype)
