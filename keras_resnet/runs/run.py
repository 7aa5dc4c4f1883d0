"""The folder of a run: its configuration, its data and its results.

run.json              format, status (unfinished | finished), dates, and the epoch that was kept
config.json           the resolved recipe and data source
environment.json      versions and machine
data.json             fingerprint and classes of the data
split.csv, split.json the split of each image, for people and for --split-file
skipped.csv           images that could not be read and were left out, if any
preprocessing.json    how pixels become the network's input
sample.npz            a few training images, to calibrate and verify exports with where the data are gone
metrics.csv           one row for each epoch
metrics.jsonl         one row every ten updates and one for each epoch
events.jsonl          unusual events: continued, stopped, went back, out of memory
checkpoints/          the last few checkpoints, and the weights with the best validation accuracy
model.keras           the finished model: takes raw pixels, gives logits
plots/, evaluation/, exports/
.lock                 held while a process trains into the folder
"""

from __future__ import annotations

import csv
import io
import math
import os
import platform
import shutil
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import lock_descriptor

from keras_resnet._version import __version__
from keras_resnet.atomic import storage_errors, write_json, write_text, write_with
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import save_split
from keras_resnet.data.sources.table_rows import LABEL_SEPARATOR
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.json_files import MOST_RECORD_BYTES, read_json
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.regular_files import open_regular, read_bytes, read_member, refuse_link
from keras_resnet.runs.contents import FORMAT, OVERWRITTEN, Config, DataFile, EventRow, KeptEpoch, LogRow, RunFile
from keras_resnet.runs.record import Record
from keras_resnet.spreadsheet import csv_text
from keras_resnet.stamp import read_preprocessing

if TYPE_CHECKING:
    from keras_resnet.weights.first_normalisation import FirstStatistics

KEPT_IMAGES = 64
"""At 224×224 they take at most 10 MB."""
LOCK = ".lock"
FOLDERS = ("checkpoints", "plots", "evaluation", "exports", "tensorboard")
"""What a run is written into."""
BEGINNING = {"config.json", "environment.json"}
"""Written before run.json: a folder that holds nothing else is a run that was killed as it began."""
PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn", "pillow", "ai-edge-litert")
"""Packages whose versions a result may depend on."""
Row = dict[str, float]


@dataclass(frozen=True)
class Run:
    """The folder of one training. `Run.at` opens an existing run; `Run.start` begins or continues one.

    Args:
        path: The folder.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))  # also of a text

    @property
    def status(self) -> str:
        """`unfinished`, `finished`, or `overwritten`: a process was killed while it replaced this run by a new one."""
        return read_json(self.path / "run.json", RunFile)["status"]

    @property
    def is_calibrated(self) -> bool:
        """Whether the model's logits are divided by a temperature that `calibrate` found."""
        return "calibrated" in read_json(self.path / "run.json", RunFile)

    @property
    def config(self) -> Config:
        """The resolved configuration."""
        return read_json(self.path / "config.json", Config, raw_names=True)

    @property
    def network(self) -> str:
        """What the trained network is called."""
        config = self.config
        return config.get("network") or config["recipe"]["model"]

    @property
    def preprocessing(self) -> Preprocessing:
        """How pixels become the network's input, and the class names."""
        return read_preprocessing(self.path / "preprocessing.json")

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the data that the run trains on."""
        return self.data_file["fingerprint"]

    @property
    def data_file(self) -> DataFile:
        """What `record_data` wrote of the data."""
        return read_json(self.path / "data.json", DataFile, raw_names=True)

    @property
    def has_data(self) -> bool:
        """Whether `record_data` has been called."""
        return (self.path / "preprocessing.json").is_file()

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints and the best weights."""
        return self.folder("checkpoints")

    @property
    def log(self) -> Record[LogRow]:
        """The record `metrics.jsonl`."""
        return Record(self.path / "metrics.jsonl", LogRow)

    @property
    def events(self) -> Record[EventRow]:
        """The record `events.jsonl`."""
        return Record(self.path / "events.jsonl", EventRow)

    def record_event(self, kind: str, where: Mapping[str, int], **details: object) -> None:
        """Add a line to `events.jsonl`.

        Args:
            kind: What has happened.
            where: `epoch`, counted from 1, `step` and `updates`.
            **details: More of it, as JSON has it.
        """
        self.events.add({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": kind, **where, **details})

    @property
    def first_statistics(self) -> FirstStatistics | None:
        """What the first batch normalisation of its initial weights saw before the first update; None: not recorded.

        Raises:
            ModelError: `events.jsonl` is damaged.
        """
        from keras_resnet.weights.first_normalisation import FirstStatistics

        for event in self.events.rows():
            variance, shift, images = event.get("variance"), event.get("shift"), event.get("images")
            if variance is not None and shift is not None and images is not None:
                return FirstStatistics(variance, shift, images)
        return None

    @property
    def model(self) -> Path:
        """The file of the finished model."""
        return self.path / "model.keras"

    @property
    def exports(self) -> Path:
        """The folder of exported models."""
        return self.folder("exports")

    def folder(self, *names: str) -> Path:
        """A folder inside the run, to be written into; it need not exist.

        The run's own folder may be a symbolic link: its user has put it elsewhere. Those inside may not, for nobody
        expects that a run which came from others writes outside of itself.

        Args:
            *names: Its name; for one that lies deeper, those on the way as well.

        Raises:
            UsageError: One of them is a symbolic link.
        """
        path = self.path
        for name in names:
            path = path / name
            with storage_errors(path):
                refuse_link(path)
        return path

    @classmethod
    def at(cls, path: str | os.PathLike[str], *, finished: bool = False) -> Run:
        """Open an existing run.

        Args:
            path: Its folder.
            finished: Whether its training must be finished.

        Raises:
            UsageError: The folder is not a run, or its training is not finished.
        """
        run = cls(Path(path))
        if not run.path.is_dir():
            raise UsageError(f"there is no run folder {path}")
        if not is_run(run.path):
            raise UsageError(f"{path} is not a run folder: it holds no run.json")
        if finished and run.status != "finished":
            raise UsageError(
                f"the run {path} is not finished: {_epochs_done(run)}. Continue it with the command that began it"
            )
        return run

    @classmethod
    def start(cls, path: Path, config: dict[str, Any], *, overwrite: bool = False) -> tuple[Run, bool]:
        """Begin a run in a folder, or continue the unfinished run of the same configuration that the folder holds.

        Args:
            path: The run folder.
            config: The resolved configuration.
            overwrite: Replace a run that the folder holds, finished or not.

        Returns:
            The run, and whether it continues an earlier one.

        Raises:
            UsageError: The folder holds a finished run, one of another configuration, other files, or a run with a
                symbolic link in the place of one of its folders.
        """
        run = cls(path)
        run.check_free(path, config, overwrite=overwrite)
        if is_run(path):
            if not overwrite and run.status != OVERWRITTEN:
                return run, True
            # If this process is killed now, the rest is known to be of no use.
            write_json(path / "run.json", {"format": FORMAT, "status": OVERWRITTEN})
            with storage_errors(path):
                # The lock stays: this process may hold it.
                for item in sorted(path.iterdir(), key=lambda item: item.name == "run.json"):
                    if item.name != LOCK:
                        shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()
        write_json(path / "config.json", config)
        write_json(path / "environment.json", _versions_and_machine())
        write_json(path / "run.json", {"format": FORMAT, "status": "unfinished", "started": _now()})
        return run, False

    @classmethod
    def check_free(cls, path: Path, config: dict[str, Any], *, overwrite: bool = False) -> None:
        """Raise the errors of `start` without changing anything.

        Args and Raises: as `start`.
        """
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path} is a file; a run needs a folder: choose another one by --out")
        if is_run(path):
            if read_json(path / "run.json", dict[str, Any]).get("format") != FORMAT:
                raise UsageError(
                    f"{path} holds a run.json that this version of the package did not write; choose another folder "
                    "by --out"
                )
            if not overwrite and cls(path).status != OVERWRITTEN:
                cls(path)._check_continues(config)
                for name in FOLDERS:  # now, not once a training of days is done
                    cls(path).folder(name)
        elif not _is_untouched(path):
            raise UsageError(f"{path} holds other files and no run; choose an empty or new folder by --out")

    def record_data(self, data: ImageData | None, preprocessing: Preprocessing | None) -> None:
        """Write down the data: fingerprint, task, classes, splits, skipped images and preprocessing.

        Args:
            data: None: only the script that trains knows them.
            preprocessing: None: the model is no classifier of images.
        """
        # The preprocessing last: where it is, all else is whole, whenever a process was killed.
        self._record_images(data, list(preprocessing.class_names) if preprocessing else [])
        if preprocessing is not None:
            write_text(self.path / "preprocessing.json", preprocessing.to_json())

    def _record_images(self, data: ImageData | None, names: list[str]) -> None:
        if data is None:
            unknown = {"name": "", "fingerprint": "", "class_names": names}
            write_json(self.path / "data.json", unknown | {"images_per_class": {"train": [], "validation": []}})
            return
        counts = {name: data.task.images_of_classes(split.labels).tolist() for name, split in data.splits.items()}
        write_json(
            self.path / "data.json",
            {
                "name": data.name,
                "fingerprint": data.fingerprint,
                "task": data.task.name,
                "class_names": data.class_names,
                "images_per_class": counts,
            },
        )
        write_text(self.path / "split.csv", _split_table(data))
        save_split(data, self.path / "split.json")
        if data.skipped:
            write_text(self.path / "skipped.csv", _skipped_table(data))

    def record_metrics(self, rows: list[Row]) -> None:
        """Write `metrics.csv`, or remove it if there are no rows."""
        if not rows:
            with storage_errors(self.path):
                (self.path / "metrics.csv").unlink(missing_ok=True)
            return
        table = io.StringIO()
        columns = list(dict.fromkeys(column for row in rows for column in row))  # an epoch may lack a validation
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{row.get(key, math.nan):.6g}" for key in columns} for row in rows)
        write_text(self.path / "metrics.csv", table.getvalue())

    def metrics(self) -> list[Row]:
        """The rows of `metrics.csv`; none before the end of the first epoch.

        Raises:
            ModelError: The file is damaged; the message names the line and the column.
        """
        path = self.path / "metrics.csv"
        if not path.exists():
            return []
        try:
            table = csv.DictReader(io.StringIO(read_bytes(path, MOST_RECORD_BYTES).decode(), newline=""))
            return [
                {column: _figure(cell, f"{path}, line {line}: {column}") for column, cell in row.items()}
                for line, row in enumerate(table, 2)
            ]
        except OSError as error:
            raise ModelError(f"cannot read {path}: {error.strerror or error}") from None
        except (UnicodeDecodeError, csv.Error) as error:
            raise ModelError(f"{path} is damaged: {error}") from None

    def keep_images(self, images: np.ndarray) -> None:
        """Keep some training images in `sample.npz`.

        Args:
            images: uint8 (n, height, width, channels).
        """
        stream = io.BytesIO()
        np.savez_compressed(stream, images=images)
        write_with(self.path / "sample.npz", lambda temporary: temporary.write_bytes(stream.getvalue()))

    def kept_images(self) -> np.ndarray | None:
        """The images of `sample.npz`, uint8 (n, height, width, channels); None: the run, an older one, has none.

        Raises:
            ModelError: The file is damaged.
        """
        path = self.path / "sample.npz"
        if not path.exists():
            return None
        shape = self.preprocessing.input_shape
        try:
            content = read_member(path, "images.npy", KEPT_IMAGES * math.prod(shape) + 4096)
            images = np.load(io.BytesIO(content), allow_pickle=False)
        except (OSError, KeyError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
            raise ModelError(f"{path} is damaged: {error}") from None
        if images.dtype != np.uint8 or images.shape[1:] != shape or not len(images):
            raise ModelError(f"{path} is damaged: it holds {images.dtype} {images.shape}, expected uint8 (n, {shape})")
        return images

    def finish(self, kept: KeptEpoch | None = None) -> None:
        """Mark the training as finished.

        Args:
            kept: The epoch whose weights are the model's; None: unknown.
        """
        started = read_json(self.path / "run.json", RunFile).get("started")
        finished = {"format": FORMAT, "status": "finished", "started": started, "finished": _now()}
        write_json(self.path / "run.json", finished | ({"kept": kept} if kept else {}))

    @property
    def kept(self) -> KeptEpoch | None:
        """The epoch whose weights are the model's; None before the end, and for runs of before it was recorded."""
        kept = read_json(self.path / "run.json", RunFile).get("kept")
        # Earlier versions recorded what a script monitored as Keras calls it.
        return kept and {**kept, "metric": kept["metric"].removeprefix("val_")}

    def _check_continues(self, config: dict[str, Any]) -> None:
        if self.status == "finished":
            raise UsageError(
                f"{self.path} holds a finished run. Evaluate or export it, choose another folder by --out, "
                "or replace it by --overwrite"
            )
        changed = differences({**self.config}, config)
        if changed:
            raise UsageError(
                f"{self.path} holds an unfinished run of another configuration ({'; '.join(changed)}). Continue "
                "it with the command that began it, choose another folder by --out, or replace it by --overwrite"
            )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from training into a folder, which is made if it is missing.

    The system releases the lock when this process ends, however it ends.

    Raises:
        UsageError: Another process holds the lock, or the lock file is a symbolic link, a pipe or a device.
        StorageError: The folder cannot be written.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = open_regular(folder / LOCK, "a+b", follow=False)
    with file:
        try:
            free = lock_descriptor(file.fileno(), blocking=False)
        except OSError:  # some network file systems have no locks; training must work there, too
            free = True
        if not free:
            file.seek(1)
            owner = file.read(32).decode("ascii", "replace").strip()
            raise UsageError(
                f"{folder} is being trained into by another process ({owner or 'unknown'}): wait until it is done, "
                "stop it, or choose another folder by --out"
            )
        with storage_errors(folder):
            os.ftruncate(file.fileno(), 0)  # past the buffer, which would fail again when it is closed
            os.write(file.fileno(), f" {os.getpid()}\n".encode())  # on Windows no other process can read the first byte
        yield


def is_run(path: Path) -> bool:
    """Whether a folder holds a run."""
    return (path / "run.json").is_file()


def free_run_folder(parent: Path, name: str, config: dict[str, Any]) -> Path:
    """The folder for a run whose folder was not chosen: `name`, or `name-002` and so on if that is taken.

    A folder that holds an unfinished run of the same configuration is not taken: that run is continued.

    Args:
        parent: The folder that holds the runs.
        name: The preferred name.
        config: The resolved configuration.
    """
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number:03d}")
        if not path.exists() or _is_untouched(path) or _continues(path, config):
            return path
        number += 1


def _is_untouched(path: Path) -> bool:
    """Whether a folder holds only hidden files and the files that a run writes first."""
    return not path.exists() or (
        path.is_dir() and all(item.name in BEGINNING or item.name[0] == "." for item in path.iterdir())
    )


def _continues(path: Path, config: dict[str, Any]) -> bool:
    try:
        run = Run.at(path)
        return run.status == OVERWRITTEN or (run.status == "unfinished" and not differences({**run.config}, config))
    except (UsageError, ModelError):  # not a run, or a damaged one: leave it alone
        return False


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """In what two configurations differ, in words.

    Args:
        old: What is recorded.
        new: What is wanted.
        prefix: Of the names.
    """
    found = []
    for key in sorted(old.keys() | new.keys()):
        before, now = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(now, dict):
            found += differences(before, now, f"{prefix}{key}.")
        elif before != now:
            found.append(f"{prefix}{key} {before!r}, now {now!r}")
    return found


def _versions_and_machine() -> dict[str, Any]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "keras-resnet-kit": __version__,
        "python": platform.python_version(),
        **versions,
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }


def _split_table(data: ImageData) -> str:
    """Image, class and split, as CSV."""
    rows = [
        (data.names[index], LABEL_SEPARATOR.join(data.task.names_of(label)), name)
        for name, split in data.splits.items()
        for index, label in zip(split.indices, split.labels, strict=True)
    ]
    return csv_text(["image", "class", "split"], sorted(rows))  # for people; split.json is exact


def _skipped_table(data: ImageData) -> str:
    """Image, reason code and detail, as CSV."""
    return csv_text(["image", "reason", "detail"], [(one.name, one.code, one.detail) for one in data.skipped])


def _epochs_done(run: Run) -> str:
    done, asked = len(run.metrics()), run.config["recipe"]["epochs"]
    return f"{done} of {asked} epochs are done"


def _figure(cell: Any, called: str) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):  # a row that is too long has a list, one that is too short None
        raise ModelError(f"{called} must be a number; received {cell!r}") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
