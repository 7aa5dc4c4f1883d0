"""The moving average of the weights, kept, judged and saved by anyone's `model.fit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.allowed import COUNT
from keras_resnet.callbacks.between_batches import LOOK_EVERY, BetweenBatches, check_built
from keras_resnet.compat.fit import callbacks_of_this_fit
from keras_resnet.errors import UsageError
from keras_resnet.optimizers.averaging import MovingAverage as Average
from keras_resnet.optimizers.state import unwrapped
from keras_resnet.settings import Values, check_arguments

COUNTS = "counts"


class MovingAverage(BetweenBatches):
    """An exponential moving average (Polyak & Juditsky, 1992) of a model's weights and statistics.

    Validation judges the average, and at the end of the training the model has it. At first the decay is
    `(1 + n) / (10 + n)` after n updates, if that is less. With `ExactCheckpoint`, which must come before it, it goes on
    to the bit.

    To take the weights in after every update takes a twentieth of a small network's training. So they are taken in
    every few batches and at the end of an epoch, and count for all updates since the last time.

    Args:
        decay: Of one update, in (0, 1): 0.9999 for long trainings, 0.99 for short ones.
        every: Batches between two times that it takes the weights in.

    Attributes:
        updates: Those of the weights that the average has taken in.
        batches: Those that it was told of; several make an update where gradients are accumulated.

    Raises:
        UsageError: `decay` or `every` is out of range; or, in `fit`, the model has no weights yet, or an
            `EarlyStopping` would give it others than the average at the end.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data("digits")
        >>> model = keras_resnet.ResNet8(num_classes=10, input_shape=(16, 16, 1))
        >>> model.compile("sgd", "categorical_crossentropy")
        >>> train = digits.train.batches(64, seed=0).take(2)
        >>> _ = model.fit(train, callbacks=[keras_resnet.callbacks.MovingAverage(0.99)], verbose=0)
    """

    @check_arguments(decay=Values(float, above=0, below=1), every=COUNT)
    def __init__(self, decay: float = 0.9999, every: int = LOOK_EVERY) -> None:
        super().__init__()
        self.decay = decay
        self.every = every
        self.updates = self.batches = 0
        self._average: Average | None = None
        self._averaged: keras.Model | None = None
        self._own: dict[str, tf.Tensor] | None = None  # by dtype, the model's values while the average is judged

    def open(self) -> Average:
        """The average of the model that is being trained; made when it is first asked for."""
        if self._average is None or self._averaged is not self.model:  # of a fit that ended by an error
            self._average, self._averaged, self._own = Average(self.model, self.decay), self.model, None
            self.updates = self.batches = 0
        return self._average

    def weights(self) -> dict[str, np.ndarray]:
        """The average, by the paths of the model's variables."""
        return self.open().tensors()

    def tensors(self) -> dict[str, np.ndarray]:
        """All that a checkpoint must keep."""
        own = self.weights()
        return {COUNTS: np.array([self.updates, self.batches]), **own}

    def restore(self, tensors: Mapping[str, np.ndarray], source: str) -> None:
        """Take what `tensors` gave.

        Args:
            tensors: It.
            source: What to call it in an error.

        Raises:
            ModelError: It is of another model.
        """
        self._own = None  # of a fit that was interrupted: what the model has is restored, too
        own = {name: one for name, one in tensors.items() if name != COUNTS}
        self.open().restore(own, source)
        self.updates, self.batches = tensors[COUNTS].tolist()

    def forget(self) -> None:
        """Keep the weights that the model has now: at the end it does not get the average."""
        self._average = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        check_built(self.model)
        refuse_restored_weights("validation judges the average, and they are not it")
        self.open()
        self.on_test_end()  # of a fit that was interrupted as the average was judged

    def between_batches(self, before: int, done: int) -> None:
        self.batches += done - before
        # Not whenever it is told: before a checkpoint it is, and the average does not depend on when those are written.
        if any(number % self.every == 0 for number in range(before + 1, done + 1)):
            self._take_in()

    def catch_up_with_epoch(self) -> None:
        super().catch_up_with_epoch()
        self._take_in()

    def _take_in(self) -> None:
        """Take in the weights, if they were updated since the last time."""
        together = unwrapped(self.model.optimizer).gradient_accumulation_steps or 1  # batches of one update
        updates = self.batches // together
        if self._average is not None and updates > self.updates:
            self._average.update(updates, since=updates - self.updates)
            self.updates = updates

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_test_begin(logs)
        self._own = self.open().swap()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._own is not None:
            self.open().put_back(self._own)
            self._own = None

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._average is not None:
            self._average.put_into_model()
            self._average = None


def refuse_restored_weights(why: str) -> None:
    """Refuse an `EarlyStopping` that gives the model other weights at the end of this `fit`.

    Args:
        why: Those would be wrong, in words.

    Raises:
        UsageError: There is one.
    """
    for one in callbacks_of_this_fit():
        if isinstance(one, keras.callbacks.EarlyStopping) and one.restore_best_weights:
            raise UsageError(
                f"EarlyStopping(restore_best_weights=True) would give the model other weights at the end: {why}. Leave "
                "restore_best_weights out; ExactCheckpoint(monitor=...) gives the best weights back"
            )
