"""A training's record as TensorBoard's event files, to be watched while it grows.

`tf.summary` writes only where TensorBoard is installed; its file format, a TFRecord of `Event`
messages, is TensorFlow's own. So a training writes them on any machine, and only who wants to look
needs the extra `tensorboard`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.util.event_pb2 import Event, SessionLog

from keras_resnet.atomic import storage_errors
from keras_resnet.errors import MissingExtraError

PREFIX = "events.out.tfevents."
FILE_VERSION = "brain.Event:2"
"""What the first message of every event file says; TensorBoard reads no others."""
NO_FIGURES = ("event", "epoch", "step")


def require_tensorboard() -> None:
    """Refuse before a training, not after, where nobody could look at what it writes.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    if find_spec("tensorboard") is None:
        raise MissingExtraError("looking at a training in TensorBoard", "tensorboard")


class TensorBoardWriter:
    """Writes rows of a run's `metrics.jsonl` into event files, a figure a scalar, by the number of updates.

    Each begins a new file with all rows so far and removes the older ones: after a resume nothing is
    there twice, and nothing that was cut off the record. A TensorBoard that is watching forgets what
    it had read of the older files.

    Args:
        folder: Whose event files these are; `<run>/tensorboard`.
        rows: What the record holds already.

    Raises:
        StorageError: The folder cannot be written.
    """

    def __init__(self, folder: Path, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self.folder = folder
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            older = sorted(folder.glob(PREFIX + 6 * "[0-9]"))
            # TensorBoard goes on to files whose names come later in the alphabet.
            number = int(older[-1].name.removeprefix(PREFIX)) + 1 if older else 1
            self.path = folder / f"{PREFIX}{number:06d}"
            self._writer = _open(self.path)
            self._write(Event(file_version=FILE_VERSION))
            self._write(Event(step=0, session_log=SessionLog(status=SessionLog.START)))
            for row in rows:
                self._add(row)
            self._flush()
            for path in older:
                path.unlink()

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one row more, and see that a TensorBoard that is watching finds it.

        Raises:
            StorageError: It cannot be written.
        """
        with storage_errors(self.path):
            self._add(row)
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        with storage_errors(self.path), _as_os_error():
            self._writer.close()

    def _add(self, row: Mapping[str, Any]) -> None:
        event = Event(step=int(row["step"]))
        for name, value in sorted(scalars(row).items()):
            event.summary.value.add(tag=name, simple_value=value)
        self._write(event)

    def _flush(self) -> None:
        with _as_os_error():
            self._writer.flush()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        with _as_os_error():
            self._writer.write(event.SerializeToString())


def export_tensorboard(folder: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write a whole record at once. Returns the event file. Raises: as `TensorBoardWriter`."""
    writer = TensorBoardWriter(folder, rows)
    writer.close()
    return writer.path


def scalars(row: Mapping[str, Any]) -> dict[str, float]:
    """A row's figures by TensorBoard's tags: `step/loss`, `epoch/val_loss`, `step/gradient_norms/stem`.

    What is missing, null or not finite is left out.
    """
    found: dict[str, Any] = {}
    for key, value in row.items():
        if key in NO_FIGURES:
            continue
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        found |= {"/".join(filter(None, (row["event"], key, part))): one for part, one in parts}
    return {tag: float(one) for tag, one in found.items() if isinstance(one, int | float) and math.isfinite(one)}


def _open(path: Path) -> tf.io.TFRecordWriter:
    with _as_os_error():
        return tf.io.TFRecordWriter(os.fspath(path))


@contextmanager
def _as_os_error() -> Iterator[None]:
    """TensorFlow calls a full disk exhausted resources, as it calls memory that does not suffice."""
    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(error.message) from None
