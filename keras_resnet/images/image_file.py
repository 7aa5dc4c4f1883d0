"""An image file that is opened: its bytes, what it says of itself, its pixels as stored, or why it cannot be read.

Whatever is wrong with a file becomes one `ImageError` with a reason code. By its header, what would take too much
memory is refused, and what is decoded waits until there is memory for it.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from keras_resnet.errors import DataError
from keras_resnet.images.budget import MemoryBudget

MOST_PIXELS = 1 << 27
"""The most pixels of an image; its header is asked before any pixel is decoded."""
MOST_BYTES = 1 << 29
"""The most bytes of an image file, which are counted before it is read."""
PIXEL_BYTES = 8
"""What a pixel takes until its image is resized: 4 bytes as it is stored, at most, and 4 of a copy in RGB."""
DECODER_BYTES = {"WEBP": 12, "TIFF": 4}
"""What else a format's decoder holds of each pixel."""
PROGRESSIVE_BYTES = 6
"""What libjpeg holds of each pixel of a JPEG that is stored in several passes over the whole image."""
DECODING = MemoryBudget(PIXEL_BYTES * MOST_PIXELS)
"""What all threads of the process decode at a time: as much as one of the largest images takes."""
# Smaller blocks of Pillow's come from memory that malloc keeps for the thread that has freed it, so that each thread
# would go on holding the largest image that it has ever decoded. The system takes back blocks above 32 MiB at once.
Image.core.set_block_size(64 * 2**20)  # type: ignore[attr-defined]
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
"""Of the files that are taken for images."""
UNREAD_SUFFIXES = frozenset(
    {".heic", ".heif", ".avif", ".jxl", ".jp2", ".psd", ".svg", ".eps", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf"}
)
"""Of files that hold pictures in formats that are not read here, so that a user can be told."""
# Pillow may read these formats and no others: it would pass an .eps on to Ghostscript.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF")
JPEGS = ("JPEG", "MPO")  # MPO: a JPEG with further pictures behind it, as phones write

REASONS = {
    "missing": "there is no such file",
    "not-a-file": "a folder, pipe or device, not a file",
    "unreadable": "the system cannot read it",
    "empty": "the file is empty",
    "not-an-image": "not an image of a known format",
    "unsupported-format": "an image of a format that is not read here",
    "truncated": "the file ends before the image is complete",
    "damaged": "it begins like an image but cannot be decoded",
    "too-large": "more pixels or bytes than are allowed",
    "unsupported-pixels": "pixels that have no brightness from black to white, such as floats",
}
"""Why an image cannot be read, by code."""

# The first bytes of other formats: such files are told apart from files that are no images at all.
_OTHER_FORMATS = {
    b"8BPS": "Photoshop",
    b"%!PS": "PostScript",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"<?xml": "SVG or other XML",
    b"\xff\x0a": "JPEG XL",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"\x00\x00\x01\x00": "Windows icon",
    b"qoif": "QOI",
    b"II\xbc": "JPEG XR",
    b"v/1\x01": "OpenEXR",
}


class Turn(NamedTuple):
    """How a stored image becomes upright."""

    method: Image.Transpose | None
    swapped: bool  # whether rows become columns
    rows_reversed: bool  # whether the stored rows are in reverse order
    columns_reversed: bool


# By the orientation that EXIF gives.
TURNS = {
    1: Turn(None, False, False, False),
    2: Turn(Image.Transpose.FLIP_LEFT_RIGHT, False, False, True),
    3: Turn(Image.Transpose.ROTATE_180, False, True, True),
    4: Turn(Image.Transpose.FLIP_TOP_BOTTOM, False, True, False),
    5: Turn(Image.Transpose.TRANSPOSE, True, False, False),
    6: Turn(Image.Transpose.ROTATE_270, True, True, False),
    7: Turn(Image.Transpose.TRANSVERSE, True, True, True),
    8: Turn(Image.Transpose.ROTATE_90, True, False, True),
}


class ImageError(DataError):
    """One image that cannot be read.

    Args:
        name: What the image is called.
        code: A key of `REASONS`.
        detail: What exactly is wrong; default: the reason's description.
    """

    def __init__(self, name: str, code: str, detail: str | None = None) -> None:
        super().__init__(f"cannot read {name}: {detail or REASONS[code]}")
        self.name = name
        self.code = code
        self.detail = detail or REASONS[code]

    def for_keeping(self) -> ImageError:
        """The same error without its traceback, which would keep the file and its pixels in memory."""
        self.__context__ = None
        return self.with_traceback(None)


@dataclass(frozen=True)
class Header:
    """What an image file says of itself before it is decoded.

    Args:
        format: `JPEG`, `PNG`, …
        mode: Pillow's name for the kind of its pixels: `RGB`, `L`, `P`, `CMYK`, `I;16`, …
        width, height: In pixels, as the image is stored.
        orientation: EXIF's number, 1–8; 1 is upright.
        transparent: Whether pixels may be transparent.
        decoder_bytes: What its decoder holds beside the pixels, however small it decodes them.
    """

    format: str
    mode: str
    width: int
    height: int
    orientation: int
    transparent: bool
    decoder_bytes: int = 0

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width as a person sees them."""
        swapped = TURNS[self.orientation].swapped
        return (self.width, self.height) if swapped else (self.height, self.width)

    @property
    def decodes_in_part(self) -> bool:
        """Whether `decode.decode_box` can decode a part without the rest."""
        return self.format in JPEGS and self.mode in ("RGB", "L")


def read_header(source: Path | bytes, *, name: str | None = None) -> Header:
    """What an image file says of itself. Only a PNG is decoded for it, since its EXIF may stand behind the pixels.

    Raises:
        ImageError: It is no image, or too large.
    """
    with opened(source, name) as file:
        return file.header


def read_file(path: Path, name: str) -> bytes:
    """The content of an image file.

    Raises:
        ImageError: It cannot be read; the message calls it `name`.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait forever
            raise ImageError(name, "not-a-file")
        if status.st_size > MOST_BYTES:
            raise ImageError(name, "too-large", f"{status.st_size:,} bytes are more than {MOST_BYTES:,}")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(name, "missing", error.strerror) from None
    except OSError as error:
        raise ImageError(name, "unreadable", error.strerror or str(error)) from None


class UnsupportedPixels(Exception):
    """Pixel values whose black and white are unknown."""


class ImageFile:
    """An open image file, whose pixels are decoded when they are first asked for.

    Args:
        image: As Pillow opens it.
        content: Of the file.
        until_closed: What ends with the file.
    """

    def __init__(self, image: Image.Image, content: bytes, until_closed: ExitStack) -> None:
        self._image, self._until_closed, self._is_decoded = image, until_closed, False
        own = PROGRESSIVE_BYTES if image.info.get("progressive") else DECODER_BYTES.get(str(image.format), 0)
        decoder_bytes = own * image.width * image.height
        self._beside_pixels = decoder_bytes + len(content)
        if image.format == "PNG":
            if "transparency" in image.info:
                _mend_transparency(image, bits=content[24])
            self.decoded()  # since EXIF may follow the pixels; damaged pixels must not be taken for broken EXIF
        self.header = _header(image, decoder_bytes)

    def decoded(self, ratio: float = 1) -> Image.Image:
        """The pixels as they are stored.

        Args:
            ratio: How many times too large the image is, when this is called for the first time. A JPEG that is four
                times too large or more is decoded at a half, quarter or eighth, where it still is twice too large.
        """
        image = self._image
        if not self._is_decoded:
            if ratio >= 4 and image.format in JPEGS:
                power = min(3, int(np.log2(ratio / 2)))
                image.draft(None, (image.width >> power, image.height >> power))
            amount = PIXEL_BYTES * image.width * image.height + self._beside_pixels
            self._until_closed.enter_context(DECODING.room(amount))
            self._until_closed.callback(image.close)  # before the room is free for another, whoever still has the image
            image.load()
            self._is_decoded = True
        return image


@contextmanager
def opened(source: Path | bytes, name: str | None) -> Iterator[ImageFile]:
    """An image file, not yet decoded. Memory that its pixels take is counted until the context ends.

    Args:
        source: The file's path, or its content.
        name: What to call the image in an error; None: its path.

    Raises:
        ImageError: The file cannot be opened, or what is done inside the context fails because of it.
    """
    name = name or (str(source) if isinstance(source, Path) else "image")
    content = source if isinstance(source, bytes) else read_file(source, name)
    if not content:
        raise ImageError(name, "empty")
    if len(content) > MOST_BYTES:
        raise ImageError(name, "too-large", f"{len(content):,} bytes are more than {MOST_BYTES:,}")
    try:
        # Pillow's warnings about odd metadata are left alone: silencing them here would not be safe in threads.
        with Image.open(io.BytesIO(content), formats=FORMATS) as image, ExitStack() as until_closed:
            if image.width * image.height > MOST_PIXELS:
                raise ImageError(
                    name, "too-large", f"{image.width}×{image.height} pixels are more than {MOST_PIXELS:,}"
                )
            yield ImageFile(image, content, until_closed)
    except DataError:
        raise
    except UnsupportedPixels as error:
        raise ImageError(name, "unsupported-pixels", str(error)) from None
    except UnidentifiedImageError:
        raise ImageError(name, *_unidentified(content)) from None
    except (Image.DecompressionBombError, MemoryError) as error:
        raise ImageError(name, "too-large", str(error) or None) from None
    except Exception as error:  # damaged files raise almost anything, from SyntaxError to struct.error
        text = str(error) or type(error).__name__
        code = "truncated" if "truncated" in text.lower() or isinstance(error, EOFError) else "damaged"
        raise ImageError(name, code, text) from None


def _unidentified(content: bytes) -> tuple[str, str | None]:
    for beginning, known in _OTHER_FORMATS.items():
        if content.lstrip()[: len(beginning)].lower() == beginning.lower():
            return "unsupported-format", f"{known} files are not read here"
    if content[4:8] == b"ftyp":
        return (
            "unsupported-format",
            f"{content[8:12].decode('ascii', 'replace')!r} files (HEIC, AVIF) are not read here",
        )
    if content[:2] in (b"\xff\xd8", b"BM", b"II", b"MM") or content[:4] in (b"\x89PNG", b"GIF8", b"RIFF"):
        return "damaged", "it begins like an image but its header cannot be read"
    return "not-an-image", None


def _mend_transparency(image: Image.Image, bits: int) -> None:
    """Scale a PNG's transparent value as its pixels are: Pillow compares it with pixels already scaled to 8 bits."""
    if image.mode == "L":
        image.info["transparency"] *= 255 // (2**bits - 1)
    elif image.mode == "RGB" and bits == 16:  # their low bytes are lost, so that another colour might match
        del image.info["transparency"]


def _header(image: Image.Image, decoder_bytes: int) -> Header:
    try:
        # Pillow turns a TIFF upright by itself.
        orientation = 1 if image.format == "TIFF" else int(image.getexif().get(0x0112, 1))
    except Exception:  # EXIF is broken in even more ways than images are; without it the image stays as it is
        orientation = 1
    return Header(
        format=str(image.format),
        mode=image.mode,
        width=image.width,
        height=image.height,
        orientation=orientation if orientation in TURNS else 1,
        transparent=image.has_transparency_data,
        decoder_bytes=decoder_bytes,
    )
