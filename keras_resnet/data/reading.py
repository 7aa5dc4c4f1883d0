"""Read every image once before training: name those that cannot be read, fingerprint the data, keep the pixels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np

from keras_resnet.allowed import ON_ERROR
from keras_resnet.data.cache import pixel_cache
from keras_resnet.data.images import OnRead, Skipped
from keras_resnet.data.sources.listing import Listing
from keras_resnet.data.stores import EncodedImages
from keras_resnet.errors import DataError
from keras_resnet.images.decode import pixels_of
from keras_resnet.images.image_file import Header, ImageError, opened
from keras_resnet.preprocessing import Fit
from keras_resnet.settings import check_arguments

Result = TypeVar("Result")

MOST_NAMED = 5
MOST_SKIPPED = 0.01


@dataclass(frozen=True)
class Read:
    """Images of a listing that have been read.

    Args:
        store: The images.
        positions: int64 (n,), their positions in the listing.
        digests: The SHA-256 of each image's bytes.
        skipped: The images that cannot be read.
    """

    store: EncodedImages
    positions: np.ndarray
    digests: list[str]
    skipped: tuple[Skipped, ...]


@check_arguments(on_error=ON_ERROR)
def read_images(
    listing: Listing,
    positions: np.ndarray,
    fit: Fit,
    progress: OnRead | None = None,
    *,
    on_error: str = "fail",
    cache: str = "auto",
) -> Read:
    """Read and decode images once.

    Args:
        listing: The images of a source.
        positions: int64 (n,): which of them to read.
        fit: How they become pixels.
        progress: Called after each image with the number of images read and the number of all.
        on_error: `fail`; or `skip`: go on without images that cannot be read, up to one in a hundred.
        cache: Where decoded pixels are kept: see `load_data`.

    Raises:
        DataError: Images cannot be read, or more than may be skipped; up to five are named with the reason.
        StorageError: Pixels cannot be written to the disk.
    """
    pixels = pixel_cache(cache, len(positions), fit)
    kept, headers, digests, failures = [], [], [], []

    def read(position: int) -> tuple[Header, np.ndarray | None, str]:
        content = listing.contents.read(position)
        name, digest = listing.names[position], hashlib.sha256(content).hexdigest()
        with opened(content, name) as file:
            return file.header, None if pixels.holds(digest) else pixels_of(file, fit), digest

    try:
        for place, future in enumerate(_in_threads(read, positions.tolist())):
            try:
                header, image, digest = future.result()
            except ImageError as error:
                failures.append(error.for_keeping())
            else:
                pixels.add(digest, image)
                kept.append(int(positions[place]))
                headers.append(header)
                digests.append(digest)
            if progress:
                progress(place + 1, len(positions))
        kept_pixels = pixels.finish(digests)  # before images are refused, so that the next try finds the pixels
    except BaseException:
        pixels.discard()
        raise
    _refuse(failures, len(positions), on_error)
    names = tuple(listing.names[position] for position in kept)
    contents = listing.contents.chosen(kept)
    return Read(
        store=EncodedImages(contents, names, tuple(headers), fit, kept_pixels, as_bytes(digests)),
        positions=np.array(kept, np.int64),
        digests=digests,
        skipped=tuple(Skipped(error.name, error.code, error.detail) for error in failures),
    )


def fingerprint(names: Sequence[str], digests: Sequence[str], labels: np.ndarray, splits: dict[str, np.ndarray]) -> str:
    """The SHA-256 of a data set: of each image's name, content, label and split, in the order of the names.

    Args:
        names: Of the images.
        digests: Of their contents.
        labels: int64 (n,), or for multi-label (n, number of classes).
        splits: The positions of the images of each split.
    """
    of = {int(position): name for name, positions in splits.items() for position in positions}
    images = enumerate(zip(names, digests, labels.tolist(), strict=True))
    lines = (f"{name}\t{digest}\t{label}\t{of.get(i, '')}\n" for i, (name, digest, label) in images)
    return hashlib.sha256("".join(sorted(lines)).encode("utf-8", "surrogateescape")).hexdigest()


def as_bytes(digests: Sequence[str]) -> np.ndarray:
    """uint8 (n, 32): digests in less than a third of the memory."""
    return np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(-1, 32)


def array_digests(images: np.ndarray) -> list[str]:
    """The SHA-256 of each image of an array."""
    return [hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in images]


def _in_threads(work: Callable[[int], Result], items: Iterable[int]) -> Iterator[Future[Result]]:
    """Futures in the order of the items; no more than a few hundred results are held at a time."""
    items = iter(items)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        waiting = [pool.submit(work, item) for item in islice(items, 256)]
        while waiting:
            yield from waiting
            waiting = [pool.submit(work, item) for item in islice(items, 256)]


def _refuse(failures: list[ImageError], total: int, on_error: str) -> None:
    """Raise a DataError that names the images, unless they may be skipped."""
    if not failures or (on_error == "skip" and len(failures) <= MOST_SKIPPED * total):
        return
    named = "; ".join(f"{error.name}: {error.detail}" for error in failures[:MOST_NAMED])
    more = f"; and {len(failures) - MOST_NAMED} more" if len(failures) > MOST_NAMED else ""
    advice = "Repair or remove them (`keras-resnet check` lists all)"
    if on_error == "skip":
        advice += f"; no more than {MOST_SKIPPED:.0%} may be skipped"
    else:
        advice += f", or go on without them by --on-error skip, up to {MOST_SKIPPED:.0%} of the images"
    raise DataError(f"cannot read {len(failures)} of {total} images: {named}{more}. {advice}; nothing was changed")
