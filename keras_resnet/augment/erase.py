"""Hide a rectangle of an image, so that the network cannot rely on one part of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf

from keras_resnet.augment.randomness import SampleRandom, in_whole_packets, mix, unit_interval
from keras_resnet.errors import UsageError

ATTEMPTS = 10


@dataclass(frozen=True)
class RandomErasing:
    """In some images a rectangle of random size, shape and place becomes noise (Zhong et al., 2017).

    Args:
        probability: Of an image to get a rectangle, in [0, 1].
        scale: Smallest and largest share of the image's area, in (0, 1].
        ratio: Smallest and largest height divided by width, above 0.

    Raises:
        UsageError: An argument is out of range.
    """

    probability: float = 0.25
    scale: tuple[float, float] = (0.02, 1 / 3)
    ratio: tuple[float, float] = (0.3, 3.3)

    def __post_init__(self) -> None:
        if not (0 <= self.probability <= 1 and 0 < self.scale[0] <= self.scale[1] <= 1 and self.ratio[0] > 0):
            raise UsageError(f"random erasing takes shares in [0, 1] and positive ratios; received {self}")

    def __call__(self, images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
        """Args and Returns: as `Policy`."""
        height, width = images.shape[1:3]
        drawn = random.within("erase")
        area = height * width * drawn.several("area", ATTEMPTS, *self.scale)
        logarithm = drawn.several("ratio", ATTEMPTS, math.log(self.ratio[0]), math.log(self.ratio[1]))
        ratio = in_whole_packets(tf.exp, logarithm)
        heights, widths = tf.round(tf.sqrt(area * ratio)), tf.round(tf.sqrt(area / ratio))
        fits = (heights >= 1) & (widths >= 1) & (heights < height) & (widths < width)
        first = tf.argmax(fits, axis=1, output_type=tf.int32)
        part_height = tf.gather(heights, first, batch_dims=1)
        part_width = tf.gather(widths, first, batch_dims=1)
        top = tf.floor(drawn.uniform("top") * (height - part_height + 1))
        left = tf.floor(drawn.uniform("left") * (width - part_width + 1))
        erased = drawn.event("erased", self.probability) & tf.reduce_any(fits, axis=1)
        inside = rectangle(top, left, part_height * tf.cast(erased, tf.float32), part_width, images.shape[1:])
        return tf.where(inside, _noise(images, drawn), images)


@dataclass(frozen=True)
class Cutout:
    """In every image a square around a random point gets the image's mean colour (DeVries & Taylor, 2017).

    The square may reach beyond the image.

    Args:
        share: The square's side divided by the image's shorter side, in (0, 1]; in the paper 1/2 for CIFAR-10
            (16 of 32 pixels) and 1/4 for CIFAR-100.

    Raises:
        UsageError: `share` is out of range.
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UsageError(f"cutout's share must lie in (0, 1]; received {self.share}")

    def __call__(self, images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
        """Args and Returns: as `Policy`."""
        height, width = images.shape[1:3]
        side = max(1, round(self.share * min(height, width)))
        drawn = random.within("cutout")
        top = tf.cast(drawn.integer("row", 0, height - 1) - side // 2, tf.float32)
        left = tf.cast(drawn.integer("column", 0, width - 1) - side // 2, tf.float32)
        sides = tf.fill(tf.shape(top), float(side))
        inside = rectangle(top, left, sides, sides, images.shape[1:])
        mean = tf.reduce_mean(tf.cast(images, tf.float32), axis=(1, 2), keepdims=True)
        filled = tf.broadcast_to(tf.cast(tf.round(mean), images.dtype), tf.shape(images))
        return tf.where(inside, filled, images)


def rectangle(
    top: tf.Tensor, left: tf.Tensor, part_height: tf.Tensor, part_width: tf.Tensor, shape: tuple[int, int, int]
) -> tf.Tensor:
    """Where each image's rectangle is.

    Args:
        top, left: float32 (batch,), in pixels; the corner may lie outside of the image.
        part_height, part_width: float32 (batch,), in pixels.
        shape: Height, width and channels of the images.

    Returns:
        bool (batch, height, width, channels).
    """
    # The channels are repeated here: TensorFlow is slow to broadcast the last axis.
    height, width, channels = shape
    rows, columns = tf.range(float(height))[None], tf.repeat(tf.range(float(width)), channels)[None]
    down = (rows >= top[:, None]) & (rows < (top + part_height)[:, None])
    across = (columns >= left[:, None]) & (columns < (left + part_width)[:, None])
    return tf.reshape(down[:, :, None] & across[:, None, :], (-1, *shape))


def _noise(images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
    """Uniform pixel values, 0 to 255, different for each image."""
    pixels = tf.range(math.prod(images.shape[1:]))
    words = random.bits("noise")[:, None] + tf.cast(pixels, tf.uint32)[None] * tf.constant(0x9E3779B9, tf.uint32)
    values = tf.floor(unit_interval(mix(words)) * 256.0)
    return tf.cast(tf.reshape(values, tf.shape(images)), images.dtype)
