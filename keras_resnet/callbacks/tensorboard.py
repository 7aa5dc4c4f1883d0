"""A training's record as TensorBoard's event files, to be watched while it grows."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_resnet.atomic import storage_errors
from keras_resnet.errors import MissingExtraError

SUFFIX = ".keras-resnet.v2"
"""The end of the names of our event files; other files in the folder are left alone."""
NO_FIGURES = ("event", "epoch", "step")
"""Entries of a row that are not drawn: they say what the row is."""


def require_tensorboard() -> None:
    """Raise an error if TensorBoard is missing; to be called before a training begins.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    if find_spec("tensorboard") is None:
        raise MissingExtraError("a record for TensorBoard", "tensorboard")


class TensorBoardWriter:
    """Writes the rows of a run's `metrics.jsonl` into an event file: one scalar for each number, by updates.

    Each writer begins a new file with all rows so far and removes its older files. So when a training continues, no
    row appears twice, and rows that were cut off the record disappear. A TensorBoard that is watching forgets what it
    has read from the older files.

    Args:
        folder: The folder of the event files, `<run>/tensorboard`.
        rows: The rows that the record holds already.

    Raises:
        StorageError: The folder cannot be written.
    """

    def __init__(self, folder: Path, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self.folder = folder
        with storage_errors(self.folder):
            older = [path for path in folder.glob(f"*{SUFFIX}") if "tfevents" in path.name]
            # A "trackable" writer has a public handle, which is needed below.
            self._writer = tf.summary.create_file_writer(
                os.fspath(folder), max_queue=1000, filename_suffix=SUFFIX, experimental_trackable=True
            )
            # This event, which tf.summary does not write, makes TensorBoard forget what it has read.
            log = tf.compat.v1.SessionLog
            start = tf.compat.v1.Event(step=0, session_log=log(status=log.START))
            tf.raw_ops.ImportEvent(writer=self._writer.resource_handle, event=start.SerializeToString())
            for row in rows:
                self._add(row)
            self._writer.flush()
            for path in older:
                path.unlink()

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one more row, at once, so that a TensorBoard that is watching finds it.

        Raises:
            StorageError: It cannot be written.
        """
        with storage_errors(self.folder):
            self._add(row)
            self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        with storage_errors(self.folder):
            self._writer.close()

    def _add(self, row: Mapping[str, Any]) -> None:
        summary = tf.compat.v1.Summary()
        for tag, value in sorted(scalars(row).items()):
            summary.value.add(tag=tag, simple_value=value)
        with self._writer.as_default():
            # One call for the whole row: `tf.summary.scalar` takes over a millisecond for each number.
            tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=int(row["step"]))


def scalars(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row by their tags in TensorBoard: `step/loss`, `epoch/val_loss`, `step/gradient_norms/stem`.

    Values that are null or not finite are left out.
    """
    found: dict[str, Any] = {}
    for key, value in row.items():
        if key in NO_FIGURES:
            continue
        parts = value.items() if isinstance(value, Mapping) else [("", value)]
        found |= {"/".join(filter(None, (row["event"], key, part))): one for part, one in parts}
    return {tag: float(one) for tag, one in found.items() if isinstance(one, int | float) and math.isfinite(one)}
