"""What is found of one image: what a model says, and maps of where that comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.attribution.faithfulness import Faithfulness
from keras_resnet.attribution.methods import METHODS
from keras_resnet.errors import UsageError


@dataclass(frozen=True)
class Attribution:
    """One map: what a method says of one class of one image.

    Args:
        method: A key of `METHODS`.
        class_name: The class.
        number: Its number.
        probability: That the model gives it, 0–1.
        values: float32 (height, width): how much a pixel speaks for the class, in units of the method; below
            0, against.
        faithfulness: How far it tells what the model goes by; None: not asked for.
        agreement: With the map of occlusion, Spearman's rank correlation, -1 to 1; None: there is none, or one of both
            is the same everywhere.
        remark: What speaks against it; empty: nothing.
    """

    method: str
    class_name: str
    number: int
    probability: float
    values: np.ndarray
    faithfulness: Faithfulness | None
    agreement: float | None
    remark: str = ""

    @property
    def title(self) -> str:
        """What people call the method."""
        return METHODS[self.method].title

    def shown(self) -> np.ndarray:
        """The map as it is drawn, float32 (height, width) in 0–1: what speaks for the class, as a share of the most.

        The most is the 99.5th percentile, or a few pixels of a fine map would leave the others dark.
        """
        positive = np.maximum(self.values, 0)
        most = np.percentile(positive, 99.5) or positive.max() or 1.0
        return np.minimum(positive / most, 1).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "method": self.method,
            "class": self.class_name,
            "class_number": self.number,
            "probability": self.probability,
            "agreement_with_occlusion": self.agreement,
            "remark": self.remark or None,
            "faithfulness": None if self.faithfulness is None else self.faithfulness.to_dict(),
        }


@dataclass(frozen=True)
class Explanation:
    """What a model says of one image, and why.

    Args:
        name: Of the image.
        image: uint8 (height, width, channels), as the model takes it.
        top: The likeliest classes with their probabilities.
        maps: Of each class, those of all methods.
    """

    name: str
    image: np.ndarray
    top: tuple[tuple[str, float], ...]
    maps: tuple[Attribution, ...]

    def map_of(self, method: str, class_name: str | None = None) -> Attribution:
        """One of the maps.

        Args:
            method: By which it was made.
            class_name: Of which class; None: of the first one.

        Raises:
            UsageError: There is none.
        """
        for one in self.maps:
            if one.method == method and class_name in (None, one.class_name):
                return one
        raise UsageError(f"there is no map by {method!r} of {class_name or 'any class'}: ask for it in explain()")

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        top = [{"class": name, "probability": share} for name, share in self.top]
        return {"image": self.name, "top": top, "maps": [one.to_dict() for one in self.maps]}
