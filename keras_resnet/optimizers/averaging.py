"""The moving average of a network's weights and statistics, which is evaluated and saved in its place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

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
        self._update = tf.function(self._moved, autograph=False)

    def update(self, updates: Any, when: Any = None) -> None:
        """Take in the model as it is after so many updates. It may be a part of another `tf.function`.

        Args:
            updates: At least 1.
            when: Whether to, a scalar; None: yes.
        """
        if self._own:
            self._update(tf.cast(updates, tf.float64), tf.constant(True) if when is None else when)

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

    def swap(self) -> dict[str, np.ndarray]:
        """Give the model the average.

        Returns:
            The model's own values, for `put_back`.
        """
        own = {name: one.numpy() for name, one in self._own.items()}
        self.put_into_model()
        return own

    def put_back(self, own: Mapping[str, np.ndarray]) -> None:
        """Give the model the values that `swap` gave."""
        for name, variable in self._own.items():
            variable.assign(own[name])

    def put_into_model(self) -> None:
        """Give the model the average, for good."""
        average = self.tensors()
        for name, variable in self._own.items():
            variable.assign(average[name])

    def _of(self, dtype: str) -> dict[str, keras.Variable]:
        return {name: one for name, one in self._own.items() if one.dtype == dtype}

    def _moved(self, updates: tf.Tensor, when: tf.Tensor) -> None:
        weight = tf.where(when, 1 - tf.minimum(tf.constant(self.decay, tf.float64), (1 + updates) / (10 + updates)), 0)
        for dtype, vector in self._vectors.items():
            own = tf.concat([tf.reshape(one.value, (-1,)) for one in self._of(dtype).values()], axis=0)
            moved = vector.value + tf.cast(weight, dtype) * (own - vector.value)
            vector.assign(tf.where(when, moved, vector.value))
