"""What is on some images: class names and probabilities."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.data.sources.table_rows import LABEL_SEPARATOR
from keras_resnet.inference.inputs import Images, image_batch
from keras_resnet.inference.predictor import Predictor
from keras_resnet.inference.predictors import KerasPredictor, open_predictor
from keras_resnet.inference.tta import view_logits, view_size
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.runs.run import Run
from keras_resnet.tasks.task import Task

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Predictions:
    """What a model says of some images.

    Args:
        task: What it was asked.
        logits: float32 (n, number of classes).
        remarks: What speaks against them.
    """

    task: Task
    logits: np.ndarray
    remarks: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the columns."""
        return self.task.class_names

    @cached_property
    def probabilities(self) -> np.ndarray:
        """float32 (n, number of classes): in classification rows sum to 1, in multi-label each is by itself."""
        return self.task.probabilities(self.logits)

    @property
    def labels(self) -> list[str]:
        """The likeliest class of each image; in multi-label all that are likelier than one half, divided by `|`."""
        return [LABEL_SEPARATOR.join(self.task.names_of(label)) for label in self.task.decisions(self.logits)]

    def top(self, row: int, count: int = 3) -> list[tuple[str, float]]:
        """The classes that the model decides for, then the likeliest others, with their probabilities.

        Args:
            row: Of which image.
            count: At most so many classes.
        """
        decided = self.task.membership(self.task.decisions(self.logits[row : row + 1]))[0]
        order = np.lexsort((-self.probabilities[row], ~decided))[:count]
        return [(self.class_names[index], float(self.probabilities[row, index])) for index in order]


def predict(
    model: Predictor | Run | str | os.PathLike[str] | keras.Model,
    images: Images,
    *,
    tta: str = "none",
    preprocessing: Preprocessing | None = None,
) -> Predictions:
    """Classify images.

    Args:
        model: A run, a model file, a Keras model, or a `Predictor`.
        images: One image or some, of any size: paths of files or folders, bytes, Pillow images, arrays or tensors;
            see `image_batch`.
        tta: Test-time augmentation: `none`, `flip` or `ten-crop`, as `evaluate` has it.
        preprocessing: How images are prepared for a Keras model that does not say it, and its class names. None: what
            the model's graph says; see `keras_resnet.inference.unstamped.with_raw_pixels`.

    Raises:
        DataError: An image cannot be read, or arrays have the wrong number of channels.
        ModelError: The model cannot be read.
        UsageError: A Keras model is no classifier of images, or was trained on other pixels than it gets.
    """
    predictor = model if isinstance(model, Predictor) else open_predictor(model, preprocessing)
    fit = predictor.preprocessing.fit
    fit = fit.at(view_size(fit.size, tta))
    batch = image_batch(images, fit)
    doubt = predictor.check_pixels(batch) if isinstance(predictor, KerasPredictor) and predictor.is_assumed else ""
    return Predictions(predictor.task, view_logits(predictor, batch, tta), (doubt,) if doubt else ())
