"""What to do in anyone's `model.fit` when the loss is no number or jumps: go back, and on at half the rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_resnet.allowed import COUNT
from keras_resnet.callbacks.exact_checkpoint import ExactCheckpoint, those_before
from keras_resnet.callbacks.moving_average import MovingAverage
from keras_resnet.callbacks.notes import note
from keras_resnet.callbacks.setbacks import RATE_FACTOR, TRIES, WINDOW, what_is_wrong
from keras_resnet.compat.optimizers import follows_schedule
from keras_resnet.errors import DivergedError
from keras_resnet.optimizers.state import load_optimizer_state, optimizer_state
from keras_resnet.settings import check_arguments
from keras_resnet.weights.files import assign, variables_by_path

ITERATIONS = "iterations"


class Guard(keras.callbacks.Callback):
    """Goes back when a loss is infinite, not a number, or jumps, and on at half the learning rate.

    Weights, optimizer and average become those of the last checkpoint of `ExactCheckpoint`, or of the beginning of the
    epoch without it; the data go on where they are. The rate is halved where it is a number or a schedule of this
    package. After three times in an epoch the training ends with an error.

    It must come after `ExactCheckpoint` and `MovingAverage`.

    Args:
        every: Updates between two looks at the loss. To look means to wait for the device.

    Raises:
        UsageError: `every` is less than 1, or, in `fit`, the order is wrong.
        DivergedError: In `fit`: it went back three times in an epoch, and again.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data("digits")
        >>> model = keras_resnet.ResNet8(num_classes=10, input_shape=(16, 16, 1))
        >>> model.compile(keras_resnet.optimizers.SGD(0.1), "categorical_crossentropy")
        >>> train = digits.train.batches(64, seed=0).take(2)
        >>> _ = model.fit(train, callbacks=[keras_resnet.callbacks.Guard()], verbose=0)
    """

    @check_arguments(every=COUNT)
    def __init__(self, every: int = 10) -> None:
        super().__init__()
        self.every = every
        self.tries = 0
        self.losses = np.zeros(0)
        self.first = math.nan
        self._seen = (0, 0.0)  # batches of this epoch, and the sum of their losses
        self._saving: ExactCheckpoint | None = None
        self._average: MovingAverage | None = None
        self._own: dict[str, np.ndarray] = {}
        self._goes_on = False
        self._reset = 0  # the batch of this epoch after which the metrics were last set to 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        before = those_before(self, "since it gives back what that one has saved")
        self._saving = next((one for one in before if isinstance(one, ExactCheckpoint)), None)
        self._average = next((one for one in before if isinstance(one, MovingAverage)), None)

    def tensors(self) -> dict[str, np.ndarray]:
        """All that a checkpoint must keep."""
        batches, total = self._seen
        return {"losses": self.losses, "others": np.array([self.tries, self.first, batches, total, self._reset])}

    def restore(self, tensors: Mapping[str, np.ndarray], source: str) -> None:
        """Take what `tensors` gave."""
        self.losses = tensors["losses"]
        tries, self.first, batches, total, reset = tensors["others"].tolist()
        self.tries, self._seen, self._reset, self._goes_on = int(tries), (int(batches), total), int(reset), True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not self._goes_on:
            self._seen, self.tries, self._reset = (0, 0.0), 0, 0
        self._goes_on = False
        if self._saving is None:
            self.model.optimizer.build(self.model.trainable_variables)
            self._own = self._all()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        done = batch + 1 + (self._saving.begun if self._saving else 0)
        if done % self.every or not logs or "loss" not in logs:
            return
        batches, total = self._seen
        self._seen = (done, float(logs["loss"]) * (done - self._reset))  # the mean since the metrics were reset
        loss = (self._seen[1] - total) / (done - batches)
        if math.isnan(self.first) and math.isfinite(loss):
            self.first = loss
        wrong = what_is_wrong(loss, self.losses.tolist(), self.first)
        if wrong is None:
            self.losses = np.append(self.losses[1 - WINDOW :], loss)
        else:
            self._go_back(wrong, done)

    def _go_back(self, wrong: str, done: int) -> None:
        if self.tries >= TRIES:
            raise DivergedError(
                f"training diverged: {wrong} in batch {done}, {TRIES} times after going back and halving the "
                "rate. Lower the learning rate, lengthen the warm-up or clip gradients, and look for odd images or "
                "labels by `keras-resnet check`"
            )
        self.tries += 1
        tensors = self._saving.newest() if self._saving is not None else self._own
        self._restore(tensors)
        slower = self._halve()
        for metric in self.model.metrics:
            metric.reset_state()
        self._seen, self._reset = (done, 0.0), done
        note(f"{wrong} in batch {done}: back to the weights saved before, {slower} (try {self.tries} of {TRIES})")

    def _all(self) -> dict[str, np.ndarray]:
        tensors = {f"model/{name}": one.numpy() for name, one in variables_by_path(self.model).items()}
        tensors |= {f"optimizer/{name}": one for name, one in optimizer_state(self.model.optimizer).items()}
        kept = self._average.tensors() if self._average else {}
        return tensors | {f"MovingAverage/{name}": one for name, one in kept.items()}

    def _restore(self, tensors: dict[str, np.ndarray]) -> None:
        def under(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}

        assign(variables_by_path(self.model), under("model/"), "the weights saved before")
        now = optimizer_state(self.model.optimizer)
        # The data and so the schedule go on; a rate that was halved before stays so.
        going_on = {name: now[name] for name in (ITERATIONS, "rate_factor", "learning_rate") if name in now}
        load_optimizer_state(self.model.optimizer, under("optimizer/") | going_on, "the optimizer saved before")
        if self._average is not None:
            self._average.restore(under("MovingAverage/"), "the average saved before")

    def _halve(self) -> str:
        optimizer = self.model.optimizer
        factor = getattr(optimizer, "rate_factor", None)
        if factor is not None:
            factor.assign(float(factor.numpy()) * RATE_FACTOR)
        elif follows_schedule(optimizer):
            return "at the same rate, since a schedule of Keras cannot be changed"
        else:
            optimizer.learning_rate = float(optimizer.learning_rate) * RATE_FACTOR
        return "at half the rate"
