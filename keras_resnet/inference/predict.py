"""What is on some images: class names and probabilities."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from keras_resnet.data.sources.table_rows import LABEL_SEPARATOR
from keras_resnet.inference.inputs import Images, image_batch
from keras_resnet.inference.predictors import Predictor, open_predictor
from keras_resnet.inference.tta import view_logits, view_size
from keras_resnet.runs.run import Run
from keras_resnet.tasks.task import Task


@dataclass(frozen=True)
class Predictions:
    """What a model says of some images.

    Args:
        task: What it was asked.
        logits: float32 (n, number of classes).
    """

    task: Task
    logits: np.ndarray

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


def predict(model: Predictor | Run | str | os.PathLike[str], images: Images, *, tta: str = "none") -> Predictions:
    """Classify images.

    Args:
        model: A run, a model file, or a `Predictor`.
        images: One image or some, of any size: paths of files or folders, bytes, Pillow images, arrays or tensors;
            see `image_batch`.
        tta: Test-time augmentation: `none`, `flip` or `ten-crop`, as `evaluate` has it.

    Raises:
        DataError: An image cannot be read, or arrays have the wrong number of channels.
        ModelError: The model cannot be read.
    """
    predictor = model if isinstance(model, Predictor) else open_predictor(model)
    preprocessing = predictor.preprocessing
    fit = preprocessing.fit.at(view_size(preprocessing.fit.size, tta))
    return Predictions(predictor.task, view_logits(predictor, image_batch(images, fit), tta))
