"""What Keras calls while it trains and evaluates: after every batch a training is counted, checked, recorded, saved."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras

from keras_resnet.training.phases import Stretch
from keras_resnet.training.setbacks import WINDOW, Setback, what_is_wrong
from keras_resnet.training.state import State

if TYPE_CHECKING:
    from keras_resnet.training.loop import Training

LOG_EVERY = 10
"""Updates to a row of `metrics.jsonl`."""


class Epochs(keras.callbacks.Callback):
    """What `fit` calls after every micro-batch of a stretch."""

    def __init__(self, training: Training, stretch: Stretch) -> None:
        super().__init__()
        self.training, self.stretch, self.session = training, stretch, training.session
        self._steps: Iterator[int] = iter(())
        self._clock = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._steps = iter(self.stretch.steps)
        self._clock = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        session, state = self.session, self.session.state
        if (batch + 1) % state.parts:
            return
        session.trainee.end_batch()
        step, loss = next(self._steps), self._count(state)
        wrong = what_is_wrong(loss, state.losses, self.training.guess)
        if wrong:
            raise Setback(wrong, state.epoch, step)
        state.step, state.updates = step + 1, state.updates + 1
        state.losses = [*state.losses[1 - WINDOW :], loss]
        session.trainee.average_statistics()
        session.average.update(state.updates)
        if state.updates % LOG_EVERY == 0:
            self._log(state)
        self.training.progress.updated(state, session.trainee.learning_rate)
        if self.training.shall_stop():
            self.training.stop()
        if session.place.anywhere(session.is_due()):
            session.save()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.training.end_epoch()

    def _count(self, state: State) -> float:
        """Take the last update out of the metrics; its loss. A sum of every update's own does not depend on stops."""
        loss, images, right, _ = (float(variable.numpy()) for variable in self.session.trainee.sums)
        self.model.reset_metrics()
        clock = time.perf_counter()
        seconds, self._clock = clock - self._clock, clock
        added = {"loss": loss, "images": images, "right": right}
        state.sums = {name: state.sums.get(name, 0.0) + value for name, value in added.items()}
        added |= {"seconds": seconds}
        state.window = {name: state.window.get(name, 0.0) + value for name, value in added.items()}
        state.seconds += seconds
        return loss / images

    def _log(self, state: State) -> None:
        window, state.window = state.window, {}
        self.session.record(
            {
                "event": "step",
                "epoch": state.epoch + 1,
                "step": state.updates,
                "loss": window["loss"] / window["images"],
                "accuracy": window["right"] / window["images"],
                "learning_rate": self.session.trainee.learning_rate,
                "images_per_second": window["images"] / window["seconds"],
                "image_size": self.stretch.size or max(self.training.data.train.images.shape[:2]),
                "gradient_norms": self.session.trainee.gradient_norms,
            }
        )


class StopWhenAsked(keras.callbacks.Callback):
    """Ends an evaluation early."""

    def __init__(self, training: Training) -> None:
        super().__init__()
        self.training = training
        self.stopped = False

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.training.shall_stop():
            self.model.stop_evaluating = self.stopped = True
