"""The options that say how training images are changed, for every command that trains or shows it."""

from __future__ import annotations

import argparse

AUGMENTATION: dict[str, tuple[type, str]] = {
    "augment": (str, "none, flip, shift, crop-flip, resized-crop or resized-crop-flip"),
    "automatic": (str, "none, randaugment, trivialaugment, augmix, autoaugment-cifar10 or autoaugment-imagenet"),
    "magnitude": (int, "RandAugment's, 0–30"),
    "jitter": (float, "strength of the change of brightness, contrast and saturation"),
    "hue": (float, "strength of the change of hue, 0–0.5"),
    "greyscale": (float, "probability of losing all colours"),
    "erasing": (float, "probability of losing a rectangle to noise"),
    "cutout": (float, "side of the hidden square, as a share of the image's"),
    "mixup": (float, "MixUp's alpha, 0.2–0.4 is usual"),
    "cutmix": (float, "CutMix's alpha, 1 is usual; with --mixup each batch gets one of the two"),
    "repeats": (int, "showings of each drawn image in a batch"),
    "crop-scale": (float, "least share of an image's area that resized-crop takes"),
}


def add_options_of(command: argparse.ArgumentParser, title: str, options: dict[str, tuple[type, str]]) -> None:
    """Options that a recipe has fields of the same names for; one left out keeps the recipe's value."""
    group = command.add_argument_group(title)
    for name, (kind, text) in options.items():
        group.add_argument(f"--{name}", type=kind, help=text)


def changes_of(options: argparse.Namespace, *tables: dict[str, tuple[type, str]]) -> dict[str, object]:
    """What was said of the fields of a recipe."""
    names = [name.replace("-", "_") for table in tables for name in table]
    return {name: getattr(options, name) for name in names}
