"""Shows a training: a line an epoch and, on a terminal, a bar with speed and time left."""

from __future__ import annotations

import sys
from typing import IO, Any, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from keras_resnet.callbacks.state import State
from keras_resnet.data.images import ImageData
from keras_resnet.runs.run import Row, Run
from keras_resnet.streams import LossyStream
from keras_resnet.training.phases import total_epochs
from keras_resnet.training.recipe import Recipe
from keras_resnet.visible import visible


class Progress:
    """Shows reading and training on standard error. Where that is closed or full, what was to be shown is lost.

    Args:
        verbose: False shows nothing.
    """

    def __init__(self, verbose: bool = True) -> None:
        # Lossy: Rich ends the process where nobody reads what it writes.
        self.console = Console(file=cast(IO[str], LossyStream(sys.stderr)), quiet=not verbose, highlight=False)
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
        self._epochs = self._steps = self._batch = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reading(self, done: int, total: int) -> None:
        """Called by the data reader."""
        if self._task is None:
            self._bars.start()
            self._task = self._bars.add_task("reading images", total=total, note="")
        self._bars.update(self._task, completed=done)
        if done == total:
            self.close()

    def note(self, text: str) -> None:
        """Show a text on a line of its own."""
        self.console.print(visible(text), markup=False, soft_wrap=True)

    def begin(self, recipe: Recipe, data: ImageData, run: Run, state: State, steps: int, batch: int) -> None:
        """Say what is about to be trained, and show the bar.

        Args:
            recipe: How.
            data: On what.
            run: Where it is saved.
            state: How far it has come.
            steps: Updates in an epoch.
            batch: Images in a batch.
        """
        for note in data.notes:
            self.note(f"note: {note}")
        height, width, channels = data.train.images.shape
        counts = ", ".join(f"{len(split)} {name}" for name, split in data.splits.items())
        self.note(
            f"{recipe.model} on {data.name}: {len(data.class_names)} classes, {counts} images "
            f"of {height}×{width}×{channels}"
        )
        self._epochs, self._steps, self._batch = total_epochs(recipe), steps, batch
        place = f" batch {state.step} of epoch {state.epoch + 1}" if state.step else f" epoch {state.epoch}"
        going_on = f", continuing after{place}" if state.updates else ""
        self.note(f"{self._epochs} epochs of {steps} steps into {run.path}{going_on}")
        done = state.epoch * steps + state.step
        self._bars.start()
        self._task = self._bars.add_task("training", total=self._epochs * steps, completed=done, note="")

    def updated(self, state: State, learning_rate: float) -> None:
        """After every update."""
        means = state.means
        note = (
            f"loss {means['loss']:.3f}  accuracy {means['accuracy']:.3f}  rate {learning_rate:.4g}  "
            f"{state.step * self._batch / max(state.seconds, 1e-9):.0f} images/s"
        )
        self._bars.update(self._task, completed=state.epoch * self._steps + state.step, note=note)

    def epoch_ended(self, row: Row) -> None:
        """Show the line of an epoch."""
        epoch = int(row["epoch"])
        left = row["seconds"] * (self._epochs - epoch)  # by the last epoch: the first one includes compiling
        self.note(
            f"epoch {epoch:>{len(str(self._epochs))}}/{self._epochs}  loss {row['loss']:.4f}  "
            f"accuracy {row['accuracy']:.4f}  validation loss {row['val_loss']:.4f}  "
            f"accuracy {row['val_accuracy']:.4f}  rate {row['learning_rate']:.3g}  "
            f"{row['seconds']:.1f} s  {_clock(left)} left"
        )

    def close(self) -> None:
        """Remove the bar; a bar that keeps running hides the terminal's cursor."""
        self._bars.stop()
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
