"""Moments of a training, told by the updates it has made."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from keras_resnet.callbacks import ExactCheckpoint


@contextmanager
def after_updates(actions: dict[int, Callable[[ExactCheckpoint], object]]) -> Iterator[None]:
    """Act once when a training has made so many updates, before anything is done about the last of them."""
    batch_began, epoch_began = ExactCheckpoint.on_train_batch_begin, ExactCheckpoint.on_epoch_begin
    left = dict(actions)

    def act(saving: ExactCheckpoint, updates: int) -> None:
        if updates in left:
            left.pop(updates)(saving)

    def on_train_batch_begin(self: ExactCheckpoint, batch: int, logs: dict[str, Any] | None = None) -> None:
        position = self.position
        assert position is not None
        done = self.place.step * position.parts if not batch else self._begun + batch
        if batch and done % position.parts == 0:
            act(self, self.place.epoch * position.steps + done // position.parts)
        batch_began(self, batch, logs)

    def on_epoch_begin(self: ExactCheckpoint, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert self.position is not None
        if not self.place.step:
            act(self, epoch * self.position.steps)
        epoch_began(self, epoch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExactCheckpoint, "on_train_batch_begin", on_train_batch_begin)
        patch.setattr(ExactCheckpoint, "on_epoch_begin", on_epoch_begin)
        yield


def stopping_after(updates: int) -> Any:
    """Send this process SIGTERM, once."""
    return after_updates({updates: lambda _: os.kill(os.getpid(), signal.SIGTERM)})


def copying(run: Path, copies: dict[int, Path]) -> Any:
    """Copy a run's folder, as a kill at that moment would leave it."""

    def copy(target: Path) -> Callable[[ExactCheckpoint], object]:
        return lambda _: shutil.copytree(run, target, dirs_exist_ok=True)

    return after_updates({updates: copy(target) for updates, target in copies.items()})
