"""Class activation maps: the feature maps of a network, weighted by what each does for a class.

They have the size of the feature maps, 7×7 in networks for ImageNet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_resnet.attribution.network import Cut
from keras_resnet.tasks.task import Task

CHANNELS = 64
"""That are left out at a time, each in a copy of the maps."""

Score = Callable[[Any, Any], tf.Tensor]
"""Is given logits (n, classes) and the class of each row; returns the scores that are explained, (n,)."""


def score_of(task: Task) -> Score:
    """What of the logits is explained.

    A class's own logit; of two classes that exclude each other its difference from the other one, which alone counts:
    the logit of one of them may be 0 whatever the image is, as where a network ends in one sigmoid.

    Args:
        task: What was asked of the network.
    """

    def own(logits: Any, classes: Any) -> tf.Tensor:
        return tf.gather(logits, classes, axis=1, batch_dims=1)

    if task.outputs == 2 and not task.several:
        return lambda logits, classes: own(logits, classes) - own(logits, 1 - tf.convert_to_tensor(classes))
    return own


def grad_cam(cut: Cut, image: np.ndarray, classes: Sequence[int], score: Score) -> np.ndarray:
    """Grad-CAM: ReLU(Σ w A), where a channel's w is the mean of the gradient of the score over its map A.

    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017.

    Args:
        cut: The network.
        image: (height, width, channels).
        classes: By number.
        score: What is explained.

    Returns:
        float32 (classes, height, width) of the feature maps, not negative.
    """
    maps, gradients = _gradients(cut, image, classes, score)
    return _weighted(maps, gradients.mean(axis=(1, 2)))


def grad_cam_plus_plus(cut: Cut, image: np.ndarray, classes: Sequence[int], score: Score) -> np.ndarray:
    """Grad-CAM++: as Grad-CAM, but a channel's weight is made of its positive gradients alone, each by its share.

    Chattopadhay et al., "Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks", 2018; the score is
    taken through an exponential function, as theirs, so that its higher derivatives are powers of the first.

    Args: as `grad_cam`.
    """
    maps, gradients = _gradients(cut, image, classes, score)
    square, cube = gradients**2, gradients**3
    below = 2 * square + maps.sum(axis=(1, 2), keepdims=True) * cube
    shares = np.divide(square, below, out=np.zeros_like(square), where=below != 0)
    return _weighted(maps, (shares * np.maximum(gradients, 0)).sum(axis=(1, 2)))


def ablation_cam(cut: Cut, image: np.ndarray, classes: Sequence[int], score: Score) -> np.ndarray:
    """Ablation-CAM, without gradients: a channel's weight is by how much the score falls when its map is set to 0.

    Ramaswamy et al., "Ablation-CAM: Visual Explanations for Deep Convolutional Network via Gradient-free Localization",
    2020. They divide by the score, which changes the scale of a map alone, and is left out.

    Args: as `grad_cam`.
    """
    maps = cut.maps(image[None])
    channels = maps.shape[-1]
    asked = np.asarray(classes, np.int32)

    def scores(of: Any) -> np.ndarray:
        logits = cut.logits(of)
        return np.stack([score(logits, np.full(len(logits), one)).numpy() for one in asked])

    falls = []
    for start in range(0, channels, CHANNELS):
        left_out = np.arange(start, min(start + CHANNELS, channels))
        kept = 1 - tf.one_hot(left_out, channels)[:, None, None]
        falls.append(scores(maps) - scores(maps * kept))
    return _weighted(maps.numpy(), np.concatenate(falls, axis=1))


def _gradients(cut: Cut, image: np.ndarray, classes: Sequence[int], score: Score) -> tuple[np.ndarray, np.ndarray]:
    """The feature maps (1, height, width, channels), and the gradient of each class's score by them."""
    maps = cut.maps(image[None])
    copies = tf.repeat(maps, len(classes), axis=0)
    with tf.GradientTape() as tape:
        tape.watch(copies)
        scores = score(cut.logits(copies), np.asarray(classes, np.int32))
    return maps.numpy(), tape.gradient(scores, copies).numpy()


def _weighted(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """ReLU(Σ w A) for each row of weights (classes, channels)."""
    return np.maximum(np.einsum("hwc,kc->khw", maps[0], weights), 0).astype(np.float32)
