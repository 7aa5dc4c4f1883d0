"""Whatever a user calls calibration images, as one batch that a model takes."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.data.images import ImageData, Split
from keras_resnet.data.stores import at_size
from keras_resnet.errors import DataError
from keras_resnet.inference.inputs import image_batch
from keras_resnet.preprocessing import Fit

if TYPE_CHECKING:
    import tensorflow as tf

CALIBRATION_IMAGES = 500


def calibration_batch(images: Any, fit: Fit, most: int = CALIBRATION_IMAGES) -> np.ndarray:
    """Images to calibrate with, none of them augmented.

    Args:
        images: One of these:

            - a data set or a split of one: training images, evenly spaced over the split;
            - a `tf.data.Dataset` of images or of tuples that begin with one, batched or not: the first ones;
            - whatever `predict` takes: arrays, paths, folders, bytes, Pillow images.

            Pixels are in 0-255.
        fit: How they become the pixels that the model takes.
        most: At most so many are taken.

    Returns:
        uint8 (n, *fit.shape).

    Raises:
        DataError: There is none, one cannot be read, or pixels are no numbers in 0-255.
    """
    if isinstance(images, ImageData):
        images = images.train if len(images.train) else images.test
    if isinstance(images, Split):
        if not len(images):
            raise DataError("there are no images to calibrate the INT8 network with")
        fitted = replace(images, images=at_size(images.images, fit.size))
        return fitted.read(np.unique(np.linspace(0, len(images) - 1, min(most, len(images))).astype(np.int64)))
    if hasattr(images, "element_spec"):
        return _of_dataset(images, fit, most)
    return image_batch(images, fit)[:most]


def _of_dataset(dataset: tf.data.Dataset, fit: Fit, most: int) -> np.ndarray:
    batches: list[np.ndarray] = []
    for element in islice(dataset, most):
        while isinstance(element, tuple | list):
            element = element[0]
        if isinstance(element, dict) or np.ndim(element) not in (3, 4):
            raise DataError(
                "calibration images come one by one, (height, width, channels), or in batches, (n, height, width, "
                f"channels), alone or first in a tuple; received {dataset.element_spec}"
            )
        batches.append(image_batch(element, fit))
        if sum(map(len, batches)) >= most:
            break
    if not batches:
        raise DataError("the data set of calibration images is empty")
    return np.concatenate(batches)[:most]
