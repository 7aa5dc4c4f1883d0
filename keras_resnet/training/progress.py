"""A training to watch: a line an epoch, and on a terminal a bar with rate and time left."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from keras_resnet.data.images import ImageData
from keras_resnet.runs.run import Run
from keras_resnet.training.recipe import Recipe


class Progress(keras.callbacks.Callback):
    """Shows reading and training on standard error.

    Args:
        verbose: False shows nothing.
    """

    def __init__(self, verbose: bool = True) -> None:
        super().__init__()
        self.console = Console(stderr=True, quiet=not verbose, highlight=False)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not verbose or not self.console.is_terminal,
        )
        self._task: Any = None
        self._first = self._epochs = self._steps = self._batch_size = 0
        self._began = self._epoch_began = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()  # a bar that is left running keeps the terminal's cursor hidden

    def reading(self, done: int, total: int) -> None:
        """Called by the data reader."""
        if self._task is None:
            self._bars.start()
            self._task = self._bars.add_task("reading images", total=total, note="")
        self._bars.update(self._task, completed=done)
        if done == total:
            self._stop()

    def begin(self, recipe: Recipe, data: ImageData, run: Run, first_epoch: int, steps: int) -> None:
        """Say what is about to be trained."""
        for note in data.notes:
            self.console.print(f"note: {note}", markup=False, soft_wrap=True)
        height, width, channels = data.train.images.shape
        counts = ", ".join(f"{len(split)} {name}" for name, split in data.splits.items())
        self.console.print(
            f"{recipe.model} on {data.name}: {len(data.class_names)} classes, {counts} images "
            f"of {height}×{width}×{channels}",
            markup=False,
            soft_wrap=True,
        )
        going_on = f", continuing after epoch {first_epoch}" if first_epoch else ""
        self.console.print(
            f"{recipe.epochs} epochs of {steps} steps into {run.path}{going_on}", markup=False, soft_wrap=True
        )
        self._first, self._epochs, self._steps = first_epoch, recipe.epochs, steps
        self._batch_size = min(recipe.batch_size, len(data.train))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._began = time.perf_counter()
        self._bars.start()
        total = (self._epochs - self._first) * self._steps
        self._task = self._bars.add_task("training", total=total, note="")

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch_began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        rate = (batch + 1) * self._batch_size / (time.perf_counter() - self._epoch_began)
        note = f"loss {logs.get('loss', np.nan):.3f}  accuracy {logs.get('accuracy', np.nan):.3f}  {rate:.0f} images/s"
        self._bars.update(self._task, advance=1, note=note)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        now = time.perf_counter()
        done = epoch + 1 - self._first
        left = (now - self._began) / done * (self._epochs - epoch - 1)
        self.console.print(
            f"epoch {epoch + 1:>{len(str(self._epochs))}}/{self._epochs}  loss {logs['loss']:.4f}  "
            f"accuracy {logs['accuracy']:.4f}  validation loss {logs['val_loss']:.4f}  "
            f"accuracy {logs['val_accuracy']:.4f}  rate {float(self.model.optimizer.learning_rate.numpy()):.4f}  "
            f"{now - self._epoch_began:.1f} s  {_clock(left)} left",
            markup=False,
            soft_wrap=True,
        )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._stop()

    def _stop(self) -> None:
        self._bars.stop()
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
