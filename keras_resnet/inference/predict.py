"""What is on some images: class names and probabilities."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax

from keras_resnet.data.images import as_uint8_images
from keras_resnet.errors import DataError
from keras_resnet.images.decode import decode, resize_array
from keras_resnet.inference.predictors import Predictor, open_predictor
from keras_resnet.inference.views import view_logits, view_size
from keras_resnet.runs.run import Run

Images = np.ndarray | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class Predictions:
    """What a model says of some images.

    Args:
        class_names: The classes, in the order of the columns.
        probabilities: float32 (n, number of classes); softmax of the logits, rows sum to 1.
    """

    class_names: tuple[str, ...]
    probabilities: np.ndarray

    @property
    def labels(self) -> list[str]:
        """The likeliest class of each image."""
        return [self.class_names[index] for index in self.probabilities.argmax(axis=1)]

    def top(self, row: int, count: int = 3) -> list[tuple[str, float]]:
        """The likeliest classes of one image with their probabilities."""
        order = np.argsort(-self.probabilities[row], kind="stable")[:count]
        return [(self.class_names[index], float(self.probabilities[row, index])) for index in order]


def predict(model: Predictor | Run | str | os.PathLike[str], images: Images, *, views: str = "none") -> Predictions:
    """Classify images.

    Args:
        model: A run, a model file, or a `Predictor`.
        images: Paths of image files of any size, or an array (n, height, width[, channels]) of
            pixels in 0–255.
        views: Test-time augmentation: `none`, `flip` or `ten-crop`, as `evaluate` has it.

    Raises:
        DataError: An image cannot be read, or arrays have the wrong number of channels.
        ModelError: The model cannot be read.
    """
    predictor = model if isinstance(model, Predictor) else open_predictor(model)
    preprocessing = predictor.preprocessing
    fit = preprocessing.fit.at(view_size(preprocessing.fit.size, views))
    if isinstance(images, np.ndarray):
        pixels = resize_array(as_uint8_images(images).array, fit)
        if pixels.shape[-1] != fit.channels:
            raise DataError(f"the model takes images of {fit.channels} channels; received {pixels.shape[-1]}")
    else:
        if not len(images):
            raise DataError("no images were given")
        pixels = np.stack([decode(Path(path), fit) for path in images])
    probabilities = softmax(view_logits(predictor, pixels, views), axis=1)
    return Predictions(preprocessing.class_names, probabilities)
