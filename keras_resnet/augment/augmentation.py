"""The augmentation for batches of anyone's `tf.data.Dataset` and anyone's `model.fit`."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import tensorflow as tf

from keras_resnet.allowed import COUNT, SEED
from keras_resnet.augment.crop import crop_resize
from keras_resnet.augment.policies import Policy, policy_of
from keras_resnet.augment.randomness import SampleRandom, mix
from keras_resnet.errors import UsageError
from keras_resnet.settings import check_arguments

UNKNOWN = -1
"""In place of the epoch: no `fit` has said it."""


class Augmentation(keras.callbacks.Callback):
    """Augments batches of images and labels, as a function for `dataset.map` of any `tf.data.Dataset`.

    What is drawn for an image depends on the seed, its pixels and the epoch alone. So neither the order of images, nor
    other images, nor how many calls work in parallel change it, and a training that continues sees the same images.

    The epoch is told by `fit`, where this object is also among its callbacks, or by `augmentation.epoch.assign(…)` in a
    loop of your own. Else, as for data that never end (`repeat`), an image's showings are counted: each is augmented
    anew, but a `fit` may differ from another where `num_parallel_calls` reads ahead, and one that continues counts from
    0.

    MixUp and CutMix mix neighbours, so shuffle before. Images that are mixed at random have labels as
    `categorical_crossentropy` takes them.

    Args:
        augment: As `Split.batches`: a crop as `keras_resnet.policy` names it, or a `Policy`. Its `repeats` must be 1.
        seed: 0 … 2^31 - 1.
        num_classes: With MixUp or CutMix, for labels that are whole numbers: they become one-hot.
        **settings: As `keras_resnet.policy`: `automatic`, `mixup`, `cutmix`, `erasing`, `jitter` and so on.

    Raises:
        UsageError: A setting is out of range or there is no seed; or, in `map`, the data are no batches of images of
            one size, or labels cannot be mixed.

    Example:
        >>> import keras_resnet, numpy as np, tensorflow as tf
        >>> pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), np.uint8)
        >>> data = tf.data.Dataset.from_tensor_slices((pixels, np.arange(20) % 3)).batch(10)
        >>> augmentation = keras_resnet.Augmentation("crop-flip", mixup=0.2, num_classes=3, seed=0)
        >>> train = data.map(augmentation, num_parallel_calls=tf.data.AUTOTUNE)
        >>> model = keras_resnet.ResNet8(num_classes=3, input_shape=(16, 16, 3))
        >>> model.compile("sgd", "categorical_crossentropy")
        >>> _ = model.fit(train, callbacks=[augmentation], verbose=0)
    """

    @check_arguments(seed=SEED.or_none, num_classes=COUNT.or_none)
    def __init__(
        self,
        augment: str | Policy | None = "crop-flip",
        *,
        seed: int | None = None,
        num_classes: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        if seed is None:
            raise UsageError("an augmentation is random, and what is random needs a seed to be repeated by: give seed=")
        self.policy, self.seed, self.num_classes = policy_of(augment, settings), seed, num_classes
        if self.policy.repeats > 1:
            raise UsageError(
                f"repeats must be 1, since a batch of other data keeps its images; received {self.policy.repeats}. "
                "Split.batches shows images several times in a batch"
            )
        with tf.device("CPU"):  # where tf.data works; by itself TensorFlow takes a GPU
            self.epoch = tf.Variable(UNKNOWN, dtype=tf.int64, trainable=False, name="epoch")
            self._shown = tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, default_value=0)

    # What fit calls.

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch.assign(epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.epoch.assign(UNKNOWN)

    # What tf.data calls.

    autograph_info__: ClassVar[dict[str, Any]] = {}  # AutoGraph's own mark; without it, its words would surround ours

    @tf.autograph.experimental.do_not_convert
    def __call__(self, images: Any, labels: Any = None, *weights: Any) -> Any:
        """Augment a batch.

        Args:
            images: (batch, height, width, channels) on the 0–255 scale, uint8 or float, of which floats are rounded.
            labels: None, or anything if images are not mixed. If they are: whole numbers, (batch,) or (batch, 1); or
                numbers for each class, (batch, classes), or (batch, 1) for two.
            *weights: Of the images, float (batch,), where images are not mixed.

        Returns:
            Images of the same shape and dtype alone if there are no labels; else with labels, float32 where they were
            mixed, and weights.
        """
        images = tf.convert_to_tensor(images)
        self._check_shape(images.shape)
        targets = self._mixable(labels, weights) if self.policy.mixing else tf.zeros((tf.shape(images)[0], 1))
        pixels = images if images.dtype == tf.uint8 else _whole(images)
        random = self._random(content_keys(pixels))
        if self.policy.crop is not None:
            size = tuple(images.shape[1:3])
            boxes = self.policy.crop.boxes(tf.tile(tf.constant([size]), (tf.shape(images)[0], 1)), random)
            pixels = crop_resize(pixels, boxes, size)
            pixels = tf.ensure_shape(pixels, images.shape)
        augmented, mixed = self.policy(pixels, targets, random)
        augmented = tf.cast(tf.ensure_shape(augmented, images.shape), images.dtype)
        if labels is None:
            return augmented
        return augmented, mixed if self.policy.mixing else labels, *weights

    def _random(self, keys: tf.Tensor) -> SampleRandom:
        """The randomness of a batch whose images have these keys, uint32 (batch,)."""
        known = self.epoch.read_value()
        showings = tf.cond(known >= 0, lambda: tf.fill(tf.shape(keys), known), lambda: self._count(keys))
        showings = tf.ensure_shape(showings, keys.shape)
        of_batch = tf.reduce_sum(tf.cast(mix(keys), tf.int64) * (2 * showings + 1))
        return SampleRandom(self.seed, tf.constant(0), keys, step=of_batch, copies=showings)

    def _count(self, keys: tf.Tensor) -> tf.Tensor:
        """How often images were shown before, int64 (batch,)."""
        wide = tf.cast(keys, tf.int64)
        counted = self._shown.lookup(wide)
        with tf.control_dependencies([self._shown.insert(wide, counted + 1)]):
            return tf.identity(counted)

    def _check_shape(self, shape: tf.TensorShape) -> None:
        if shape.rank == 3:
            raise UsageError(
                f"an augmentation takes batches of images; received one of {shape}: batch the data set before, "
                "dataset.batch(64).map(…)"
            )
        if shape.rank != 4 or not shape[1:].is_fully_defined():
            raise UsageError(
                "an augmentation takes batches of images of one size, known beforehand, (batch, height, width, "
                f"channels); received {shape}: resize them and batch the data set before, or say its size by "
                "tf.ensure_shape"
            )
        self.policy.check(tuple(shape))

    def _mixable(self, labels: Any, weights: tuple[Any, ...]) -> tf.Tensor:
        """Labels as MixUp and CutMix take them, float32 (batch, classes)."""
        if labels is None or isinstance(labels, dict | tuple | list) or weights:
            raise UsageError(
                "MixUp and CutMix mix images and labels, so that a data set must give (images, labels), without weights"
            )
        labels = tf.convert_to_tensor(labels)
        numbers = labels.dtype.is_integer and (labels.shape.rank == 1 or labels.shape[1:] == (1,))
        if not numbers:
            if labels.shape.rank != 2:
                raise UsageError(
                    "labels that are mixed are whole numbers, (batch,), or numbers for each class, (batch, classes); "
                    f"received {labels.dtype.name} {labels.shape}"
                )
            return tf.cast(labels, tf.float32)
        if self.num_classes is None:
            raise UsageError(
                "mixed labels are no whole numbers any more, so that these become one-hot: give num_classes=, and "
                "train with categorical_crossentropy"
            )
        labels = tf.reshape(tf.cast(labels, tf.int64), (-1,))
        within = tf.reduce_all((labels >= 0) & (labels < self.num_classes))
        refusal = f"labels must be whole numbers from 0 to num_classes - 1, {self.num_classes - 1}; received"
        with tf.control_dependencies([tf.debugging.Assert(within, [refusal, labels])]):
            return tf.one_hot(labels, self.num_classes)


def _whole(images: tf.Tensor) -> tf.Tensor:
    """Floats of 0–255 as uint8; others are refused when they are seen."""
    low, high, rounded = tf.reduce_min(images), tf.reduce_max(images), tf.round(images)
    is_share = (high <= 1) & tf.reduce_any(rounded != images)
    refusal = "an augmentation takes pixels on the 0-255 scale, before any normalisation; received pixels from, to"
    fits = (low >= 0) & (high <= 255) & ~is_share
    with tf.control_dependencies([tf.debugging.Assert(fits, [refusal, low, high])]):
        return tf.cast(rounded, tf.uint8)


def content_keys(images: tf.Tensor) -> tf.Tensor:
    """A number of each image that depends on its pixels alone.

    It is the sum of all pairs of bytes, each times an odd number of its place. Whole numbers wrap around at 2^32, so
    that the order of the sum plays no part.

    Args:
        images: uint8 (batch, height, width, channels); all but the batch is static.

    Returns:
        uint32 (batch,).
    """
    length = images.shape[1:].num_elements()
    count = (length + 1) // 2
    pixels = tf.pad(tf.reshape(images, (-1, length)), [[0, 0], [0, length % 2]])
    pairs = tf.cast(tf.bitcast(tf.reshape(pixels, (-1, count, 2)), tf.uint16), tf.int32)
    odd = tf.bitwise.bitwise_or(mix(tf.cast(tf.range(count), tf.uint32)), tf.constant(1, tf.uint32))
    return tf.bitcast(tf.linalg.matvec(pairs, tf.bitcast(odd, tf.int32)), tf.uint32)
