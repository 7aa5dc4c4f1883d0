"""The values that settings may have, declared once for all who check them: recipes, sources, files, options, and the
losses, optimizers and augmentations that they go to. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import os
import re

from keras_resnet.settings import Values


def one_of(*words: str) -> Values:
    """Some words."""
    return Values(str, choices=words)


SHARE = Values(float, low=0, high=1)
"""Of a whole, or a probability."""
COUNT = Values(int, low=1)
STRENGTH = Values(float, low=0)

# Images and where they come from.

IMAGE_SIZE = COUNT
"""Side of a square in pixels."""

CHANNELS = Values(int, choices=(1, 3))
"""That image files can give."""

RESIZE = one_of("bilinear", "bicubic")

CROP_FRACTION = Values(float, above=0, high=1)
"""Share of an image along its shorter side that is cut out of its centre."""


def _colour(text: str) -> str:
    from PIL import ImageColor

    ImageColor.getrgb(text)
    return text


BACKGROUND = Values(str, canonical=_colour, noun="a colour, as white or #ffffff")
"""What transparent pixels are laid over."""

SEED = Values(int, low=0, high=2**31 - 1)

SPLIT = one_of("class", "group", "time")
"""What images are divided by into training, validation and test."""


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
"""Text, or a tuple of two numbers, which it becomes."""

PATH = Values(str, also=(os.PathLike,), canonical=os.fspath)

ON_ERROR = one_of("fail", "skip")
"""What to do if an image cannot be read."""

CACHE = one_of("auto", "memory", "disk", "none")
"""Where decoded pixels are kept."""

SAMPLING = one_of("uniform", "balanced")
"""How training images are drawn."""

CLASS_WEIGHTS = one_of("none", "balanced", "effective")
"""How much more rare classes count in the loss."""

TTA = one_of("none", "flip", "ten-crop")
"""Views of a test image whose predictions are averaged: test-time augmentation."""

# Augmentation.

AUGMENT = one_of("none", "flip", "shift", "crop-flip", "resized-crop", "resized-crop-flip")
"""Where images are cut and whether mirrored: `keras_resnet.policy`'s `crop`, a recipe's `augment`."""

AUTOMATIC = one_of("none", "randaugment", "trivialaugment", "augmix", "autoaugment-cifar10", "autoaugment-imagenet")
"""Automatic augmentations."""

MAGNITUDE = Values(int, low=0, high=30)
"""RandAugment's."""

HUE = Values(float, low=0, high=0.5)
"""Share of the colour wheel."""

CROP_SCALE = Values(float, above=0, high=1)
"""Least share of an image's area."""

# Optimization.

OPTIMIZER = one_of(
    "sgd", "sgdw", "adam", "adamw", "lamb", "rmsprop", "adagrad", "adadelta", "adafactor", "adamax", "nadam", "lion",
    "muon",
)  # fmt: skip
"""Update rules: `keras_resnet.optimizers.by_name.optimizer`'s `kind`."""

LEARNING_RATE = Values(float, above=0)
MOMENTUM = Values(float, low=0, below=1)
WEIGHT_DECAY = STRENGTH
LAYER_DECAY = Values(float, above=0, high=1)
"""Factor on the rate from each block to the one before it."""

SCHEDULE = one_of("constant", "step", "multistep", "cosine", "one-cycle")
"""How a learning rate falls."""

CLIP = one_of("none", "norm", "value", "adaptive")
"""Gradient clippings."""

# Losses and regularisation.

LOSS = one_of("cross-entropy", "binary")
"""Losses of logits."""

LABEL_SMOOTHING = Values(float, low=0, below=1)
THRESHOLD = Values(float, low=0, below=1)
"""Above which a label is 1 in the binary loss."""

DROPOUT = Values(float, low=0, below=1)
"""Of values, or of whole blocks: the rate."""

# A training's length.

_UNITS = {"s": 1, "min": 60, "h": 3600}


def seconds(text: str) -> float:
    """A length of time in seconds: `90s`, `10min`, `2h`, `1h30min`.

    Raises:
        ValueError: It is not written so, or nothing.
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
"""A time that a training may take, as `seconds` reads it."""
