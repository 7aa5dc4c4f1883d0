"""How a network is trained: one frozen row, validated when it is made."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields, replace
from typing import Any

from keras_resnet.augment.policies import Policy, policy
from keras_resnet.data.pipeline import SAMPLINGS
from keras_resnet.errors import UsageError, listed
from keras_resnet.models.lookup import spec

CLASS_WEIGHTS = ("none", "balanced", "effective")


@dataclass(frozen=True)
class Recipe:
    """A training's every setting but the data.

    The optimiser is SGD with Nesterov momentum; the rate climbs linearly for `warmup_epochs` and
    falls by a cosine to zero.

    Args:
        model: A name that `keras_resnet.list_models()` knows.
        epochs: Times every training image is seen.
        batch_size: Images a step.
        learning_rate: The highest.
        warmup_epochs: May be a fraction.
        momentum: In [0, 1).
        weight_decay: Added to the gradient as `weight_decay * weight` and so passed through the
            momentum, as PyTorch does; kernels only.
        label_smoothing: In [0, 1).
        dropout: Before the classifier, in [0, 1).
        augment: Where images are cut and whether mirrored: `none`, `flip`, `shift`, `crop-flip`,
            `resized-crop`, `resized-crop-flip`.
        automatic, magnitude, jitter, hue, greyscale, erasing, cutout, mixup, cutmix, repeats, crop_scale:
            See `keras_resnet.policy`.
        sampling: `uniform`, or `balanced` to show every class as often.
        class_weights: `none`, `balanced` (Scikit-learn's) or `effective` (Cui et al., 2019): what
            images of rare classes count more in the loss.
        seed: Of initial weights, order, augmentation and dropout; 0 … 2^31 - 1.

    Raises:
        UsageError: A field is out of range; the message names it.
    """

    model: str = "resnet20"
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 0.1
    warmup_epochs: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    label_smoothing: float = 0.0
    dropout: float = 0.0
    augment: str = "crop-flip"
    automatic: str = "none"
    magnitude: int = 9
    jitter: float = 0.0
    hue: float = 0.0
    greyscale: float = 0.0
    erasing: float = 0.0
    cutout: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    repeats: int = 1
    crop_scale: float = 0.08
    sampling: str = "uniform"
    class_weights: str = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", spec(self.model).name)
        self.policy  # noqa: B018 – it checks its fields
        for field, known in (("sampling", SAMPLINGS), ("class_weights", CLASS_WEIGHTS)):
            if getattr(self, field) not in known:
                raise UsageError(f"{field} must be one of {listed(known)}; received {getattr(self, field)!r}")
        for field in ("epochs", "batch_size", "repeats"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"{field} must be a whole number of at least 1; received {value!r}")
        if self.repeats > self.batch_size:
            raise UsageError(f"repeats must be at most the batch size; received {self.repeats} of {self.batch_size}")
        if not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"learning_rate must be positive; received {self.learning_rate}")
        for field in ("warmup_epochs", "weight_decay"):
            if not 0 <= getattr(self, field) < float("inf"):
                raise UsageError(f"{field} must be at least 0; received {getattr(self, field)}")
        for field in ("momentum", "label_smoothing", "dropout"):
            if not 0 <= getattr(self, field) < 1:
                raise UsageError(f"{field} must be at least 0 and less than 1; received {getattr(self, field)}")
        if not 0 <= self.seed < 2**31:
            raise UsageError(f"seed must lie in 0–{2**31 - 1}; received {self.seed}")

    @property
    def policy(self) -> Policy:
        """Its augmentation."""
        return policy(
            self.augment,
            automatic=self.automatic,
            magnitude=self.magnitude,
            jitter=self.jitter,
            hue=self.hue,
            greyscale=self.greyscale,
            erasing=self.erasing,
            cutout=self.cutout,
            mixup=self.mixup,
            cutmix=self.cutmix,
            repeats=self.repeats,
            crop_scale=self.crop_scale,
        )

    def but(self, **changes: Any) -> Recipe:
        """The recipe with some fields changed; None leaves a field alone.

        Raises:
            UsageError: There is no such field; the message gives the nearest one.
        """
        known = [field.name for field in fields(self)]
        for name in changes:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise UsageError(
                    f"a recipe has no field {name!r}"
                    + (f"; did you mean {near[0]!r}?" if near else f": {listed(known)}")
                )
        return replace(self, **{name: value for name, value in changes.items() if value is not None})


# He et al. (2015) for CIFAR: SGD 0.1, momentum 0.9, weight decay 1e-4, batch 128; the cosine is later
# custom (Loshchilov & Hutter, 2016).
RECIPES = {
    "digits": Recipe(model="resnet8", epochs=30, batch_size=64, label_smoothing=0.1, augment="shift"),
    "cifar10": Recipe(model="resnet20", epochs=200, batch_size=128),
    "folder": Recipe(model="resnet20", epochs=30, batch_size=32, learning_rate=0.05, label_smoothing=0.1),
}


def recipe(name: str) -> Recipe:
    """A recipe by name.

    Raises:
        UsageError: There is none of this name.
    """
    if name not in RECIPES:
        raise UsageError(f"there is no recipe {name!r}; known are {listed(RECIPES)}")
    return RECIPES[name]


def recipe_for(kind: str) -> Recipe:
    """The default recipe for a kind of data source: `digits`, `folder`, `csv`, `jsonl` or `tfds`."""
    return RECIPES[{"tfds": "cifar10", "csv": "folder", "jsonl": "folder"}.get(kind, kind)]
