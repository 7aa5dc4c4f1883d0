"""A training between two of its checkpoints: what is saved of it, and how it is brought back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from keras_resnet.errors import ModelError, UsageError
from keras_resnet.runs.run import Run
from keras_resnet.training.averaging import MovingAverage
from keras_resnet.training.checkpoint import Checkpoint, CheckpointStore
from keras_resnet.training.compiling import Trainee
from keras_resnet.training.health import Health
from keras_resnet.training.progress import Progress
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.state import State
from keras_resnet.training.tensorboard import TensorBoardWriter
from keras_resnet.weights.files import Tensors, assign, variables_by_path


@dataclass(frozen=True)
class Saving:
    """How often a checkpoint is written besides at every epoch's end, and how many are kept.

    Args:
        steps: After so many updates; 0: not by their number.
        minutes: After so many minutes; 0: not by time.
        keep: At least 1.

    Raises:
        UsageError: A number is out of range.
    """

    steps: int = 0
    minutes: float = 10.0
    keep: int = 3

    def __post_init__(self) -> None:
        if self.steps < 0 or not self.minutes >= 0 or self.keep < 1:
            raise UsageError(
                "checkpoints are written every so many steps or minutes (at least 0), and at least 1 is kept; "
                f"received {self.steps}, {self.minutes} and {self.keep}"
            )


KINDS = ("model", "optimizer", "optimizer_head", "average", "health")


class Session:
    """A network, where its training stands, and the checkpoints of both.

    Args:
        trainee: The network.
        recipe: How it is trained.
        run: Where.
        health: What is remembered of the network's inner state.
        progress: Told what is out of the ordinary.
        saving: When checkpoints are written.
        tensorboard: Also write event files for TensorBoard.
    """

    def __init__(
        self,
        trainee: Trainee,
        recipe: Recipe,
        run: Run,
        health: Health,
        progress: Progress,
        saving: Saving,
        *,
        tensorboard: bool = False,
    ) -> None:
        self.trainee, self.recipe, self.run, self.place = trainee, recipe, run, trainee.place
        self.health, self.progress, self.saving, self.tensorboard = health, progress, saving, tensorboard
        self.store = CheckpointStore(run.checkpoints, saving.keep)
        self.average = MovingAverage(trainee.network, recipe.ema)
        self.state = State(parts=recipe.accumulate)
        self._board: TensorBoardWriter | None = None
        self._waiting: Checkpoint | None = None  # read, and not yet in the network
        self._changed = True
        self.head = False
        self._saved_updates, self._saved_time = 0, time.monotonic()

    def open(self) -> None:
        """Stand where the newest checkpoint does, if there is one; forget what was recorded after it."""
        if self.place.is_chief:
            self.run.events.mend()
        self._waiting = self.store.load(self.warn)
        if self._waiting:
            self.state, self._changed = self._waiting.state, False
            self.event("continued")
        self._cut_record()

    def go_back(self, *, parts: int | None = None, leave_out: tuple[int, int] | None = None, rate: float = 1.0) -> None:
        """Stand at the last checkpoint again, from now on with other parts, without a batch, or at a lower rate.

        Args:
            parts: Micro-batches a batch is computed in.
            leave_out: (epoch, step) of a batch that is not trained on any more.
            rate: Factor on the learning rate.
        """
        failed = self.state
        self._waiting = self.store.load(self.warn)
        if self._waiting is None:
            raise ModelError(f"the checkpoints of {self.run.path} have gone while it was trained")
        self.state, self._changed = self._waiting.state, True
        self.state.parts = parts or failed.parts
        self.state.rate_factor = failed.rate_factor * rate
        self.state.tries = failed.tries + (leave_out is not None)
        self.state.left_out = [*failed.left_out, *([list(leave_out)] if leave_out else [])]
        self._cut_record()

    def ready(self, *, head: bool, size: int, steps: int, batch: int) -> None:
        """Compile the network for what is next, and fill it from the checkpoint that is waiting, if one is."""
        sharers = 1 if self.recipe.sync_batchnorm else self.place.replicas
        frozen = head or self.recipe.freeze_batchnorm
        self.health.batch_per_normalisation = 0 if frozen else batch // self.state.parts // sharers
        new = self.trainee.compile(head=head, parts=self.state.parts, size=size, steps=steps)
        self.head = head
        if self._waiting:
            self._fill(self._waiting.tensors)
        self.trainee.scale_rate(self.state.rate_factor)
        if new or self._waiting:
            self.trainee.prepare(new)
        self._waiting = None
        if self._changed:
            self.save()

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            StorageError: It cannot be written; the one before is as it was.
        """
        self._changed = False
        self._saved_updates, self._saved_time = self.state.updates, time.monotonic()
        self.place.average_statistics(self.trainee.network)
        if not self.place.is_chief:
            return
        self.state.log_bytes = self.run.log.size()
        tensors = {f"model/{name}": one.numpy() for name, one in variables_by_path(self.trainee.network).items()}
        tensors |= {f"{self._optimizer}/{name}": value for name, value in self.trainee.optimizer_tensors().items()}
        tensors |= {f"average/{name}": value for name, value in self.average.tensors().items()}
        tensors |= {f"health/{name}": value for name, value in self.health.state().items()}
        self.store.save(tensors, self.state)

    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        steps, minutes = self.saving.steps, self.saving.minutes
        return bool(
            (steps and self.state.updates - self._saved_updates >= steps)
            or (minutes and time.monotonic() - self._saved_time >= 60 * minutes)
        )

    def keep_best(self, accuracy: float) -> None:
        """Remember the network as it is now, if no epoch had a better one."""
        # Of equal ones the later: it has been trained longer at a lower rate.
        if accuracy >= self.state.best_accuracy:
            self.state.best_accuracy = accuracy
            if not self.place.is_chief:
                return
            weights = {name: one.numpy() for name, one in variables_by_path(self.trainee.network).items()}
            self.state.best, self.state.best_digest = self.store.save_best(weights, self.state.epoch + 1)

    def warn(self, text: str) -> None:
        """Say something and record it."""
        self.progress.note(text)
        self.event("note", text=text)

    def record(self, row: dict[str, Any]) -> None:
        """Add a row to `metrics.jsonl`."""
        if self.place.is_chief:
            self.run.log.add(row)
        if self._board:
            self._board.add(row)

    def event(self, kind: str, **details: object) -> None:
        """Add a line to `events.jsonl`."""
        if not self.place.is_chief:
            return
        where = {"epoch": self.state.epoch + 1, "step": self.state.step, "updates": self.state.updates}
        self.run.events.add(
            {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": kind, **where, **details}
        )

    def _cut_record(self) -> None:
        """Forget what was recorded after the checkpoint."""
        if not self.place.is_chief:
            return
        self.run.log.cut(self.state.log_bytes)
        self.run.record_metrics(self.state.rows)
        if self.tensorboard:
            self._board = TensorBoardWriter(self.run.path / "tensorboard", self.run.log.rows())

    @property
    def _optimizer(self) -> str:
        """What the present phase's optimizer is called in a checkpoint."""
        return "optimizer_head" if self.head else "optimizer"

    def _fill(self, tensors: Tensors) -> None:
        groups: dict[str, Tensors] = {kind: {} for kind in KINDS}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition("/")
            groups[kind][rest] = tensor
        assign(variables_by_path(self.trainee.network), groups["model"], "the checkpoint")
        # At the end of the first phase the checkpoint has its optimizer still; the next one begins anew.
        if groups[self._optimizer] or not groups["optimizer_head"]:
            self.trainee.restore_optimizer(groups[self._optimizer], "the checkpoint")
        self.average.restore(groups["average"], "the checkpoint")
        self.health.restore(groups["health"], "the checkpoint")
