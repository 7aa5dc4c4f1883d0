"""The moving average of a network's weights and statistics, which is evaluated and saved in its place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.weights.files import expectations, refuse_mismatches, variables_by_path


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
        # One vector for all variables of a dtype: as many small operations as a network has variables would take as
        # long as an update of a small network, since each of them waits for its turn.
        self._vectors = {
            dtype: keras.Variable(
                np.concatenate([one.numpy().reshape(-1) for one in self._of(dtype).values()]),
                trainable=False,
                dtype=dtype,
                name="average",
            )
            for dtype in sorted({one.dtype for one in self._own.values()})
        }
        # On the device, and in one call: through the host, each variable takes as long as all of them do so.
        self._update = tf.function(self._moved, autograph=False)
        self._exchange = tf.function(self._exchanged, autograph=False)
        self._give = tf.function(self._given, autograph=False)

    def update(self, updates: int, since: int = 1) -> None:
        """Take in the model as it is after so many updates.

        Args:
            updates: All that were made, at least 1.
            since: Those since it was taken in last, for all of which it counts.
        """
        if self._own:
            decays = (min(self.decay, (1 + n) / (10 + n)) for n in range(updates - since + 1, updates + 1))
            self._update(tf.constant(1 - math.prod(decays), tf.float64))

    def tensors(self) -> dict[str, np.ndarray]:
        """The average, by the variables' paths."""
        found = {}
        for dtype, vector in self._vectors.items():
            values, begin = vector.numpy(), 0
            for name, own in self._of(dtype).items():
                size = math.prod(own.shape)
                found[name] = values[begin : begin + size].reshape(own.shape)
                begin += size
        return {name: found[name] for name in self._own}

    def restore(self, tensors: Mapping[str, np.ndarray], source: str) -> None:
        """Take what `tensors` gave.

        Raises:
            ModelError: It does not fit; `source` is named.
        """
        refuse_mismatches(expectations(self._own), tensors, source)
        for dtype, vector in self._vectors.items():
            vector.assign(np.concatenate([np.asarray(tensors[name]).reshape(-1) for name in self._of(dtype)]))

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Within the block the model has the average; afterwards its own values again, to the bit."""
        own = self.swap()
        try:
            yield
        finally:
            self.put_back(own)

    def swap(self) -> dict[str, tf.Tensor]:
        """Give the model the average.

        Returns:
            The model's own values, for `put_back`.
        """
        own: dict[str, tf.Tensor] = self._exchange()
        return own

    def put_back(self, own: Mapping[str, tf.Tensor]) -> None:
        """Give the model the values that `swap` gave."""
        self._give(own)

    def put_into_model(self) -> None:
        """Give the model the average, for good."""
        self._exchange()

    def _of(self, dtype: str) -> dict[str, keras.Variable]:
        return {name: one for name, one in self._own.items() if one.dtype == dtype}

    def _together(self, dtype: str) -> tf.Tensor:
        return tf.concat([tf.reshape(one.value, (-1,)) for one in self._of(dtype).values()], axis=0)

    def _moved(self, weight: tf.Tensor) -> None:
        for dtype, vector in self._vectors.items():
            vector.assign(vector.value + tf.cast(weight, dtype) * (self._together(dtype) - vector.value))

    def _exchanged(self) -> dict[str, tf.Tensor]:
        own = {dtype: self._together(dtype) for dtype in self._vectors}
        self._given({dtype: vector.value for dtype, vector in self._vectors.items()})
        return own

    def _given(self, vectors: Mapping[str, tf.Tensor]) -> None:
        for dtype, vector in vectors.items():
            variables = self._of(dtype).values()
            parts = tf.split(vector, [math.prod(one.shape) for one in variables])
            for variable, part in zip(variables, parts, strict=True):
                variable.assign(tf.reshape(part, variable.shape))
