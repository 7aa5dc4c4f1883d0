"""Read the elements of a `tf.data.Dataset` into arrays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from keras_resnet.data.labels import class_numbers
from keras_resnet.data.memory import memory_for_images
from keras_resnet.data.stores import as_uint8_images
from keras_resnet.errors import DataError


def gather(dataset: tf.data.Dataset, image_size: int | None, *, several: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """All images and labels of a dataset.

    Args:
        dataset: See `from_dataset`.
        image_size: See `from_dataset`.
        several: Whether images may have any number of classes.

    Returns:
        Images, uint8 (n, height, width, channels); labels, int64 (n,), or if `several` 0 and 1, (n, classes).

    Raises:
        DataError: See `from_dataset`.
    """
    if not isinstance(dataset, tf.data.Dataset):
        raise DataError(f"expected a tf.data.Dataset; received {type(dataset).__name__}: pass arrays to from_arrays")
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2 or not all(isinstance(part, tf.TensorSpec) for part in spec):
        raise DataError(f"the dataset must give (image, label) or (images, labels); it gives {spec}")
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise DataError("the dataset never ends: pass a part of it, such as dataset.take(1000)")
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    total, brightest = 0, 0.0
    for image, label in _batches(dataset, spec, several):
        size = (image_size, image_size) if image_size else None
        images.append(as_uint8_images(image, size, refuse_dark=False).array)
        brightest = max(brightest, float(image.max()))
        labels.append(label)
        total += images[-1].nbytes
        if total > memory_for_images():
            raise DataError(
                f"the dataset's images take more than the {memory_for_images() / 2**30:.1f} GiB of memory that are "
                "allowed: pass a part of it, give a smaller image_size, or write the images to a folder"
            )
    if not images:
        raise DataError("the dataset is empty")
    if spec[0].dtype.is_floating and brightest <= 1:
        raise DataError("pixels must be on the 0–255 scale; these are all at most 1: multiply them by 255")
    shapes = sorted({image.shape[1:] for image in images})
    if len(shapes) > 1:
        raise DataError(
            f"the dataset's images have several sizes, such as {shapes[0]} and {shapes[-1]}: give image_size"
        )
    return np.concatenate(images), np.concatenate(labels)


def _batches(
    dataset: tf.data.Dataset, spec: tuple[tf.TensorSpec, tf.TensorSpec], several: bool
) -> Iterator[tuple[np.ndarray, ...]]:
    """Images with a batch axis, and labels as whole numbers, or if `several` as 0 and 1 for each class."""
    rank = spec[0].shape.rank
    if rank not in (3, 4):
        raise DataError(
            "the dataset's images must be (height, width, channels), or batches of them; "
            f"received the shape {spec[0].shape}"
        )
    for image, label in dataset.as_numpy_iterator():
        label = np.asarray(label)[None] if rank == 3 else np.asarray(label)
        if several:
            yield (image[None] if rank == 3 else image), label
            continue
        yield (image[None] if rank == 3 else image), class_numbers(label)
