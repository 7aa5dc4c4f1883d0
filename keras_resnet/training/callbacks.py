"""What happens at the end of every epoch: the record is written, then the checkpoint."""

from __future__ import annotations

import math
import time
from typing import Any

import keras

from keras_resnet.errors import DivergedError
from keras_resnet.runs.run import Row, Run
from keras_resnet.training.checkpoint import save_checkpoint, save_model_variables


class Checkpoints(keras.callbacks.Callback):
    """Writes `metrics.csv`, `best.safetensors` and `last.safetensors`, in this order.

    A kill between two of them is harmless: rows of epochs that the last checkpoint does not hold
    are dropped on resuming, and the same epoch gives the same best weights again.
    """

    def __init__(self, run: Run, optimizer: keras.optimizers.Optimizer) -> None:
        super().__init__()
        self.run = run
        self.optimizer = optimizer
        self.rows: list[Row] = []
        self.epochs_done = 0
        self.best_accuracy = -1.0
        self._started = 0.0

    def restore(self, model: keras.Model, epoch: int, best_accuracy: float) -> None:
        """Go on after `epoch` complete epochs."""
        self.epochs_done, self.best_accuracy = epoch, best_accuracy
        self.rows = self.run.metrics()[:epoch]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        for name in ("loss", "val_loss"):  # the last step's update may have ruined what its loss did not show yet
            if not math.isfinite(logs[name]):
                raise diverged(name, logs[name], self.optimizer, self.run)
        self.epochs_done = epoch + 1
        self.rows.append(
            {
                "epoch": epoch + 1,
                "step": int(self.optimizer.iterations.numpy()),
                "loss": logs["loss"],
                "accuracy": logs["accuracy"],
                "val_loss": logs["val_loss"],
                "val_accuracy": logs["val_accuracy"],
                "learning_rate": float(self.optimizer.learning_rate.numpy()),
                "seconds": time.perf_counter() - self._started,
            }
        )
        self.run.record_metrics(self.rows)
        # Of equal ones the later: it has been trained longer at a lower rate.
        if logs["val_accuracy"] >= self.best_accuracy:
            self.best_accuracy = logs["val_accuracy"]
            save_model_variables(self.model, self.run.best)
        save_checkpoint(self.model, self.run.last, epoch=epoch + 1, best_accuracy=self.best_accuracy)


class StopOnNonFinite(keras.callbacks.Callback):
    """Raises as soon as the loss is infinite or not a number; the last checkpoint stays as it was."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise diverged("loss", loss, self.model.optimizer, self.run)


def diverged(name: str, value: float, optimizer: keras.optimizers.Optimizer, run: Run) -> DivergedError:
    """The error of a loss that is no number any more."""
    return DivergedError(
        f"the {name.replace('val_', 'validation ')} became {value} in step {int(optimizer.iterations.numpy())}. Lower "
        f"--learning-rate (and begin anew by --overwrite); what was good before is kept in {run.path}"
    )
