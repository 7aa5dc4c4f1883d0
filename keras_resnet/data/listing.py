"""What a source of encoded images holds: where each image's bytes are, its label, and what else is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from keras_resnet.data.decode import read_file


class Contents(Protocol):
    """Encoded images by position."""

    def __len__(self) -> int: ...

    def read(self, position: int) -> bytes:
        """The bytes of one image.

        Raises:
            ImageError: They cannot be read.
        """
        ...


@dataclass(frozen=True)
class Files:
    """Encoded images that are files.

    Args:
        paths: Where they are.
        names: What they are called in errors.
    """

    paths: tuple[Path, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, position: int) -> bytes:
        return read_file(self.paths[position], self.names[position])


@dataclass(frozen=True)
class Blob:
    """Encoded images one behind the other, in memory or in a file mapped into it.

    Args:
        stream: uint8 (total,).
        offsets: int64 (n + 1,): image i is `stream[offsets[i]:offsets[i + 1]]`.
    """

    stream: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, contents: Sequence[bytes]) -> Blob:
        """Images gathered in memory."""
        lengths = [len(content) for content in contents]
        return cls(
            np.frombuffer(b"".join(contents), np.uint8), np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def read(self, position: int) -> bytes:
        return self.stream[self.offsets[position] : self.offsets[position + 1]].tobytes()


@dataclass(frozen=True)
class Listing:
    """A source's images, unread.

    Args:
        contents: Their bytes.
        names: One name for each: a relative path, or a split and a number.
        labels: int64 (n,).
        class_names: The names of labels 0, 1, …
        given: The positions of each split that the source itself separates; empty without such.
        groups: int64 (n,): images of one group (a patient, a camera, a scene) belong on one side of a
            split; None where no groups are known.
        times: float64 (n,): when each was taken, in seconds or any unit; None where unknown.
        notes: What a user should know of how they were found.
    """

    contents: Contents
    names: tuple[str, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    given: dict[str, np.ndarray] = field(default_factory=dict)
    groups: np.ndarray | None = None
    times: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)
