"""From a split to batches, as tf.data.

The order is a permutation by (seed, epoch), and the augmentation a function of (seed, epoch,
sample), so that the batches from any one on are the same whether or not the earlier ones were
ever read, and however many workers read them. Nothing has a state that a checkpoint would have to hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf

from keras_resnet.allowed import SAMPLING
from keras_resnet.augment.crop import ResizedCrop, crop_resize
from keras_resnet.augment.policies import Policy
from keras_resnet.augment.randomness import SampleRandom
from keras_resnet.compat.datasets import inputs_of, kind_of
from keras_resnet.data.balance import balanced_order, shown_classes
from keras_resnet.data.memory import as_tensor
from keras_resnet.data.python_calls import call_python
from keras_resnet.data.stores import EncodedImages, ImageStore, LabelledImages
from keras_resnet.errors import UsageError
from keras_resnet.settings import check_arguments

as_it_is = tf.autograph.experimental.do_not_convert
"""Its loops and conditions are Python's. TensorFlow would take seconds to rewrite them for tensors before it traces."""


def _untuned() -> tf.data.Options:
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


UNTUNED = _untuned()
"""Every pipeline here says how much of it runs at once, so that tf.data has nothing to tune.

Its tuning costs: a thread of its own sleeps for as long as the iterator has lived, up to a minute, and where the signal
to end comes before it sleeps, which happens on a busy machine, whoever lets the iterator go waits that long.
"""


def steps_per_epoch(split: LabelledImages, batch_size: int) -> int:
    """Full batches in an epoch; at least one."""
    return max(1, len(split) // batch_size)


@check_arguments(sampling=SAMPLING)
def training_batches(
    split: LabelledImages,
    batch_size: int,
    policy: Policy,
    *,
    seed: int,
    first_epoch: int = 0,
    first_step: int = 0,
    epochs: int = 1,
    parts: int = 1,
    worker: tuple[int, int] = (0, 1),
    sampling: str = "uniform",
    class_weights: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Shuffled, augmented batches of the epochs `first_epoch` … `epochs` - 1, one after the other.

    An epoch has full batches only: a last batch of a few images would disturb batch normalisation,
    and with another permutation every epoch no image is left out for long. A split smaller than
    `batch_size` makes one batch. A policy that shows each image several times has as many batches,
    of fewer images.

    Args:
        split: What to train on.
        batch_size: At least 1; over all workers together.
        policy: The augmentation.
        seed: 0 … 2^31 - 1.
        first_epoch, first_step: Where to begin; the batches before are not read.
        epochs: Where to end.
        parts: Give each batch as so many smaller ones (for gradient accumulation); they must be of one size.
        worker: `(0, 4)` is the first of four workers, each of which gets a quarter of every batch.
        sampling: `uniform`: every image once an epoch; `balanced`: every class as often, its images
            again and again or in turn.
        class_weights: float32 (classes,): what a class's images count in the loss; where each has one class.

    Returns:
        A dataset of (images, targets): uint8 (batch, height, width, channels), float32 (batch, classes) as the
        split's task has them; with class weights also float32 (batch,).

    Raises:
        UsageError: An argument is out of range, or the batch cannot be shared out.
    """
    pipeline = _Pipeline(split, batch_size, policy, seed, worker, sampling, class_weights)

    @as_it_is
    def positions(epoch: tf.Tensor) -> tf.data.Dataset:
        begin = tf.where(epoch == first_epoch, tf.constant(first_step, tf.int64), 0)
        return pipeline.positions(epoch, tf.range(begin, pipeline.steps))

    return (
        pipeline.batches(tf.data.Dataset.range(first_epoch, epochs).flat_map(positions), parts)
        .prefetch(4)
        .with_options(UNTUNED)
    )


class _Pipeline:
    """The batches of any epoch, by their numbers. The arguments are those of `training_batches`."""

    def __init__(
        self,
        split: LabelledImages,
        batch_size: int,
        policy: Policy,
        seed: int,
        worker: tuple[int, int] = (0, 1),
        sampling: str = "uniform",
        class_weights: np.ndarray | None = None,
    ) -> None:
        self.split, self.policy, self.seed, self.worker = split, policy, seed, worker
        self.sampling, self.class_weights = sampling, class_weights
        self.steps = steps_per_epoch(split, batch_size)
        self.distinct = _distinct(min(batch_size, len(split) * policy.repeats), policy.repeats, worker)
        self.size = self.distinct * policy.repeats // worker[1]
        if policy.mixing and worker[1] > 1 and self.size % 2:
            raise UsageError(
                f"a batch of {self.distinct * policy.repeats} gives each of {worker[1]} workers {self.size} images: "
                f"MixUp and CutMix mix pairs, so that batches must be a multiple of {2 * worker[1]}"
            )
        if sampling == "balanced":
            shown_classes(split)  # here, since tf.data would wrap the error in its own
        policy.check((self.size, *split.images.shape))

    def batches(self, positions: tf.data.Dataset, parts: int) -> tf.data.Dataset:
        """What `positions` gives as images and targets, each batch in so many parts."""
        dataset = positions.map(self.batch, num_parallel_calls=2, deterministic=True)
        if parts == 1:
            return dataset
        if self.size % parts:
            raise UsageError(f"a batch of {self.size} images cannot be computed in {parts} equal parts")
        return dataset.rebatch(self.size // parts)

    @as_it_is
    def positions(self, epoch: tf.Tensor, chosen: tf.Tensor) -> tf.data.Dataset:
        """Of an epoch, these batches, int64 (n,): their epoch, number, and positions in the split."""
        if self.sampling == "balanced":
            order = balanced_order(self.split, self.seed, epoch)
        else:
            order = permutation(len(self.split), self.seed, epoch)
        batches = tf.reshape(order[: self.steps * self.distinct], (self.steps, self.distinct))
        numbered = tf.data.Dataset.from_tensor_slices((chosen, tf.gather(batches, chosen)))
        return numbered.map(lambda step, batch: (epoch, step, batch))

    @as_it_is
    def batch(self, epoch: tf.Tensor, step: tf.Tensor, order: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The images, targets and perhaps weights of what `positions` gives."""
        split, policy, size = self.split, self.policy, self.size
        shown_again = policy.repeats > 1 or self.sampling == "balanced"
        # One showing of every image, then the next of every one, so that neighbours, which mix, differ.
        share = slice(self.worker[0] * size, (self.worker[0] + 1) * size)
        order = tf.tile(order, (policy.repeats,))[share]
        copies = step * self.distinct * policy.repeats + tf.range(share.start, share.stop, dtype=tf.int64)
        random = SampleRandom(self.seed, epoch, order, step, copies if shown_again else None)
        images = _read(split, order, size) if policy.crop is None else _cut(split, order, size, policy.crop, random)
        augmented, mixed = policy(images, split.task.targets(split.labels, order), random)
        if self.class_weights is None:
            return augmented, mixed
        return augmented, mixed, split.task.image_weights(mixed, tf.constant(self.class_weights, tf.float32))


@dataclass(frozen=True)
class Position:
    """Where training data begin, and how they are divided.

    Args:
        split: Whose images they are.
        steps: Batches of an epoch.
        batch: Images of a batch.
        parts: Elements that a batch is given in.
        variable: int64 (2,): the epoch that the next iterator gives, and its first step. It moves on by itself when an
            iterator gives its first element. None: the data begin where they were made to.
    """

    split: LabelledImages
    steps: int
    batch: int
    parts: int = 1
    variable: tf.Variable | None = None

    def set(self, epoch: int, step: int = 0) -> None:
        """Let the next iterator begin here."""
        if self.variable is not None:
            self.variable.assign([epoch, step])


_POSITIONS: WeakKeyDictionary[tf.data.Dataset, Position] = WeakKeyDictionary()


def position_of(dataset: object) -> Position | None:
    """Where a data set goes on that `repeated_batches` gave, or that was made of one by `map`, `prefetch` and so on.

    Args:
        dataset: Any object; a position is its own.

    Returns:
        None: it has none, or another begins anew in every epoch.
    """
    if isinstance(dataset, Position):
        return dataset
    if not isinstance(dataset, tf.data.Dataset):
        return None
    own = _POSITIONS.get(dataset)
    return own or next((found for one in inputs_of(dataset) if (found := position_of(one))), None)


KEEPING = ("Map", "ParallelMap", "Prefetch", "Options", "Take", "AssertCardinality")
"""What makes a data set of another whose elements are those of the other, in their order, each read when it is due."""


def displacing(dataset: tf.data.Dataset) -> str | None:
    """What was done to a data set of `repeated_batches` so that it does not begin where its position says.

    A `cache` gives the same epoch again, a `repeat` reads ahead into the next one, and a `shuffle` has an order of its
    own.

    Returns:
        TensorFlow's word for it, as `Cache`; None: nothing.
    """
    if dataset in _POSITIONS or position_of(dataset) is None:
        return None
    kind, inputs = kind_of(dataset), inputs_of(dataset)
    return kind if kind not in KEEPING or len(inputs) > 1 else displacing(inputs[0])


@check_arguments(sampling=SAMPLING)
def repeated_batches(
    split: LabelledImages,
    batch_size: int,
    policy: Policy,
    *,
    seed: int,
    parts: int = 1,
    sampling: str = "uniform",
    class_weights: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Training batches of one epoch for each iterator, as `model.fit` asks for them: of epoch 0, 1, 2 and so on.

    Args:
        split, batch_size, policy, seed, parts, sampling, class_weights: As `training_batches`.

    Returns:
        A dataset as `training_batches` gives, whose `len` is the number of its elements in an epoch; see `position_of`.

    Raises: as `training_batches`.
    """
    pipeline = _Pipeline(split, batch_size, policy, seed, sampling=sampling, class_weights=class_weights)
    with tf.device("CPU"):  # where tf.data works; by itself TensorFlow takes a GPU
        variable = tf.Variable([0, 0], dtype=tf.int64, trainable=False, name="position")

    @as_it_is
    def begin(_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        epoch, step = tf.unstack(variable.read_value())
        variable.assign(tf.stack([epoch + 1, tf.zeros_like(step)]))  # after it was read: a function keeps the order
        return epoch, tf.range(step, pipeline.steps)

    dataset = pipeline.batches(tf.data.Dataset.range(1).map(begin).flat_map(pipeline.positions), parts).prefetch(4)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(pipeline.steps * parts)).with_options(UNTUNED)
    _POSITIONS[dataset] = Position(split, pipeline.steps, pipeline.size, parts, variable)
    return dataset


def batches_in_order(split: LabelledImages, batch_size: int) -> tf.data.Dataset:
    """All images of a split in order, as they are, in batches of which the last may be smaller.

    Args:
        split: What is read.
        batch_size: At least 1.

    Returns:
        A dataset as `training_batches` gives, whose `len` is the number of batches.
    """
    count = len(split)

    @as_it_is
    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        order = tf.range(step * batch_size, tf.minimum((step + 1) * batch_size, count))
        return _read(split, order, None), split.task.targets(split.labels, order)

    numbers = tf.data.Dataset.range(math.ceil(count / batch_size))
    return numbers.map(batch, num_parallel_calls=2).prefetch(2).with_options(UNTUNED)


def with_class_numbers(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Batches whose one-hot labels, (batch, classes), have become the numbers of the classes, int64 (batch,)."""

    @as_it_is
    def numbered(images: tf.Tensor, targets: tf.Tensor, *weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return images, tf.argmax(targets, axis=-1), *weights

    return dataset.map(numbered)


def batch_images(split: LabelledImages, batch_size: int, repeats: int) -> int:
    """How many images a batch of `training_batches` has.

    Args:
        split: What is trained on; it may be smaller than a batch.
        batch_size: As `training_batches`.
        repeats: How often each image is shown in a batch, as its policy says.
    """
    return _distinct(min(batch_size, len(split) * repeats), repeats, (0, 1)) * repeats


def _distinct(size: int, repeats: int, worker: tuple[int, int]) -> int:
    """How many different images a batch of this size holds."""
    number, workers = worker
    if not 0 <= number < workers:
        raise UsageError(f"worker must be a number and how many there are, as (0, 4); received {worker}")
    distinct = size // repeats
    if not distinct or distinct * repeats % workers:
        raise UsageError(
            f"a batch of {size} cannot be shared out: it must hold {repeats} showings of each image and be a "
            f"multiple of {workers} workers"
        )
    return distinct


def _cut(split: LabelledImages, positions: tf.Tensor, size: int, crop: ResizedCrop, random: SampleRandom) -> tf.Tensor:
    """A random part of each image; image files are decoded for it alone."""
    store = split.images
    if isinstance(store, EncodedImages):
        boxes = crop.boxes(tf.gather(tf.constant(store.sizes[split.indices]), positions), random)
        images = call_python(split.read_boxes, [positions, boxes])
        images.set_shape((size, *store.shape))
        return images
    sizes = tf.tile(tf.constant([store.shape[:2]]), (size, 1))
    return crop_resize(_read(split, positions, size), crop.boxes(sizes, random), store.shape[:2])


def permutation(count: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """int64 (count,): 0 … count - 1 in the order of an epoch.

    Args:
        count: How many numbers.
        seed: 0 … 2^31 - 1.
        epoch: Scalar integer tensor.

    (`tf.random.experimental.index_shuffle` would do without a sort, but of 50,000 images the orders
    of two epochs correlate by 0.65.)
    """
    numbers = SampleRandom(seed, epoch, tf.range(count)).bits("order")
    return tf.cast(tf.argsort(tf.cast(numbers, tf.int64), stable=True), tf.int64)


def evaluation_batches(split: LabelledImages, batch_size: int, *, worker: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
    """All images of a split in order, as they are, in batches of almost the same size.

    Args:
        split: What to evaluate on.
        batch_size: The most a batch may hold; at least 1.
        worker: `(1, 4)` is the second of four workers, which gets the second of every four batches. All get as
            many batches, and none an empty one, at which TensorFlow's convolutions fail. Of fewer images than
            workers each gets all, so that the mean over the workers stays what it is.

    Returns:
        A dataset of (images, targets) as `training_batches` gives them.
    """
    count = len(split)
    number, workers = worker if count >= worker[1] else (0, 1)
    steps = min(math.ceil(count / (batch_size * workers)), count // workers)

    @as_it_is
    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        place = step * workers + number
        order = tf.range(place * count // (steps * workers), (place + 1) * count // (steps * workers))
        return _read(split, order, None), split.task.targets(split.labels, order)

    return tf.data.Dataset.range(steps).map(batch).prefetch(2).with_options(UNTUNED)


def _read(split: LabelledImages, positions: tf.Tensor, size: int | None) -> tf.Tensor:
    held = None if split.images.held is None else as_tensor(split.images.held)
    if held is None:
        images = call_python(split.read, [positions])
    else:
        images = tf.gather(held, tf.gather(tf.constant(split.indices), positions))
    images.set_shape((size, *split.images.shape))
    return images


def pixel_statistics(split: LabelledImages, most: int = 10_000) -> tuple[float, float]:
    """Mean and standard deviation of all pixels and channels, on the 0–255 scale, rounded to whole ones.

    One number for all channels, and a whole one: the exported INT8 network then normalises its
    input without any rounding error, at no measurable cost in accuracy (batch normalisation
    follows the first convolution).

    Args:
        split: The training images.
        most: Look at no more than so many of them, evenly spaced.
    """
    positions = np.unique(np.linspace(0, len(split) - 1, min(most, len(split))).astype(np.int64))
    total = squares = count = 0.0
    for start in range(0, len(positions), 256):
        pixels = split.read(positions[start : start + 256]).astype(np.float64)
        total, squares, count = total + pixels.sum(), squares + np.square(pixels).sum(), count + pixels.size
    mean = total / count
    return float(round(mean)), float(max(1, round(math.sqrt(max(squares / count - mean**2, 0.0)))))


@contextmanager
def data_errors(*stores: ImageStore) -> Iterator[None]:
    """Around the use of batches: an image that can no longer be read, in its own words instead of tf.data's."""
    try:
        yield
    except tf.errors.OpError:
        for store in stores:
            if isinstance(store, EncodedImages) and store.failures:
                raise store.failures[0] from None
        raise
