"""The one value that says how pixels become network input and what the outputs mean.

It travels inside every artefact, so that training, evaluation, export, calibration and prediction
cannot disagree.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from keras_resnet.errors import ModelError, UsageError, listed

FORMAT = 4
RESIZINGS = ("bilinear", "bicubic")


@dataclass(frozen=True)
class Preprocessing:
    """How an image is prepared for a network, and the names of what the network tells apart.

    Args:
        image_size: Height and width in pixels of the network's input.
        channels: 1 for grey, 3 for RGB; other counts for arrays that are not pictures.
        mean: One number a channel, on the 0–255 scale, subtracted from the pixels.
        std: One positive number a channel, on the 0–255 scale, by which the difference is divided.
        class_names: The name of each output, in the order of the logits.
        resize: How an image of another size is brought to `image_size`: `"bilinear"` or
            `"bicubic"`, antialiased.
        crop_fraction: None squeezes the whole image to `image_size`, whatever its aspect ratio. A
            number in (0, 1] keeps the aspect ratio: the image is resized until `image_size` is this
            fraction of it along the shorter side, and its centre is cut out.
        background: What an image's transparency is laid over: a CSS colour name or `#rrggbb`.

    Raises:
        UsageError: A field is out of range; the message names it.
    """

    image_size: tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    resize: str = "bilinear"
    crop_fraction: float | None = None
    background: str = "white"
    task: str = "classification"

    def __post_init__(self) -> None:
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise UsageError(f"image_size must be two positive numbers, height and width; received {self.image_size}")
        if self.channels < 1:
            raise UsageError(f"channels must be at least 1; received {self.channels}")
        for field, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                raise UsageError(
                    f"{field} must hold one number for each of {self.channels} channels; received {values}"
                )
        if min(self.std) <= 0:
            raise UsageError(f"std must be positive; received {self.std}")
        if len(set(self.class_names)) != len(self.class_names) or not self.class_names:
            raise UsageError(f"class_names must be one or more different names; received {self.class_names}")
        if self.resize not in RESIZINGS:
            raise UsageError(f"resize must be one of {listed(RESIZINGS)}; received {self.resize!r}")
        if self.crop_fraction is not None and not 0 < self.crop_fraction <= 1:
            raise UsageError(f"crop_fraction must be None or above 0 and at most 1; received {self.crop_fraction}")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width, channels of one image."""
        return (*self.image_size, self.channels)

    def to_json(self) -> str:
        """The value as a JSON text that `from_json` reads."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False, indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> Preprocessing:
        """Read what `to_json` wrote.

        Raises:
            ModelError: The text is not JSON, has another format number, or lacks or adds a key.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            found = values.pop("format")
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise ModelError(f"the preprocessing stored in this file cannot be read: {error!r}") from None
        if found in (2, 3):  # before there was another background than white, and another task
            found, values = FORMAT, {"background": "white", "task": "classification", **values}
        expected = {field.name for field in fields(cls)}
        if found != FORMAT or set(values) != expected:
            raise ModelError(
                f"the preprocessing stored in this file is of another version: format {found}, keys "
                f"{sorted(values)}; expected format {FORMAT}, keys {sorted(expected)}"
            )
        values.update({key: tuple(value) for key, value in values.items() if isinstance(value, list)})
        return cls(**values)
