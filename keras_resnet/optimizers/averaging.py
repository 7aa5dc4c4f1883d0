"""The moving average of a network's weights and statistics, which is evaluated and saved in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.weights.files import assign, variables_by_path


class MovingAverage:
    """An exponential moving average (Polyak & Juditsky, 1992) of every floating-point variable of a model.

    Keras's own averages trainable weights only, so that they would meet the batch normalisation
    statistics of other weights. At first the decay is `(1 + n) / (10 + n)` after n updates, if that is
    less, so that the average does not remember the initial weights.

    Args:
        model: Whose variables.
        decay: In (0, 1); 0 keeps no average, and `swapped` changes nothing.
    """

    def __init__(self, model: keras.Model, decay: float) -> None:
        self.decay = decay
        named = variables_by_path(model) if decay else {}
        self._own = {name: one for name, one in named.items() if "float" in one.dtype}
        # From an array: given a TensorFlow variable, Keras would not copy but share it.
        self._average = {
            name: keras.Variable(one.numpy(), trainable=False, dtype=one.dtype, name="average")
            for name, one in self._own.items()
        }
        self._update = tf.function(self._moved, autograph=False)

    def update(self, updates: int) -> None:
        """Take in the model as it is after so many updates."""
        if self._own:
            self._update(tf.constant(min(self.decay, (1 + updates) / (10 + updates)), tf.float32))

    def tensors(self) -> dict[str, np.ndarray]:
        """The average, by the variables' paths."""
        return {name: one.numpy() for name, one in self._average.items()}

    def restore(self, tensors: dict[str, np.ndarray], source: str) -> None:
        """Take what `tensors` gave.

        Raises:
            ModelError: It does not fit; `source` is named.
        """
        assign(self._average, tensors, source)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Within the block the model has the average; afterwards its own values again, to the bit."""
        own = {name: one.numpy() for name, one in self._own.items()}
        self.put_into_model()
        try:
            yield
        finally:
            for name, variable in self._own.items():
                variable.assign(own[name])

    def put_into_model(self) -> None:
        """Give the model the average, for good."""
        for name, variable in self._own.items():
            variable.assign(self._average[name].value)

    def _moved(self, decay: tf.Tensor) -> None:
        for name, own in self._own.items():
            average = self._average[name]
            average.assign(average.value + (1 - decay) * (own.value - average.value))
