"""The augmentation of a batch of training images: steps one after the other, then a mixing of images and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import tensorflow as tf

from keras_resnet.allowed import AUGMENT, AUTOMATIC, COUNT, CROP_SCALE, HUE, MAGNITUDE, SHARE, STRENGTH
from keras_resnet.augment.automatic import AugMix, AutoAugment, RandAugment, TrivialAugment
from keras_resnet.augment.colour import ColourJitter, Greyscale
from keras_resnet.augment.crop import ResizedCrop, flip, pad_crop
from keras_resnet.augment.erase import Cutout, RandomErasing
from keras_resnet.augment.keras_layers import LayerStep
from keras_resnet.augment.mixing import Batch, Mixing
from keras_resnet.augment.randomness import SampleRandom
from keras_resnet.errors import UsageError, listed
from keras_resnet.settings import check_arguments, keep_checked

Step = Callable[[tf.Tensor, SampleRandom], tf.Tensor]
"""(images, randomness) → images of the same shape and dtype."""


@dataclass(frozen=True)
class Policy:
    """An augmentation of training images.

    Args:
        steps: Applied one after the other to a batch of images, uint8 (batch, height, width, channels). A Keras or
            KerasCV preprocessing layer may be a step: see `LayerStep`.
        crop: The random crop of each image before the steps. Of a JPEG file only that part is decoded.
        mixing: The mixing of images and labels after the steps.
        repeats: How often each image appears in a batch, each time augmented anew. The batch then holds so many times
            fewer different images (Hoffer et al., 2019; Berman et al., 2019).

    Raises:
        UsageError: `repeats` is less than 1, or a layer does not fit.
    """

    steps: tuple[Step | keras.Layer, ...] = ()
    crop: ResizedCrop | None = None
    mixing: Mixing = Mixing()  # noqa: RUF009 – frozen
    repeats: int = 1

    def __post_init__(self) -> None:
        keep_checked(self, repeats=COUNT)
        steps = (LayerStep(one, place) if isinstance(one, keras.Layer) else one for place, one in enumerate(self.steps))
        object.__setattr__(self, "steps", tuple(steps))

    def then(self, layers: Sequence[keras.Layer]) -> Policy:
        """The same policy with layers after its steps.

        Args:
            layers: Keras or KerasCV preprocessing layers.

        Raises:
            UsageError: One of them is not a layer, or does not fit.
        """
        for layer in layers:
            if not isinstance(layer, keras.Layer):
                raise UsageError(f"layers must be Keras layers; received {layer!r}")
        return replace(self, steps=(*self.steps, *layers))

    def check(self, shape: tuple[int | None, ...]) -> None:
        """Refuse layers that cannot augment images of a shape; within tf.data the error would be hard to read.

        Args:
            shape: (batch, height, width, channels) of the images.

        Raises:
            UsageError: A layer fails on such images, changes their shape, or has a state besides its seed.
        """
        for step in self.steps:
            if isinstance(step, LayerStep):
                step.traced(shape)

    def __call__(self, images: tf.Tensor, labels: tf.Tensor, random: SampleRandom) -> Batch:
        """Augment a batch whose images have been cropped.

        Args:
            images: uint8 (batch, height, width, channels).
            labels: float32 (batch, classes).
            random: The randomness of the batch.

        Returns:
            Images and labels of the same shapes and dtypes.
        """
        for step in self.steps:
            images = step(images, random)
        return self.mixing(images, labels, random)


def policy_of(augment: str | Policy | None, settings: Mapping[str, Any]) -> Policy:
    """The policy that is given, or that a crop and settings describe.

    Args:
        augment: A `Policy`; or a crop as `policy` names it, None: none.
        settings: As `policy`; None: a setting's default.

    Raises:
        UsageError: Settings come beside a policy; or as `policy`.
    """
    if not isinstance(augment, Policy):
        return policy(augment or "none", **{name: value for name, value in settings.items() if value is not None})
    if settings:
        raise UsageError(f"augment is a Policy, which has its settings already; received {listed(settings)} too")
    return augment


def shift(images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
    """Shift by up to an eighth of the side: for digits, letters and signs, which must not be mirrored."""
    return pad_crop(images, random, margin=_margin(images), flip=False)


def crop_flip(images: tf.Tensor, random: SampleRandom) -> tf.Tensor:
    """Shift by up to an eighth of the side (4 of 32 pixels) and mirror half: the CIFAR augmentation."""
    return pad_crop(images, random, margin=_margin(images), flip=True)


def _margin(images: tf.Tensor) -> int:
    return int(min(images.shape[1:3])) // 8


@check_arguments(
    crop=AUGMENT,
    automatic=AUTOMATIC,
    magnitude=MAGNITUDE,
    jitter=STRENGTH,
    hue=HUE,
    greyscale=SHARE,
    erasing=SHARE,
    cutout=SHARE,
    mixup=STRENGTH,
    cutmix=STRENGTH,
    repeats=COUNT,
    crop_scale=CROP_SCALE,
)
def policy(
    crop: str = "crop-flip",
    *,
    automatic: str = "none",
    magnitude: int = 9,
    jitter: float = 0.0,
    hue: float = 0.0,
    greyscale: float = 0.0,
    erasing: float = 0.0,
    cutout: float = 0.0,
    mixup: float = 0.0,
    cutmix: float = 0.0,
    repeats: int = 1,
    crop_scale: float = 0.08,
    layers: Sequence[keras.Layer] = (),
) -> Policy:
    """A policy of the usual steps in their usual order, described by names and numbers as in a recipe.

    Args:
        crop: `none`; `flip`: half of the images are mirrored; `shift`: images are shifted by up to an eighth of the
            side; `crop-flip`: both, as for CIFAR; `resized-crop`: a part of random size and shape;
            `resized-crop-flip`: such a part, and half are mirrored, as for ImageNet.
        automatic: `none`, `randaugment`, `trivialaugment`, `augmix`, `autoaugment-cifar10` or
            `autoaugment-imagenet`.
        magnitude: RandAugment's magnitude, 0–30.
        jitter: Strength of random changes of brightness, contrast and saturation; 0: none.
        hue: Strength of random changes of hue, 0–0.5.
        greyscale: Probability that an image loses its colours.
        erasing: Probability that noise covers a rectangle of an image.
        cutout: Side of a hidden square as a share of the image's; 0: none.
        mixup, cutmix: See `Mixing`.
        repeats: See `Policy`.
        crop_scale: The least share of an image's area that `resized-crop` takes, in (0, 1].
        layers: Keras or KerasCV preprocessing layers, applied after everything but the mixing: see `LayerStep`.

    Raises:
        UsageError: A name is unknown, a number out of range or a layer does not fit; the message names it.
    """
    steps: dict[str, tuple[Step, ...]] = {
        "flip": (flip,),
        "shift": (shift,),
        "crop-flip": (crop_flip,),
        "resized-crop-flip": (flip,),
    }
    chosen: dict[str, Step] = {
        "randaugment": RandAugment(magnitude=magnitude),
        "trivialaugment": TrivialAugment(),
        "augmix": AugMix(),
        "autoaugment-cifar10": AutoAugment("cifar10"),
        "autoaugment-imagenet": AutoAugment("imagenet"),
    }
    return Policy(
        steps=(
            *steps.get(crop, ()),
            *((chosen[automatic],) if automatic != "none" else ()),
            *((ColourJitter(jitter, jitter, jitter, hue),) if jitter or hue else ()),
            *((Greyscale(greyscale),) if greyscale else ()),
            *((RandomErasing(erasing),) if erasing else ()),
            *((Cutout(cutout),) if cutout else ()),
        ),
        crop=ResizedCrop((crop_scale, 1.0)) if crop.startswith("resized-crop") else None,
        mixing=Mixing(mixup, cutmix),
        repeats=repeats,
    ).then(layers)
