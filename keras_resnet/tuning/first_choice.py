"""What a source of images is trained by where nobody says it: from a look at them, and the weights that are at hand."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from keras_resnet.data.duplicates import near_groups
from keras_resnet.data.loading import divided, list_source
from keras_resnet.data.remarks import IMBALANCED, imbalance
from keras_resnet.data.sources.listing import Listing
from keras_resnet.data.sources.source import Source
from keras_resnet.inspection.looks import inspect_images
from keras_resnet.likeness import closest_others
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
ENLARGED = 160
"""Pictures with a shorter side than this are enlarged to it, whole, for trained weights: 224 takes twice as long and
is no better (docs/log.md)."""
COMPARED = 500
"""Images whose pixels are compared."""
LEAST_COMPARED = 200
"""Fewer training images are not: from scratch, so few teach a network too little."""
LARGEST_COMPARED = 256
"""Nor are pictures with a longer shorter side: a small network from scratch would see too little of them."""
GRAINS = 16
"""The side to which pictures are reduced for it."""
TOLD_BY_PIXELS = 0.5
"""Where the picture with the most similar pixels tells so much of what is beyond the largest class, a small network
learns the rest from scratch in minutes. Hand signs have 0.55 to 0.68, CIFAR-10 0.14 to 0.17: docs/log.md."""
PASSES = 8_000
"""Images that a fine-tuning sees, all epochs together, if that makes neither too few epochs nor too many."""
EPOCHS = (2, 20)
PASSES_FROM_SCRATCH = 80_000
"""Likewise of a training from scratch, which learns all that it knows from these images: docs/log.md."""
EPOCHS_FROM_SCRATCH = (30, 150)
FEW = 5_000
"""Fewer images than these are few: from scratch, weights are pulled towards 0 more strongly."""
WEIGHT_DECAYS = (2e-3, 5e-4)
"""With few images, and with many: docs/log.md."""
MANY = 20_000
"""So many small pictures in colour are not enlarged: that would take hours."""
LONG = 45 * 60
"""Seconds of a training, beyond which it is said how to have a shorter one."""
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

    Small pictures get a small network from scratch, if they are grey or many, and so do pictures whose pixels alone
    tell the classes of many. Others, and photographs, are fine-tuned from weights of ImageNet if there are any to be
    had: in the folder that `KERAS_RESNET_WEIGHTS` names, fetched before, or on huggingface.co.

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
    look = _look(listing.chosen(np.sort(divided(source, listing)["train"])))
    why, found = _weights(look, said)
    recipe = _from_scratch(look) if found is None else _fine_tuned(look, found)
    uneven = _balanced(look.counts, listing.task, said)
    recipe = recipe.but(model=said.get("model") if found is None else None, sampling="balanced" if uneven else None)
    if found is None:
        done = f"{recipe.model} from scratch: {why}"
    else:
        weights = f"{found.weights} {found.place}" if is_name(found.weights) else found.weights
        only = said.get("probe") == "only"
        what = "its classifier alone" if only else "a linear probe, then all of it if that can be seen to help"
        done = f"{found.model} from the weights {weights}, {what}: {why}"
    reasons = (look.in_words, done, _length(recipe, look, said), *uneven)
    return FirstChoice(recipe, f"chosen for {look.images:,} images", reasons)


@dataclass(frozen=True)
class _Look:
    """What a look at some of the training images shows.

    Args:
        images: How many there are.
        counts: Of each class.
        size: Width and height that are usual, in pixels.
        grey: Whether most are.
        dark: Whether most have 16 bits, of which hardly any is used.
        alike: How many pictures are nearly the same as the one after them.
        pairs: Of so many that were looked at.
        told: The share beyond the largest class that the most similar pixels tell; 0: not looked at.
    """

    images: int
    counts: np.ndarray
    size: tuple[int, int]
    grey: bool
    dark: bool
    alike: int
    pairs: int
    told: float = 0.0

    @property
    def side(self) -> int:
        """The shorter side."""
        return min(self.size)

    @property
    def in_series(self) -> bool:
        """Whether many are nearly the same as their neighbours."""
        return self.alike > self.pairs * ALIKE

    @property
    def in_words(self) -> str:
        """All of it."""
        text = (
            f"{self.images} training images of {len(self.counts)} classes ({_range(self.counts.tolist())} a class), "
            f"{self.size[0]}×{self.size[1]} pixels, {'grey' if self.grey else 'colour'}"
        )
        if self.dark:
            text += "; of 16 bits, of which less than an eighth is used: nearly black as they are, see "
            text += "`keras-resnet check`"
        if self.in_series:
            text += (
                f"; of {self.pairs} pairs of neighbours {self.alike} are nearly the same picture: such belong on one "
                "side of the split, by a column `group` and --split group, see `keras-resnet check`"
            )
        return text


def _look(train: Listing) -> _Look:
    """Look at some images of a listing: evenly spread, each with the one after it."""
    images = len(train)
    firsts = np.unique(np.linspace(0, max(images - 2, 0), LOOKED_AT // 2).astype(np.int64))
    places = np.unique(np.minimum(np.concatenate([firsts, firsts + 1]), images - 1))
    few = inspect_images(train.chosen(places))
    looks = list(few.looks.values())
    sizes = [look.header.upright for look in looks] or [(0, 0)]
    height, width = (round(statistics.median(side)) for side in zip(*sizes, strict=True))
    look = _Look(
        images=images,
        counts=train.task.images_of_classes(train.labels),
        size=(width, height),
        grey=sum(look.grey for look in looks) > len(looks) / 2,
        dark=sum("dark-16-bit" in look.oddities for look in looks) > len(looks) / 2,
        alike=_alike(few.thumbnails, np.searchsorted(places, firsts)),
        pairs=len(firsts),
    )
    # Neighbours that are nearly the same tell each other, whatever they show.
    if look.in_series or train.task.several or images < LEAST_COMPARED or look.side > LARGEST_COMPARED:
        return look
    return replace(look, told=_told_by_pixels(train))


def _told_by_pixels(train: Listing) -> float:
    """How much of what is beyond the largest class is told by the picture whose pixels are most similar.

    Where all pictures show their object in the same place and size, that is much.

    Returns:
        1 if every picture is told right, and 0 if no more than the largest class has.
    """
    places = np.unique(np.linspace(0, len(train) - 1, COMPARED).astype(np.int64))
    few = train.chosen(places)
    thumbnails, labels = inspect_images(few).thumbnails.astype(np.float32), np.asarray(few.labels)
    step = thumbnails.shape[1] // GRAINS
    grains = thumbnails.reshape(len(few), GRAINS, step, GRAINS, step, 3).mean(axis=(2, 4)).reshape(len(few), -1)
    nearest = closest_others(grains - grains.mean(axis=1, keepdims=True), 1)[0][:, 0]
    largest = np.unique_counts(labels).counts.max() / len(labels)
    return float(max(0.0, np.mean(labels[nearest] == labels) - largest) / max(1 - largest, 1e-9))


def _weights(look: _Look, said: Mapping[str, Any]) -> tuple[str, AtHand | None]:
    """Why what is begun with, and the weights; None: from scratch."""
    side = said.get("image_size") or 0
    if 0 < side <= SMALL_SIDE or "pixel_mean" in said or "pixel_std" in said:
        return "as the other settings ask for", None
    if look.told >= TOLD_BY_PIXELS and not side and not {"model", "probe"} & said.keys():
        return (
            "their pixels alone tell the classes of many, as where all show one thing in one place. From scratch such "
            "are learned well and quickly; --linear-probe or --recipe finetune begins with trained weights"
        ), None
    if look.side <= SMALL_SIDE and side <= SMALL_SIDE and (look.grey or look.images >= MANY or look.side < LEAST_SIDE):
        return "small pictures have their own networks, for which nobody publishes weights", None
    return best_weights((str(said["model"]),) if "model" in said else NETWORKS)


def _from_scratch(look: _Look) -> Recipe:
    return RECIPES["folder"].but(
        epochs=int(np.clip(math.ceil(PASSES_FROM_SCRATCH / max(look.images, 1)), *EPOCHS_FROM_SCRATCH)),
        warmup_epochs=RECIPES["folder"].warmup_epochs,
        image_size=_size(look.side) if look.side <= SMALL_SIDE else None,
        weight_decay=WEIGHT_DECAYS[look.images >= FEW],
    )


def _fine_tuned(look: _Look, found: AtHand) -> Recipe:
    epochs = int(np.clip(math.ceil(PASSES / max(look.images, 1)), *EPOCHS))
    recipe = RECIPES["finetune"].but(model=found.model, weights=found.weights, epochs=epochs)
    return recipe.but(image_size=ENLARGED, crop_fraction=0.0) if look.side < ENLARGED else recipe


def _length(recipe: Recipe, look: _Look, said: Mapping[str, Any]) -> str:
    """What is computed, and how long that takes."""
    side = int(said.get("image_size") or recipe.image_size or SMALL_SIDE)
    epochs = int(said.get("epochs") or recipe.epochs)
    macs = cost(spec(recipe.model), len(look.counts), input_shape=(side, side, 3)).macs
    forward = look.images * macs / _macs_a_second()
    seconds = forward * BACKWARD * epochs
    here = "on this machine's processor"
    whole = f"about {_duration(seconds)} {here}"
    if not recipe.weights:
        text = f"{epochs} epochs at {side}×{side}, {whole}"
    elif said.get("probe") == "only":
        return f"every image once at {side}×{side}, about {_duration(forward)} {here}"
    else:
        text = f"the probe at {side}×{side} in about {_duration(forward)}, then perhaps {epochs} epochs, {whole}"
    if seconds <= LONG or "epochs" in said:
        return text
    return f"{text}. Shorter: {'--linear-probe, the probe alone; or ' if recipe.weights else ''}--budget 30min"


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
