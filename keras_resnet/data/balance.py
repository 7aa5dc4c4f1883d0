"""Rare classes made to count: by weights on the loss, or by showing their images more often."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_resnet.augment.randomness import SampleRandom
from keras_resnet.data.stores import LabelledImages
from keras_resnet.errors import DataError, UsageError, listed


def class_weights(split: LabelledImages) -> np.ndarray:
    """Weights with which every class counts the same: n / (classes · images of the class).

    They are scikit-learn's `compute_class_weight("balanced")`; the mean over the images is 1.

    Returns:
        float32 (classes,).

    Raises:
        DataError: A class has no image, or images may have several classes.
    """
    counts = shown_classes(split)
    return (len(split) / (len(counts) * counts)).astype(np.float32)


def effective_number_weights(split: LabelledImages, beta: float) -> np.ndarray:
    """Weights by the effective number of images of a class, (1 - beta^n) / (1 - beta) (Cui et al., 2019).

    Args:
        split: The images.
        beta: 0 weighs all images the same; towards 1 it becomes `class_weights`. The paper has 0.9 to 0.9999.

    Returns:
        float32 (classes,); the mean over the images is 1, so that learning rates keep their meaning.

    Raises:
        DataError: As `class_weights`.
        UsageError: `beta` is out of range.
    """
    if not 0 <= beta < 1:
        raise UsageError(f"beta must lie in [0, 1); received {beta}")
    counts = shown_classes(split)
    # 1 - beta^n by logarithms: beta^n is next to 1 where few images meet a beta next to 1.
    weights = 1 / -np.expm1(counts * np.log(beta)) if beta else np.ones(len(counts))
    return (weights * (len(split) / (weights * counts).sum())).astype(np.float32)


def loss_weights(kind: str, split: LabelledImages) -> np.ndarray | None:
    """What the images of each class count in the loss, by a word of `CLASS_WEIGHTS`; None: the same.

    Raises: as `class_weights`; `effective` takes beta 0.999.
    """
    if kind == "none":
        return None
    if kind == "balanced":
        return class_weights(split)
    return effective_number_weights(split, beta=0.999)


def balanced_order(split: LabelledImages, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """As many images as there are, shuffled, with each class equally often; for a graph or eagerly.

    Within a class, each image comes as often as any other, to one; which images of a large class
    come at all, and which classes get the images left over, changes from epoch to epoch.

    An image may come several times in an epoch. Augmentation that is to treat it differently each
    time must count its samples by their places in this order, not by their positions.

    Args:
        split: The images.
        seed: 0 … 2^31 - 1.
        epoch: Scalar integer tensor; the order depends on nothing else but the seed.

    Returns:
        int64 (n,): positions.

    Raises:
        DataError: A class has no image.
    """
    counts, labels = shown_classes(split), split.labels
    num_classes, count, firsts = len(counts), len(labels), np.cumsum(counts) - counts

    def shuffled(items: int, draw: str) -> tf.Tensor:
        bits = SampleRandom(seed, epoch, tf.range(items)).bits(draw)
        return tf.argsort(tf.cast(bits, tf.int64), stable=True)

    images = tf.cast(shuffled(count, "balanced images"), tf.int64)
    by_class = tf.gather(images, tf.argsort(tf.gather(tf.constant(labels, tf.int64), images), stable=True))
    ranks = shuffled(num_classes, "balanced classes")
    quotas = count // num_classes + tf.cast(ranks < count % num_classes, tf.int64)
    owners = tf.repeat(tf.range(num_classes), quotas)
    turns = tf.range(count, dtype=tf.int64) - tf.gather(tf.cumsum(quotas, exclusive=True), owners)
    places = tf.gather(tf.constant(firsts, tf.int64), owners) + turns % tf.gather(tf.constant(counts, tf.int64), owners)
    order = tf.gather(tf.gather(by_class, places), shuffled(count, "balanced order"))
    return tf.ensure_shape(order, (count,))


def shown_classes(split: LabelledImages) -> np.ndarray:
    """How many images each class has, none of them without any: int64 (classes,).

    Raises:
        DataError: A class has no image, or images may have several classes, which cannot be balanced so.
    """
    if split.task.several:
        raise DataError(
            f"classes are balanced where each image has one; these are for {split.task.name}: leave balanced sampling "
            "and class weights out"
        )
    counts = split.task.images_of_classes(split.task.checked(split.labels, len(split)))
    absent = [name for name, count in zip(split.task.class_names, counts, strict=True) if not count]
    if absent:
        raise DataError(
            f"every class needs an image to train on before classes can be balanced; {listed(absent)} have none: take "
            "these classes out, or give them images"
        )
    return counts
