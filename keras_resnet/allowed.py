"""The values that settings may have, declared once for everything that checks them.

Recipes, sources, files and options check settings, and so do the losses, optimizers and augmentations that receive
them. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace

from keras_resnet.settings import Values


def one_of(*words: str) -> Values:
    """These words and no others."""
    return Values(str, choices=words)


SHARE = Values(float, low=0, high=1)
"""A share of something, or a probability."""

COUNT = Values(int, low=1)
STRENGTH = Values(float, low=0)

# Images and where they come from.

IMAGE_SIZE = Values(int, low=1, high=16_384)
"""The side of square images in pixels. The most is there so that no file can ask for gigabytes."""

CHANNELS = Values(int, choices=(1, 3))
"""The channels that image files can give."""

PIXEL_MEANS = Values(
    float, low=0, high=1, many=True, noun="a list of numbers from black, 0, to white, 1: one, or one for each channel"
)
PIXEL_DEVIATIONS = replace(PIXEL_MEANS, low=None, above=0, noun=f"{PIXEL_MEANS.noun}, all greater than 0")
"""Mean and standard deviation of pixels, as torchvision's `Normalize` has them."""

RESIZE = one_of("bilinear", "bicubic")

CROP_FRACTION = Values(float, above=0, high=1)
"""The share of an image's shorter side that is cut out of its centre."""


def _colour(text: str) -> str:
    from PIL import ImageColor

    ImageColor.getrgb(text)
    return text


BACKGROUND = Values(str, canonical=_colour, noun="a colour, as white or #ffffff")
"""The colour that transparent pixels are laid over."""

SEED = Values(int, low=0, high=2**31 - 1)

SPLIT = one_of("class", "group", "time")
"""How images are divided into training, validation and test images."""


def _fold(value: str | tuple[int, ...] | list[int]) -> tuple[int, int]:
    number, count = (int(part) for part in (value.split("/") if isinstance(value, str) else value))
    if not 1 <= number <= count or count < 2:
        raise ValueError
    return number, count


FOLD = Values(
    str,
    also=(tuple, list),
    canonical=_fold,
    noun="one of two or more folds, counted from 1, as 2/5 for the second of five",
)
"""`"2/5"` or `(2, 5)`; kept as the latter."""

PATH = Values(str, also=(os.PathLike,), canonical=os.fspath)

GROUP_BY = Values(str, noun="a column of the table, or series, camera or folder")
"""What images of one group have in common."""

ON_ERROR = one_of("fail", "skip")
"""What to do if an image cannot be read."""

CACHE = one_of("auto", "memory", "disk", "none")
"""Where decoded pixels are kept."""

SAMPLING = one_of("uniform", "balanced")
"""How training images are drawn."""

CLASS_WEIGHTS = one_of("none", "balanced", "effective")
"""How much more the images of rare classes count in the loss."""

LABELS = one_of("one-hot", "int")
"""How batches give labels."""

PROBE = one_of("none", "auto", "first", "only")
"""Whether a training has a linear probe: not, to begin with, or nothing else."""

ATTRIBUTION = one_of("grad-cam", "grad-cam++", "ablation-cam", "integrated-gradients", "occlusion", "rise")
"""How an answer is explained: see `keras_resnet.attribution.methods`."""

TTA = one_of("none", "flip", "ten-crop")
"""Test-time augmentation: the views of a test image whose predictions are averaged."""

# Augmentation.

AUGMENT = one_of("none", "flip", "shift", "crop-flip", "resized-crop", "resized-crop-flip")
"""Where images are cut and whether mirrored: `keras_resnet.policy`'s `crop`, a recipe's `augment`."""

AUTOMATIC = one_of("none", "randaugment", "trivialaugment", "augmix", "autoaugment-cifar10", "autoaugment-imagenet")
"""Automatic augmentations."""

MAGNITUDE = Values(int, low=0, high=30)
"""RandAugment's magnitude."""

HUE = Values(float, low=0, high=0.5)
"""The share of the colour wheel by which hues are turned at most."""

CROP_SCALE = Values(float, above=0, high=1)
"""The least share of an image's area that a random crop takes."""

# Optimisation.

OPTIMIZER = one_of(
    "sgd", "sgdw", "adam", "adamw", "lamb", "rmsprop", "adagrad", "adadelta", "adafactor", "adamax", "nadam", "lion",
    "muon",
)  # fmt: skip
"""Update rules: `keras_resnet.optimizers.by_name.optimizer`'s `kind`."""

LEARNING_RATE = Values(float, above=0)

RANGE_LEARNING = one_of("averaged", "learned", "fixed")
"""How the ranges of activations are found while a network is trained for integers."""

MOMENTUM = Values(float, low=0, below=1)
WEIGHT_DECAY = STRENGTH
LAYER_DECAY = Values(float, above=0, high=1)
"""The factor on the learning rate from each block to the one before it."""

SCHEDULE = one_of("constant", "step", "multistep", "cosine", "one-cycle")
"""How the learning rate falls."""

DECAYED = one_of("kernels", "all")
"""What weight decay acts on: kernels alone, or biases and normalisations, too."""

CLIP = one_of("none", "norm", "value", "adaptive")
"""How gradients are clipped."""

# Losses and regularisation.

LOSS = one_of("cross-entropy", "binary")
"""Losses of logits."""

LABEL_SMOOTHING = Values(float, low=0, below=1)
THRESHOLD = Values(float, low=0, below=1)
"""In the binary loss: above it a label is 1, otherwise 0."""

DROPOUT = Values(float, low=0, below=1)
"""The share of values, or the chance of a block, that is dropped."""

# A training's length.

_UNITS = {"s": 1, "min": 60, "h": 3600}


def seconds(text: str) -> float:
    """A length of time in seconds: `90s`, `10min`, `2h`, `1h30min`.

    Raises:
        ValueError: It is written otherwise, or is 0.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(s|min|h)", text)
    found = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text.replace(" ", "") or not 0 < found < float("inf"):
        raise ValueError
    return found


def _length(text: str) -> str:
    seconds(text)
    return text


BUDGET = Values(str, canonical=_length, noun="a time such as 90s, 10min, 2h or 1h30min")
"""The time that a training may take; `seconds` reads it."""
