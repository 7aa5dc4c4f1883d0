"""Saves a training as checkpoints, and restores it from one."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keras_resnet.callbacks.checkpoint import Checkpoint, CheckpointStore
from keras_resnet.callbacks.health import Health
from keras_resnet.callbacks.progress import Progress
from keras_resnet.callbacks.setbacks import Setback
from keras_resnet.callbacks.state import State
from keras_resnet.callbacks.tensorboard import TensorBoardWriter
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.optimizers.averaging import MovingAverage
from keras_resnet.runs.run import Run
from keras_resnet.training.network import CompiledNetwork
from keras_resnet.training.recipe import Recipe
from keras_resnet.weights.files import Tensors, assign, variables_by_path


@dataclass(frozen=True)
class Saving:
    """When checkpoints are written, besides at the end of every epoch, and how many are kept.

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


WAY = ("parts", "rate_factor", "left_out", "tries", "setback_epoch")
KINDS = ("model", "optimizer", "optimizer_head", "average", "health")


class Checkpointer:
    """Saves and restores a network and the state of its training; writes the run's records.

    Args:
        compiled: The network.
        recipe: How it is trained.
        run: Where.
        health: Observes the network at the end of every epoch.
        progress: Shows notes to the user.
        saving: When checkpoints are written.
        tensorboard: Also write event files for TensorBoard.
    """

    def __init__(
        self,
        compiled: CompiledNetwork,
        recipe: Recipe,
        run: Run,
        health: Health,
        progress: Progress,
        saving: Saving,
        *,
        tensorboard: bool = False,
    ) -> None:
        self.compiled, self.recipe, self.run, self.place = compiled, recipe, run, compiled.place
        self.health, self.progress, self.saving, self.tensorboard = health, progress, saving, tensorboard
        self.store = CheckpointStore(run.checkpoints, saving.keep)
        self.average = MovingAverage(compiled.network, recipe.ema)
        self.state = State(parts=recipe.accumulate)
        self._board: TensorBoardWriter | None = None
        self._waiting: Checkpoint | None = None  # read from disk, and not yet in the network
        self._changed = True
        self._instead_of: int | None = None
        self.head = False
        self._saved_updates, self._saved_time = 0, time.monotonic()

    def open(self) -> None:
        """Take the state of the newest checkpoint, if there is one, and drop the records written after it."""
        if self.place.is_chief:
            self.run.events.mend()
        self._waiting = self.store.load(self.warn)
        if self._waiting:
            self.state, self._changed = self._waiting.state, False
            self.event("continued")
        self._cut_record()

    def go_back(self, checkpoints: int = 0, **changes: Any) -> None:
        """Return to an earlier checkpoint and change how the training goes on from there.

        Changes made at earlier returns are kept.

        Args:
            checkpoints: How many before the newest: the newest may hold weights that were spoilt already.
            **changes: Fields of the state to change, of those in `WAY`.
        """
        failed = self.state
        self._waiting = self.store.load(self.warn, back=checkpoints)
        if self._waiting is None:
            raise ModelError(f"the checkpoints of {self.run.path} have gone while it was trained")
        way = {name: getattr(failed, name) for name in WAY} | changes
        self.state, self._changed, self._instead_of = replace(self._waiting.state, **way), True, self._waiting.number
        self._cut_record()

    def ready(self, *, head: bool, size: int, steps: int, batch: int) -> None:
        """Compile the network for the next phase, and fill it from the checkpoint that was read, if one was.

        Args:
            head: Whether only the classifier learns.
            size: Side of the training images in pixels; 0: as evaluation has them.
            steps: Updates in an epoch.
            batch: Images in a batch, over all devices.
        """
        sharers = 1 if self.recipe.sync_batchnorm else self.place.replicas
        frozen = head or self.recipe.freeze_batchnorm
        self.health.batch_per_normalisation = 0 if frozen else batch // self.state.parts // sharers
        new = self.compiled.compile(head=head, parts=self.state.parts, size=size, steps=steps)
        self.head = head
        if self._waiting:
            self._fill(self._waiting.tensors)
        self.compiled.scale_rate(self.state.rate_factor)
        if new or self._waiting:
            self.compiled.prepare(new)
        self._waiting = None
        if self._changed:
            self.save()

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            StorageError: It cannot be written; the one before is as it was.
            Setback: Weights are not finite: no training could continue from them.
        """
        tensors = {f"model/{name}": one.numpy() for name, one in variables_by_path(self.compiled.network).items()}
        tensors |= {f"{self._optimizer}/{name}": value for name, value in self.compiled.optimizer_tensors().items()}
        tensors |= {f"average/{name}": value for name, value in self.average.tensors().items()}
        broken = [name for name, value in tensors.items() if not np.isfinite(value).all()]
        if any(name.startswith(("model/", "average/")) for name in broken):
            raise Setback("weights are not finite any more", self.state.epoch, max(0, self.state.step - 1))
        tensors |= {f"health/{name}": value for name, value in self.health.state().items()}
        if self.place.is_chief:
            self.state.log_bytes = self.run.log.size()
            self.store.save(tensors, self.state, instead_of=self._instead_of)
        self._changed, self._instead_of = False, None
        self._saved_updates, self._saved_time = self.state.updates, time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        steps, minutes = self.saving.steps, self.saving.minutes
        return bool(
            (steps and self.state.updates - self._saved_updates >= steps)
            or (minutes and time.monotonic() - self._saved_time >= 60 * minutes)
        )

    def keep_best(self, value: float) -> None:
        """Save the weights if this monitored value is the best so far."""
        # Of equal values the later one: it was trained longer, at a lower rate.
        best = self.state.best_value
        if math.isfinite(value) and (best is None or value >= best):
            self.state.best_value = value
            if not self.place.is_chief:
                return
            weights = {name: one.numpy() for name, one in variables_by_path(self.compiled.network).items()}
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
        """Drop the records written after the checkpoint."""
        if not self.place.is_chief:
            return
        self.run.log.cut(self.state.log_bytes)
        self.run.record_metrics(self.state.rows)
        if self.tensorboard:
            self._board = TensorBoardWriter(self.run.folder("tensorboard"), self.run.log.rows())

    @property
    def _optimizer(self) -> str:
        """The name of this phase's optimizer in a checkpoint."""
        return "optimizer_head" if self.head else "optimizer"

    def _fill(self, tensors: Tensors) -> None:
        groups: dict[str, Tensors] = {kind: {} for kind in KINDS}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition("/")
            if kind not in groups:
                raise ModelError(f"the checkpoint holds {name}, which this version of the package does not know")
            groups[kind][rest] = tensor
        assign(variables_by_path(self.compiled.network), groups["model"], "the checkpoint")
        # A checkpoint at the end of the first phase holds that phase's optimizer; the next phase starts a new one.
        if groups[self._optimizer] or not groups["optimizer_head"]:
            self.compiled.restore_optimizer(groups[self._optimizer], "the checkpoint")
        self.average.restore(groups["average"], "the checkpoint")
        self.health.restore(groups["health"], "the checkpoint")
