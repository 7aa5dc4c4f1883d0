"""Integrated gradients: what each pixel adds to a score on the straight way from an image of one colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_resnet.attribution.class_activation import Score
from keras_resnet.attribution.network import Network

STEPS, BATCH = 64, 16


def integrated_gradients(
    network: Network,
    image: np.ndarray,
    classes: Sequence[int],
    score: Score,
    baseline: np.ndarray,
    *,
    steps: int = STEPS,
) -> np.ndarray:
    """The mean gradient of the score on the way from the baseline to the image, times the way.

    Sundararajan et al., "Axiomatic Attribution for Deep Networks", 2017. It is complete: summed over pixels and
    channels it is the score of the image less that of the baseline, but for the error of the sum, which is taken at the
    middles of the steps.

    Args:
        network: That is asked.
        image: (height, width, channels), 0–255.
        classes: By number.
        score: What is explained.
        baseline: (channels,), the colour that stands for nothing.
        steps: Gradients that are taken.

    Returns:
        float32 (classes, height, width, channels), of either sign.
    """
    image = image.astype(np.float32)
    way = image - np.broadcast_to(baseline, image.shape).astype(np.float32)
    shares = (np.arange(steps) + 0.5) / steps
    found = np.zeros((len(classes), *image.shape))
    for row, number in enumerate(classes):
        for start in range(0, steps, BATCH):
            part = shares[start : start + BATCH, None, None, None]
            points = tf.constant(image - (1 - part) * way, tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(points)
                scores = score(network.logits(points), np.full(len(part), number, np.int32))
            found[row] += tape.gradient(scores, points).numpy().sum(axis=0) / steps
    return (found * way).astype(np.float32)
