"""The one image decoder: encoded bytes to uint8 pixels of a given size, as a person would see them.

Training, evaluation, prediction, calibration and the data check all read images here, so that none
of them sees other pixels than the others. Pillow throughout, and TensorFlow where only a part of a
JPEG is wanted: both decode it by libjpeg-turbo to the same bits, but only TensorFlow can leave the
rest out. For all else `tf.io.decode_image` is wrong too often: it ignores EXIF orientation, shows
what transparency hides and drops the low byte of 16 bits (tests/data/test_decode_against_tensorflow.py).
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageColor, UnidentifiedImageError

from keras_resnet.data.resampling import FILTERS, resized
from keras_resnet.errors import DataError, UsageError

MOST_PIXELS = 1 << 27
"""Of an image, checked against its header before any pixel is decoded."""
MOST_BYTES = 1 << 29
"""Of an image file, checked before it is read."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
# Nothing else: Pillow would hand an .eps to Ghostscript.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF")
JPEGS = ("JPEG", "MPO")  # MPO: a JPEG with further pictures behind it, as phones write

REASONS = {
    "missing": "there is no such file",
    "not-a-file": "a folder, pipe or device, not a file",
    "unreadable": "the system refuses to read it",
    "empty": "the file is empty",
    "not-an-image": "not an image of a known format",
    "unsupported-format": "an image of a format that is not read here",
    "truncated": "the file ends before the image does",
    "damaged": "it begins like an image and cannot be decoded",
    "too-large": "more pixels or bytes than are granted",
    "unsupported-pixels": "pixels that have no brightness from black to white, such as floats",
}
"""Why an image cannot be read."""

# What other formats begin with, so that the reason can be told apart from plain rubbish.
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
    swapped: bool  # rows and columns
    rows_reversed: bool  # of the stored image
    columns_reversed: bool


# By EXIF's orientation.
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
        detail: What was found; default: the reason in general.
    """

    def __init__(self, name: str, code: str, detail: str | None = None) -> None:
        super().__init__(f"cannot read {name}: {detail or REASONS[code]}")
        self.name = name
        self.code = code
        self.detail = detail or REASONS[code]


@dataclass(frozen=True)
class Header:
    """What an image file says of itself before it is decoded.

    Args:
        format: `JPEG`, `PNG`, …
        mode: Pillow's word for its pixels: `RGB`, `L`, `P`, `CMYK`, `I;16`, …
        width, height: In pixels as stored.
        orientation: EXIF's 1–8; 1 is upright.
        transparent: Whether any pixel may be.
    """

    format: str
    mode: str
    width: int
    height: int
    orientation: int
    transparent: bool

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width as a person sees them."""
        swapped = TURNS[self.orientation].swapped
        return (self.width, self.height) if swapped else (self.height, self.width)

    @property
    def decodes_in_part(self) -> bool:
        """Whether `decode_box` need not decode the whole."""
        return self.format in JPEGS and self.mode in ("RGB", "L")


@dataclass(frozen=True)
class Fit:
    """How an image becomes pixels of a size.

    Args:
        size: Height and width in pixels of the result.
        channels: 1 (grey) or 3 (RGB).
        resize: `"bilinear"` or `"bicubic"`, antialiased.
        crop_fraction: None squeezes the whole image to `size`. A number in (0, 1] keeps the aspect
            ratio: the image is resized until `size` is this fraction of it along the shorter side,
            and its centre is cut out.
        background: What transparency is laid over: a CSS colour name or `#rrggbb`.

    Raises:
        DataError: The channels are none that image files have.
        UsageError: There is no such background colour.
    """

    size: tuple[int, int]
    channels: int
    resize: str = "bilinear"
    crop_fraction: float | None = None
    background: str = "white"

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise DataError(f"image files give 1 or 3 channels; {self.channels} were asked for. Pass arrays instead")
        check_background(self.background)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return (*self.size, self.channels)


def check_background(colour: str) -> None:
    """Raises: UsageError, unless it is a colour."""
    try:
        ImageColor.getrgb(colour)
    except ValueError:
        raise UsageError(f"background must be a colour, as white or #ffffff; received {colour!r}") from None


def decode_image(
    source: Path | bytes,
    size: tuple[int, int],
    channels: int,
    *,
    resize: str = "bilinear",
    crop_fraction: float | None = None,
    background: str = "white",
    name: str | None = None,
) -> np.ndarray:
    """Decode one image file to the pixels a person sees, brought to a size.

    EXIF orientation is applied, transparency laid over the background, palettes are resolved, 16
    bits scaled to 8; of an animation the first frame is taken. A JPEG more than four times the
    wanted size is decoded at a half, quarter or eighth of its size, as libjpeg can.

    Args:
        source: A file's path, or its content.
        size, channels, resize, crop_fraction, background: See `Fit`.
        name: What to call the image in an error; default: the path.

    Returns:
        uint8 (height, width, channels).

    Raises:
        ImageError: The image cannot be read; its `code` says why.
        DataError: `channels` is neither 1 nor 3.
    """
    return decode(source, Fit(size, channels, resize, crop_fraction, background), name=name)


def decode(source: Path | bytes, fit: Fit, *, name: str | None = None) -> np.ndarray:
    """`decode_image` for a `Fit`."""
    with _opened(source, name) as (image, header):
        _reduce(image, min(image.size) / (max(fit.size) / (fit.crop_fraction or 1)))
        return _fitted(_flatten(_turned(image, header.orientation), fit), fit)


def decode_box(
    content: bytes, header: Header, box: tuple[int, int, int, int], fit: Fit, *, name: str | None = None
) -> np.ndarray:
    """Decode a part of an image, squeezed to a size; of a JPEG no more than that part.

    Args:
        content: The file.
        header: The file's.
        box: Top, left, height, width of the part in pixels of the upright image.
        fit: Its `crop_fraction` is not used.
        name: What to call the image in an error.

    Returns:
        uint8 (*fit.shape).

    Raises:
        ImageError: As `decode_image`.
    """
    top, left, height, width = _as_stored(header, box)
    size = fit.size[::-1] if TURNS[header.orientation].swapped else fit.size
    ratio = min(height / size[0], width / size[1])
    if header.decodes_in_part and ratio < 4:
        part = _decode_part(content, (top, left, height, width), fit.channels, name or "image")
        pixels = resized(part, size, fit.resize)
    else:
        with _opened(content, name) as (image, _):
            _reduce(image, ratio)
            # Each side on its own: libjpeg rounds a reduced side up.
            x0, x1 = (x * image.width / header.width for x in (left, left + width))
            y0, y1 = (y * image.height / header.height for y in (top, top + height))
            flat = _flatten(image, fit)
            pixels = np.asarray(flat.resize(size[::-1], FILTERS[fit.resize], box=(x0, y0, x1, y1)))
    if header.orientation != 1:
        pixels = np.asarray(_turned(Image.fromarray(pixels), header.orientation))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def read_header(source: Path | bytes, *, name: str | None = None) -> Header:
    """What an image file says of itself; no pixel is decoded but a PNG's, whose EXIF may stand behind them.

    Raises:
        ImageError: It is no image, or too large.
    """
    with _opened(source, name) as (_, header):
        return header


def read_file(path: Path, name: str) -> bytes:
    """The content of an image file.

    Raises:
        ImageError: It cannot be read; the message calls it `name`.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
            raise ImageError(name, "not-a-file")
        if status.st_size > MOST_BYTES:
            raise ImageError(name, "too-large", f"{status.st_size:,} bytes are over {MOST_BYTES:,}")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(name, "missing", error.strerror) from None
    except OSError as error:
        raise ImageError(name, "unreadable", error.strerror or str(error)) from None


def resize_array(
    images: np.ndarray, size: tuple[int, int], *, resize: str = "bilinear", crop_fraction: float | None = None
) -> np.ndarray:
    """uint8 (n, height, width, channels) brought to a size the way `decode_image` does it."""
    if images.shape[1:3] == tuple(size) and crop_fraction in (None, 1):
        return np.ascontiguousarray(images)
    fit = Fit(size, 1, resize, crop_fraction)
    resized = np.empty((len(images), *size, images.shape[3]), np.uint8)
    for index, image in enumerate(images):
        for channel in range(images.shape[3]):
            resized[index, ..., channel] = _fitted(Image.fromarray(image[..., channel]), fit)[..., 0]
    return resized


@contextmanager
def _opened(source: Path | bytes, name: str | None) -> Iterator[tuple[Image.Image, Header]]:
    """A file that Pillow has opened, undecoded; whatever goes wrong with it inside becomes one `ImageError`."""
    name = name or (str(source) if isinstance(source, Path) else "image")
    content = source if isinstance(source, bytes) else read_file(source, name)
    if not content:
        raise ImageError(name, "empty")
    if len(content) > MOST_BYTES:
        raise ImageError(name, "too-large", f"{len(content):,} bytes are over {MOST_BYTES:,}")
    try:
        # Pillow's remarks on odd metadata are left to the caller: silencing them here is not safe in threads.
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ImageError(name, "too-large", f"{image.width}×{image.height} pixels are over {MOST_PIXELS:,}")
            yield image, _header(image)
    except ImageError:
        raise
    except UnsupportedPixels as error:
        raise ImageError(name, "unsupported-pixels", str(error)) from None
    except UnidentifiedImageError:
        raise ImageError(name, *_unidentified(content)) from None
    except (Image.DecompressionBombError, MemoryError) as error:
        raise ImageError(name, "too-large", str(error) or None) from None
    except Exception as error:  # damaged files raise nearly anything, from SyntaxError to struct.error
        text = str(error) or type(error).__name__
        code = "truncated" if "truncated" in text.lower() or isinstance(error, EOFError) else "damaged"
        raise ImageError(name, code, text) from None


class UnsupportedPixels(Exception):
    """Numbers that do not say how bright they are."""


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
        return "damaged", "it begins like an image and its header cannot be read"
    return "not-an-image", None


def _header(image: Image.Image) -> Header:
    if image.format == "PNG":
        image.load()  # EXIF may stand behind the pixels, and damage to these must not pass for broken EXIF below
    try:
        # Pillow turns a TIFF upright by itself.
        orientation = 1 if image.format == "TIFF" else int(image.getexif().get(0x0112, 1))
    except Exception:  # EXIF blocks are broken in more ways than images; a broken one turns nothing
        orientation = 1
    return Header(
        format=str(image.format),
        mode=image.mode,
        width=image.width,
        height=image.height,
        orientation=orientation if orientation in TURNS else 1,
        transparent=image.has_transparency_data,
    )


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    method = TURNS[orientation].method
    return image if method is None else image.transpose(method)


def _as_stored(header: Header, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """A box of the upright image as the box of the stored one: top, left, height, width."""
    turn = TURNS[header.orientation]
    top, left, height, width = box
    if turn.swapped:
        top, left, height, width = left, top, width, height
    if turn.rows_reversed:
        top = header.height - top - height
    if turn.columns_reversed:
        left = header.width - left - width
    return top, left, height, width


def _reduce(image: Image.Image, ratio: float) -> None:
    """Let libjpeg decode at a half, quarter or eighth, where an image `ratio` times too large stays twice as large."""
    if ratio >= 4 and image.format in JPEGS:
        power = min(3, int(np.log2(ratio / 2)))
        image.draft(None, (image.width >> power, image.height >> power))


def _decode_part(content: bytes, box: tuple[int, int, int, int], channels: int, name: str) -> np.ndarray:
    import tensorflow as tf

    try:
        # The method that Pillow uses: the same bits.
        part = tf.io.decode_and_crop_jpeg(content, box, channels=channels, dct_method="INTEGER_ACCURATE")
    except tf.errors.InvalidArgumentError as error:
        raise ImageError(name, "damaged", str(error.message).splitlines()[0]) from None
    pixels = np.asarray(part)  # not a copy, as .numpy() is
    return pixels[..., 0] if channels == 1 else pixels


def _flatten(image: Image.Image, fit: Fit) -> Image.Image:
    """8 bits a channel, no palette, no transparency."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips at 255
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise UnsupportedPixels(f"32-bit pixels from {values.min()} to {values.max()}; expected 0–65535")
        image = Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))  # the nearest of 8 bits
    if image.mode == "LAB":  # Pillow knows no way from it to grey
        image = image.convert("RGB")
    if image.mode == "F":
        raise UnsupportedPixels("floating-point pixels, whose white is unknown; save the image with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, fit.background), image)
    return image.convert("L" if fit.channels == 1 else "RGB")


def _fitted(image: Image.Image, fit: Fit) -> np.ndarray:
    """Pixels of the given size: the whole image squeezed, or the centre of one resized in proportion."""
    height, width = fit.size
    whole = (width, height)
    if fit.crop_fraction is not None:
        # Sides and offsets are rounded as torchvision and timm round them.
        wanted = (int(width / fit.crop_fraction) / image.width, int(height / fit.crop_fraction) / image.height)
        whole = max(width, int(image.width * max(wanted) + 1e-9)), max(height, int(image.height * max(wanted) + 1e-9))
    left, top = round((whole[0] - width) / 2), round((whole[1] - height) / 2)
    if whole[0] * whole[1] > 64 * width * height:  # of so long and thin an image only the centre fits into memory
        across, down = image.width / whole[0], image.height / whole[1]
        box = (left * across, top * down, (left + width) * across, (top + height) * down)
        return _pixels(image.resize((width, height), FILTERS[fit.resize], box=box))
    if image.size != whole:
        image = image.resize(whole, FILTERS[fit.resize])  # antialiased when shrinking
    if whole != (width, height):
        image = image.crop((left, top, left + width, top + height))
    return _pixels(image)


def _pixels(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image, np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels
