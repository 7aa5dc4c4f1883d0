"""Images by index: in memory, in files that are decoded when they are read, or brought to another size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from keras_resnet.data.cache import Pixels
from keras_resnet.data.memory import aligned
from keras_resnet.data.sources.listing import Contents
from keras_resnet.errors import DataError
from keras_resnet.images.decode import decode, decode_box, resize_array
from keras_resnet.images.image_file import Header, ImageError
from keras_resnet.preprocessing import Fit
from keras_resnet.tasks.task import Task

RESTORE = "Restore it and give the same command again, or begin anew with the images as they are (train: --overwrite)"
"""What to do when an image is no longer what it was."""


class ImageStore(Protocol):
    """Images by index."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        ...

    def __len__(self) -> int: ...

    @property
    def held(self) -> np.ndarray | None:
        """All of them, uint8 (n, *shape), if they lie in memory as they are."""
        ...

    def read(self, indices: np.ndarray) -> np.ndarray:
        """uint8 (len(indices), *shape)."""
        ...


class LabelledImages(Protocol):
    """Some of the images of a store with their labels, as `Split` is."""

    @property
    def images(self) -> ImageStore: ...

    @property
    def indices(self) -> np.ndarray: ...

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def task(self) -> Task: ...

    def __len__(self) -> int: ...

    def read(self, positions: np.ndarray | slice) -> np.ndarray: ...

    def read_boxes(self, positions: np.ndarray, boxes: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class ArrayImages:
    """Images in memory: uint8 (n, height, width, channels)."""

    array: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.array.shape[1:]

    @property
    def held(self) -> np.ndarray:
        return self.array

    def __len__(self) -> int:
        return len(self.array)

    def read(self, indices: np.ndarray) -> np.ndarray:
        return self.array[indices]


@dataclass(frozen=True)
class EncodedImages:
    """Images that are decoded when they are asked for, in threads (Pillow frees the lock), or were before.

    Args:
        contents: Their bytes.
        names: What each is called in errors.
        headers: What each file says of itself.
        fit: How they become pixels.
        pixels: Decoded beforehand, in memory or in files; None: not.
        digests: uint8 (n, 32): the SHA-256 of the bytes that were first read, which others are not taken for; None:
            whatever is read is taken.
    """

    contents: Contents
    names: tuple[str, ...]
    headers: tuple[Header, ...]
    fit: Fit
    pixels: Pixels | None = None
    digests: np.ndarray | None = None
    failures: list[DataError] = field(default_factory=list, repr=False)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(os.cpu_count() or 1), repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.fit.shape

    @cached_property
    def sizes(self) -> np.ndarray:
        """Height and width of each image as a person sees it, int32 (n, 2)."""
        return np.array([header.upright for header in self.headers], np.int32).reshape(-1, 2)

    @property
    def held(self) -> np.ndarray | None:
        return self.pixels if isinstance(self.pixels, np.ndarray) else None

    def __len__(self) -> int:
        return len(self.names)

    def read(self, indices: np.ndarray) -> np.ndarray:
        if isinstance(self.pixels, np.ndarray):
            return self.pixels[indices]
        if self.pixels is None:
            return self._decoded(self._whole, indices)
        images, lost = self.pixels.read(indices)
        if len(lost):
            images[lost] = self._decoded(self._whole, np.asarray(indices)[lost])
        return images

    def read_boxes(self, indices: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """A part of each image, int (n, 4) of top, left, height, width, squeezed to the size."""
        parts = dict(enumerate(zip(np.asarray(indices).tolist(), np.asarray(boxes).tolist(), strict=True)))

        def part(place: int) -> np.ndarray:
            index, box = parts[place]
            name = self.names[index]
            return decode_box(self._content(index), self.headers[index], tuple(box), self.fit, name=name)

        return self._decoded(part, np.arange(len(parts)))

    def refitted(self, fit: Fit) -> EncodedImages:
        """The same images as other pixels."""
        return replace(self, fit=fit, pixels=None)

    def _whole(self, index: int) -> np.ndarray:
        return decode(self._content(index), self.fit, name=self.names[index])

    def _content(self, index: int) -> bytes:
        """The bytes of an image, if they still are those that the fingerprint of the data is of."""
        try:
            content = self.contents.read(index)
        except ImageError as error:
            raise DataError(f"{error}; it could be read at the beginning. {RESTORE}") from None
        if self.digests is not None:
            found, was = hashlib.sha256(content).hexdigest(), self.digests[index].tobytes().hex()
            if found != was:
                raise DataError(
                    f"{self.names[index]} has changed since the images were read at the beginning: its SHA-256 is "
                    f"{found[:12]}, was {was[:12]}. {RESTORE}"
                )
        return content

    def _decoded(self, image: Callable[[int], np.ndarray], places: np.ndarray) -> np.ndarray:
        try:
            images = list(self.pool.map(image, np.asarray(places).tolist()))
        except DataError as error:
            self.failures.append(error)  # tf.data would pass on its text only, in a traceback
            raise
        return np.stack(images) if images else np.empty((0, *self.shape), np.uint8)


def at_size(store: ImageStore, size: tuple[int, int]) -> ImageStore:
    """The same images at another size: files are decoded to it, arrays enlarged or shrunk.

    Args:
        store: The images.
        size: Height and width.
    """
    if store.shape[:2] == tuple(size):
        return store
    if isinstance(store, EncodedImages):
        return store.refitted(store.fit.at(size))
    return ResizedImages(store, size)


@dataclass(frozen=True)
class ResizedImages:
    """Images of another store, brought to a size whenever they are read."""

    store: ImageStore
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        return (*self.size, self.store.shape[2])

    @property
    def held(self) -> None:
        return None

    def __len__(self) -> int:
        return len(self.store)

    def read(self, indices: np.ndarray) -> np.ndarray:
        return resize_array(self.store.read(indices), Fit(self.size, self.store.shape[2]))


def as_uint8_images(
    images: np.ndarray, size: tuple[int, int] | None = None, *, refuse_dark: bool = True
) -> ArrayImages:
    """Arrays of pixels as an image store.

    Args:
        images: (n, height, width) or (n, height, width, channels), numbers in 0–255.
        size: Height and width to bring them to; None keeps theirs.
        refuse_dark: Refuse floats of at most 1 everywhere, which are on another scale in all likelihood.

    Raises:
        DataError: Another shape, or values that are no pixels on the 0–255 scale.
    """
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or not images.size:
        raise DataError(
            f"images must be an array (n, height, width, channels), none of them 0; received shape {images.shape}"
        )
    if images.shape[1] in (1, 3) and min(images.shape[2:]) > 4:
        raise DataError(
            f"images must be (n, height, width, channels), channels last; received shape {images.shape}, which looks "
            "like channels first: give numpy.moveaxis(images, 1, -1)"
        )
    if images.dtype != np.uint8:
        real = any(np.issubdtype(images.dtype, kind) for kind in (np.integer, np.floating))
        if not real or not np.isfinite(images).all():
            raise DataError(f"images must be finite numbers; received {images.dtype}")
        if images.min() < 0 or images.max() > 255:
            raise DataError(f"pixels must lie in 0–255; received {images.min():g} to {images.max():g}")
        if refuse_dark and images.max() <= 1 and np.issubdtype(images.dtype, np.floating):
            raise DataError("pixels must be on the 0–255 scale; these are all at most 1: multiply them by 255")
        images = np.rint(images).astype(np.uint8)
    return ArrayImages(aligned(resize_array(images, Fit(size or images.shape[1:3], images.shape[3]))))
