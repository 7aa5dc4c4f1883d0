"""Checkpoints: written whole or not at all, checked for damage when they are read, and the last few kept.

checkpoints/
  damaged-000011/        a checkpoint that was found to be damaged
  000012/                tensors.safetensors, state.json, SHA256SUMS (in the format of `sha256sum --check`)
  best-0007.safetensors  the best weights so far, from epoch 7
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from keras_resnet.atomic import storage_errors, temporary_folder, write_folder_with
from keras_resnet.callbacks.place import Place
from keras_resnet.errors import ModelError
from keras_resnet.json_files import parse_json, read_json
from keras_resnet.regular_files import read_bytes
from keras_resnet.shortage import refuse_shortage
from keras_resnet.weights.files import Tensors, read_tensors
from keras_resnet.weights.saving import tensor_bytes, write_tensors

TENSORS, STATE, SUMS = "tensors.safetensors", "state.json", "SHA256SUMS"
MOST_SUMS = 4096


class _Named(TypedDict):
    best: str


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and is not damaged.

    Args:
        number: Its number.
        state: Where the training stood.
        tensors: By their names.
    """

    number: int
    state: Place
    tensors: Tensors


@dataclass(frozen=True)
class CheckpointStore:
    """The checkpoints of a run.

    Args:
        folder: Their folder.
        keep: How many are kept, at least 1.
    """

    folder: Path
    keep: int = 3

    @property
    def is_empty(self) -> bool:
        """Whether there is no checkpoint, not even a damaged one."""
        return not self._folders()

    def save(self, tensors: Mapping[str, np.ndarray], state: Place) -> None:
        """Write the next checkpoint and remove the oldest ones beyond `keep`.

        A kill at any moment, or a full disk, leaves the earlier checkpoints as they were.

        Args:
            tensors: The tensors by their names.
            state: Where the training stands.

        Raises:
            StorageError: The checkpoint cannot be written.
        """
        files = {
            TENSORS: tensor_bytes(tensors, {}),
            STATE: json.dumps(state.to_json(), indent=1).encode(),
        }
        files[SUMS] = _sums(files).encode()

        def write(folder: Path) -> None:
            for name, content in files.items():
                (folder / name).write_bytes(content)

        there = self._folders()
        number = int(there[-1].name) + 1 if there else 1
        write_folder_with(self.folder / f"{number:06d}", write)
        with storage_errors(self.folder):
            for old in self._folders()[: -self.keep]:
                with temporary_folder(self.folder) as aside:  # a kill must not leave half a checkpoint
                    os.replace(old, aside / old.name)
            self._forget_bests()

    def save_best(self, tensors: Mapping[str, np.ndarray], epoch: int) -> tuple[str, str]:
        """Write the best weights so far.

        Args:
            tensors: The weights by their names.
            epoch: Their epoch, from 1.

        Returns:
            The file's name and its SHA-256, for the state.
        """
        name = f"best-{epoch:04d}.safetensors"
        write_tensors(tensors, self.folder / name, {})
        return name, _digest(read_bytes(self.folder / name))

    def load(self, damaged: Callable[[str], None], *, back: int = 0) -> Checkpoint | None:
        """Read the newest checkpoint that is not damaged and whose best weights are not damaged either.

        Once one is found, damaged ones are renamed, as to `damaged-000012`.

        Args:
            damaged: Called with a message for each damaged checkpoint that is newer.
            back: How many undamaged checkpoints to skip; if there are fewer, the oldest is read.

        Returns:
            The checkpoint; None if there are none.

        Raises:
            ModelError: All checkpoints are damaged.
        """
        folders = self._folders()
        found: Checkpoint | None = None
        torn = []
        for folder in reversed(folders):
            try:
                found = self._read(folder)
            except ModelError as error:
                damaged(f"the checkpoint {folder} is damaged: {error}")
                torn.append(folder)
                continue
            if not back:
                break
            back -= 1
        if found:
            with storage_errors(self.folder):
                for folder in torn:
                    os.replace(folder, free_name(self.folder / f"damaged-{folder.name}"))
            return found
        if folders:
            raise ModelError(
                f"all of the {len(folders)} checkpoints in {self.folder} are damaged, so that the run cannot continue. "
                "Restore them from a copy, or begin anew in another folder (or with --overwrite)"
            )
        return None

    def read_best(self, state: Place) -> Tensors:
        """Read the best weights that a state names.

        Raises:
            ModelError: They are missing or damaged.
        """
        self._check_best(state)
        return read_tensors(self.folder / state.best)[0]

    def _read(self, folder: Path) -> Checkpoint:
        try:
            files = {name: read_bytes(folder / name) for name in (TENSORS, STATE)}
            if read_bytes(folder / SUMS, MOST_SUMS) != _sums(files).encode():
                raise ModelError("its files do not match SHA256SUMS")
        except OSError as error:
            refuse_shortage(error, f"read {folder}")
            raise ModelError(f"{error.strerror}: {error.filename}") from None
        called = str(folder / STATE)
        state = Place.from_json(parse_json(files[STATE], dict[str, Any], called), called)
        if state.best:
            self._check_best(state)
        return Checkpoint(int(folder.name), state, read_tensors(folder / TENSORS)[0])

    def _check_best(self, state: Place) -> None:
        path = self.folder / state.best
        if not path.is_file() or _digest(read_bytes(path)) != state.best_digest:
            raise ModelError(f"the best weights, {path}, are missing or damaged")

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if re.fullmatch(r"\d{6,}", path.name))

    def _forget_bests(self) -> None:
        """Remove best weights that no checkpoint names."""
        named = set()
        for folder in self._folders():
            try:
                named.add(read_json(folder / STATE, _Named)["best"])
            except ModelError:
                return  # a damaged checkpoint may name any of them
        for path in self.folder.glob("best-*.safetensors"):
            if path.name not in named:
                path.unlink(missing_ok=True)


def free_name(path: Path) -> Path:
    """The path, or, if it is taken, the path with a number behind it."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sums(files: Mapping[str, bytes]) -> str:
    return "".join(f"{_digest(content)}  {name}\n" for name, content in sorted(files.items()) if name != SUMS)
