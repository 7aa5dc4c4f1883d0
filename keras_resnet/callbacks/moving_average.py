"""The moving average of the weights, kept, judged and saved by anyone's `model.fit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.callbacks.between_batches import BetweenBatches, check_built
from keras_resnet.compat.fit import callbacks_of_this_fit
from keras_resnet.errors import UsageError
from keras_resnet.optimizers.averaging import MovingAverage as Average
from keras_resnet.optimizers.state import unwrapped
from keras_resnet.settings import Values, check_arguments

COUNTS = "counts"
STEP = "keras_resnet_average"
"""The mark of a training step that takes the new weights in."""


class MovingAverage(BetweenBatches):
    """An exponential moving average (Polyak & Juditsky, 1992) of a model's weights and statistics.

    Validation judges the average, and at the end of the training the model has it. At first the decay is
    `(1 + n) / (10 + n)` after n updates, if that is less. With `ExactCheckpoint`, which must come before it, it goes on
    to the bit.

    Args:
        decay: In (0, 1): 0.9999 for long trainings, 0.99 for short ones.

    Raises:
        UsageError: `decay` is out of range; or, in `fit`, the model has no weights yet, or an `EarlyStopping` would
            give it others than the average at the end.

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
        self._counts: tf.Variable | None = None  # int64 (2,): updates, and batches
        self._average: Average | None = None
        self._averaged: keras.Model | None = None
        self._own: dict[str, np.ndarray] | None = None  # the model's values while the average is judged
        self._inside = False  # of the function that makes a training step

    def open(self) -> Average:
        """The average of the model that is being trained; made when it is first asked for."""
        if self._average is None or self._averaged is not self.model:  # of a fit that ended by an error
            self._average, self._averaged, self._own = Average(self.model, self.decay), self.model, None
            self._counts = tf.Variable([0, 0], dtype=tf.int64, trainable=False, name="counts")
        return self._average

    @property
    def updates(self) -> int:
        """Updates of the weights that the average has taken in."""
        return 0 if self._counts is None else int(self._counts[0])

    @property
    def batches(self) -> int:
        """Batches that it has seen; several make an update where gradients are accumulated."""
        return 0 if self._counts is None else int(self._counts[1])

    def weights(self) -> dict[str, np.ndarray]:
        """The average, by the paths of the model's variables."""
        return self.open().tensors()

    def tensors(self) -> dict[str, np.ndarray]:
        """All that a checkpoint must keep."""
        own = self.weights()
        assert self._counts is not None
        return {COUNTS: self._counts.numpy(), **own}

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
        assert self._counts is not None
        self._counts.assign(tensors[COUNTS])

    def forget(self) -> None:
        """Keep the weights that the model has now: at the end it does not get the average."""
        self._average = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        check_built(self.model)
        refuse_restored_weights("validation judges the average, and they are not it")
        self.open()
        self.on_test_end()  # of a fit that was interrupted as the average was judged
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self._inside = not self.model.run_eagerly and self.model.steps_per_execution == 1 and replicas == 1
        if self._inside:
            self._put_into_step()

    def between_batches(self, before: int, done: int) -> None:
        if not self._inside:
            self._take_in(done - before)

    def _put_into_step(self) -> None:
        """Let the training step take the new weights in: a call of its own would wait for its turn after each step."""
        _take_out_of_step(self.model)  # of a fit that failed
        step = self.model.train_step

        def averaged(data: Any) -> Any:
            logs = step(data)
            self._take_in(1)
            return logs

        setattr(averaged, STEP, True)
        self.model.train_step = averaged
        self.model.make_train_function(force=True)

    def _take_in(self, batches: int) -> None:
        """Take in the weights after some batches; those of an update that is not made yet are passed over."""
        assert self._average is not None
        assert self._counts is not None
        together = unwrapped(self.model.optimizer).gradient_accumulation_steps or 1  # batches of one update
        updates, seen = tf.unstack(self._counts.read_value())
        made = (seen + batches) // together - seen // together
        self._average.update(updates + made, when=None if together == 1 else made > 0)
        self._counts.assign(tf.stack([updates + made, seen + batches]))

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_test_begin(logs)
        self._own = self.open().swap()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._own is not None:
            self.open().put_back(self._own)
            self._own = None

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        _take_out_of_step(self.model)
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


def _take_out_of_step(model: keras.Model) -> None:
    if hasattr(model.train_step, STEP):
        del model.train_step  # the attribute that hides its own
        model.train_function = None
