"""Whatever a user calls images, as one batch: paths, folders, bytes, Pillow images, arrays and tensors."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from keras_resnet.data.stores import as_uint8_images
from keras_resnet.errors import DataError
from keras_resnet.images.decode import decode, resize_array
from keras_resnet.images.image_file import SUFFIXES
from keras_resnet.preprocessing import Fit

AnImage = str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | np.ndarray
Images = AnImage | Iterable[AnImage]
"""One image, or some."""


def image_batch(images: Any, fit: Fit) -> np.ndarray:
    """Decode, resize and stack images.

    Args:
        images: One of these, or a sequence of them:

            - a path, as text or an object: an image file, or a folder, which stands for the image files in it and
              below, in the order of their paths;
            - the bytes of an image file;
            - a Pillow image;
            - an array or tensor of pixels in 0–255: (height, width), or (height, width, channels) with 1 or 3
              channels, is one image; (n, height, width) or (n, height, width, channels) are n.
        fit: How they become pixels.

    Returns:
        uint8 (n, *fit.shape).

    Raises:
        DataError: There is none, one cannot be read, or pixels are no numbers in 0–255 or have another number of
            channels.
    """
    if _is_one(images):
        return _read(images, fit)
    if not isinstance(images, Iterable):
        raise DataError(
            "an image is a path, the bytes of a file, a Pillow image, or an array of pixels; received "
            f"{type(images).__name__}"
        )
    batches = [image_batch(image, fit) for image in images]
    if not batches:
        raise DataError("no images were given")
    return np.concatenate(batches)


def files_in(path: str | os.PathLike[str]) -> list[Path]:
    """An image file itself, or the image files in a folder and below, in the order of their paths.

    Args:
        path: Of either.

    Raises:
        DataError: The folder holds no image file.
    """
    path = Path(os.path.expanduser(path))
    if not path.is_dir():
        return [path]
    visible = (one for one in path.rglob("*") if not any(part[0] == "." for part in one.relative_to(path).parts))
    found = sorted(one for one in visible if one.suffix.lower() in SUFFIXES and one.is_file())
    if not found:
        raise DataError(f"the folder {path} holds no image file ({', '.join(sorted(SUFFIXES))})")
    return found


def _is_one(images: Any) -> bool:
    kinds = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image, np.ndarray)
    return isinstance(images, kinds) or hasattr(images, "__array__")


def _read(image: Any, fit: Fit) -> np.ndarray:
    if isinstance(image, str | os.PathLike):
        return np.stack([decode(path, fit) for path in files_in(image)])
    if isinstance(image, bytes | bytearray | memoryview):
        return decode(bytes(image), fit, name="the bytes of an image")[None]
    if isinstance(image, Image.Image):
        return decode(_as_file(image), fit, name="a Pillow image")[None]
    return _of_array(np.asarray(image), fit)


def _as_file(image: Image.Image) -> bytes:
    """A file without loss, so that such an image passes the same decoder as all others."""
    upright = ImageOps.exif_transpose(image)
    if "transparency" in upright.info:  # which TIFF does not hold for palettes
        upright = upright.convert("RGBA")
    content = io.BytesIO()
    upright.save(content, "TIFF")
    return content.getvalue()


def _of_array(pixels: np.ndarray, fit: Fit) -> np.ndarray:
    if pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] in (1, 3)):
        pixels = pixels[None]
    batch = resize_array(as_uint8_images(pixels).array, fit)
    if batch.shape[-1] != fit.channels:
        raise DataError(f"the model takes images of {fit.channels} channels; received {batch.shape[-1]}")
    return batch
