"""How pixels become a network's input and what its outputs mean: one value in every model file.

Training, evaluation, export, calibration and prediction all read it there, so that they cannot disagree.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Annotated, Any, TypedDict

from keras_resnet.allowed import BACKGROUND, COUNT, CROP_FRACTION, IMAGE_SIZE, RESIZE
from keras_resnet.errors import ModelError, UsageError, listed
from keras_resnet.json_files import check_json, parse_json
from keras_resnet.settings import Values, keep_checked
from keras_resnet.visible import visible_json

FORMAT = 4
ADDED: dict[int, dict[str, Any]] = {2: {}, 3: {"background": "white"}, 4: {"task": "classification"}}
"""For each format that can be read, the keys it added, and their values in files of earlier formats."""
MOST_VALUES = 2**30
"""Height × width × channels of an image at most: 1 GB as bytes."""
MOST_SIDE = 65_535
"""Of a height or a width: rows of scanners may be long. Both together, `MOST_VALUES` bounds."""
SIZE = replace(
    IMAGE_SIZE,
    high=MOST_SIDE,
    many=True,
    noun=f"a height and a width, whole numbers of at least 1 and at most {MOST_SIDE:,}",
)
MEANS = Values(float, many=True, noun="a list of numbers, one for each channel")
DEVIATIONS = replace(MEANS, above=0, noun="a list of positive numbers, one for each channel")
DEVIATION = Values(float, above=0, noun="a positive number")


def _unicode(name: str) -> str:
    name.encode()  # a ValueError if it could not be written into a model file
    return name


NAMES = Values(str, many=True, canonical=_unicode, noun="a list of names in valid Unicode")


class Stamp(TypedDict):
    """What `Preprocessing.to_json` writes."""

    format: int
    image_size: Annotated[list[int], SIZE]
    channels: Annotated[int, COUNT]
    resize: Annotated[str, RESIZE]
    crop_fraction: Annotated[float | None, CROP_FRACTION.or_none]
    background: Annotated[str, BACKGROUND]
    mean: list[float]
    std: list[Annotated[float, DEVIATION]]
    class_names: list[Annotated[str, replace(NAMES, many=False, noun="a name in valid Unicode")]]
    task: str


class _Numbered(TypedDict):
    format: int


@dataclass(frozen=True)
class Fit:
    """How an image of any size becomes the pixels of a network's input.

    Args:
        size: Height and width of the result in pixels.
        channels: 1 for grey, 3 for RGB; other numbers are for arrays, since image files give 1 or 3.
        resize: How an image is resized: `"bilinear"` or `"bicubic"`, both antialiased.
        crop_fraction: None squeezes the whole image to `size`, whatever its aspect ratio. A number in (0, 1] keeps
            the aspect ratio: the image is resized until `size` is this fraction of it along the shorter side, and
            its centre is cut out.
        background: The colour that transparent pixels are laid over: a CSS colour name or `#rrggbb`.

    Raises:
        UsageError: A field is out of range; the message names it.
    """

    size: tuple[int, int]
    channels: int
    resize: str = "bilinear"
    crop_fraction: float | None = None
    background: str = "white"

    def __post_init__(self) -> None:
        keep_checked(
            self,
            size=SIZE,
            channels=COUNT,
            resize=RESIZE,
            crop_fraction=CROP_FRACTION.or_none,
            background=BACKGROUND,
        )
        if len(self.size) != 2:
            raise UsageError(f"size must be {SIZE.expected}; received {self.size}")
        if prod(self.shape) > MOST_VALUES:
            raise UsageError(
                f"an image must have at most {MOST_VALUES:,} values; received {self.size[0]}×{self.size[1]} pixels of "
                f"{self.channels} channels"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels of the result."""
        return (*self.size, self.channels)

    def at(self, size: tuple[int, int]) -> Fit:
        """The same for images of another size: for training at several sizes, and for views of a test image.

        `crop_fraction`, if there is one, becomes 1, so that nothing of the shorter side is lost: it is the views that
        cut the image.
        """
        size = (size[0], size[1])
        if size == self.size:
            return self
        return replace(self, size=size, crop_fraction=None if self.crop_fraction is None else 1.0)


@dataclass(frozen=True)
class Preprocessing:
    """How an image is prepared for a network, and what the network's outputs mean.

    Args:
        fit: How an image becomes pixels.
        mean: One number a channel, on the 0–255 scale, subtracted from the pixels.
        std: One positive number a channel, on the 0–255 scale, by which the difference is divided.
        class_names: The name of each output, in the order of the logits.
        task: What the network was trained for, a key of `keras_resnet.tasks.table.TASKS`: `"classification"`, each
            image has one of the classes; `"multi-label"`, any number of them.

    Raises:
        UsageError: A field is out of range; the message names it.
    """

    fit: Fit
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    task: str = "classification"

    def __post_init__(self) -> None:
        if not isinstance(self.fit, Fit):
            raise UsageError(
                "a Preprocessing begins with a Fit: write Preprocessing(Fit((height, width), channels), mean, std, "
                f"class_names), or take the fit of another one; received {self.fit!r}"
            )
        keep_checked(self, mean=MEANS, std=DEVIATIONS, class_names=NAMES, task=Values(str))
        for field, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.fit.channels:
                raise UsageError(
                    f"{field} must hold one number for each of {self.fit.channels} channels; received {values}"
                )
        if len(set(self.class_names)) != len(self.class_names) or not self.class_names:
            raise UsageError(f"class_names must be one or more different names; received {self.class_names}")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width, channels of one image."""
        return self.fit.shape

    def to_json(self) -> str:
        """The value as a JSON text that `from_json` reads; the fields of the fit stand beside the others."""
        own = asdict(self)
        fit = own.pop("fit")
        flat = {"format": FORMAT, "image_size": fit.pop("size"), **fit, **own}
        return visible_json(json.dumps(flat, ensure_ascii=False, indent=2))

    @classmethod
    def from_json(cls, text: str | bytes, called: str = "the preprocessing stored in this file") -> Preprocessing:
        """Read what `to_json` of this version or an earlier one wrote.

        Args:
            text: The JSON, as bytes in UTF-8.
            called: What messages call it: the file that it was read from.

        Raises:
            ModelError: The text is no JSON, is of another version, or a field is out of range; the message names it.
        """
        found = parse_json(text, _Numbered, called)["format"]
        values: dict[str, Any] = parse_json(text, dict[str, Any], called)
        for number in range(found + 1, FORMAT + 1) if found in ADDED else ():
            values = ADDED[number] | values
        if found not in ADDED or values.keys() != Stamp.__annotations__.keys():
            raise ModelError(
                f"{called} is of another version: format {found}, keys {listed(sorted(values))}; expected format "
                f"{FORMAT}, keys {listed(sorted(Stamp.__annotations__))}"
            )
        stamp = check_json(values, Stamp, called)
        try:
            size: Any = tuple(stamp["image_size"])  # of any length: Fit checks that
            fit = Fit(size, stamp["channels"], stamp["resize"], stamp["crop_fraction"], stamp["background"])
            of_channels = tuple(stamp["mean"]), tuple(stamp["std"])
            return cls(fit, *of_channels, tuple(stamp["class_names"]), stamp["task"])
        except UsageError as error:
            raise ModelError(f"{called}: {error}") from None
