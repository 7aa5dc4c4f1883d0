"""Rare classes made to count: by weights on the loss, or by showing their images more often."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from keras_resnet.augment.randomness import SampleRandom
from keras_resnet.errors import DataError, UsageError, listed


def class_weights(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Weights with which every class counts the same: n / (classes · images of the class).

    They are scikit-learn's `compute_class_weight("balanced")`; the mean over the images is 1.

    Args:
        labels: int (n,).
        num_classes: How many classes there are.

    Returns:
        float32 (num_classes,).

    Raises:
        DataError: A class has no image.
    """
    counts = images_of_classes(labels, num_classes)
    return (len(labels) / (num_classes * counts)).astype(np.float32)


def effective_number_weights(labels: np.ndarray, num_classes: int, beta: float) -> np.ndarray:
    """Weights by the effective number of images of a class, (1 - beta^n) / (1 - beta) (Cui et al., 2019).

    Args:
        labels: int (n,).
        num_classes: How many classes there are.
        beta: 0 weighs all images the same; towards 1 it becomes `class_weights`. The paper has 0.9 to 0.9999.

    Returns:
        float32 (num_classes,); the mean over the images is 1, so that learning rates keep their meaning.

    Raises:
        DataError: A class has no image.
        UsageError: `beta` is out of range.
    """
    if not 0 <= beta < 1:
        raise UsageError(f"beta must lie in [0, 1); received {beta}")
    counts = images_of_classes(labels, num_classes)
    # 1 - beta^n by logarithms: beta^n is next to 1 where few images meet a beta next to 1.
    weights = 1 / -np.expm1(counts * np.log(beta)) if beta else np.ones(num_classes)
    return (weights * (len(labels) / (weights * counts).sum())).astype(np.float32)


def loss_weights(kind: str, labels: np.ndarray, num_classes: int) -> np.ndarray | None:
    """What the images of each class count in the loss, by a word of `CLASS_WEIGHTS`; None: the same.

    Args and Raises: as `class_weights`; `effective` takes beta 0.999.
    """
    if kind == "none":
        return None
    if kind == "balanced":
        return class_weights(labels, num_classes)
    return effective_number_weights(labels, num_classes, beta=0.999)


def balanced_order(labels: np.ndarray, num_classes: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """As many images as there are, shuffled, with each class equally often; for a graph or eagerly.

    Within a class, each image comes as often as any other, to one; which images of a large class
    come at all, and which classes get the images left over, changes from epoch to epoch.

    An image may come several times in an epoch. Augmentation that is to treat it differently each
    time must count its samples by their places in this order, not by their positions.

    Args:
        labels: int (n,).
        num_classes: How many classes there are.
        seed: 0 … 2^31 - 1.
        epoch: Scalar integer tensor; the order depends on nothing else but the seed.

    Returns:
        int64 (n,): positions.

    Raises:
        DataError: A class has no image.
    """
    counts = images_of_classes(labels, num_classes)
    count, firsts = len(labels), np.cumsum(counts) - counts

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


def images_of_classes(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """How many images each class has, none of them without any: int64 (num_classes,).

    Raises:
        DataError: A class has no image.
    """
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise DataError(
            f"labels must lie in 0–{num_classes - 1} for {num_classes} classes; "
            f"received {labels.min()} to {labels.max()}"
        )
    counts = np.bincount(labels, minlength=num_classes)
    absent = np.flatnonzero(counts == 0)
    if len(absent):
        raise DataError(
            f"every class needs an image to train on before classes can be balanced; the labels {listed(absent)} have "
            "none: take these classes out, or give them images"
        )
    return counts
