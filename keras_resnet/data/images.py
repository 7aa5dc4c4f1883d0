"""Labelled images in three splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from keras_resnet.allowed import CLASS_WEIGHTS, COUNT, LABELS, SAMPLING, SEED
from keras_resnet.data.stores import EncodedImages, ImageStore
from keras_resnet.errors import DataError, UsageError, listed
from keras_resnet.preprocessing import Fit
from keras_resnet.settings import check_arguments
from keras_resnet.tasks.task import Task

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_resnet.augment.policies import Policy

OnRead = Callable[[int, int], None]
"""Called with how many of how many images have been read."""


class DataSource(Protocol):
    """Where a data set came from, as far as a run must know it."""

    @property
    def settings(self) -> dict[str, Any]: ...

    @property
    def short_name(self) -> str: ...


@dataclass(frozen=True)
class Split:
    """Some of the images, with their labels.

    Args:
        images: Where the pixels are; shared by the splits.
        indices: int64 (n,), which of `images` belong to this split.
        labels: What they show, n labels as the task has them.
        task: What is asked of them.
    """

    images: ImageStore
    indices: np.ndarray
    labels: np.ndarray
    task: Task

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, positions: np.ndarray | slice) -> np.ndarray:
        """The images at these positions of the split, uint8 (n, height, width, channels)."""
        return self.images.read(self.indices[positions])

    def read_boxes(self, positions: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Parts of the images at these positions: see `EncodedImages.read_boxes`."""
        assert isinstance(self.images, EncodedImages)
        return self.images.read_boxes(self.indices[positions], boxes)

    @check_arguments(batch_size=COUNT, seed=SEED.or_none, labels=LABELS, sampling=SAMPLING, class_weights=CLASS_WEIGHTS)
    def batches(
        self,
        batch_size: int,
        *,
        augment: str | Policy | None = None,
        seed: int | None = None,
        labels: str = "one-hot",
        sampling: str = "uniform",
        class_weights: str = "none",
        **settings: Any,
    ) -> tf.data.Dataset:
        """The images and labels as a `tf.data.Dataset` for `model.fit`, `model.evaluate` and `model.predict`.

        With a seed it is for training: every iterator gives the next epoch, in another order and with other
        augmentation, both functions of (seed, epoch, image), and all batches are full. Without, it is for validation:
        all images in order, the last batch perhaps smaller.

        Args:
            batch_size: Images in a batch, at least 1.
            augment: A crop as `keras_resnet.policy` names it (`crop-flip`, `resized-crop-flip` …), or a `Policy`; None:
                images are as they are, but for what `settings` say.
            seed: 0 … 2^31 - 1; None: in order, without augmentation.
            labels: `one-hot`: float32 (batch, classes), for `categorical_crossentropy`; `int`: int64 (batch,), for
                `sparse_categorical_crossentropy`, where an image has one class and images are not mixed.
            sampling: `uniform`: every image once an epoch; `balanced`: every class as often. With a seed.
            class_weights: `none`; `balanced` or `effective`: with a seed, a third entry has the images' weights.
            **settings: As `keras_resnet.policy`: `automatic`, `mixup`, `cutmix`, `erasing`, `jitter` and so on.

        Returns:
            (images, labels): uint8 (batch, height, width, channels), and labels. Its `len` is the steps of an epoch.

        Raises:
            UsageError: A setting is out of range, something needs a seed, or labels cannot be numbers.

        Example:
            >>> import keras_resnet
            >>> digits = keras_resnet.load_data("digits")
            >>> train = digits.train.batches(64, augment="shift", mixup=0.2, seed=0)
            >>> images, labels = next(iter(train))
            >>> len(train), images.shape, labels.shape
            (19, TensorShape([64, 16, 16, 1]), TensorShape([64, 10]))
        """
        from keras_resnet.augment.policies import Policy, policy_of
        from keras_resnet.data.balance import loss_weights
        from keras_resnet.data.batches import batches_in_order, repeated_batches, with_class_numbers

        chosen = policy_of(augment, settings)
        numbers = labels == "int"
        if numbers and (self.labels.ndim != 1 or chosen.mixing):
            raise UsageError("labels='int' is for images that have one class each and are not mixed; use 'one-hot'")
        if seed is None:
            if chosen != Policy() or sampling != "uniform" or class_weights != "none":
                raise UsageError(
                    "augmentation, sampling and class weights are for training, whose randomness needs a seed: give "
                    "seed="
                )
            dataset = batches_in_order(self, batch_size)
        else:
            dataset = repeated_batches(
                self, batch_size, chosen, seed=seed, sampling=sampling, class_weights=loss_weights(class_weights, self)
            )
        dataset = with_class_numbers(dataset) if numbers else dataset
        dataset.class_names = list(self.task.class_names)  # as Keras says them: see `class_names_of`
        return dataset


@dataclass(frozen=True)
class Skipped:
    """An image that could not be read and was left out, as was asked for.

    Args:
        name: Its own.
        code: A key of `keras_resnet.images.image_file.REASONS`.
        detail: In words.
    """

    name: str
    code: str
    detail: str


@dataclass(frozen=True)
class ImageData:
    """A labelled data set in its three splits.

    Args:
        name: What it is called in messages and in a run's name.
        task: What is asked of the images, with the names of the classes.
        splits: `train`, `validation` and `test`. A training needs the first two.
        fingerprint: SHA-256 over every image's name, content, label and split.
        names: One name for each image of the store: a relative path, or a split and a number.
        notes: What a user should know of how the data was read.
        source: From where it can be read again; None for arrays.
        skipped: Images left out because they cannot be read.
        unused: The names of images that the source has and no split.
        content: SHA-256 like `fingerprint`, but over names, contents and labels only: a saved split is
            checked by it.
        groups: int64, a number for each image of the store: images of one group, as one person's, are not independent
            of each other. None: the source names no groups.
    """

    name: str
    task: Task
    splits: Mapping[str, Split]
    fingerprint: str
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    source: DataSource | None = None
    skipped: tuple[Skipped, ...] = ()
    unused: tuple[str, ...] = ()
    content: str = ""
    groups: np.ndarray | None = None

    def __post_init__(self) -> None:
        own = {name: replace(split) for name, split in self.splits.items()}  # others may be of the same images
        object.__setattr__(self, "splits", own)
        for split in own.values():
            object.__setattr__(split, "whole", self)  # so that who is given a split can say of which data it is

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the labels."""
        return self.task.class_names

    @property
    def held_together(self) -> np.ndarray | None:
        """The groups whose images are held out together, where some are: not of a source divided otherwise."""
        plan = getattr(self.source, "plan", None)
        return self.groups if plan is None or plan.method == "group" else None

    @property
    def fit(self) -> Fit | None:
        """How image files became pixels; None for arrays."""
        return getattr(self.train.images, "fit", None)

    @property
    def train(self) -> Split:
        """The images to train on, and to calibrate INT8 networks with."""
        return self.splits["train"]

    @property
    def validation(self) -> Split:
        """The images that choose the best epoch."""
        return self.splits["validation"]

    @property
    def test(self) -> Split:
        """The images that are looked at once, at the end."""
        return self.splits["test"]

    @property
    def reported(self) -> str:
        """The split that figures are of where none is asked for: `test`, or `validation` where there are no others."""
        return "test" if len(self.test) else "validation"

    def relabelled(self, task: Task) -> ImageData:
        """The same images with labels counted in the order of a model's classes.

        Args:
            task: The model's.

        Raises:
            DataError: The model does another task, or does not know a class of these images.
        """
        if task == self.task:
            return self
        if task.name != self.task.name:
            raise DataError(
                f"the labels of {self.name} are for {self.task.name}, the model does {task.name}: give data of its kind"
            )
        unknown = [name for name in self.class_names if name not in task.class_names]
        if unknown:
            raise DataError(
                f"the labels of {self.name} do not fit the model: it knows {task.outputs} classes "
                f"({listed(task.class_names)}), and {listed(unknown)} is not among them"
            )
        moved = {
            name: replace(split, labels=self.task.renumbered(split.labels, task.class_names), task=task)
            for name, split in self.splits.items()
        }
        return replace(self, task=task, splits=moved)
