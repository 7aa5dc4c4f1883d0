"""From a split to batches, as tf.data.

The order is a permutation by (seed, epoch), and the augmentation a function of (seed, epoch,
sample), so that the batches from any one on are the same whether or not the earlier ones were
ever read, and however many workers read them. Nothing has a state that a checkpoint would have to hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from keras_resnet.allowed import SAMPLING
from keras_resnet.augment.crop import ResizedCrop, crop_resize
from keras_resnet.augment.policies import Policy
from keras_resnet.augment.randomness import SampleRandom
from keras_resnet.data.balance import balanced_order, shown_classes
from keras_resnet.data.images import Split
from keras_resnet.data.memory import as_tensor
from keras_resnet.data.python_calls import call_python
from keras_resnet.data.stores import EncodedImages, ImageStore
from keras_resnet.errors import UsageError
from keras_resnet.settings import check_arguments

as_it_is = tf.autograph.experimental.do_not_convert
"""Its loops and conditions are Python's. TensorFlow would take seconds to rewrite them for tensors before it traces."""


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Full batches in an epoch; at least one."""
    return max(1, len(split) // batch_size)


@check_arguments(sampling=SAMPLING)
def training_batches(
    split: Split,
    batch_size: int,
    policy: Policy,
    *,
    seed: int,
    first_epoch: int = 0,
    epochs: int = 1,
    steps: Sequence[int] | None = None,
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
        first_epoch: Where to begin.
        epochs: Where to end.
        steps: Which batches of each epoch, by number; the others are not read. None: all.
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
    count, all_steps = len(split), steps_per_epoch(split, batch_size)
    distinct = _distinct(min(batch_size, count * policy.repeats), policy.repeats, worker)
    size = distinct * policy.repeats // worker[1]
    if policy.mixing and worker[1] > 1 and size % 2:
        raise UsageError(
            f"a batch of {distinct * policy.repeats} gives each of {worker[1]} workers {size} images: MixUp and CutMix "
            f"mix pairs, so that batches must be a multiple of {2 * worker[1]}"
        )
    shown_again = policy.repeats > 1 or sampling == "balanced"
    if sampling == "balanced":
        shown_classes(split)  # here, since tf.data would wrap the error in its own
    policy.check((size, *split.images.shape))

    @as_it_is
    def positions(epoch: tf.Tensor) -> tf.data.Dataset:
        order = balanced_order(split, seed, epoch) if sampling == "balanced" else permutation(count, seed, epoch)
        batches = tf.reshape(order[: all_steps * distinct], (all_steps, distinct))
        chosen = tf.constant(list(range(all_steps) if steps is None else steps), tf.int64)
        numbered = tf.data.Dataset.from_tensor_slices((chosen, tf.gather(batches, chosen)))
        return numbered.map(lambda step, batch: (epoch, step, batch))

    @as_it_is
    def batch(epoch: tf.Tensor, step: tf.Tensor, order: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # One showing of every image, then the next of every one, so that neighbours, which mix, differ.
        share = slice(worker[0] * size, (worker[0] + 1) * size)
        order = tf.tile(order, (policy.repeats,))[share]
        copies = step * distinct * policy.repeats + tf.range(share.start, share.stop, dtype=tf.int64)
        random = SampleRandom(seed, epoch, order, step, copies if shown_again else None)
        images = _read(split, order, size) if policy.crop is None else _cut(split, order, size, policy.crop, random)
        augmented, mixed = policy(images, split.task.targets(split.labels, order), random)
        if class_weights is None:
            return augmented, mixed
        return augmented, mixed, split.task.image_weights(mixed, tf.constant(class_weights, tf.float32))

    dataset = tf.data.Dataset.range(first_epoch, epochs).flat_map(positions)
    dataset = dataset.map(batch, num_parallel_calls=2, deterministic=True)
    if parts > 1:
        if size % parts:
            raise UsageError(f"a batch of {size} images cannot be computed in {parts} equal parts")
        dataset = dataset.rebatch(size // parts)
    return dataset.prefetch(4)


def batch_images(split: Split, batch_size: int, repeats: int) -> int:
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


def _cut(split: Split, positions: tf.Tensor, size: int, crop: ResizedCrop, random: SampleRandom) -> tf.Tensor:
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


def evaluation_batches(split: Split, batch_size: int, *, worker: tuple[int, int] = (0, 1)) -> tf.data.Dataset:
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

    return tf.data.Dataset.range(steps).map(batch).prefetch(2)


def _read(split: Split, positions: tf.Tensor, size: int | None) -> tf.Tensor:
    held = None if split.images.held is None else as_tensor(split.images.held)
    if held is None:
        images = call_python(split.read, [positions])
    else:
        images = tf.gather(held, tf.gather(tf.constant(split.indices), positions))
    images.set_shape((size, *split.images.shape))
    return images


def pixel_statistics(split: Split, most: int = 10_000) -> tuple[float, float]:
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
