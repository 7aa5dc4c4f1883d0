"""What a source of images is trained by where nobody says it: from a look at them, and the weights that are at hand."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.data.loading import divided, list_source
from keras_resnet.data.remarks import IMBALANCED, imbalance
from keras_resnet.data.sources.source import Source
from keras_resnet.inspection.duplicates import near_groups
from keras_resnet.inspection.looks import inspect_images
from keras_resnet.models.counting import cost
from keras_resnet.models.recognition import network_of_file
from keras_resnet.models.variants import spec
from keras_resnet.tasks.task import Task
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.recipes import RECIPES
from keras_resnet.weights.at_hand import FOLDER, AtHand, at_hand
from keras_resnet.weights.pretrained import answers, is_name, list_weights, pretrained

NETWORKS = ("resnet50", "resnet50v1", "resnet50d", "resnet101", "resnet101v1", "resnet34", "resnet50v2", "resnet18",
            "resnet34d", "resnet18d", "resnet152", "resnet152v1", "resnet26", "resnet26d")  # fmt: skip
"""For photographs, the preferred one first. Deeper ones take longer than they are better by."""
LOOKED_AT = 48
"""Images whose size and colour are looked at."""
ALIKE = 0.25
"""A larger share of neighbours that are nearly the same picture is mentioned."""
SMALL_SIDE = 64
"""Pictures whose shorter side is at most this have their own networks, unless they are few and in colour: those are
enlarged for a network that has seen a million others."""
LEAST_SIDE = 24
"""Smaller ones are not."""
SIZES = (16, 32, 48, 64)
PASSES = 8_000
"""Images that a fine-tuning sees, all epochs together, if that makes neither too few epochs nor too many."""
EPOCHS = (5, 20)
PASSES_FROM_SCRATCH = 120_000
"""Likewise of a training from scratch, which learns all that it knows from these images: docs/log.md."""
EPOCHS_FROM_SCRATCH = (30, 150)
FEW = 5_000
"""Fewer images than these are few: from scratch, weights are pulled towards 0 more strongly."""
WEIGHT_DECAYS = (2e-3, 5e-4)
"""With few images, and with many: docs/log.md."""
HUB = "https://huggingface.co"
EFFICIENCY = 0.5
"""Convolutions compute at about this share of the speed of a product of matrices. Seen with ResNet-50 on two cores."""
BACKWARD = 3.0
"""A training step takes as long as so many forward passes."""


@dataclass(frozen=True)
class FirstChoice:
    """What was chosen.

    Args:
        recipe: To train by.
        origin: Of its settings, as `--print-config` shows it.
        reasons: What was seen, what is done, and how long it will take: a line each, and one more of uneven classes.
    """

    recipe: Recipe
    origin: str
    reasons: tuple[str, ...]


def first_choice(source: Source | str, said: Mapping[str, Any] | None = None) -> FirstChoice:
    r"""Choose by a look at the images, as `keras-resnet train` does.

    Small pictures get a small network from scratch, if they are grey or many. Others, and photographs, are fine-tuned
    from weights of ImageNet if there are any to be had: in the folder that `KERAS_RESNET_WEIGHTS` names, fetched
    before, or on huggingface.co.

    Args:
        source: Where they come from.
        said: Settings that are not to be chosen, by name; None: all are.

    Raises:
        DataError: The source is missing, empty, or cannot be divided.
        UsageError: `KERAS_RESNET_WEIGHTS` names no folder.

    Example:
        >>> import keras_resnet
        >>> chosen = keras_resnet.first_choice("folder:photos")  # doctest: +SKIP
        >>> print(*chosen.reasons, sep="\n")  # doctest: +SKIP
        >>> run = keras_resnet.fit(chosen.recipe, "folder:photos")  # doctest: +SKIP
    """
    source, said = Source(source) if isinstance(source, str) else source, said or {}
    listing = list_source(source, fewest_classes=2)
    parts = divided(source, listing)
    images = len(parts["train"])
    pairs = np.unique(np.linspace(0, max(images - 2, 0), LOOKED_AT // 2).astype(np.int64))  # and the image after each
    places = np.unique(np.minimum(np.concatenate([pairs, pairs + 1]), images - 1))
    few = inspect_images(listing.chosen(np.sort(parts["train"])[places]))
    looks = list(few.looks.values())
    sizes = [look.header.upright for look in looks] or [(0, 0)]
    height, width = (round(statistics.median(side)) for side in zip(*sizes, strict=True))
    counts = listing.task.images_of_classes(listing.labels[parts["train"]])
    colour = "grey" if looks and sum(look.grey for look in looks) > len(looks) / 2 else "colour"
    seen = (
        f"{images} training images of {len(counts)} classes ({_range(counts.tolist())} a class), {width}×{height} "
        f"pixels, {colour}"
    )
    dark = sum("dark-16-bit" in look.oddities for look in looks)
    if dark > len(looks) / 2:
        seen += "; of 16 bits, of which less than an eighth is used: nearly black as they are, see `keras-resnet check`"
    alike = _alike(few.thumbnails, np.searchsorted(places, pairs))
    if alike > len(pairs) * ALIKE:
        seen += (
            f"; of {len(pairs)} pairs of neighbours {alike} are nearly the same picture: such belong on one side of "
            "the split, by a column `group` and --split group, see `keras-resnet check`"
        )
    side, only = said.get("image_size") or 0, said.get("probe") == "only"
    small = min(width, height) <= SMALL_SIDE and side <= SMALL_SIDE
    own_pixels = "pixel_mean" in said or "pixel_std" in said
    models = (str(said["model"]),) if "model" in said else NETWORKS
    if small and (colour == "grey" or images >= FEW or min(width, height) < LEAST_SIDE):
        why, found = "small pictures have their own networks, for which nobody publishes weights", None
    elif 0 < side <= SMALL_SIDE or own_pixels:
        why, found = "as the other settings ask for", None
    else:
        why, found = best_weights(models)
    origin = f"chosen for {images:,} images"
    if found is None:
        epochs = int(np.clip(math.ceil(PASSES_FROM_SCRATCH / max(images, 1)), *EPOCHS_FROM_SCRATCH))
        recipe = RECIPES["folder"].but(
            model=said.get("model"),
            epochs=epochs,
            warmup_epochs=RECIPES["folder"].warmup_epochs,
            image_size=_size(min(width, height)) if small else None,
            weight_decay=WEIGHT_DECAYS[images >= FEW],
        )
        done = f"{recipe.model} from scratch: {why}"
        side = side or recipe.image_size or SMALL_SIDE
    else:
        epochs = int(np.clip(math.ceil(PASSES / max(images, 1)), *EPOCHS))
        recipe = RECIPES["finetune"].but(model=found.model, weights=found.weights, epochs=epochs)
        side = side or recipe.image_size
        weights = f"{found.weights} {found.place}" if is_name(found.weights) else found.weights
        what = "its classifier alone" if only else "a linear probe, then all of it if that can be seen to help"
        done = f"{found.model} from the weights {weights}, {what}: {why}"
    uneven = _balanced(counts, listing.task, said)
    recipe = recipe.but(sampling="balanced") if uneven else recipe
    epochs = int(said.get("epochs") or recipe.epochs)
    macs = cost(spec(recipe.model), len(counts), input_shape=(side, side, 3)).macs
    forward = images * macs / _macs_a_second()
    whole = f"about {_duration(forward * BACKWARD * epochs)} on this machine's processor"
    if found is None:
        long = f"{epochs} epochs at {side}×{side}, {whole}"
    elif only:
        long = f"every image once at {side}×{side}, about {_duration(forward)} on this machine's processor"
    else:
        long = f"the probe at {side}×{side} in about {_duration(forward)}, then perhaps {epochs} epochs, {whole}"
    return FirstChoice(recipe, origin, (seen, done, long, *uneven))


def _balanced(counts: np.ndarray, task: Task, said: Mapping[str, Any]) -> tuple[str, ...]:
    """Why all classes are drawn equally often, where they are very uneven and nothing is said of it."""
    ratio = imbalance(counts)
    if task.several or ratio < IMBALANCED or not counts.all() or {"sampling", "class_weights"} & said.keys():
        return ()
    return (
        f"the largest class has {ratio:.1f} times as many images as the smallest: every class is drawn equally often "
        "(sampling: balanced) and counts the same in the probe, or rare ones would hardly be learned. The balanced "
        "accuracy is the figure that shows it",
    )


def best_weights(models: tuple[str, ...]) -> tuple[str, AtHand | None]:
    """The weights to begin with.

    Args:
        models: Networks that come into question, the preferred one first.

    Returns:
        Why; and the weights, None: there are none to be had.
    """
    why = "few images teach a network less than the million it has seen"
    for one in at_hand(models):
        if is_name(one.weights):
            return why, one
        network = network_of_file(one.weights)
        if network in models:
            return why, AtHand(network, one.weights, one.place)
    model = next((model for model in models if list_weights(model)), None)
    if model is None:
        return "nobody publishes weights for it", None
    if answers(HUB):
        return why, AtHand(model, pretrained(model).name, "from huggingface.co")
    url = pretrained(model).url
    return (
        f"no trained weights are at hand, and {HUB.removeprefix('https://')} does not answer. With few photographs "
        f"that costs much accuracy. Fetch {url}, save it as {model}.safetensors in a folder, "
        f"and name the folder by the environment variable {FOLDER}"
    ), None


def _alike(thumbnails: np.ndarray, pairs: np.ndarray) -> int:
    """How many pictures are nearly the same as the one after them.

    Args:
        thumbnails: Of all that were looked at.
        pairs: Positions of those that are asked for.
    """
    group = np.arange(len(thumbnails))
    for members in near_groups(thumbnails):
        group[members] = members[0]
    pairs = pairs[pairs + 1 < len(group)]
    return int((group[pairs] == group[pairs + 1]).sum())


def _size(side: int) -> int:
    """The least of the sizes that loses nothing of pictures of this side."""
    return next((size for size in SIZES if size >= side), SIZES[-1])


def _range(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _macs_a_second() -> float:
    """How many multiply-accumulates of convolutions this machine's processor makes in a second, roughly."""
    side = 768
    matrix = np.full((side, side), 0.5, np.float32)
    matrix @ matrix
    times = []
    for _ in range(3):
        began = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - began)
    return EFFICIENCY * side**3 / min(times)


def _duration(seconds: float) -> str:
    if seconds < 50:
        return f"{max(10, 10 * round(seconds / 10))} s"
    minutes = seconds / 60
    return f"{round(minutes)} min" if minutes < 90 else f"{minutes / 60:.1f} h"
