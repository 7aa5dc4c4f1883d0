"""Small pictures of a data set's images, and of what a model goes by in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from PIL import Image

from keras_resnet.attribution.explain import explain
from keras_resnet.data.images import ImageData, Split
from keras_resnet.data.loading import list_source
from keras_resnet.data.sources.listing import Listing
from keras_resnet.data.sources.source import PATHS, Source
from keras_resnet.errors import DataError, ModelError, UsageError
from keras_resnet.html_page import picture
from keras_resnet.images.decode import small_copy
from keras_resnet.images.image_file import ImageError
from keras_resnet.inference.predictor import Predictor
from keras_resnet.spreadsheet import csv_cell

SIDE = 128
"""The longer side of a picture, in pixels."""
LINE = (240, 180, 0)
"""Of the colour of the line around what speaks most for an answer."""
DIMMED = 0.22
"""How much is left of the light of pixels that do nothing for an answer."""


@dataclass(frozen=True)
class Album:
    """The images of a data set, by their names as the cells of tables have them.

    Args:
        data: The data set.
    """

    data: ImageData

    @cached_property
    def _places(self) -> dict[str, tuple[Split, int]]:
        """The split of each image, and its place there."""
        names = self.data.names
        return {
            csv_cell(names[index]): (split, place)
            for split in self.data.splits.values()
            for place, index in enumerate(split.indices.tolist())
            if names
        }

    @cached_property
    def _files(self) -> tuple[Listing, dict[str, int]] | None:
        """The image files and where each lies; None: they are none, or have gone since they were read."""
        source = self.data.source
        if not isinstance(source, Source) or source.kind not in PATHS:
            return None
        try:
            listing = list_source(replace(source, split="class", group_by=None, fold=None, split_file=None))
        except DataError:
            return None
        return listing, {csv_cell(name): place for place, name in enumerate(listing.names)}

    def pixels(self, name: str) -> np.ndarray | None:
        """An image as the network gets it, uint8 (height, width, channels); None: there is none of that name."""
        if name not in self._places:
            return None
        split, place = self._places[name]
        return split.read(np.array([place]))[0]

    def picture(self, name: str) -> str:
        """An image as the `src` of an `<img>`: from its file, sharper than the network gets it; empty: it is gone."""
        if self._files is not None and name in self._files[1]:
            listing, places = self._files
            try:
                return picture(small_copy(listing.contents.read(places[name]), SIDE), SIDE)
            except ImageError:
                pass
        pixels = self.pixels(name)
        return "" if pixels is None else enlarged(pixels)

    def of_classes(self, split: Split, most: int, each: int) -> Iterator[tuple[str, int, list[str]]]:
        """The largest classes of a split: the name, how many images there are, and the names of some, from all over.

        Args:
            split: Of this data set.
            most: Classes.
            each: Images of a class.
        """
        counts = split.task.images_of_classes(split.labels)
        for number in np.sort(np.argsort(-counts, kind="stable")[:most]).tolist():
            members = split.task.members(split.labels, number)
            if len(members):
                chosen = members[np.unique(np.linspace(0, len(members) - 1, each).astype(np.int64))]
                names = [csv_cell(self.data.names[index]) for index in split.indices[chosen].tolist()]
                yield split.task.class_names[number], len(members), names


def enlarged(pixels: np.ndarray) -> str:
    """An image of any size as the `src` of an `<img>`, as large as those from files.

    Args:
        pixels: uint8 (height, width, channels).
    """
    return picture(_resized(pixels, _size(pixels)), SIDE)


def spotlights(predictor: Predictor, images: Sequence[np.ndarray]) -> tuple[list[str], str]:
    """Show what of each image a model's answer comes from, by Grad-CAM: that is left light, with a
    line around the half of most effect, and all else is dimmed.

    Args:
        predictor: The model.
        images: uint8 (height, width, channels), each as the model takes it.

    Returns:
        A picture of each image as the `src` of an `<img>`, empty where nothing speaks for the answer; and why there are
        none at all, else empty.
    """
    if not images:
        return [], ""
    try:
        found = explain(predictor, np.stack(images), "grad-cam", check=False)
    except (UsageError, ModelError) as error:
        return [], str(error)
    return [_spotlight(one.image, one.maps[0].shown()) if not one.maps[0].remark else "" for one in found], ""


def _spotlight(image: np.ndarray, shares: np.ndarray) -> str:
    size = _size(image)
    light = DIMMED + (1 - DIMMED) * _resized((255 * shares[..., None]).astype(np.uint8), size) / 255.0
    pixels = np.broadcast_to(_resized(image[..., :3], size), (*size, 3))
    grey = pixels.mean(axis=-1, keepdims=True)
    shown = light * pixels + (1 - light) * (DIMMED * grey + 24)
    half = light[..., 0] > DIMMED + (1 - DIMMED) / 2
    # Light and dark are hard to tell on black images: so there is a line, too, where half of the most is reached.
    inner = half.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            inner &= np.roll(half, step, axis)
    shown[half & ~inner] = LINE
    return picture(np.rint(shown).astype(np.uint8), SIDE)


def _size(pixels: np.ndarray) -> tuple[int, int]:
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 (height, width, channels) of another size; small images keep their edges."""
    one = pixels[..., 0] if pixels.shape[-1] < 3 else pixels[..., :3]
    way = Image.Resampling.BILINEAR if max(pixels.shape[:2]) >= SIDE // 4 else Image.Resampling.NEAREST
    resized = np.asarray(Image.fromarray(one).resize(size[::-1], way))
    return resized if resized.ndim == 3 else resized[..., None]
