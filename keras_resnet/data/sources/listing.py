"""The images of a source, not yet read: where the bytes of each are, its label, and what else is known of it."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from keras_resnet.atomic import storage_errors
from keras_resnet.images.image_file import read_file
from keras_resnet.tasks.task import Task


class Contents(Protocol):
    """Encoded images by position."""

    def __len__(self) -> int: ...

    def read(self, position: int) -> bytes:
        """The bytes of one image.

        Raises:
            ImageError: They cannot be read.
        """
        ...

    def chosen(self, positions: Sequence[int]) -> Contents:
        """Some of the images, in this order."""
        ...


@dataclass(frozen=True)
class Files:
    """Encoded images in files.

    Args:
        paths: The files.
        names: What errors call them.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, position: int) -> bytes:
        return read_file(self.paths[position], self.names[position])

    def chosen(self, positions: Sequence[int]) -> Files:
        return Files(tuple(self.paths[p] for p in positions), tuple(self.names[p] for p in positions))


@dataclass(frozen=True)
class Blob:
    """Encoded images one after the other, in memory or in a file that is mapped into memory.

    Args:
        stream: uint8 (total,).
        starts, ends: int64 (n,): image i is `stream[starts[i]:ends[i]]`.
    """

    stream: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, contents: Iterable[bytes], folder: Path | None = None) -> Blob:
        """Gather images.

        Args:
            contents: Their bytes, in order.
            folder: Where to put them in a temporary file, which is removed when the process ends; None: in memory.

        Raises:
            StorageError: The disk is full.
        """
        lengths = []
        with storage_errors(folder or Path("memory")):
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) if folder else io.BytesIO() as file:
                for content in contents:
                    file.write(content)
                    lengths.append(len(content))
                file.flush()
                ends = np.cumsum(lengths, dtype=np.int64)
                if isinstance(file, io.BytesIO):
                    stream = np.frombuffer(file.getvalue(), np.uint8)
                else:
                    stream = np.memmap(file, np.uint8, "r") if lengths else np.empty(0, np.uint8)
        return cls(stream, np.concatenate([[0], ends[:-1]]).astype(np.int64), ends)

    def __len__(self) -> int:
        return len(self.ends)

    def read(self, position: int) -> bytes:
        return self.stream[self.starts[position] : self.ends[position]].tobytes()

    def chosen(self, positions: Sequence[int]) -> Blob:
        return Blob(self.stream, self.starts[list(positions)], self.ends[list(positions)])


@dataclass(frozen=True)
class Bitmaps:
    """Pixels in memory; each image is encoded as it is read.

    Args:
        pixels: From a position to uint8 (height, width, channels), of 1 or 3 channels.
        positions: Those of the images.
    """

    pixels: Callable[[int], np.ndarray]
    positions: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.positions)

    def read(self, position: int) -> bytes:
        return bitmap(self.pixels(self.positions[position]))

    def chosen(self, positions: Sequence[int]) -> Bitmaps:
        return Bitmaps(self.pixels, tuple(self.positions[position] for position in positions))


def bitmap(pixels: np.ndarray) -> bytes:
    """A BMP file, which unlike a PNG has the same bytes whatever compressed it.

    Args:
        pixels: uint8 (height, width), or (height, width, channels) of 1 or 3 channels.
    """
    height, width = pixels.shape[:2]
    flat = (pixels[..., ::-1] if pixels.ndim == 3 else pixels).reshape(height, -1)  # blue comes first
    rows = np.zeros((height, _row_bytes(flat.shape[1])), np.uint8)
    rows[::-1, : flat.shape[1]] = flat  # from below
    return _bitmap_header(height, width, flat.shape[1] // width) + rows.tobytes()


def _row_bytes(numbers: int) -> int:
    return numbers + -numbers % 4


@lru_cache
def _bitmap_header(height: int, width: int, channels: int) -> bytes:
    """What comes before the pixels, the same for all images of a size: Pillow takes longer for it than for the rest."""
    stream = io.BytesIO()
    Image.new("L" if channels == 1 else "RGB", (width, height)).save(stream, "BMP")
    return stream.getvalue()[: -height * _row_bytes(width * channels)]


@dataclass(frozen=True)
class Listing:
    """The images of a source, not yet read.

    Args:
        contents: Their bytes.
        names: One name for each: a relative path, or a split and a number.
        labels: What they show, in the form that the task has.
        task: What is asked of them, with the names of the classes.
        given: The positions of the images in each of the source's own splits; empty if it has none.
        groups: int64 (n,): images of one group (a patient, a camera, a scene) belong in the same split; None if no
            groups are known.
        times: float64 (n,): when each image was taken, in seconds or another unit; None if that is not known.
        notes: What a user should know about how they were found.
    """

    contents: Contents
    names: tuple[str, ...]
    labels: np.ndarray
    task: Task
    given: dict[str, np.ndarray] = field(default_factory=dict)
    groups: np.ndarray | None = None
    times: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the labels."""
        return self.task.class_names

    def chosen(self, positions: np.ndarray) -> Listing:
        """Some of the images, in this order."""
        return replace(
            self,
            contents=self.contents.chosen(positions.tolist()),
            names=tuple(self.names[position] for position in positions),
            labels=self.labels[positions],
            given={name: np.flatnonzero(np.isin(positions, part)) for name, part in self.given.items()},
            groups=None if self.groups is None else self.groups[positions],
            times=None if self.times is None else self.times[positions],
        )
