"""Mix pairs of images and, in the same shares, their labels: MixUp and CutMix."""

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
    """MixUp, CutMix, or for each batch one of the two, each as likely.

    Partners are neighbours in the batch, whose order is random: images 0 and 1 mix with one another,
    2 and 3, and so on, each by a share of its own. So any part of the batch with whole pairs is mixed
    as it is in the whole, and several workers see what one would see.

    Args:
        mixup: MixUp's alpha (Zhang et al., 2017: 0.2–0.4); 0 is none.
        cutmix: CutMix's alpha (Yun et al., 2019: 1.0); 0 is none.

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
            images: (batch, height, width, channels), uint8 or float; uint8 is rounded.
            labels: float32 (batch, classes).
            random: Of the samples; its `step` decides between MixUp and CutMix.
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
    """Each image and label as lambda of its own and 1 - lambda of its partner's, lambda from Beta(alpha, alpha).

    Args and Returns: as `Mixing`.
    """
    share = random.beta("mixup", alpha)
    weight = share[:, None, None, None]
    own, other = tf.cast(images, tf.float32), tf.cast(partners(images), tf.float32)
    mixed = other + weight * (own - other)
    mixed = mixed if images.dtype.is_floating else tf.round(mixed)
    return tf.cast(mixed, images.dtype), _mixed_labels(labels, share)


def cutmix(images: tf.Tensor, labels: tf.Tensor, random: SampleRandom, alpha: float) -> Batch:
    """A rectangle of each image comes from its partner, as large as 1 - lambda, lambda from Beta(alpha, alpha).

    The rectangle's centre is anywhere, so that it may be cut by the edge; the labels follow the
    pixels that are really there.

    Args and Returns: as `Mixing`.
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
    """Neighbours change places: 1, 0, 3, 2, …; the last of an odd number gets the one before it."""
    count = tf.shape(batch)[0]
    places = tf.range(count)
    other = tf.bitwise.bitwise_xor(places, 1)
    return tf.gather(batch, tf.where(other < count, other, tf.maximum(count - 2, 0)))


def _mixed_labels(labels: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    weight = share[:, None]
    return weight * labels + (1.0 - weight) * partners(labels)
