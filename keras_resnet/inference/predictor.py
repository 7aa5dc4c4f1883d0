"""What every kind of saved model is asked by: raw pixels in, logits out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np

from keras_resnet.errors import ModelError, UsageError
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.tasks.table import task

BATCH = 64
MOST_NUMBERS = 1 << 28
"""Of one image, and of what a layer makes of it: a stamp may ask for any size, and a layer for any padding."""


class Predictor(ABC):
    """A model of any format.

    Args:
        name: For tables.
        preprocessing: How its input is prepared, and its classes.
        path: The file or folder; None for a model in memory.

    Attributes:
        task: What it was trained for.
        is_assumed: The preprocessing was not stored with the model, but is what its graph says.
        is_nameless: Its classes have no names but numbers, or were given names that it does not know.

    Raises:
        ModelError: It was trained for a task that is unknown here.
    """

    is_assumed = False

    def __init__(self, name: str, preprocessing: Preprocessing, path: Path | None) -> None:
        self.name = name
        self.preprocessing = preprocessing
        self.path = path
        self.is_nameless = preprocessing.class_names == tuple(map(str, range(len(preprocessing.class_names))))
        try:
            self.task = task(preprocessing.task, preprocessing.class_names)
        except UsageError as error:
            raise ModelError(f"{path or 'the model'} was trained for a task that is unknown here: {error}") from None

    def named(self, class_names: tuple[str, ...] | None) -> Self:
        """The same model, with names for its classes where it has none of its own.

        Args:
            class_names: Of the data; those of another number of classes, and None, are passed over.
        """
        if not self.is_nameless or class_names is None or len(class_names) != len(self.task.class_names):
            return self
        other = copy(self)
        other.preprocessing = replace(self.preprocessing, class_names=class_names)
        other.task = task(other.preprocessing.task, class_names)
        other.is_nameless = False
        return other

    def _check_outputs(self, outputs: int, source: object) -> None:
        if outputs != self.task.outputs:
            raise ModelError(
                f"{source} has {outputs} outputs; {self.task.name} of {len(self.task.class_names)} classes needs "
                f"{self.task.outputs}"
            )

    def _check_input(self, shape: Sequence[int | None], source: object) -> None:
        """Compare the shape of a batch with that of the images; None is any length."""
        expected = self.preprocessing.input_shape
        taken = tuple(shape)[1:]
        if len(taken) != len(expected) or any(
            one not in (None, other) for one, other in zip(taken, expected, strict=True)
        ):
            raise ModelError(f"{source} takes images of {taken}; its preprocessing gives {expected}")
        if math.prod(expected) > MOST_NUMBERS:
            raise ModelError(f"{source} asks for images of {expected}, which is more than {MOST_NUMBERS:,} numbers")

    @property
    def size_in_bytes(self) -> int | None:
        """On disk; None for a model in memory."""
        if self.path is None:
            return None
        files = [self.path] if self.path.is_file() else [file for file in self.path.rglob("*") if file.is_file()]
        return sum(file.stat().st_size for file in files)

    def check_pixels(self, images: np.ndarray) -> str:
        """Compare images with those the model was trained on, where the model tells.

        Args:
            images: uint8 (n, height, width, channels).

        Returns:
            A remark where they lie far from those; else nothing.

        Raises:
            UsageError: Only another normalisation than in its training explains the difference.
        """
        return ""

    @abstractmethod
    def logits(self, images: np.ndarray) -> np.ndarray:
        """Ask for uint8 (n, height, width, channels); receive float32 (n, number of classes)."""

    @abstractmethod
    def one(self, image: np.ndarray) -> Callable[[], object]:
        """A call that runs the model on one image and nothing else, for measuring its time."""


class BatchPredictor(Predictor):
    """A model that a runtime asks for a batch of any size of uint8 images at a time."""

    @abstractmethod
    def _run(self, batch: np.ndarray) -> np.ndarray:
        """The logits of a batch, uint8 (n, height, width, channels)."""

    def logits(self, images: np.ndarray) -> np.ndarray:
        parts = [self._run(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        return np.concatenate(parts).astype(np.float32)

    def one(self, image: np.ndarray) -> Callable[[], object]:
        batch = image[None]
        return lambda: self._run(batch)
