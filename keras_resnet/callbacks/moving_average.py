"""The moving average of the weights, kept, judged and saved by anyone's `model.fit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_resnet.callbacks.between_batches import BetweenBatches
from keras_resnet.optimizers.averaging import MovingAverage as Average
from keras_resnet.optimizers.state import unwrapped
from keras_resnet.settings import Values, check_arguments

COUNTS = "counts"


class MovingAverage(BetweenBatches):
    """An exponential moving average (Polyak & Juditsky, 1992) of a model's weights and statistics.

    Validation judges the average, and at the end of the training the model has it. At first the decay is
    `(1 + n) / (10 + n)` after n updates, if that is less. With `ExactCheckpoint`, which must come before it, it goes on
    to the bit.

    Args:
        decay: In (0, 1): 0.9999 for long trainings, 0.99 for short ones.

    Raises:
        UsageError: `decay` is out of range.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data("digits")
        >>> model = keras_resnet.ResNet8(num_classes=10, input_shape=(16, 16, 1))
        >>> model.compile("sgd", "categorical_crossentropy")
        >>> train = digits.train.batches(64, seed=0).take(2)
        >>> _ = model.fit(train, callbacks=[keras_resnet.callbacks.MovingAverage(0.99)], verbose=0)
    """

    @check_arguments(decay=Values(float, above=0, below=1))
    def __init__(self, decay: float = 0.9999) -> None:
        super().__init__()
        self.decay = decay
        self.updates = self.batches = 0
        self._average: Average | None = None
        self._averaged: keras.Model | None = None
        self._judging: Any = None

    def open(self) -> Average:
        """The average of the model that is being trained; made when it is first asked for."""
        if self._average is None or self._averaged is not self.model:  # of a fit that ended by an error
            self._average, self._averaged = Average(self.model, self.decay), self.model
            self.updates = self.batches = 0
        return self._average

    def weights(self) -> dict[str, np.ndarray]:
        """The average, by the paths of the model's variables."""
        return self.open().tensors()

    def tensors(self) -> dict[str, np.ndarray]:
        """All that a checkpoint must keep."""
        return {COUNTS: np.array([self.updates, self.batches]), **self.weights()}

    def restore(self, tensors: Mapping[str, np.ndarray], source: str) -> None:
        """Take what `tensors` gave.

        Args:
            tensors: It.
            source: What to call it in an error.

        Raises:
            ModelError: It is of another model.
        """
        own = {name: one for name, one in tensors.items() if name != COUNTS}
        self.open().restore(own, source)
        self.updates, self.batches = tensors[COUNTS].tolist()

    def forget(self) -> None:
        """Keep the weights that the model has now: at the end it does not get the average."""
        self._average = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.open()

    def between_batches(self, before: int, done: int) -> None:
        together = unwrapped(self.model.optimizer).gradient_accumulation_steps or 1  # batches of one update
        updates = self.batches // together
        self.batches += done - before
        if self.batches // together > updates:
            self.updates += self.batches // together - updates
            self.open().update(self.updates)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_test_begin(logs)
        self._judging = self.open().swapped()
        self._judging.__enter__()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._judging is not None:
            self._judging.__exit__(None, None, None)
            self._judging = None

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._average is not None:
            self._average.put_into_model()
            self._average = None
