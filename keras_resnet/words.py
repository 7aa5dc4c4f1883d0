"""Words that settings may be, for those who must know them without importing TensorFlow."""

from __future__ import annotations

CROPS = ("none", "flip", "shift", "crop-flip", "resized-crop", "resized-crop-flip")
"""Where images are cut and whether mirrored: `keras_resnet.policy`'s `crop`, a recipe's `augment`."""

AUTOMATIC = ("none", "randaugment", "trivialaugment", "augmix", "autoaugment-cifar10", "autoaugment-imagenet")
"""Automatic augmentations."""

SAMPLINGS = ("uniform", "balanced")
"""How training images are drawn."""

OPTIMIZERS = (
    "sgd",
    "sgdw",
    "adam",
    "adamw",
    "lamb",
    "rmsprop",
    "adagrad",
    "adadelta",
    "adafactor",
    "adamax",
    "nadam",
    "lion",
    "muon",
)
"""Update rules: `keras_resnet.optimizers.by_name.optimizer`'s `kind`."""

SCHEDULES = ("constant", "step", "multistep", "cosine", "one-cycle")
"""How a learning rate falls."""

CLIPS = ("none", "norm", "value", "adaptive")
"""Gradient clippings."""

LOSSES = ("cross-entropy", "binary")
"""Losses of logits."""
