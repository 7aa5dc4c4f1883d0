"""Whatever a user calls images, as one batch: paths, folders, bytes, open files, Pillow images, arrays and tensors."""

from __future__ import annotations

import glob
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps

from keras_resnet.data.stores import as_uint8_images
from keras_resnet.errors import DataError
from keras_resnet.images.decode import decode, flattened, resize_array
from keras_resnet.images.image_file import MOST_BYTES, SUFFIXES
from keras_resnet.images.places import is_address, place_of
from keras_resnet.preprocessing import Fit

AnImage = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | np.ndarray
Images = AnImage | Iterable[AnImage]
"""One image, or some."""


def image_batch(images: Any, fit: Fit) -> np.ndarray:
    """Decode, resize and stack images.

    Args:
        images: One of these, or a sequence of them:

            - a path, as text or an object: an image file, or a folder, which stands for the image files in it and
              below, in the order of their paths;
            - the bytes of an image file, or such a file, opened in binary mode;
            - a Pillow image;
            - an array or tensor of pixels in 0–255: (height, width), or (height, width, channels) with at most 4
              channels or as many as the model takes, is one image; (n, height, width) or (n, height, width, channels)
              are n. One channel more than a grey or RGB model takes says how opaque the pixels are;
            - an array of paths.
        fit: How they become pixels.

    Returns:
        uint8 (n, *fit.shape).

    Raises:
        DataError: There is none, one cannot be read, or pixels are no numbers in 0–255 or have another number of
            channels.
    """
    if _is_one(images):
        return _read(images, fit)
    if isinstance(images, Mapping | set | frozenset):
        raise DataError(
            f"images are one, or a sequence of them, since predictions come in their order; received a "
            f"{type(images).__name__}: give list(images{'.values()' if isinstance(images, Mapping) else ''})"
        )
    if isinstance(images, np.ndarray) and images.dtype.kind in "UO":  # of texts, paths, or arrays of several sizes
        images = images.ravel().tolist()
    if not isinstance(images, Iterable):
        raise DataError(
            "an image is a path, the bytes of a file, an open file, a Pillow image, or an array of pixels; received "
            f"{type(images).__name__}"
        )
    batches = [image_batch(image, fit) for image in images]
    if not batches:
        raise DataError("no images were given")
    return np.concatenate(batches)


def files_in(path: str | os.PathLike[str]) -> list[Path]:
    """An image file itself, or the image files in a folder and below, in the order of their paths.

    Args:
        path: Of either, or a pattern such as `photos/*.jpg` that stands for several.

    Raises:
        DataError: The folder holds no image file, no file is called as the pattern says, or it is an address.
    """
    written = os.fspath(path)
    if glob.has_magic(written) and not is_address(written) and not os.path.lexists(os.path.expanduser(written)):
        places = sorted(glob.glob(os.path.expanduser(written), recursive=True))
        if not places:
            raise DataError(f"no file is called as the pattern {written} says")
        return [file for place in places for file in files_in(place)]
    if is_address(written):
        raise DataError(f"{written} is an address, and nothing is fetched: download the image and give its path")
    path = Path(place_of(os.path.expanduser(written)))
    if not path.is_dir():
        return [path]
    visible = (one for one in path.rglob("*") if not any(part[0] == "." for part in one.relative_to(path).parts))
    found = sorted(one for one in visible if one.suffix.lower() in SUFFIXES and one.is_file())
    if not found:
        raise DataError(f"the folder {path} holds no image file ({', '.join(sorted(SUFFIXES))})")
    return found


def _is_one(images: Any) -> bool:
    if isinstance(images, np.ndarray):
        return images.dtype.kind not in "UO"
    kinds = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image)
    return isinstance(images, kinds) or hasattr(images, "__array__") or hasattr(images, "read")


def _read(image: Any, fit: Fit) -> np.ndarray:
    if isinstance(image, str | os.PathLike):
        return np.stack([decode(path, fit) for path in files_in(image)])
    if isinstance(image, bytes | bytearray | memoryview):
        return decode(bytes(image), fit, name="the bytes of an image")[None]
    if isinstance(image, Image.Image):
        return decode(_as_file(image), fit, name="a Pillow image")[None]
    if hasattr(image, "read"):
        return decode(_content(image), fit, name=str(getattr(image, "name", "an open file")))[None]
    return _of_array(np.asarray(image), fit)


def _as_file(image: Image.Image) -> bytes:
    """A file without loss, so that such an image passes the same decoder as all others."""
    upright = ImageOps.exif_transpose(image)
    if "transparency" in upright.info:  # which TIFF does not hold for palettes
        upright = upright.convert("RGBA")
    content = io.BytesIO()
    upright.save(content, "TIFF")
    return content.getvalue()


def _content(file: BinaryIO) -> bytes:
    if isinstance(file, io.TextIOBase):
        raise DataError(f"an image file must be opened in binary mode, as by open(path, 'rb'); received {file!r}")
    try:
        content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # the latter if it is closed
        raise DataError(f"cannot read the open file {file!r}: {error}") from None
    if not isinstance(content, bytes):
        raise DataError(f"an open image file must give bytes; {file!r} gave {type(content).__name__}")
    return content


def _of_array(pixels: np.ndarray, fit: Fit) -> np.ndarray:
    one = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] in (*range(1, 5), fit.channels))
    images = as_uint8_images(pixels[None] if one else pixels).array
    if fit.channels in (1, 3) and images.shape[-1] == fit.channels + 1:
        images = np.stack([_laid_over_background(image, fit) for image in images])
    if images.shape[-1] != fit.channels:
        first = pixels.ndim - 3  # where channels stand if they come first
        remedy = (
            f" of shape {pixels.shape}, which looks like channels first: give numpy.moveaxis(images, {first}, -1)"
            if first in (0, 1) and pixels.shape[first] == fit.channels
            else f": the shape is {pixels.shape}"
        )
        raise DataError(f"the model takes images of {fit.channels} channels; received {images.shape[-1]}{remedy}")
    return resize_array(images, fit)


def _laid_over_background(image: np.ndarray, fit: Fit) -> np.ndarray:
    """An image with a channel for how opaque it is, as a file of it would be decoded."""
    pixels = np.asarray(flattened(Image.fromarray(image), fit))
    return pixels.reshape(*pixels.shape[:2], fit.channels)
