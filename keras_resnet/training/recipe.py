"""How a network is trained: one frozen row, checked when it is made. Nothing here imports TensorFlow."""

from __future__ import annotations

import difflib
from dataclasses import Field, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, get_type_hints

from keras_resnet.errors import UsageError, listed
from keras_resnet.models.lookup import spec
from keras_resnet.words import AUTOMATIC, CROPS, SAMPLINGS

if TYPE_CHECKING:
    from keras_resnet.augment.policies import Policy

INFINITY = float("inf")
OPTIMIZERS = ("sgd", "sgdw", "adam", "adamw", "lamb", "rmsprop", "adagrad", "adadelta", "adamax", "nadam", "lion")
SCHEDULES = ("constant", "step", "multistep", "cosine", "one-cycle")
PRECISIONS = ("float32", "bfloat16", "float16")


def setting(
    default: Any,
    text: str,
    *,
    group: str,
    choices: tuple[str, ...] = (),
    low: float = -INFINITY,
    high: float = INFINITY,
    above: float = -INFINITY,
    below: float = INFINITY,
) -> Any:
    """A field of a recipe with what the command line says of it and the values it may have.

    Args:
        default: A plain training's.
        text: One line.
        group: Under which heading `--help` has it.
        choices: The words it may be.
        low, high: Least and greatest value.
        above, below: The value must be greater and less than these.
    """
    limits = {"choices": choices, "low": low, "high": high, "above": above, "below": below}
    return field(default=default, metadata={"text": text, "group": group, **limits})


@dataclass(frozen=True)
class Recipe:
    """A training's every setting.

    Each field's meaning and range stand beside it; `keras-resnet train --help` prints them. The
    defaults are a plain CIFAR training (He et al., 2015) with a cosine (Loshchilov & Hutter, 2016).

    Raises:
        UsageError: A field is out of range; the message names it.
    """

    model: str = setting("resnet20", "network, as `keras-resnet models` lists them", group="training")
    data: str = setting("", "source it was made for; what is trained on is said beside it", group="description")
    weights: str = setting("", "initial weights: a file, imagenet, timm/TAG or keras; none: random", group="training")
    epochs: int = setting(30, "times every training image is seen", group="training", low=1)
    batch_size: int = setting(64, "images an update", group="training", low=1)
    image_size: int = setting(0, "side of the images in pixels; 0: as the source has it", group="images", low=0)
    train_sizes: tuple[int, ...] = setting(
        (),
        "sides of the training images, one after another in equal parts of the training; none: the image size",
        group="images",
        low=8,
    )
    crop_fraction: float = setting(
        0.0, "share of an image that evaluation sees; 0: all of it, squeezed", group="images", low=0, high=1
    )
    sampling: str = setting(
        "uniform", "uniform, or balanced to show every class as often", group="training", choices=SAMPLINGS
    )
    class_weights: str = setting(
        "none",
        "none, balanced or effective (Cui et al., 2019): what images of rare classes count more in the loss",
        group="training",
        choices=("none", "balanced", "effective"),
    )
    ema: float = setting(
        0.0,
        "decay of the moving average of weights and statistics, by which the network is judged and saved; 0: none",
        group="training",
        low=0,
        below=1,
    )
    head_epochs: int = setting(
        0, "epochs before the others that train the classifier alone, by Adam, the rest frozen", group="training", low=0
    )
    head_rate: float = setting(1e-3, "learning rate of these", group="training", above=0, below=INFINITY)
    freeze_batchnorm: bool = setting(
        False,
        "keep batch normalisation as the initial weights have it (fine-tuning with batches under 32)",
        group="training",
    )
    seed: int = setting(
        0, "of initial weights, order, augmentation and dropout", group="training", low=0, high=2**31 - 1
    )

    optimizer: str = setting(
        "sgd",
        "sgd (weight decay as PyTorch couples it), sgdw (decoupled), adamw, lamb, or another of Keras's",
        group="optimisation",
        choices=OPTIMIZERS,
    )
    learning_rate: float = setting(0.1, "the highest", group="optimisation", above=0, below=INFINITY)
    schedule: str = setting(
        "cosine",
        "how the rate falls: constant, step, multistep, cosine, one-cycle",
        group="optimisation",
        choices=SCHEDULES,
    )
    warmup_epochs: float = setting(
        1.0, "over which the rate climbs; may be a fraction", group="optimisation", low=0, below=INFINITY
    )
    warmup_from: float = setting(
        0.0, "share of the rate at which it begins to climb", group="optimisation", low=0, high=1
    )
    milestones: tuple[float, ...] = setting(
        (), "epochs after which multistep lowers the rate", group="optimisation", above=0, below=INFINITY
    )
    decay_every: float = setting(
        30.0, "epochs between two steps of step", group="optimisation", above=0, below=INFINITY
    )
    decay_factor: float = setting(
        0.1, "by which step and multistep multiply the rate", group="optimisation", above=0, high=1
    )
    final_rate: float = setting(0.0, "share of the rate at which cosine ends", group="optimisation", low=0, high=1)
    momentum: float = setting(0.9, "of sgd, sgdw and rmsprop", group="optimisation", low=0, below=1)
    nesterov: bool = setting(True, "Nesterov's momentum", group="optimisation")
    weight_decay: float = setting(
        1e-4, "of kernels; normalisations and biases do not decay", group="optimisation", low=0, below=INFINITY
    )
    layer_decay: float = setting(
        1.0, "factor on the rate from each block to the one before it", group="optimisation", above=0, high=1
    )
    clip: str = setting(
        "none",
        "gradient clipping: none, norm (of all), value, adaptive (Brock et al., 2021)",
        group="optimisation",
        choices=("none", "norm", "value", "adaptive"),
    )
    clip_at: float = setting(1.0, "where it clips", group="optimisation", above=0, below=INFINITY)
    accumulate: int = setting(1, "parts that a batch is computed in, to save memory", group="memory and speed", low=1)
    precision: str = setting(
        "float32", "float32, bfloat16 or float16 (mixed)", group="memory and speed", choices=PRECISIONS
    )
    recompute: bool = setting(
        False, "compute each block again in the backward pass instead of keeping it in memory", group="memory and speed"
    )
    jit: bool = setting(False, "compile the step by XLA", group="memory and speed")

    loss: str = setting(
        "cross-entropy",
        "cross-entropy, or binary (Wightman et al., 2021)",
        group="regularisation",
        choices=("cross-entropy", "binary"),
    )
    label_smoothing: float = setting(
        0.0, "share of every label spread over all classes", group="regularisation", low=0, below=1
    )
    dropout: float = setting(
        0.0, "before the classifier; in wide networks within the blocks", group="regularisation", low=0, below=1
    )
    stochastic_depth: float = setting(
        0.0,
        "chance that the last block is left out of a sample (Huang et al., 2016)",
        group="regularisation",
        low=0,
        below=1,
    )

    augment: str = setting(
        "crop-flip",
        "none, flip, shift, crop-flip, resized-crop or resized-crop-flip",
        group="augmentation",
        choices=CROPS,
    )
    automatic: str = setting(
        "none",
        "none, randaugment, trivialaugment, augmix, autoaugment-cifar10 or autoaugment-imagenet",
        group="augmentation",
        choices=AUTOMATIC,
    )
    magnitude: int = setting(9, "RandAugment's, 0–30", group="augmentation", low=0, high=30)
    jitter: float = setting(
        0.0,
        "strength of the change of brightness, contrast and saturation",
        group="augmentation",
        low=0,
        below=INFINITY,
    )
    hue: float = setting(0.0, "strength of the change of hue, 0–0.5", group="augmentation", low=0, high=0.5)
    greyscale: float = setting(0.0, "probability of losing all colours", group="augmentation", low=0, high=1)
    erasing: float = setting(0.0, "probability of losing a rectangle to noise", group="augmentation", low=0, high=1)
    cutout: float = setting(
        0.0, "side of the hidden square, as a share of the image's", group="augmentation", low=0, high=1
    )
    mixup: float = setting(0.0, "MixUp's alpha, 0.2–0.4 is usual", group="augmentation", low=0, below=INFINITY)
    cutmix: float = setting(
        0.0,
        "CutMix's alpha, 1 is usual; with mixup each batch gets one of the two",
        group="augmentation",
        low=0,
        below=INFINITY,
    )
    repeats: int = setting(1, "showings of each drawn image in a batch", group="augmentation", low=1)
    crop_scale: float = setting(
        0.08, "least share of an image's area that resized-crop takes", group="augmentation", above=0, high=1
    )
    tta: str = setting(
        "none",
        "views of each test image that are averaged: none or flip",
        group="images",
        choices=("none", "flip", "ten-crop"),
    )
    expected: str = setting("", "accuracy to expect", group="description")
    source: str = setting("", "where the recipe and this figure come from", group="description")

    def __post_init__(self) -> None:
        for one in fields(self):
            object.__setattr__(self, one.name, checked(one, getattr(self, one.name)))
        object.__setattr__(self, "model", spec(self.model).name)
        if self.repeats > self.batch_size:
            raise UsageError(f"repeats must be at most the batch size; received {self.repeats} of {self.batch_size}")
        if self.batch_size % self.accumulate:
            raise UsageError(
                f"accumulate must divide the batch size; received {self.accumulate} parts of {self.batch_size} images"
            )
        if list(self.milestones) != sorted(set(self.milestones)):
            raise UsageError(f"milestones must be increasing; received {list(self.milestones)}")
        if self.schedule == "multistep" and not self.milestones:
            raise UsageError("milestones must name the epochs at which schedule=multistep lowers the rate")

    @property
    def policy(self) -> Policy:
        """Its augmentation."""
        from keras_resnet.augment.policies import policy

        names = [one.name for one in fields(self) if one.metadata["group"] == "augmentation" and one.name != "augment"]
        return policy(self.augment, **{name: getattr(self, name) for name in names})

    def but(self, **changes: Any) -> Recipe:
        """The recipe with some fields changed; None leaves a field alone.

        Raises:
            UsageError: There is no such field; the message gives the nearest one.
        """
        for name in changes:
            refuse_unknown(name)
        return replace(self, **{name: value for name, value in changes.items() if value is not None})


SETTINGS: dict[str, Field[Any]] = {one.name: one for one in fields(Recipe)}
HINTS: dict[str, Any] = get_type_hints(Recipe)


def refuse_unknown(name: str) -> None:
    """Raise a UsageError with the nearest name if a recipe has no such field."""
    if name not in SETTINGS:
        near = difflib.get_close_matches(name, SETTINGS, n=1)
        raise UsageError(
            f"a recipe has no field {name!r}"
            + (f"; did you mean {near[0]!r}?" if near else f": {listed(SETTINGS, most=100)}")
        )


def checked(one: Field[Any], value: Any) -> Any:
    """A field's value in its own type.

    Raises:
        UsageError: It is of another type or out of range.
    """
    kind = HINTS[one.name]
    if kind in (tuple[int, ...], tuple[float, ...]):
        if not isinstance(value, list | tuple):
            raise UsageError(f"{one.name} must be a list of numbers; received {value!r}")
        inner = int if kind == tuple[int, ...] else float
        return tuple(_number(one, item, inner) for item in value)
    if kind in (int, float):
        return _number(one, value, kind)
    if not isinstance(value, kind):
        raise UsageError(f"{one.name} must be {'text' if kind is str else 'true or false'}; received {value!r}")
    if one.metadata["choices"] and value not in one.metadata["choices"]:
        raise UsageError(f"{one.name} must be one of {listed(one.metadata['choices'], most=20)}; received {value!r}")
    return value


def _number(one: Field[Any], value: Any, kind: type) -> Any:
    limits = one.metadata
    if isinstance(value, bool) or not isinstance(value, int | float) or (kind is int and not isinstance(value, int)):
        raise UsageError(f"{one.name} must be a {'whole ' if kind is int else ''}number; received {value!r}")
    inside = limits["low"] <= value <= limits["high"] and limits["above"] < value < limits["below"]
    if not inside and not (value == limits["high"] == INFINITY):
        words = [
            f"{word} {limits[key]:g}"
            for key, word in (
                ("low", "at least"),
                ("high", "at most"),
                ("above", "greater than"),
                ("below", "less than"),
            )
            if abs(limits[key]) != INFINITY
        ]
        raise UsageError(f"{one.name} must be {' and '.join(words) or 'finite'}; received {value!r}")
    return kind(value)
