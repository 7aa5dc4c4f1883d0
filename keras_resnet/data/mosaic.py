"""A picture of the images that a network is really trained on, since people find errors in a pipeline by looking."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from keras_resnet.augment.policies import Policy
from keras_resnet.data.batches import data_errors, training_batches
from keras_resnet.data.images import ImageData
from keras_resnet.errors import DataError, UsageError
from keras_resnet.pictures import new_figure, save, short
from keras_resnet.tasks.task import Task

MOST_IMAGES = 256


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
    if not 1 <= count <= MOST_IMAGES:
        raise UsageError(f"count must lie in 1–{MOST_IMAGES}; received {count}")
    if not len(data.train):
        raise DataError(f"{data.name} has no training images to show")
    whole = count // policy.repeats * policy.repeats or policy.repeats
    batches = training_batches(data.train, whole, policy, seed=seed, first_epoch=epoch, epochs=epoch + 1)
    with data_errors(data.train.images):
        images, labels = next(batches.take(1).as_numpy_iterator())
    titles = [label_text(label, data.task) for label in labels]
    path = Path(path)
    _draw(images, titles, f"{data.name}: {len(images)} training images as the network gets them", path)
    return path


def label_text(target: np.ndarray, task: Task) -> str:
    """A target in words; the shares of a mixed one, the largest first, as `cat 70 % + dog 30 %`.

    Args:
        target: float32 (classes,).
        task: Whose target it is.
    """
    shares = task.shares(target)
    if len(shares) < 2:
        return short(shares[0][0]) if shares else "–"
    return "\n+ ".join(short(name, 12) + ("" if share > 0.995 else f" {share:.0%}") for name, share in shares)


def _draw(images: np.ndarray, titles: list[str], heading: str, path: Path) -> None:
    columns = min(8, len(images))
    rows = math.ceil(len(images) / columns)
    lines = max(title.count("\n") + 1 for title in titles)
    figure = new_figure(1.5 * columns, (1.5 + 0.16 * lines) * rows + 0.5)
    figure.suptitle(heading.replace("$", r"\$"), fontsize=11)
    for axes, image, title in zip(figure.subplots(rows, columns, squeeze=False).flat, images, titles, strict=False):
        axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=8)
    for axes in figure.axes:
        axes.axis("off")
    save(figure, path)
