"""How a network is trained: one frozen row, checked when it is made. Nothing here imports TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from keras_resnet.allowed import (
    AUGMENT,
    AUTOMATIC,
    CLASS_WEIGHTS,
    CLIP,
    COUNT,
    CROP_FRACTION,
    CROP_SCALE,
    DROPOUT,
    HUE,
    IMAGE_SIZE,
    LABEL_SMOOTHING,
    LAYER_DECAY,
    LEARNING_RATE,
    LOSS,
    MAGNITUDE,
    MOMENTUM,
    OPTIMIZER,
    SAMPLING,
    SCHEDULE,
    SEED,
    SHARE,
    STRENGTH,
    THRESHOLD,
    TTA,
    WEIGHT_DECAY,
)
from keras_resnet.errors import UsageError
from keras_resnet.models.variants import spec
from keras_resnet.settings import keep_checked, refuse_unknown, setting, settings_of

if TYPE_CHECKING:
    from keras_resnet.augment.policies import Policy

PRECISIONS = ("float32", "bfloat16", "float16")

MOVED_ALONG = "`--epochs`, or in Python `Recipe.lasting`, moves along what a recipe counts in epochs"

training = partial(setting, group="training")
images = partial(setting, group="images")
optimisation = partial(setting, group="optimisation")
regularisation = partial(setting, group="regularisation")
augmentation = partial(setting, group="augmentation")
resources = partial(setting, group="memory and speed")
description = partial(setting, group="description")


@dataclass(frozen=True)
class Recipe:
    """A training's every setting.

    Each field's meaning and range stand beside it; `keras-resnet recipes NAME` prints them. The
    defaults are a plain CIFAR training (He et al., 2015) with a cosine (Loshchilov & Hutter, 2016). A
    recipe is taken literally: `Recipe(optimizer="adamw")` keeps SGD's rate and decay unless they are given,
    too; it is files and options, by `configure`, that get those usual for another optimizer.

    Raises:
        UsageError: A field is out of range; the message names it.
    """

    model: str = training("resnet20", "network, as `keras-resnet models` lists", canonical=lambda name: spec(name).name)
    data: str = description("", "source it was made for; what is trained on is said beside it")
    weights: str = training("", "initial weights: a file, imagenet, timm/TAG or keras; none: random")
    epochs: int = training(30, "times every training image is seen", COUNT)
    batch_size: int = training(64, "images an update", COUNT)
    sampling: str = training("uniform", "how images are drawn; balanced shows every class as often", SAMPLING)
    class_weights: str = training(
        "none", "how much more rare classes count in the loss; effective: Cui et al., 2019", CLASS_WEIGHTS
    )
    ema: float = training(
        0.0, "decay of the moving average of weights by which the network is judged and saved; 0: none", low=0, below=1
    )
    head_epochs: int = training(
        0, "epochs before the others that train the classifier alone, by Adam, the rest frozen", low=0
    )
    head_rate: float = training(1e-3, "learning rate of these", LEARNING_RATE)
    freeze_batchnorm: bool = training(
        False, "keep batch normalisation as the initial weights have it (fine-tuning, batches under 32)"
    )
    seed: int = training(0, "of split, initial weights, order, augmentation and dropout", SEED)

    image_size: int = images(0, "side of the images in pixels; 0: as the source has it", IMAGE_SIZE.or_zero)
    train_sizes: tuple[int, ...] = images(
        (), "sides of the training images, each for an equal part of the training; none: the image size", low=8
    )
    crop_fraction: float = images(
        0.0,
        "share of an image that is cut out of its centre, 0.875 is usual; 0: squeeze all of it",
        CROP_FRACTION.or_zero,
    )
    tta: str = images("none", "views of a test image that are averaged", TTA)

    optimizer: str = optimisation("sgd", "sgd couples weight decay as PyTorch does, sgdw not", OPTIMIZER)
    learning_rate: float = optimisation(0.1, "the highest", LEARNING_RATE)
    schedule: str = optimisation("cosine", "how the rate falls", SCHEDULE)
    warmup_epochs: float = optimisation(1.0, "over which the rate climbs, in one-cycle too; may be a fraction", low=0)
    warmup_from: float = optimisation(0.0, "share of the rate at which it begins to climb", SHARE)
    milestones: tuple[float, ...] = optimisation((), "epochs after which multistep lowers the rate", above=0)
    decay_every: float = optimisation(30.0, "epochs between two steps of step", above=0)
    decay_factor: float = optimisation(0.1, "by which step and multistep multiply the rate", above=0, high=1)
    final_rate: float = optimisation(0.0, "share of the rate at which cosine ends", SHARE)
    momentum: float = optimisation(0.9, "of sgd, sgdw, muon and rmsprop", MOMENTUM)
    nesterov: bool = optimisation(True, "Nesterov's momentum")
    weight_decay: float = optimisation(1e-4, "of kernels; normalisations and biases do not decay", WEIGHT_DECAY)
    layer_decay: float = optimisation(1.0, "factor on the rate from each block to the one before it", LAYER_DECAY)
    clip: str = optimisation(
        "none",
        "gradient clipping: of the norm over all, by value, adaptive (Brock et al., 2021)",
        CLIP,
    )
    clip_at: float = optimisation(
        0.0, "where it clips; 0: where it is usual, norm at 1, value at 0.5, adaptive at 0.01", low=0
    )

    accumulate: int = resources(1, "parts that a batch is computed in, to save memory", COUNT)
    precision: str = resources("float32", "of the computation; the others are mixed", choices=PRECISIONS)
    recompute: bool = resources(False, "compute each block again in the backward pass instead of keeping it in memory")
    sync_batchnorm: bool = resources(False, "normalise over the batch of all devices, not over each part")
    jit: bool = resources(False, "compile the step by XLA")

    loss: str = regularisation("cross-entropy", "binary: each class by itself (Wightman et al., 2021)", LOSS)
    target_threshold: float = regularisation(
        0.0, "in the binary loss a label is 1 above this and 0 below; 0: labels are as they were mixed", THRESHOLD
    )
    label_smoothing: float = regularisation(0.0, "share of every label spread over all classes", LABEL_SMOOTHING)
    dropout: float = regularisation(0.0, "before the classifier; in wide networks within the blocks", DROPOUT)
    stochastic_depth: float = regularisation(
        0.0, "chance that the last block is left out of a sample (Huang et al., 2016)", DROPOUT
    )

    augment: str = augmentation("crop-flip", "where images are cut and whether mirrored", AUGMENT)
    automatic: str = augmentation("none", "automatic augmentation", AUTOMATIC)
    magnitude: int = augmentation(9, "RandAugment's, 0–30", MAGNITUDE)
    jitter: float = augmentation(0.0, "strength of the change of brightness, contrast and saturation", STRENGTH)
    hue: float = augmentation(0.0, "strength of the change of hue, 0–0.5", HUE)
    greyscale: float = augmentation(0.0, "probability of losing all colours", SHARE)
    erasing: float = augmentation(0.0, "probability of losing a rectangle to noise", SHARE)
    cutout: float = augmentation(0.0, "side of the hidden square, as a share of the image's", SHARE)
    mixup: float = augmentation(0.0, "MixUp's alpha, 0.2–0.4 is usual", STRENGTH)
    cutmix: float = augmentation(0.0, "CutMix's alpha, 1 is usual; with mixup each batch gets one of the two", STRENGTH)
    repeats: int = augmentation(1, "showings of each drawn image in a batch", COUNT)
    crop_scale: float = augmentation(0.08, "least share of an image's area that resized-crop takes", CROP_SCALE)

    expected: str = description("", "accuracy to expect")
    source: str = description("", "where the recipe and this figure come from")

    def __post_init__(self) -> None:
        keep_checked(self, **{name: one.values for name, one in SETTINGS.items()})
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
        if self.schedule == "multistep" and self.milestones[-1] >= self.epochs:
            raise UsageError(
                f"milestones must lie before the end of the epochs, else the rate never falls; received "
                f"{list(self.milestones)} in {self.epochs} epochs ({MOVED_ALONG})"
            )
        if self.schedule == "step" and self.decay_every >= self.epochs:
            raise UsageError(
                f"decay_every must be less than the epochs, else schedule=step never lowers the rate; received "
                f"{self.decay_every:g} in {self.epochs} epochs: set it to {self.epochs / 3:.3g}, say, for two falls "
                f"({MOVED_ALONG})"
            )
        if len(self.train_sizes) > self.head_epochs + self.epochs:
            raise UsageError(
                f"train_sizes must be no more than the epochs, since each has a part of them; received "
                f"{list(self.train_sizes)} in {self.head_epochs + self.epochs} epochs"
            )

    @property
    def policy(self) -> Policy:
        """Its augmentation."""
        from keras_resnet.augment.policies import policy

        names = [name for name, one in SETTINGS.items() if one.group == "augmentation" and name != "augment"]
        return policy(self.augment, **{name: getattr(self, name) for name in names})

    @property
    def settings(self) -> dict[str, Any]:
        """All that acts on a training, for a config file, as JSON gives it back; `Recipe(**settings)` acts the same."""
        acting = {name: getattr(self, name) for name, one in SETTINGS.items() if one.group != "description"}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in acting.items()}

    def but(self, **changes: Any) -> Recipe:
        """The recipe with some fields changed and no others; None leaves a field alone.

        Raises:
            UsageError: There is no such field (the message gives the nearest one), or a value is out of range.
        """
        for name in changes:
            refuse_unknown(name, SETTINGS)
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def lasting(self, epochs: int) -> Recipe:
        """The recipe in so many epochs: what it counts in epochs, warm-up and steps of the rate, goes along.

        Args:
            epochs: At least 1.

        Raises:
            UsageError: It is not.
        """
        return self.but(**in_epochs(asdict(self), epochs))


SETTINGS = settings_of(Recipe)
COUNTED_IN_EPOCHS = ("warmup_epochs", "milestones", "decay_every")


def in_epochs(values: Mapping[str, Any], epochs: int) -> dict[str, Any]:
    """What changes among the values of a recipe's fields if it is to take so many epochs."""
    factor = SETTINGS["epochs"].checked(epochs) / values["epochs"]

    def stretched(value: Any) -> Any:
        return tuple(map(stretched, value)) if isinstance(value, tuple) else float(f"{value * factor:.6g}")

    return {"epochs": epochs, **{name: stretched(values[name]) for name in COUNTED_IN_EPOCHS}}
