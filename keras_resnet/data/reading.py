"""Every image read once before training: damage is named, the content fingerprinted, memory used if it is there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from keras_resnet.data.decode import decode_image, read_file
from keras_resnet.data.images import ArrayImages, FileImages, ImageStore, Progress
from keras_resnet.errors import DataError

MOST_NAMED = 5


def memory_for_images() -> int:
    """Bytes that decoded images may take: a quarter of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4


def read_files(
    paths: Sequence[Path], names: Sequence[str], shape: tuple[int, int, int], progress: Progress | None = None
) -> tuple[ImageStore, list[str]]:
    """Decode every file once.

    Returns:
        The images, in memory if they fit there and otherwise to be decoded again batch by batch;
        and the SHA-256 of each file.

    Raises:
        DataError: Files cannot be read; up to five are named with the reason.
    """

    def read(position: int) -> tuple[np.ndarray, str]:
        content = read_file(paths[position], names[position])
        return decode_image(content, shape[:2], shape[2], name=names[position]), hashlib.sha256(content).hexdigest()

    fits = len(paths) * int(np.prod(shape)) <= memory_for_images()
    pixels = np.empty((len(paths), *shape), np.uint8) if fits else None
    digests = [""] * len(paths)
    for position, (image, digest) in _named_failures(_in_threads(read, range(len(paths))), len(paths), progress):
        digests[position] = digest
        if pixels is not None:
            pixels[position] = image
    return (FileImages(tuple(paths), shape) if pixels is None else ArrayImages(pixels)), digests


def read_encoded(
    encoded: Iterable[bytes],
    names: Sequence[str],
    shape: tuple[int, int, int],
    progress: Progress | None = None,
) -> tuple[ArrayImages, list[str]]:
    """Like `read_files` for encoded images that come as bytes and are kept in memory only.

    Raises:
        DataError: Images cannot be decoded, or all of them do not fit into memory.
    """
    needed = len(names) * int(np.prod(shape))
    if needed > memory_for_images():
        raise DataError(
            f"{len(names)} images of {shape[0]}×{shape[1]} need {needed / 2**30:.1f} GiB of memory and "
            f"{memory_for_images() / 2**30:.1f} GiB are granted: use --limit or a smaller --image-size, "
            "or write the images to a folder and use folder:PATH, which reads them batch by batch"
        )

    def read(item: tuple[int, bytes]) -> tuple[np.ndarray, str]:
        position, content = item
        return decode_image(content, shape[:2], shape[2], name=names[position]), hashlib.sha256(content).hexdigest()

    pixels = np.empty((len(names), *shape), np.uint8)
    digests = [""] * len(names)
    for position, (image, digest) in _named_failures(_in_threads(read, enumerate(encoded)), len(names), progress):
        pixels[position], digests[position] = image, digest
    return ArrayImages(pixels), digests


def fingerprint(names: Sequence[str], digests: Sequence[str], labels: np.ndarray, splits: dict[str, np.ndarray]) -> str:
    """SHA-256 over each image's name, content, label and split, in the order of the names."""
    of = {int(position): name for name, positions in splits.items() for position in positions}
    lines = (f"{names[i]}\t{digests[i]}\t{labels[i]}\t{of.get(i, '')}\n" for i in range(len(names)))
    return hashlib.sha256("".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()


def array_digests(images: np.ndarray) -> list[str]:
    """The SHA-256 of each image of an array."""
    return [hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in images]


Read = tuple[np.ndarray, str]


def _in_threads(read: Callable[..., Read], items: Iterable[object]) -> Iterator[Future[Read]]:
    """Futures in the items' order, with no more than a few hundred images held at a time."""
    items = iter(items)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        waiting = [pool.submit(read, item) for item in islice(items, 256)]
        while waiting:
            yield from waiting
            waiting = [pool.submit(read, item) for item in islice(items, 256)]


def _named_failures(
    futures: Iterable[Future[Read]], total: int, progress: Progress | None
) -> Iterator[tuple[int, Read]]:
    """Results with their positions; what could not be read is gathered and raised at the end."""
    failures: list[str] = []
    for position, future in enumerate(futures):
        try:
            yield position, future.result()
        except DataError as error:
            failures.append(str(error).removeprefix("cannot read "))
        if progress:
            progress(position + 1, total)
    if failures:
        more = f"; and {len(failures) - MOST_NAMED} more" if len(failures) > MOST_NAMED else ""
        raise DataError(
            f"cannot read {len(failures)} of {total} images: {'; '.join(failures[:MOST_NAMED])}{more}. "
            "Repair or remove them; nothing was changed"
        )
