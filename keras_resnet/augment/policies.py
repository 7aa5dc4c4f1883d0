"""Named augmentations: what is done to a batch of training images."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from keras_resnet.augment.crop_flip import pad_crop
from keras_resnet.augment.randomness import SampleRandom

Policy = Callable[[tf.Tensor, SampleRandom], tf.Tensor]


def none(images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
    """The images as they are."""
    return images


def shift(images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
    """Shift by up to an eighth of the side; for digits, letters and signs, which a mirror would change."""
    return pad_crop(images, random, margin=_margin(images), flip=False)


def crop_flip(images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
    """Shift by up to an eighth of the side (4 of 32 pixels) and mirror half: the CIFAR augmentation."""
    return pad_crop(images, random, margin=_margin(images), flip=True)


def _margin(images: tf.Tensor) -> int:
    return int(min(images.shape[1:3])) // 8


POLICIES: dict[str, Policy] = {"none": none, "shift": shift, "crop-flip": crop_flip}
