"""The one image decoder: encoded bytes to uint8 pixels of a given size, as a person would see them.

Training, evaluation, prediction, calibration and the data check all read images here, so that they all see the same
pixels. Pillow decodes, except where only a part of a JPEG is wanted: there TensorFlow does, by the same libjpeg-turbo
and to the same bits, because it can skip the rest. For everything else `tf.io.decode_image` is wrong too often: it
ignores EXIF's orientation, shows what transparency hides and drops the low byte of 16 bits
(tests/images/test_decode_against_tensorflow.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from keras_resnet.errors import DataError
from keras_resnet.images.image_file import DECODING, PIXEL_BYTES, TURNS, Header, ImageFile, UnsupportedPixels, opened
from keras_resnet.images.resampling import FILTERS, resized
from keras_resnet.preprocessing import Fit

MARGIN = 2
"""Pixels on each side of a part of a JPEG that are decoded with it."""
BAND = 1 << 20
"""Pixels of a band of whole rows, at least one, that is brought to RGB at a time."""


def decode(source: Path | bytes, fit: Fit, *, name: str | None = None) -> np.ndarray:
    """Decode one image file to the pixels that a person sees, resized.

    EXIF's orientation is applied, transparent pixels are laid over the background, palettes are resolved, 16 bits are
    scaled to 8, and of an animation the first frame is taken. A JPEG that is more than four times too large is decoded
    at a half, quarter or eighth of its size, which libjpeg can do.

    Args:
        source: The file's path, or its content.
        fit: How the image becomes pixels.
        name: What to call the image in an error; default: the path.

    Returns:
        uint8 (*fit.shape).

    Raises:
        ImageError: The image cannot be read; its `code` says why.
        DataError: The fit has neither 1 nor 3 channels.
    """
    with opened(source, name) as file:
        return pixels_of(file, fit)


def pixels_of(file: ImageFile, fit: Fit) -> np.ndarray:
    """What `decode` returns, for a file that is open: header and pixels by one opening.

    Args:
        file: From `opened`.
        fit: How the image becomes pixels.

    Returns:
        uint8 (*fit.shape).

    Raises:
        DataError: The fit has neither 1 nor 3 channels.
        Exception: Any, if the image is damaged; `opened` turns it into an `ImageError`.
    """
    _check_channels(fit)
    header = file.header
    ratio = min(header.width, header.height) / (max(fit.size) / (fit.crop_fraction or 1))
    return _fitted(flattened(file.decoded(ratio), fit, header.orientation), fit)


def small_copy(source: Path | bytes, side: int) -> np.ndarray:
    """Decode one image file in its own proportions, upright and in colours, to be looked at.

    Args:
        source: The file's path, or its content.
        side: The longer side of the copy, in pixels; images that are smaller are enlarged.

    Returns:
        uint8 (height, width, 3).

    Raises:
        ImageError: The image cannot be read; its `code` says why.
    """
    with opened(source, None) as file:
        height, width = file.header.upright
        scale = side / max(height, width)
        return pixels_of(file, Fit((max(1, round(height * scale)), max(1, round(width * scale))), 3))


def decode_box(
    content: bytes, header: Header, box: tuple[int, int, int, int], fit: Fit, *, name: str | None = None
) -> np.ndarray:
    """Decode a part of an image and squeeze it to a size; of a JPEG only that part is decoded.

    Args:
        content: The file's.
        header: The file's.
        box: Top, left, height and width of the part, in pixels of the upright image.
        fit: How the part becomes pixels; its `crop_fraction` is not used.
        name: What to call the image in an error.

    Returns:
        uint8 (*fit.shape).

    Raises:
        DataError: As `decode`.
    """
    _check_channels(fit)
    top, left, height, width = _as_stored(header, box)
    size = fit.size[::-1] if TURNS[header.orientation].swapped else fit.size
    ratio = min(height / size[0], width / size[1])
    pixels = _decode_part(content, header, (top, left, height, width), size, fit) if ratio < 4 else None
    if pixels is None:
        with opened(content, name) as file:
            image = flattened(file.decoded(ratio), fit)
            # Each side by itself, since libjpeg rounds reduced sides up.
            x0, x1 = (x * image.width / header.width for x in (left, left + width))
            y0, y1 = (y * image.height / header.height for y in (top, top + height))
            pixels = np.asarray(image.resize(size[::-1], FILTERS[fit.resize], box=(x0, y0, x1, y1)))
    if (method := TURNS[header.orientation].method) is not None:
        pixels = np.asarray(Image.fromarray(pixels).transpose(method))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def resize_array(images: np.ndarray, fit: Fit) -> np.ndarray:
    """Resize arrays as image files are resized.

    Args:
        images: uint8 (n, height, width, channels), with any number of channels.
        fit: The size, and how to resize; channels and background are not used.

    Returns:
        uint8 (n, *fit.size, channels).
    """
    if images.shape[1:3] == fit.size and fit.crop_fraction in (None, 1):
        return np.ascontiguousarray(images)
    resized = np.empty((len(images), *fit.size, images.shape[3]), np.uint8)
    for index, image in enumerate(images):
        for channel in range(images.shape[3]):
            resized[index, ..., channel] = _fitted(Image.fromarray(image[..., channel]), fit)[..., 0]
    return resized


def _check_channels(fit: Fit) -> None:
    if fit.channels not in (1, 3):
        raise DataError(f"image files give 1 or 3 channels; {fit.channels} were asked for. Pass arrays instead")


def _as_stored(header: Header, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Where a box of the upright image is in the stored one: top, left, height, width."""
    turn = TURNS[header.orientation]
    top, left, height, width = box
    if turn.swapped:
        top, left, height, width = left, top, width, height
    if turn.rows_reversed:
        top = header.height - top - height
    if turn.columns_reversed:
        left = header.width - left - width
    return top, left, height, width


def _decode_part(
    content: bytes, header: Header, box: tuple[int, int, int, int], size: tuple[int, int], fit: Fit
) -> np.ndarray | None:
    """A part of a JPEG as Pillow would decode it, resized; None if TensorFlow cannot decode it or would refuse to."""
    if not header.decodes_in_part:
        return None
    import tensorflow as tf

    top, left, height, width = box
    # At the border of what it decodes libjpeg smooths colours otherwise, so that border must lie outside the box.
    above, beside = min(MARGIN, top), min(MARGIN, left)
    bottom, right = min(top + height + MARGIN, header.height), min(left + width + MARGIN, header.width)
    window = (top - above, left - beside, bottom - top + above, right - left + beside)
    grey = header.mode == "L" and fit.channels == 1
    with DECODING.room(PIXEL_BYTES * window[2] * window[3] + header.decoder_bytes + len(content)):
        try:
            # Pillow's method, so that the bits are the same.
            decoded = tf.io.decode_and_crop_jpeg(
                content, window, channels=1 if grey else 3, dct_method="INTEGER_ACCURATE"
            )
        except tf.errors.InvalidArgumentError:  # some of its errors are only warnings to Pillow
            return None
        pixels = np.asarray(decoded)[above : above + height, beside : beside + width]  # .numpy() would copy
        if grey:
            pixels = np.ascontiguousarray(pixels[..., 0])
        elif fit.channels == 1:
            # Not TensorFlow's grey: it is the luminance in the file, which differs from that of the colours, which
            # are clipped.
            pixels = np.asarray(Image.fromarray(pixels).convert("L"))
        return resized(pixels, size, fit.resize)


def flattened(image: Image.Image, fit: Fit, orientation: int = 1) -> Image.Image:
    """An image of 8 bits a channel, without palette and transparency, turned upright.

    Args:
        image: Decoded.
        fit: Its channels and background.
        orientation: EXIF's.

    Raises:
        UnsupportedPixels: Black and white are unknown.
    """
    turn = TURNS[orientation]
    mode = "L" if fit.channels == 1 else "RGB"
    if image.mode == mode and turn.method is None and not image.has_transparency_data:
        return image
    if image.mode == "I":
        lowest, highest = cast(tuple[int, int], image.getextrema())
        if lowest < 0 or highest > 65535:
            raise UnsupportedPixels(f"32-bit pixels from {lowest} to {highest}; expected 0–65535")
    colours = _opaque_palette(image, fit) if image.mode == "P" and image.has_transparency_data else None
    # In bands: the steps between would take several times the memory of the image.
    rows = max(1, BAND // image.width)
    whole = Image.new(mode, image.size[::-1] if turn.swapped else image.size)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        band = image.crop((0, top, image.width, bottom))
        if colours is not None:
            band.putpalette(colours)
            band.info.pop("transparency", None)
        band = _without_extras(band, fit).convert(mode)
        if turn.method is not None:
            band = band.transpose(turn.method)
        place = image.height - bottom if turn.rows_reversed else top
        whole.paste(band, (place, 0) if turn.swapped else (0, place))
    return whole


def _opaque_palette(image: Image.Image, fit: Fit) -> bytes:
    """The 256 colours of a palette laid over the background, which takes less time than all pixels would."""
    colours = image.crop((0, 0, 256, 1))
    colours.putdata(range(256))
    return _without_extras(colours, fit).convert("RGB").tobytes()


def _without_extras(image: Image.Image, fit: Fit) -> Image.Image:
    """8 bits a channel, nothing transparent."""
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow's own conversion would clip at 255
        values = np.asarray(image)
        clear = image.info.get("transparency")
        image = Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))  # rounded to the nearest
        if clear is not None:
            image.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    if image.mode == "LAB":  # Pillow cannot convert it to grey
        image = image.convert("RGB")
    if image.mode == "F":
        raise UnsupportedPixels("floating-point pixels, whose white is unknown; save the image with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, fit.background), image)
    return image


def _fitted(image: Image.Image, fit: Fit) -> np.ndarray:
    """Pixels of the fit's size: the whole image squeezed, or its centre after resizing in proportion."""
    height, width = fit.size
    whole = (width, height)
    if fit.crop_fraction is not None:
        # Sides and offsets are rounded as torchvision and timm round them.
        wanted = (int(width / fit.crop_fraction) / image.width, int(height / fit.crop_fraction) / image.height)
        whole = max(width, int(image.width * max(wanted) + 1e-9)), max(height, int(image.height * max(wanted) + 1e-9))
    left, top = round((whole[0] - width) / 2), round((whole[1] - height) / 2)
    if whole[0] * whole[1] > 64 * width * height:  # so long and thin that only its centre would fit into memory
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
