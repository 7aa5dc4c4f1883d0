"""Hide a rectangle of an image, so that the network cannot lean on one part of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import tensorflow as tf

from keras_resnet.augment.randomness import SampleRandom, mix, unit_interval
from keras_resnet.errors import UsageError

ATTEMPTS = 10


@dataclass(frozen=True)
class RandomErasing:
    """Some images lose a rectangle of random size, shape and place to noise (Zhong et al., 2017).

    Args:
        probability: In [0, 1].
        scale: Least and largest share of the area.
        ratio: Least and largest height over width.

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
        ratio = tf.exp(drawn.several("ratio", ATTEMPTS, math.log(self.ratio[0]), math.log(self.ratio[1])))
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
    """Every image loses a square around a random point to its mean colour; the square may reach outside
    (DeVries & Taylor, 2017).

    Args:
        share: The square's side as a share of the image's shorter side; the paper has 1/2 for
            CIFAR-10 (16 pixels of 32) and 1/4 for CIFAR-100.

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
    """Which values lie in each sample's rectangle: bool (batch, *shape); the corners are float32 (batch,)."""
    # Channels are written out: TensorFlow is slow to broadcast the last axis.
    height, width, channels = shape
    rows, columns = tf.range(float(height))[None], tf.repeat(tf.range(float(width)), channels)[None]
    down = (rows >= top[:, None]) & (rows < (top + part_height)[:, None])
    across = (columns >= left[:, None]) & (columns < (left + part_width)[:, None])
    return tf.reshape(down[:, :, None] & across[:, None, :], (-1, *shape))


def _noise(images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
    """Pixels from 0 to 255, each as likely, of each sample's own."""
    pixels = tf.range(math.prod(images.shape[1:]))
    words = random.bits("noise")[:, None] + tf.cast(pixels, tf.uint32)[None] * tf.constant(0x9E3779B9, tf.uint32)
    values = tf.floor(unit_interval(mix(words)) * 256.0)
    return tf.cast(tf.reshape(values, tf.shape(images)), images.dtype)
