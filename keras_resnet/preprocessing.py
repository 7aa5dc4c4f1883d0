"""How pixels become a network's input and what its outputs mean: one value in every model file.

Training, evaluation, export, calibration and prediction all read it there, so that they cannot disagree.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from keras_resnet.allowed import BACKGROUND, COUNT, CROP_FRACTION, IMAGE_SIZE, RESIZE
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.settings import keep_checked

FORMAT = 4
ADDED: dict[int, dict[str, Any]] = {2: {}, 3: {"background": "white"}, 4: {"task": "classification"}}
"""For each format that can be read, the keys it added, and their values in files of earlier formats."""
SIZE = replace(IMAGE_SIZE, many=True, noun="a height and a width, whole numbers of at least 1")


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
        for field, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.fit.channels:
                raise UsageError(
                    f"{field} must hold one number for each of {self.fit.channels} channels; received {values}"
                )
        if min(self.std) <= 0:
            raise UsageError(f"std must be positive; received {self.std}")
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
        return json.dumps(flat, ensure_ascii=False, indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> Preprocessing:
        """Read what `to_json` of this version or an earlier one wrote.

        Raises:
            ModelError: The text is not JSON, has an unknown format number, or lacks or adds a key.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            found = values.pop("format")
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise ModelError(f"the preprocessing stored in this file cannot be read: {error!r}") from None
        of_fit = {"image_size": "size"} | {field.name: field.name for field in fields(Fit)[1:]}
        expected = {*of_fit, *(field.name for field in fields(cls)[1:])}
        known = isinstance(found, int) and found in ADDED
        for number in range(found + 1, FORMAT + 1) if known else ():
            values = ADDED[number] | values
        if not known or set(values) != expected:
            raise ModelError(
                f"the preprocessing stored in this file is of another version: format {found}, keys "
                f"{sorted(values)}; expected format {FORMAT}, keys {sorted(expected)}"
            )
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        fit = Fit(**{name: values.pop(key) for key, name in of_fit.items()})
        return cls(fit, **values)
