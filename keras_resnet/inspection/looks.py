"""Decode every image once: whether it can be read, what is unusual about it, and a thumbnail for comparisons."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from keras_resnet.data.duplicates import SIDE
from keras_resnet.data.images import OnRead
from keras_resnet.data.sources.listing import Listing
from keras_resnet.images.capture import Capture, capture_of
from keras_resnet.images.decode import flattened, pixels_of
from keras_resnet.images.image_file import JPEGS, SUFFIXES, Header, ImageError, opened
from keras_resnet.preprocessing import Fit

IN_FLIGHT = 256
"""Images that wait for a thread at a time."""
SAMPLE = 64
"""The side of a sample of pixels, by which the most frequent colour is found."""
TINY = 16
"""Pixels: an image whose shorter side has fewer is tiny."""
EXTREME_ASPECT = 4
"""An image is extreme if its longer side is more than this many times the shorter one."""
ALIKE = 8
"""A thumbnail whose pixels differ by no more, of 255, is blank."""
GREY = 4
"""A thumbnail whose channels differ by no more, of 255, is grey: JPEG changes the colours of grey by a level or two."""
DARK = 65535 // 8
"""A 16-bit image whose values all lie below is dark."""
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
    """What was found in one readable image.

    Args:
        header: The header of its file.
        capture: When it was taken and with what, as the file says.
        digest: The SHA-256 of its file.
        oddities: What is unusual: keys of `findings.ODDITIES`.
        grey: Whether it shows no colour, in whatever mode it is saved.
        one_colour: The share of its pixels that have exactly its most frequent colour, 0–1.
        bits: The entropy of the thumbnail's colours, of 16 levels a channel: 0 for one colour, at most 10.
    """

    header: Header
    capture: Capture
    digest: bytes
    oddities: tuple[str, ...]
    grey: bool
    one_colour: float
    bits: float


@dataclass(frozen=True)
class Seen:
    """What was found in all images of a listing.

    Args:
        looks: The readable images by position, in order.
        failures: The errors of the other images by position.
        thumbnails: uint8 (n, 32, 32, 3), by position; black where an image cannot be read.
    """

    looks: dict[int, Look]
    failures: dict[int, ImageError]
    thumbnails: np.ndarray


def inspect_images(listing: Listing, progress: OnRead | None = None) -> Seen:
    """Read and decode each image of a listing once.

    Args:
        listing: The images.
        progress: Called with the number of images that have been read and the number of all.
    """
    thumbnails = np.zeros((len(listing), SIDE, SIDE, 3), np.uint8)
    looks: dict[int, Look] = {}
    failures: dict[int, ImageError] = {}

    def look(position: int) -> Look | ImageError:
        try:
            content = listing.contents.read(position)
            return _look(content, listing.names[position], thumbnails[position])
        except ImageError as error:
            return error.for_keeping()

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(listing), IN_FLIGHT):  # or there would be a future for each of millions of images
            for position, found in enumerate(pool.map(look, range(start, min(start + IN_FLIGHT, len(listing)))), start):
                if isinstance(found, ImageError):
                    failures[position] = found
                else:
                    looks[position] = found
                if progress:
                    progress(position + 1, len(listing))
    return Seen(looks, failures, thumbnails)


def _look(content: bytes, name: str, thumbnail: np.ndarray) -> Look:
    """Look at one image, and fill in its thumbnail."""
    with opened(content, name) as file:
        header = file.header
        thumbnail[:] = pixels_of(file, Fit((SIDE, SIDE), 3))
        taken = capture_of(file.decoded())
        inner = tuple(_inner_oddities(file.decoded(), header))
        sample = _sample(file.decoded())
    blank = np.ptp(thumbnail, axis=(0, 1)).max() <= ALIKE and "dark-16-bit" not in inner
    return Look(
        header=header,
        capture=taken,
        digest=hashlib.sha256(content).digest(),
        oddities=(*_outer_oddities(content, header, name), *inner, *(("blank",) if blank else ())),
        grey=bool(np.ptp(thumbnail, axis=-1).max() <= GREY),
        one_colour=float(_colour_shares(sample).max()),
        bits=_entropy(_colour_shares(thumbnail >> 4)),
    )


def _sample(image: Image.Image) -> np.ndarray:
    """Pixels as they are stored, evenly spaced and not averaged, uint8 (at most 64, at most 64, 3)."""
    few = image.resize((min(SAMPLE, image.width), min(SAMPLE, image.height)), Image.Resampling.NEAREST)
    return np.asarray(flattened(few, Fit((few.height, few.width), 3)))


def _colour_shares(pixels: np.ndarray) -> np.ndarray:
    """The share of the pixels that each colour has, of uint8 (height, width, 3)."""
    codes = pixels.reshape(-1, 3) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    return np.unique_counts(codes).counts / len(codes)


def _entropy(shares: np.ndarray) -> float:
    return float(-(shares * np.log2(shares)).sum())


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
    # Pillow silently reduces colours of 16 bits to 8; only the header of the PNG file still says it.
    if header.mode.startswith("I;16") or (header.format == "PNG" and content[24] == 16):
        yield "16-bit"
    if min(header.upright) < TINY:
        yield "tiny"
    if max(header.upright) > EXTREME_ASPECT * min(header.upright):
        yield "extreme-aspect"


def _inner_oddities(image: Image.Image, header: Header) -> Iterator[str]:
    """What needs all pixels at full depth, or the frames after the first, of an image whose first frame is decoded."""
    try:
        if header.mode.startswith("I;16") and np.asarray(image).max() < DARK:
            yield "dark-16-bit"
        if header.transparent and _opacity(image) < 255:
            yield "transparent"
        if header.format not in (*JPEGS, "BMP", "DIB") and getattr(image, "is_animated", False):
            yield "animated"
    except Exception:  # the first frame was decoded: damage behind it harms no training
        return


def _opacity(image: Image.Image) -> int:
    """That of the most transparent pixel: 0–255."""
    if "A" in image.getbands():
        return int(np.asarray(image.getchannel("A")).min())
    return int(np.asarray(image.convert("RGBA").getchannel("A")).min())
