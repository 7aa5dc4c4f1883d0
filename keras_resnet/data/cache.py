"""Keep decoded pixels for the next epoch in memory, or for the next process in files."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import numpy as np
import PIL

from keras_resnet.allowed import CACHE
from keras_resnet.atomic import current_umask, storage_errors, temporary_folder, write_text
from keras_resnet.data.memory import aligned_empty, memory_for_images
from keras_resnet.errors import DataError
from keras_resnet.preprocessing import Fit
from keras_resnet.regular_files import check_regular, read_bytes
from keras_resnet.settings import check_arguments

DECODER = 2
"""Raised by one whenever `decode` gives other pixels than before, so that files cached earlier are not used."""


def cache_folder() -> Path:
    """The folder of pixels on disk: `$KERAS_RESNET_CACHE`, or else `keras_resnet` in the user's cache folder."""
    own = os.environ.get("KERAS_RESNET_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "keras_resnet"


class Pixels(Protocol):
    """Decoded images by index."""

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        """uint8 (len(indices), height, width, channels)."""
        ...


class PixelCache:
    """A cache that keeps nothing, and the base of those that keep pixels. Images are added in the order of reading."""

    def holds(self, digest: str) -> bool:
        """Whether the cache has the pixels of the image with this SHA-256."""
        return False

    def add(self, digest: str, image: np.ndarray | None) -> None:
        """Keep the pixels of an image.

        Args:
            digest: The SHA-256 of its file.
            image: uint8 (height, width, channels); None if the cache has them already.
        """

    def finish(self, digests: Sequence[str]) -> Pixels | None:
        """The pixels of the images with these SHA-256, in this order; None if they are not kept."""
        return None

    def discard(self) -> None:
        """Remove what was added."""


class MemoryCache(PixelCache):
    """Pixels in memory."""

    def __init__(self, count: int, fit: Fit) -> None:
        self.array = aligned_empty((count, *fit.shape))
        self.added = 0

    def add(self, digest: str, image: np.ndarray | None) -> None:
        assert image is not None  # `holds` is always false
        self.array[self.added] = image
        self.added += 1

    def finish(self, digests: Sequence[str]) -> Pixels:
        return self.array[: self.added]


class DiskCache(PixelCache):
    """Pixels in files, where they are found by the SHA-256 of the image's file.

    Each reading adds one file of pixels and, once that is complete, its index. Neither is changed afterwards, so that
    several processes can use the folder at the same time.

    Args:
        folder: Holds the files of all caches.
        fit: How images become pixels; each fit has files of its own.
    """

    def __init__(self, folder: Path, fit: Fit) -> None:
        key = json.dumps([DECODER, PIL.__version__, asdict(fit)])
        self.folder = folder / f"pixels-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        self.shape = fit.shape
        self.segments: list[np.ndarray] = []
        self.places: dict[str, tuple[int, int]] = {}
        self.new: list[str] = []
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            for index in sorted(self.folder.glob("[!.]*.index")):  # those with a dot are being written
                self._open(index)
            self._until_finished = ExitStack()
            temporary = self._until_finished.enter_context(temporary_folder(self.folder))
            self.path = temporary / "pixels"
            self.file = open(self.path, "wb")  # noqa: SIM115

    def _open(self, index: Path) -> None:
        pixels = index.with_suffix(".pixels")
        try:
            digests = read_bytes(index).decode("ascii").split()
            check_regular(pixels)
            if not digests or pixels.stat().st_size != len(digests) * int(np.prod(self.shape)):
                return  # it is incomplete: the images are decoded again
            self.segments.append(np.memmap(pixels, np.uint8, "r", shape=(len(digests), *self.shape)))
        except (OSError, UnicodeDecodeError):
            return  # it is damaged or another user's: likewise
        self.places.update({digest: (len(self.segments) - 1, row) for row, digest in enumerate(digests)})

    def holds(self, digest: str) -> bool:
        return digest in self.places

    def add(self, digest: str, image: np.ndarray | None) -> None:
        """Raises: StorageError, if the disk is full."""
        if image is None or digest in self.places:
            return
        with storage_errors(self.folder):
            self.file.write(np.ascontiguousarray(image).tobytes())
        self.places[digest] = (len(self.segments), len(self.new))
        self.new.append(digest)

    def finish(self, digests: Sequence[str]) -> Pixels:
        try:
            with storage_errors(self.folder):
                self._finish()
        except BaseException:
            self.discard()
            raise
        return MappedPixels(self.segments, np.array([self.places[digest] for digest in digests]).reshape(-1, 2))

    def _finish(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        if self.new:
            os.chmod(self.path, 0o666 & ~current_umask())  # so that others who share the folder can read it
            place = self.folder / f"{uuid.uuid4().hex}.pixels"
            # The index first: alone it is small, and taken for incomplete.
            write_text(place.with_suffix(".index"), "\n".join(self.new))
            os.replace(self.path, place)
            self.segments.append(np.memmap(place, np.uint8, "r", shape=(len(self.new), *self.shape)))
        self._until_finished.close()

    def discard(self) -> None:
        with suppress(OSError):  # the disk may be full: what waits to be written is not needed
            self.file.close()
        self._until_finished.close()


class MappedPixels:
    """Pixels in several files.

    Args:
        segments: The files: uint8 (rows, height, width, channels) each.
        places: int64 (n, 2): the segment of each image and the row in it.
    """

    def __init__(self, segments: list[np.ndarray], places: np.ndarray) -> None:
        self.segments, self.places = segments, places

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        places = self.places[indices]
        images = np.empty((len(places), *self.segments[0].shape[1:]), np.uint8)
        for number in np.unique(places[:, 0]):
            here = places[:, 0] == number
            images[here] = self.segments[number][places[here, 1]]
        return images


@check_arguments(cache=CACHE)
def pixel_cache(cache: str, count: int, fit: Fit) -> PixelCache:
    """The cache for a number of images.

    Args:
        cache: `memory`; `disk`; `none`: images are decoded batch by batch; `auto`: `memory` if they fit into a quarter
            of the machine's, else `none`.
        count: The number of images.
        fit: How they become pixels.

    Raises:
        DataError: `cache` is `memory` and they do not fit.
        UsageError: There is no such cache.
    """
    needed, granted = count * int(np.prod(fit.shape)), memory_for_images()
    if cache == "memory" and needed > granted:
        raise DataError(
            f"{count} images of {fit.size[0]}×{fit.size[1]} need {needed / 2**30:.1f} GiB of memory and "
            f"{granted / 2**30:.1f} GiB are allowed: use --cache disk or none, --limit or a smaller --image-size"
        )
    if cache == "disk":
        return DiskCache(cache_folder(), fit)
    return MemoryCache(count, fit) if cache == "memory" or (cache == "auto" and needed <= granted) else PixelCache()
