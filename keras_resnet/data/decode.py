"""The one image decoder: encoded bytes or arrays to uint8 pixels of a given size.

Training, evaluation, prediction and calibration all read images here, so that none of them sees
other pixels than the others. Pillow throughout: unlike `tf.io.decode_image` it honours EXIF
orientation, resolves palettes, and can be told what to do with transparency and 16-bit greys.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from keras_resnet.errors import DataError

# Checked against the header, before any pixel is decoded.
MOST_PIXELS = 1 << 28
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"})


def decode_image(
    source: Path | bytes,
    size: tuple[int, int],
    channels: int,
    *,
    resize: str = "bilinear",
    crop_fraction: float | None = None,
    name: str | None = None,
) -> np.ndarray:
    """Decode one image file to the pixels a person sees, brought to a size.

    Args:
        source: A file's path, or its content.
        size: Height and width in pixels of the result.
        channels: 1 (grey) or 3 (RGB).
        resize, crop_fraction: See `Preprocessing`.
        name: What to call the image in an error; default: the path.

    Returns:
        uint8 (height, width, channels).

    Raises:
        DataError: The file is missing, empty, not an image, damaged or larger than `MOST_PIXELS`.
    """
    name = name or str(source)
    if channels not in (1, 3):
        raise DataError(f"image files give 1 or 3 channels; {channels} were asked for. Pass arrays instead")
    content = source if isinstance(source, bytes) else read_file(source, name)
    if not content:
        raise DataError(f"cannot read {name}: the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow remarks on odd metadata and, at 2^26 pixels, on size
            with Image.open(io.BytesIO(content)) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise DataError(f"cannot read {name}: {image.width}×{image.height} pixels are over {MOST_PIXELS}")
                upright = ImageOps.exif_transpose(image)
                pixels = _flatten(upright, "L" if channels == 1 else "RGB")
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"cannot read {name}: it is not an image of a known format") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"cannot read {name}: {error}") from None
    except Exception as error:  # damaged files raise nearly anything, from SyntaxError to struct.error
        raise DataError(f"cannot read {name}: {error or type(error).__name__}") from None
    return _fitted(pixels, size, resize, crop_fraction)


def read_file(path: Path, name: str) -> bytes:
    """The content of an image file.

    Raises:
        DataError: It cannot be read; the message calls it `name`.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror or error}") from None


def resize_array(
    images: np.ndarray, size: tuple[int, int], *, resize: str = "bilinear", crop_fraction: float | None = None
) -> np.ndarray:
    """uint8 (n, height, width, channels) brought to a size the way `decode_image` does it."""
    if images.shape[1:3] == tuple(size) and crop_fraction in (None, 1):
        return np.ascontiguousarray(images)
    resized = np.empty((len(images), *size, images.shape[3]), np.uint8)
    for index, image in enumerate(images):
        for channel in range(images.shape[3]):
            plane = Image.fromarray(image[..., channel])
            resized[index, ..., channel] = _fitted(plane, size, resize, crop_fraction)[..., 0]
    return resized


def _flatten(image: Image.Image, mode: str) -> Image.Image:
    """8 bits a channel, no palette, transparency over white."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion clips at 255
        high = np.asarray(image).astype(np.float64) / 257
        image = Image.fromarray(np.clip(np.rint(high), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert(mode)


def _fitted(image: Image.Image, size: tuple[int, int], resize: str, crop_fraction: float | None) -> np.ndarray:
    """Pixels of the given size: the whole image squeezed, or the centre of one resized in proportion."""
    height, width = size
    whole = (width, height)
    if crop_fraction is not None:
        # Sides and offsets are rounded as torchvision and timm round them.
        scale = max(int(width / crop_fraction) / image.width, int(height / crop_fraction) / image.height)
        whole = max(width, int(image.width * scale + 1e-9)), max(height, int(image.height * scale + 1e-9))
    if image.size != whole:
        image = image.resize(whole, FILTERS[resize])  # antialiased when shrinking
    if whole != (width, height):
        left, top = round((whole[0] - width) / 2), round((whole[1] - height) / 2)
        image = image.crop((left, top, left + width, top + height))
    pixels = np.asarray(image, np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels
