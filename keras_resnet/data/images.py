"""Labelled images in three splits, held in memory or read from their files batch by batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from keras_resnet.data.decode import decode_image, resize_array
from keras_resnet.errors import DataError, listed

Progress = Callable[[int, int], None]
"""Called with how many of how many images have been read."""


class DataSource(Protocol):
    """Where a data set came from, as far as a run must know it."""

    @property
    def settings(self) -> dict[str, Any]: ...

    @property
    def short_name(self) -> str: ...


class ImageStore(Protocol):
    """Images by index."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        ...

    def __len__(self) -> int: ...

    def read(self, indices: np.ndarray) -> np.ndarray:
        """uint8 (len(indices), *shape)."""
        ...


@dataclass(frozen=True)
class ArrayImages:
    """Images in memory: uint8 (n, height, width, channels)."""

    array: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.array.shape[1:]

    def __len__(self) -> int:
        return len(self.array)

    def read(self, indices: np.ndarray) -> np.ndarray:
        return self.array[indices]


@dataclass(frozen=True)
class FileImages:
    """Images decoded from their files each time they are asked for, in threads (Pillow frees the lock)."""

    paths: tuple[Path, ...]
    shape: tuple[int, int, int]
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(os.cpu_count() or 1), repr=False)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: np.ndarray) -> np.ndarray:
        images = list(self.pool.map(self._decode, np.asarray(indices).tolist()))
        return np.stack(images) if images else np.empty((0, *self.shape), np.uint8)

    def _decode(self, index: int) -> np.ndarray:
        return decode_image(self.paths[index], self.shape[:2], self.shape[2])


@dataclass(frozen=True)
class Split:
    """Some of the images, with their labels.

    Args:
        images: Where the pixels are; shared by the splits.
        indices: int64 (n,), which of `images` belong to this split.
        labels: int64 (n,), 0 … number of classes - 1.
    """

    images: ImageStore
    indices: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, positions: np.ndarray | slice) -> np.ndarray:
        """The images at these positions of the split, uint8 (n, height, width, channels)."""
        return self.images.read(self.indices[positions])


@dataclass(frozen=True)
class ImageData:
    """A labelled data set in its three splits.

    Args:
        name: What it is called in messages and in a run's name.
        class_names: The names of labels 0, 1, …
        splits: `train`, `validation` and `test`; any may be empty but `train` when training.
        fingerprint: SHA-256 over every image's name, content, label and split.
        names: One name for each image of the store: a relative path, or a split and a number.
        notes: What a user should know of how the data was read.
        source: From where it can be read again; None for arrays.
    """

    name: str
    class_names: tuple[str, ...]
    splits: Mapping[str, Split]
    fingerprint: str
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    source: DataSource | None = None

    @property
    def train(self) -> Split:
        """The images to train on, and to calibrate INT8 networks with."""
        return self.splits["train"]

    @property
    def validation(self) -> Split:
        """The images that choose the best epoch."""
        return self.splits["validation"]

    @property
    def test(self) -> Split:
        """The images that are looked at once, at the end."""
        return self.splits["test"]

    def relabelled(self, class_names: Sequence[str]) -> ImageData:
        """The same images with labels counted in a model's class order.

        Raises:
            DataError: A label here is not among `class_names`.
        """
        if tuple(class_names) == self.class_names:
            return self
        unknown = [name for name in self.class_names if name not in class_names]
        if unknown:
            raise DataError(
                f"the labels of {self.name} do not fit the model: it knows {len(class_names)} classes "
                f"({listed(class_names)}), and {listed(unknown)} is not among them"
            )
        order = np.array([list(class_names).index(name) for name in self.class_names])
        moved = {name: replace(split, labels=order[split.labels]) for name, split in self.splits.items()}
        return replace(self, class_names=tuple(class_names), splits=moved)


def as_uint8_images(images: np.ndarray, size: tuple[int, int] | None = None) -> ArrayImages:
    """Arrays of pixels as an image store.

    Args:
        images: (n, height, width) or (n, height, width, channels), numbers in 0–255.
        size: Height and width to bring them to; None keeps theirs.

    Raises:
        DataError: Another shape, or values that are no pixels on the 0–255 scale.
    """
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or not images.shape[0]:
        raise DataError(f"images must be an array (n, height, width, channels), n > 0; received shape {images.shape}")
    if images.dtype != np.uint8:
        if not np.issubdtype(images.dtype, np.number) or not np.isfinite(images).all():
            raise DataError(f"images must be finite numbers; received {images.dtype}")
        if images.min() < 0 or images.max() > 255:
            raise DataError(f"pixels must lie in 0–255; received {images.min():g} to {images.max():g}")
        if images.max() <= 1 and np.issubdtype(images.dtype, np.floating):
            raise DataError("pixels must be on the 0–255 scale; these are all at most 1: multiply them by 255")
        images = np.rint(images).astype(np.uint8)
    return ArrayImages(resize_array(images, size or images.shape[1:3]))
