"""Keep decoded pixels for the next epoch in memory, or for the next process in files."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import PIL
from filelock import lock_descriptor

from keras_resnet.allowed import CACHE
from keras_resnet.atomic import current_umask, storage_errors, write_with
from keras_resnet.data.memory import aligned_empty, memory_for_images
from keras_resnet.errors import DataError, StorageError
from keras_resnet.preprocessing import Fit
from keras_resnet.regular_files import open_regular, read_bytes
from keras_resnet.settings import check_arguments

DECODER = 2
"""Raised by one whenever `decode` gives other pixels than before, so that files cached earlier are not used."""
LAYOUT = 2
"""Raised by one whenever the files of `DiskCache` are laid out anew, so that others are not read."""
LINES = re.compile(rb"(?:[0-9a-f]{64} [0-9a-f]{8}\n)+")
"""An index: the SHA-256 of each image's file, and the CRC-32 of its pixels."""
LINE_BYTES = 74


logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """The folder of pixels on disk: `$KERAS_RESNET_CACHE`, or else `keras_resnet` in the user's cache folder."""
    own = os.environ.get("KERAS_RESNET_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "keras_resnet"


@contextmanager
def _cache_errors(folder: Path) -> Iterator[None]:
    try:
        with storage_errors(folder):
            yield
    except StorageError as error:
        advice = "free some space, name another folder by KERAS_RESNET_CACHE, or use another --cache"
        raise StorageError(f"{error}: {advice}") from error


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
        """The pixels of the images with these SHA-256, in this order; None if they are not kept.

        Raises:
            StorageError: They cannot be written.
        """
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

    def finish(self, digests: Sequence[str]) -> np.ndarray:
        return self.array[: self.added]


class DiskCache(PixelCache):
    """Pixels in files, where they are found by the SHA-256 of the image's file.

    Each reading adds one file of pixels and, once that is complete, its index: a line for each image, with its SHA-256
    and the checksum of its pixels. Neither is changed afterwards, so that several processes can use the folder at the
    same time. What turns out to be damaged is removed, so that the next reading decodes it again.

    Args:
        folder: Holds the files of all caches.
        fit: How images become pixels; each fit has files of its own.

    Raises:
        StorageError: The folder cannot be made or looked at.
    """

    def __init__(self, folder: Path, fit: Fit) -> None:
        key = json.dumps([LAYOUT, DECODER, PIL.__version__, asdict(fit)])
        self.folder = folder / f"pixels-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        self.shape = fit.shape
        self.parts: list[Part] = []
        self.places: dict[str, tuple[int, int, int]] = {}  # by digest: the part, the row in it, the checksum
        self.added: Part | None = None
        self.entries: list[str] = []
        with _cache_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_abandoned()
            for index in sorted(self.folder.glob("[!.]*.index")):  # those with a dot are being written
                self._open(index.with_suffix(".pixels"))

    def _remove_abandoned(self) -> None:
        """Remove what killed processes have left: files without an index that nobody is writing."""
        for path in self.folder.glob("*.pixels"):
            index = path.with_suffix(".index")
            with suppress(OSError):
                if not index.exists():
                    with open_regular(path, "r+b") as file:
                        # Looked at once more, since whoever held the lock may have finished.
                        if lock_descriptor(file.fileno(), blocking=False) and not index.exists():
                            path.unlink()

    def _open(self, path: Path) -> None:
        try:
            with ExitStack() as stack:
                part = Part(path, stack.enter_context(open_regular(path)))
                lines = part.index(math.prod(self.shape))
                stack.pop_all()
        except PermissionError:
            return  # it is another user's: the images are decoded again
        except (OSError, ValueError) as error:
            remove_damaged(path, error)
            return
        for row, line in enumerate(lines):
            digest, checksum = line.split()
            self.places[digest] = len(self.parts), row, int(checksum, 16)
        self.parts.append(part)

    def holds(self, digest: str) -> bool:
        return digest in self.places

    def add(self, digest: str, image: np.ndarray | None) -> None:
        """Raises: StorageError, if the disk is full or the folder cannot be written."""
        if image is None or digest in self.places:
            return
        content = image.tobytes()
        with _cache_errors(self.folder):
            if self.added is None:  # only now, so that a folder that holds all images need not be writable
                self.added = self._begun()
            self.added.file.write(content)
        checksum = zlib.crc32(content)
        self.places[digest] = len(self.parts), len(self.entries), checksum
        self.entries.append(f"{digest} {checksum:08x}\n")

    def _begun(self) -> Part:
        while True:
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".pixels")
            part = Part(Path(name), os.fdopen(handle, "w+b"))
            with suppress(OSError):  # some network file systems have no locks; there nobody removes files either
                lock_descriptor(handle, blocking=True)
            if os.fstat(handle).st_nlink:  # another process may have removed it before it was locked
                return part
            part.file.close()

    def finish(self, digests: Sequence[str]) -> FiledPixels:
        if self.added is not None:
            with _cache_errors(self.folder):
                self.added.file.flush()
                os.fsync(self.added.file.fileno())
                os.chmod(self.added.path, 0o666 & ~current_umask())  # so that others who share the folder can read it
                index = "".join(self.entries).encode("ascii")
                write_with(self.added.path.with_suffix(".index"), lambda temporary: temporary.write_bytes(index))
            self.parts.append(self.added)
        places = np.array([self.places[digest] for digest in digests], np.int64).reshape(-1, 3)
        return FiledPixels(self.parts, places, self.shape)

    def discard(self) -> None:
        if self.added is not None:
            with suppress(OSError):  # closing tries once more to write what the disk did not take
                self.added.file.close()
            with suppress(OSError):
                self.added.path.unlink()


@dataclass(frozen=True)
class Part:
    """What one reading has added to a cache.

    Args:
        path: The file of pixels: one image after the other.
        file: That file, open.
    """

    path: Path
    file: BinaryIO

    def index(self, image_bytes: int) -> list[str]:
        """The lines of its index.

        Raises:
            OSError: The index cannot be read.
            ValueError: It is not that of the pixels.
        """
        rows, rest = divmod(os.fstat(self.file.fileno()).st_size, image_bytes)
        content = read_bytes(self.path.with_suffix(".index"), rows * LINE_BYTES)
        if rest or len(content) != rows * LINE_BYTES or not LINES.fullmatch(content):
            raise ValueError("the index does not fit the file")
        return content.decode("ascii").splitlines()

    def read(self, row: int, image: np.ndarray) -> bool:
        """Fill an image with the pixels of a row; false if the file does not give them."""
        try:
            return os.preadv(self.file.fileno(), [image.data], row * image.nbytes) == image.nbytes
        except OSError:
            return False


def remove_damaged(path: Path, reason: object) -> None:
    """Remove a file of pixels and its index, and say so. Whoever has it open can go on reading it."""
    logger.warning("%s: these cached pixels are damaged (%s); the images are decoded again", path, reason)
    for one in (path.with_suffix(".index"), path):
        with suppress(OSError):  # it is another user's
            one.unlink()


class FiledPixels:
    """Pixels in several files.

    The files are read, not mapped into memory: if a mapped file is cut off, the system ends the process.

    Args:
        parts: The files.
        places: int64 (n, 3): the part of each image, the row in it, and the CRC-32 of the pixels.
        shape: Of an image: height, width, channels.
    """

    def __init__(self, parts: list[Part], places: np.ndarray, shape: tuple[int, int, int]) -> None:
        self.parts, self.places, self.shape = parts, places, shape
        self.compared = np.zeros(len(places), bool)
        self.damaged: set[int] = set()

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read images; each is compared with its checksum when it is read for the first time.

        Args:
            indices: int64 (m,).

        Returns:
            The images, uint8 (m, height, width, channels); and which of these are lost, so that they must be decoded
            again, int64.
        """
        images = np.empty((len(indices), *self.shape), np.uint8)
        parts, rows, checksums = self.places[indices].T.tolist()
        wanted = zip(parts, rows, images, strict=True)
        good = np.array([self.parts[part].read(row, image) for part, row, image in wanted], bool)
        for place in np.flatnonzero(good & ~self.compared[indices]).tolist():
            good[place] = self.compared[indices[place]] = zlib.crc32(images[place]) == checksums[place]
        lost = np.flatnonzero(~good)
        for part in {parts[place] for place in lost.tolist()} - self.damaged:
            self.damaged.add(part)
            remove_damaged(self.parts[part].path, "pixels are missing or are not those that were written")
        return images, lost


Pixels: TypeAlias = np.ndarray | FiledPixels
"""Decoded images: uint8 (n, height, width, channels) in memory, or in files."""


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
