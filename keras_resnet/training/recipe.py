"""A recipe: all settings of a training in one frozen object, checked when it is made. TensorFlow is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    DECAYED,
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
    PIXEL_DEVIATIONS,
    PIXEL_MEANS,
    PROBE,
    RANGE_LEARNING,
    SAMPLING,
    SCHEDULE,
    SEED,
    SHARE,
    STRENGTH,
    THRESHOLD,
    TTA,
    WEIGHT_DECAY,
)
from keras_resnet.errors import UsageError, listed
from keras_resnet.models.variants import spec
from keras_resnet.settings import keep_checked, refuse_unknown, setting, settings_of

if TYPE_CHECKING:
    from keras_resnet.augment.policies import Policy

PRECISIONS = ("float32", "bfloat16", "float16")

MOVED_ALONG = "`--epochs`, or `Recipe.but(epochs=…)` in Python, adapts what a recipe counts in epochs"

training = partial(setting, group="training")
images = partial(setting, group="images")
optimisation = partial(setting, group="optimisation")
regularisation = partial(setting, group="regularisation")
augmentation = partial(setting, group="augmentation")
resources = partial(setting, group="memory and speed")
edge = partial(setting, group="for the edge")
description = partial(setting, group="description")


@dataclass(frozen=True)
class Recipe:
    """All settings of a training.

    The meaning and the range of each field are given with it, and `keras-resnet recipes NAME` prints them. The defaults
    are a plain CIFAR training (He et al., 2015) with a cosine schedule (Loshchilov & Hutter, 2016). A recipe is taken
    literally: `Recipe(optimizer="adamw")` keeps the learning rate and weight decay of SGD. Files and options, which go
    through `configure`, get the usual ones of another optimizer.

    Raises:
        UsageError: A field is out of range; the message names it.
    """

    model: str = training("resnet20", "network, from `keras-resnet models`", canonical=lambda name: spec(name).name)
    data: str = description("", "source that the recipe was made for")
    weights: str = training("", "initial weights: a file, imagenet, timm/TAG or keras; none: random")
    weights_preprocessing: str = training(
        "",
        "what pixels a weights file needs: caffe, imagenet, tf, raw or a model file; none: as it says or as is known",
    )
    epochs: int = training(30, "passes over the training images", COUNT)
    batch_size: int = training(64, "images in a batch", COUNT)
    sampling: str = training("uniform", "how images are drawn; balanced: every class equally often", SAMPLING)
    class_weights: str = training(
        "none", "how much more rare classes count in the loss; effective: Cui et al., 2019", CLASS_WEIGHTS
    )
    ema: float = training(
        0.0, "decay of the moving average of weights, which is evaluated and saved; 0: none", low=0, below=1
    )
    probe: str = training(
        "none",
        "a classifier made from the initial weights' features by logistic regression; first: the training begins with "
        "it; only: nothing else is trained; auto: first, and only where it leaves too few mistakes to tell more by",
        PROBE,
    )
    head_epochs: int = training(0, "epochs before the others in which only the classifier is trained, by Adam", low=0)
    head_rate: float = training(1e-3, "learning rate in these epochs", LEARNING_RATE)
    frozen: str = training(
        "", "the last part that keeps its initial weights, with all before it: stem, stage1, stage2 …; none: all learn"
    )
    freeze_batchnorm: bool = training(
        False, "keep batch normalisation as in the initial weights (for fine-tuning, or batches under 32)"
    )
    seed: int = training(0, "of the split, initial weights, order, augmentation and dropout", SEED)

    image_size: int = images(0, "side of the images in pixels; 0: as the source has it", IMAGE_SIZE.or_zero)
    train_sizes: tuple[int, ...] = images(
        (), "sides of the training images, each for an equal part of the training; none: the image size", low=8
    )
    crop_fraction: float = images(
        0.0,
        "share of an image that is cut out of its centre, usually 0.875; 0: squeeze the whole image",
        CROP_FRACTION.or_zero,
    )
    pixel_mean: tuple[float, ...] = images(
        (),
        "what is subtracted from pixels of 0–1, for each channel or for all; none: the training images' own mean",
        PIXEL_MEANS,
    )
    pixel_std: tuple[float, ...] = images(
        (), "what they are divided by then, as many numbers; none: the training images' own", PIXEL_DEVIATIONS
    )
    tta: str = images("none", "views of a test image whose predictions are averaged", TTA)

    optimizer: str = optimisation("sgd", "update rule; sgd has PyTorch's weight decay, sgdw decoupled decay", OPTIMIZER)
    learning_rate: float = optimisation(0.1, "the highest learning rate", LEARNING_RATE)
    schedule: str = optimisation("cosine", "how the learning rate falls", SCHEDULE)
    warmup_epochs: float = optimisation(
        1.0, "epochs in which the rate rises, in one-cycle too; may be a fraction", low=0
    )
    warmup_from: float = optimisation(0.0, "share of the rate at which the warm-up begins", SHARE)
    milestones: tuple[float, ...] = optimisation((), "epochs after which multistep lowers the rate", above=0)
    decay_every: float = optimisation(30.0, "epochs after which step lowers the rate, again and again", above=0)
    decay_factor: float = optimisation(0.1, "factor by which step and multistep lower the rate", above=0, high=1)
    final_rate: float = optimisation(0.0, "share of the rate at which cosine ends", SHARE)
    momentum: float = optimisation(0.9, "of sgd, sgdw, muon and rmsprop", MOMENTUM)
    nesterov: bool = optimisation(True, "Nesterov's momentum")
    weight_decay: float = optimisation(1e-4, "how strongly weights are pulled towards 0", WEIGHT_DECAY)
    decayed: str = optimisation(
        "kernels", "what decays; all: biases and normalisations, too, as in PyTorch by default", DECAYED
    )
    layer_decay: float = optimisation(1.0, "factor on the rate from each block to the one before it", LAYER_DECAY)
    clip: str = optimisation(
        "none",
        "gradient clipping: by the norm of all gradients, by value, or adaptive (Brock et al., 2021)",
        CLIP,
    )
    clip_at: float = optimisation(
        0.0, "bound of the clipping; 0: the usual one, norm 1, value 0.5, adaptive 0.01", low=0
    )

    accumulate: int = resources(1, "parts in which a batch is computed, to save memory", COUNT)
    precision: str = resources("float32", "of the computation; with 16 bits mixed precision", choices=PRECISIONS)
    recompute: bool = resources(False, "compute each block again in the backward pass instead of keeping it in memory")
    sync_batchnorm: bool = resources(False, "normalise over the batches of all devices together")
    jit: bool = resources(False, "compile the training step by XLA")

    qat: str = edge("", "a finished run or .keras file that is trained on for integers of 8 bits")
    qat_ranges: str = edge("averaged", "how ranges of activations are found in it", RANGE_LEARNING)
    prune: str = edge("", "a finished run or .keras file that is trained on as keep and sparsity say")
    keep: float = edge(1.0, "share of its multiply-accumulates that is kept: channels are removed", above=0, high=1)
    sparsity: float = edge(0.0, "share of weights that become zero while it is trained", SHARE)
    sparsity_pattern: str = edge("", "N:M, as 2:4: of each M weights in a row N are kept; none: any")
    teacher: str = edge("", "a finished run or .keras file whose outputs are learned, too (Hinton et al., 2015)")
    temperature: float = edge(4.0, "by which outputs are softened for it", above=0)
    teacher_weight: float = edge(0.9, "of the teacher in the loss; the labels have the rest", SHARE)

    loss: str = regularisation("cross-entropy", "binary: each class by itself (Wightman et al., 2021)", LOSS)
    target_threshold: float = regularisation(
        0.0, "in the binary loss, labels above this become 1 and others 0; 0: labels stay as mixed", THRESHOLD
    )
    label_smoothing: float = regularisation(0.0, "share of each label that is spread over all classes", LABEL_SMOOTHING)
    dropout: float = regularisation(0.0, "rate before the classifier; in wide networks within the blocks", DROPOUT)
    stochastic_depth: float = regularisation(
        0.0, "chance that a sample skips the last block (Huang et al., 2016)", DROPOUT
    )

    augment: str = augmentation("crop-flip", "how images are cropped, and whether they are mirrored", AUGMENT)
    automatic: str = augmentation("none", "automatic augmentation", AUTOMATIC)
    magnitude: int = augmentation(9, "RandAugment's magnitude, 0–30", MAGNITUDE)
    jitter: float = augmentation(0.0, "strength of random changes of brightness, contrast and saturation", STRENGTH)
    hue: float = augmentation(0.0, "strength of random changes of hue, 0–0.5", HUE)
    greyscale: float = augmentation(0.0, "probability that an image loses its colours", SHARE)
    erasing: float = augmentation(0.0, "probability that noise covers a rectangle of an image", SHARE)
    cutout: float = augmentation(0.0, "side of a hidden square, as a share of the image's", SHARE)
    mixup: float = augmentation(0.0, "MixUp's alpha, usually 0.2–0.4", STRENGTH)
    cutmix: float = augmentation(0.0, "CutMix's alpha, usually 1; with mixup each batch gets one of the two", STRENGTH)
    repeats: int = augmentation(1, "how often each image appears in a batch", COUNT)
    crop_scale: float = augmentation(0.08, "least share of an image's area that resized-crop takes", CROP_SCALE)

    expected: str = description("", "accuracy to expect")
    source: str = description("", "where the recipe and this accuracy come from")

    def __post_init__(self) -> None:
        keep_checked(self, **{name: one.values for name, one in SETTINGS.items()})
        if self.weights_preprocessing and not self.weights:
            raise UsageError(
                "weights_preprocessing says what pixels the initial weights need, and there are none: give weights, "
                f"too; received {self.weights_preprocessing!r}"
            )
        self._check_start()
        if self.probe != "none" and not self.weights:
            raise UsageError(
                f"probe={self.probe} makes a classifier of what trained weights see in the images, and there are none: "
                "name them by weights (--weights)"
            )
        if len(self.pixel_mean) != len(self.pixel_std):
            raise UsageError(
                "pixel_mean and pixel_std go together, with as many numbers; received "
                f"{list(self.pixel_mean)} and {list(self.pixel_std)}"
            )
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
                f"milestones must be less than the epochs, or the rate never falls; received "
                f"{list(self.milestones)} in {self.epochs} epochs ({MOVED_ALONG})"
            )
        if self.schedule == "step" and self.decay_every >= self.epochs:
            raise UsageError(
                f"decay_every must be less than the epochs, or schedule=step never lowers the rate; received "
                f"{self.decay_every:g} in {self.epochs} epochs: set it to {self.epochs / 3:.3g}, for example, to lower "
                f"it twice ({MOVED_ALONG})"
            )
        if len(self.train_sizes) > self.head_epochs + self.epochs:
            raise UsageError(
                f"train_sizes must not be more than the epochs, since each size takes a part of them; received "
                f"{list(self.train_sizes)} in {self.head_epochs + self.epochs} epochs"
            )

    @property
    def start(self) -> str:
        """The trained network that is trained on; empty: one from its initial weights."""
        return self.qat or self.prune

    def _check_start(self) -> None:
        if self.qat and self.prune:
            raise UsageError(
                "qat and prune both name the network that is trained on: prune it first, and give the pruned run to qat"
            )
        if self.prune and self.keep == 1 and not self.sparsity and not self.sparsity_pattern:
            raise UsageError("prune needs to be told how: give keep, as 0.5, or sparsity, as 0.8 (--keep, --sparsity)")
        if self.keep < 1 and not self.prune:
            raise UsageError("keep removes channels of a trained network: name it by prune (--prune RUN)")
        if self.sparsity and self.sparsity_pattern:
            raise UsageError("sparsity_pattern says how many weights become zero: leave out sparsity")
        others = {
            "weights": self.weights,
            "train_sizes": self.train_sizes,
            "recompute": self.recompute,
            "frozen": self.frozen,
            "head_epochs": self.head_epochs,
            "precision": self.precision != "float32",
        }
        wrong = [name for name, value in others.items() if value]
        if self.start and wrong:
            raise UsageError(
                f"{'qat' if self.qat else 'prune'} trains the whole network of {self.start} on, in float32: leave out "
                f"{listed(wrong)}"
            )

    @property
    def policy(self) -> Policy:
        """The augmentation of training images."""
        from keras_resnet.augment.policies import policy

        names = [name for name, one in SETTINGS.items() if one.group == "augmentation" and name != "augment"]
        return policy(self.augment, **{name: getattr(self, name) for name in names})

    @property
    def settings(self) -> dict[str, Any]:
        """All fields that affect a training, as JSON has them; `Recipe(**settings)` trains the same."""
        acting = {name: getattr(self, name) for name, one in SETTINGS.items() if one.group != "description"}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in acting.items()}

    def but(self, **changes: Any) -> Recipe:
        """A recipe with some fields changed; a field that is None keeps its value.

        Other `epochs` stretch what the recipe counts in epochs (warm-up, milestones, steps), as `--epochs` does. Of
        these, fields that are changed, too, are taken as they are given.

        Raises:
            UsageError: There is no such field (the message gives the nearest one), or a value is out of range.

        Example:
            >>> import keras_resnet
            >>> shorter = keras_resnet.recipe("cifar10-resnet20").but(epochs=20)
            >>> shorter.epochs, shorter.milestones
            (20, (10.0, 15.0))
            >>> keras_resnet.recipe("cifar10-resnet20").but(epochs=20, milestones=[5, 19]).milestones
            (5.0, 19.0)
        """
        for name in changes:
            refuse_unknown(name, SETTINGS)
        given = {name: value for name, value in changes.items() if value is not None}
        return replace(self, **(stretched(vars(self), given) | given))

    def without_weights(self) -> Recipe:
        """The same recipe from random initial weights."""
        return replace(self, weights="", weights_preprocessing="", probe="none")

    def lasting(self, epochs: int) -> Recipe:
        """The recipe with another number of epochs; what it counts in epochs is stretched. The same as `but(epochs=…)`.

        Args:
            epochs: At least 1.

        Raises:
            UsageError: `epochs` is less than 1.
        """
        return self.but(epochs=epochs)


SETTINGS = settings_of(Recipe)
COUNTED_IN_EPOCHS = ("warmup_epochs", "milestones", "decay_every")
"""Settings that other epochs stretch. The epochs of the head come before the others, and are as many for any number."""


def stretched(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """What else changes in a recipe's fields where its number of epochs does.

    Args:
        values: Of all fields, by name.
        changes: Of some of them. If `epochs` is among them, what is counted in epochs keeps its share of the training.

    Returns:
        Values by name, of fields that change with the epochs; none that `changes` has itself.

    Raises:
        UsageError: The new number of epochs is less than 1.
    """
    epochs = SETTINGS["epochs"].checked(changes.get("epochs", values["epochs"]))
    if epochs == values["epochs"]:
        return {}

    def scaled(value: Any) -> Any:
        return tuple(map(scaled, value)) if isinstance(value, tuple) else float(f"{value * epochs / before:.6g}")

    before, free = values["epochs"], [name for name in COUNTED_IN_EPOCHS if name not in changes]
    found = {name: scaled(values[name]) for name in free}
    return {name: value for name, value in found.items() if value != values[name]}
