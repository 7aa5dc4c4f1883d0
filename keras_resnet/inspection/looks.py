"""Every image decoded once: whether it can be read, what is odd about it, and a thumbnail to compare it by."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from keras_resnet.data.images import OnRead
from keras_resnet.data.sources.listing import Listing
from keras_resnet.images.decode import pixels_of
from keras_resnet.images.image_file import JPEGS, SUFFIXES, Header, ImageError, opened
from keras_resnet.preprocessing import Fit

SIDE = 32
"""Of a thumbnail, in pixels."""
IN_FLIGHT = 256
TINY = 16
EXTREME_ASPECT = 4
ALIKE = 8
"""Of 255: a thumbnail whose pixels differ by no more is blank."""
GREY = 4
"""Of 255: a thumbnail whose channels differ by no more is grey; JPEG tints what was grey by a level or two."""
DARK = 65535 // 8
SUFFIXES_OF = {
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "DIB": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
}


@dataclass(frozen=True, slots=True)
class Look:
    """One readable image.

    Args:
        header: What its file says of itself.
        digest: SHA-256 of the file.
        oddities: Keys of `findings.ODDITIES`.
        grey: Whether it shows no colour, whatever its mode.
    """

    header: Header
    digest: bytes
    oddities: tuple[str, ...]
    grey: bool


@dataclass(frozen=True)
class Inspection:
    """All images of a listing.

    Args:
        looks: The readable ones, by position, in order.
        failures: The others, by position.
        thumbnails: uint8 (n, 32, 32, 3), by position; black where nothing could be read.
    """

    looks: dict[int, Look]
    failures: dict[int, ImageError]
    thumbnails: np.ndarray


def inspect_images(listing: Listing, progress: OnRead | None = None) -> Inspection:
    """Read and decode each image of a listing once.

    Args:
        listing: The images.
        progress: Called with the number of images read and to be read.
    """
    thumbnails = np.zeros((len(listing), SIDE, SIDE, 3), np.uint8)
    looks: dict[int, Look] = {}
    failures: dict[int, ImageError] = {}

    def look(position: int) -> Look | ImageError:
        try:
            content = listing.contents.read(position)
            return _look(content, listing.names[position], thumbnails[position])
        except ImageError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(listing), IN_FLIGHT):  # no more futures at a time, however many images
            for position, found in enumerate(pool.map(look, range(start, min(start + IN_FLIGHT, len(listing)))), start):
                if isinstance(found, ImageError):
                    failures[position] = found
                else:
                    looks[position] = found
                if progress:
                    progress(position + 1, len(listing))
    return Inspection(looks, failures, thumbnails)


def _look(content: bytes, name: str, thumbnail: np.ndarray) -> Look:
    """What one image shows; fills its thumbnail."""
    with opened(content, name) as (image, header):
        thumbnail[:] = pixels_of(image, header, Fit((SIDE, SIDE), 3))
        inner = tuple(_inner_oddities(image, header))
    blank = np.ptp(thumbnail, axis=(0, 1)).max() <= ALIKE and "dark-16-bit" not in inner
    return Look(
        header=header,
        digest=hashlib.sha256(content).digest(),
        oddities=(*_outer_oddities(content, header, name), *inner, *(("blank",) if blank else ())),
        grey=bool(np.ptp(thumbnail, axis=-1).max() <= GREY),
    )


def _outer_oddities(content: bytes, header: Header, name: str) -> Iterator[str]:
    """What name and header tell."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in SUFFIXES and suffix not in SUFFIXES_OF[header.format]:
        yield "wrong-extension"
    if header.orientation != 1:
        yield "exif-rotated"
    if header.mode == "CMYK":
        yield "cmyk"
    if header.mode in ("P", "PA"):
        yield "palette"
    # Pillow brings colours of 16 bits down to 8 unasked; only a PNG's own header still tells.
    if header.mode.startswith("I;16") or (header.format == "PNG" and content[24] == 16):
        yield "16-bit"
    if min(header.upright) < TINY:
        yield "tiny"
    if max(header.upright) > EXTREME_ASPECT * min(header.upright):
        yield "extreme-aspect"


def _inner_oddities(image: Image.Image, header: Header) -> Iterator[str]:
    """What only the full pixels or the frames behind the first tell, of an image whose first frame is decoded."""
    try:
        if header.mode.startswith("I;16") and np.asarray(image).max() < DARK:
            yield "dark-16-bit"
        if header.transparent and np.asarray(image.convert("RGBA").getchannel("A")).min() < 255:
            yield "transparent"
        if header.format not in (*JPEGS, "BMP", "DIB") and getattr(image, "is_animated", False):
            yield "animated"
    except Exception:  # a training does not read the frames that are broken
        return
