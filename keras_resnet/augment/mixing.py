"""Mix pairs of images and, in the same proportion, their labels: MixUp and CutMix."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from keras_resnet.allowed import STRENGTH
from keras_resnet.augment.erase import rectangle
from keras_resnet.augment.randomness import SampleRandom
from keras_resnet.settings import keep_checked

Batch = tuple[tf.Tensor, tf.Tensor]


@dataclass(frozen=True)
class Mixing:
    """MixUp, CutMix, or one of the two with equal probability for each batch.

    An image is mixed with its neighbour in the batch, whose order is random: images 0 and 1 with one another, images
    2 and 3, and so on, each image in a proportion of its own. So a part of a batch that holds whole pairs is mixed as
    it would be in the whole batch, and several workers produce what one would.

    Args:
        mixup: The alpha of MixUp (Zhang et al., 2017: 0.2–0.4), at least 0; 0: no MixUp.
        cutmix: The alpha of CutMix (Yun et al., 2019: 1.0), at least 0; 0: no CutMix.

    Raises:
        UsageError: An alpha is negative.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        keep_checked(self, mixup=STRENGTH, cutmix=STRENGTH)

    def __bool__(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0

    def __call__(self, images: tf.Tensor, labels: tf.Tensor, random: SampleRandom) -> Batch:
        """Mix a batch.

        Args:
            images: (batch, height, width, channels), uint8 or float; uint8 results are rounded.
            labels: float32 (batch, classes).
            random: The randomness of the batch; its `step` decides between MixUp and CutMix.

        Returns:
            Images and labels of the same shapes and dtypes.
        """
        if not self:
            return images, labels
        if not self.cutmix:
            return mixup(images, labels, random, self.mixup)
        if not self.mixup:
            return cutmix(images, labels, random, self.cutmix)
        return tf.cond(
            random.once.event("mixup instead of cutmix", 0.5)[0],
            lambda: mixup(images, labels, random, self.mixup),
            lambda: cutmix(images, labels, random, self.cutmix),
        )


def mixup(images: tf.Tensor, labels: tf.Tensor, random: SampleRandom, alpha: float) -> Batch:
    """Each image and label becomes lambda times itself plus 1 - lambda times its partner; lambda ~ Beta(alpha, alpha).

    Args:
        images, labels, random: As `Mixing`.
        alpha: Above 0.

    Returns:
        As `Mixing`.
    """
    share = random.beta("mixup", alpha)
    weight = share[:, None, None, None]
    own, other = tf.cast(images, tf.float32), tf.cast(partners(images), tf.float32)
    mixed = other + weight * (own - other)
    mixed = mixed if images.dtype.is_floating else tf.round(mixed)
    return tf.cast(mixed, images.dtype), _mixed_labels(labels, share)


def cutmix(images: tf.Tensor, labels: tf.Tensor, random: SampleRandom, alpha: float) -> Batch:
    """A rectangle of each image, 1 - lambda of its area, comes from the partner; lambda ~ Beta(alpha, alpha).

    The rectangle's centre may be anywhere, so that the image's edge may cut the rectangle. The labels are mixed in the
    proportion of the pixels that were really replaced.

    Args:
        images, labels, random: As `Mixing`.
        alpha: Above 0.

    Returns:
        As `Mixing`.
    """
    height, width = images.shape[1:3]
    side = tf.sqrt(1.0 - random.beta("cutmix", alpha))
    tall, wide = tf.floor(side * height), tf.floor(side * width)
    top = tf.floor(random.uniform("cutmix row") * height) - tf.floor(tall / 2)
    left = tf.floor(random.uniform("cutmix column") * width) - tf.floor(wide / 2)
    inside = rectangle(top, left, tall, wide, images.shape[1:])
    share = 1.0 - tf.reduce_mean(tf.cast(inside, tf.float32), axis=(1, 2, 3))
    return tf.where(inside, partners(images), images), _mixed_labels(labels, share)


def partners(batch: tf.Tensor) -> tf.Tensor:
    """Each image's neighbour: 1, 0, 3, 2, …; in an odd batch the last image's partner is the one before it."""
    count = tf.shape(batch)[0]
    places = tf.range(count)
    other = tf.bitwise.bitwise_xor(places, 1)
    return tf.gather(batch, tf.where(other < count, other, tf.maximum(count - 2, 0)))


def _mixed_labels(labels: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    weight = share[:, None]
    return weight * labels + (1.0 - weight) * partners(labels)
