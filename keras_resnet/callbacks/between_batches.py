"""What callbacks see of a training between two batches, without making the host wait for the device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_resnet.compat.fit import callbacks_of_this_fit
from keras_resnet.errors import UsageError

LOOK_EVERY = 10
"""Batches between two looks at what the metrics have summed up: to look means to wait for the device."""


class BetweenBatches(keras.callbacks.Callback):
    """A callback that is told of a batch when the next one is about to begin, or the epoch is at its end.

    For every callback that asks for `on_train_batch_end`, Keras reads all metrics after every batch and waits for the
    device. `on_train_batch_begin` costs nothing, and the model is the same then.

    `ExactCheckpoint`, which comes before these callbacks, lets them catch up before it saves.

    Attributes:
        begun: Batches of this epoch that an earlier process has done; `ExactCheckpoint` sets it.
        done: Batches of this epoch that the callback has been told of.
    """

    def __init__(self) -> None:
        super().__init__()
        self.begun = self.done = 0
        self._running = 0  # batches of this epoch that are done once the running one is

    def between_batches(self, before: int, done: int) -> None:
        """Look at the model as it is after some batches.

        Args:
            before: Batches of this epoch that were done when it was last looked at.
            done: Those that are done now.
        """

    @property
    def may_be_best(self) -> bool:
        """Whether the weights that the model has now may be chosen as the best ones of the training."""
        return True

    def close(self) -> None:
        """Leave nothing behind: the process is about to end."""

    def catch_up(self, done: int) -> None:
        """Be told of all batches of this epoch up to here, if not told of them yet."""
        if done > self.done:
            before, self.done = self.done, done
            self.between_batches(before, done)

    def catch_up_with_epoch(self) -> None:
        """Be told of all batches of this epoch, now that the last one is done."""
        if self.steps is None and not self.model.stop_training:
            return  # Keras has begun a batch that there was not, and so found the end
        self.catch_up(self._running)

    @property
    def steps(self) -> int | None:
        """Batches of an epoch; None: nobody knows."""
        steps: int | None = self.params["steps"]
        return steps

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.done = self._running = self.begun

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.catch_up(self.begun + batch)
        self._running = self.begun + batch + self.model.steps_per_execution
        if self.steps is not None:
            self._running = min(self._running, self.steps)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._let_all_catch_up()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._let_all_catch_up()

    def _let_all_catch_up(self) -> None:
        """All before any does what it does at the end of an epoch, such as putting other weights into the model."""
        for one in callbacks_of_this_fit() or (self,):
            if isinstance(one, BetweenBatches):
                one.catch_up_with_epoch()


def check_built(model: keras.Model) -> None:
    """Refuse a model that has no variables yet, of which a callback could neither save nor average any.

    Raises:
        UsageError: Keras would make them with the first batch.
    """
    if not model.built:
        raise UsageError(
            f"the model {model.name} has no weights yet, since it does not know its input: begin it with keras.Input, "
            "or call it on a batch before fit"
        )


def figures_of(logs: Mapping[str, Any] | None) -> dict[str, float]:
    """What `fit` reports, as far as it is single numbers: a metric may give a number for each class."""
    return {name: float(one) for name, one in (logs or {}).items() if np.ndim(one) == 0}


def metrics_by_name(model: keras.Model) -> dict[str, keras.metrics.Metric]:
    """The metrics of a model by their names, `loss` among them; those of `compile` once they are built."""
    return {one.name: one for one in _each(model.metrics)}


def running_sums(model: keras.Model) -> dict[str, tuple[float, float]]:
    """What the averaging metrics of a model have summed up since they were last set to 0.

    Returns:
        By the metric's name, `loss` among them: the sum, and over how many images.
    """
    # One by one: to put these few numbers together on the device first takes longer.
    return {
        one.name: (float(one.total.numpy()), float(one.count.numpy()))
        for one in _each(model.metrics)
        if hasattr(one, "total") and hasattr(one, "count")
    }


def mean_since(
    now: dict[str, tuple[float, float]], before: dict[str, tuple[float, float]]
) -> tuple[dict[str, float], float]:
    """Means over the images between two looks.

    Args:
        now, before: As `running_sums` gives them; if the metrics were set to 0 in between, all since then counts.

    Returns:
        By the metric's name; and over how many images the loss is.
    """
    means: dict[str, float] = {}
    for name, (total, count) in now.items():
        old_total, old_count = before.get(name, (0.0, 0.0))
        if count < old_count:
            old_total = old_count = 0.0
        if count > old_count:
            means[name] = (total - old_total) / (count - old_count)
    loss, old = now.get("loss", (0.0, 0.0))[1], before.get("loss", (0.0, 0.0))[1]
    return means, loss - old if loss >= old else loss


def _each(metrics: Iterable[Any]) -> Iterable[keras.metrics.Metric]:
    """The metrics, and those that others hold, as Keras holds those given to `compile`."""
    for one in metrics:
        yield from _each(inner) if (inner := getattr(one, "metrics", None)) else (one,)
