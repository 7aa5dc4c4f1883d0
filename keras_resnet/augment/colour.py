"""Change the colours of each image at random: colour jitter and greyscale."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from keras_resnet.allowed import HUE, SHARE, STRENGTH
from keras_resnet.augment import tone
from keras_resnet.augment.dispatch import each_its_own, identity
from keras_resnet.augment.randomness import SampleRandom
from keras_resnet.settings import keep_checked


@dataclass(frozen=True)
class ColourJitter:
    """Change brightness, contrast, saturation and hue at random, in a random order for each image.

    Args:
        brightness, contrast, saturation: At least 0; the factor is uniform in 1 ± this value, but not below 0.
        hue: The largest turn of the colour wheel, as a share of a whole turn, 0–0.5.

    Raises:
        UsageError: An argument is out of range.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.0

    def __post_init__(self) -> None:
        keep_checked(self, brightness=STRENGTH, contrast=STRENGTH, saturation=STRENGTH, hue=HUE)

    def __call__(self, images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
        """Args and Returns: as `Policy`."""
        drawn = random.within("jitter")
        operations, amounts = [], []
        for name in ("brightness", "contrast", "saturation"):
            strength = getattr(self, name)
            if strength:
                operations.append(getattr(tone, name))
                amounts.append(drawn.uniform(name, max(0.0, 1.0 - strength), 1.0 + strength))
        if self.hue:
            operations.append(tone.hue)
            amounts.append(drawn.uniform("hue", -self.hue, self.hue))
        if not operations:
            return images
        order, drawn_amounts = drawn.permutation("order", len(operations)), tf.stack(amounts, axis=1)
        for place in range(len(operations)):
            choice = order[:, place]
            images = each_its_own(images, operations, choice, tf.gather(drawn_amounts, choice, batch_dims=1))
        return images


@dataclass(frozen=True)
class Greyscale:
    """Some images become grey; the number of channels stays the same.

    Args:
        probability: Of an image to become grey, in [0, 1].

    Raises:
        UsageError: It is out of range.
    """

    probability: float = 0.1

    def __post_init__(self) -> None:
        keep_checked(self, probability=SHARE)

    def __call__(self, images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
        """Args and Returns: as `Policy`."""
        chosen = tf.cast(random.event("greyscale", self.probability), tf.int32)
        return each_its_own(images, (identity, _without_colours), chosen, tf.zeros(tf.shape(chosen)))


def _without_colours(images: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    return tone.grey(images, images.shape[-1])
