"""A picture of the images that a network is really trained on, since people find errors in a pipeline by looking."""

from __future__ import annotations

import math
import os
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet.augment.policies import Policy
from keras_resnet.data.batches import data_errors, training_batches
from keras_resnet.data.images import ImageData
from keras_resnet.errors import DataError, UsageError
from keras_resnet.pictures import cut, new_figure, save
from keras_resnet.tasks.task import Task
from keras_resnet.visible import visible

MOST_IMAGES = 256
MOST_LINES = 4
"""Of the title."""
INK = "#1c1c1c"
"""The colour of texts, as on the pages."""


@dataclass(frozen=True)
class Batch:
    """Images as a network is trained on them.

    Args:
        images: uint8 (n, height, width, channels).
        labels: What it is taught of each, in words; the shares of a mixed one on several lines.
        title: What they are.
    """

    images: np.ndarray
    labels: tuple[str, ...]
    title: str


def training_batch(data: ImageData, policy: Policy, *, count: int = 32, seed: int = 0, epoch: int = 0) -> Batch:
    """The first training batch of an epoch, augmented and mixed as the network gets it.

    Args:
        data, policy, count, seed, epoch: As `show_batch`.

    Raises: as `show_batch`.

    Example:
        >>> from keras_resnet import load_data, policy
        >>> from keras_resnet.data.mosaic import training_batch
        >>> batch = training_batch(load_data("digits"), policy("shift"), count=4)
        >>> batch.images.shape, len(batch.labels)
        ((4, 16, 16, 1), 4)
    """
    if not 1 <= count <= MOST_IMAGES:
        raise UsageError(f"count must lie in 1–{MOST_IMAGES}; received {count}")
    if not len(data.train):
        raise DataError(f"{data.name} has no training images to show")
    whole = count // policy.repeats * policy.repeats or policy.repeats
    batches = training_batches(data.train, whole, policy, seed=seed, first_epoch=epoch, epochs=epoch + 1)
    with data_errors(data.train.images):
        images, labels = next(batches.take(1).as_numpy_iterator())
    names = tuple(label_text(label, data.task) for label in labels)
    return Batch(images, names, f"{data.name}: {len(images)} training images as the network gets them")


def show_batch(
    data: ImageData, policy: Policy, path: str | os.PathLike[str], *, count: int = 32, seed: int = 0, epoch: int = 0
) -> Path:
    """Draw a training batch as the network gets it: augmented, mixed, with its labels.

    Args:
        data: Its training images are shown.
        policy: The augmentation: from `keras_resnet.policy`, or a recipe's `policy`.
        path: The PNG file to write.
        count: The number of images, 1–256, or all training images if there are fewer.
        seed: Of the training.
        epoch: The number of the epoch, from 0, whose first batch is drawn.

    Returns:
        The path of the file.

    Raises:
        DataError: There are no training images.
        MissingExtraError: matplotlib is not installed.
        UsageError: `count` is out of range.
    """
    return draw(training_batch(data, policy, count=count, seed=seed, epoch=epoch), Path(path))


def draw(batch: Batch, path: Path) -> Path:
    """Draw a batch as a PNG file, each image with its label below.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    columns = min(8, len(batch.images))
    rows = math.ceil(len(batch.images) / columns)
    lines = max(label.count("\n") + 1 for label in batch.labels)
    title = textwrap.wrap(visible(batch.title), 13 * columns)[:MOST_LINES]
    figure = new_figure(1.5 * columns, (1.35 + 0.18 * lines) * rows + 0.25 * len(title) + 0.2)
    style = {"ha": "left", "fontsize": 13, "fontweight": "bold", "color": INK}
    figure.suptitle("\n".join(title).replace("$", r"\$"), x=0.01, **style)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.axis("off")
    for axes, image, label in zip(panels, batch.images, batch.labels, strict=False):
        axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
        below = {"ha": "center", "va": "top", "fontsize": 9, "color": INK, "linespacing": 1.1}
        axes.text(0.5, -0.04, label.replace("$", r"\$"), transform=axes.transAxes, **below)
    save(figure, path)
    return path


def label_text(target: np.ndarray, task: Task) -> str:
    """A target in words; the shares of a mixed one, the largest first, as `cat 70 % + dog 30 %`.

    Args:
        target: float32 (classes,).
        task: Whose target it is.
    """
    shares = task.shares(target)
    if len(shares) < 2:
        return cut(shares[0][0]) if shares else "–"
    return "\n+ ".join(cut(name, 12) + ("" if share > 0.995 else f" {share:.0%}") for name, share in shares)
