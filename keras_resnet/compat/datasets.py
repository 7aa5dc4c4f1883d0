"""What a `tf.data.Dataset` was made of, which TensorFlow keeps under a private name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def inputs_of(dataset: tf.data.Dataset) -> Sequence[tf.data.Dataset]:
    """The data sets that a data set reads: one for `map`, `batch` or `prefetch`; none for a source or anything else."""
    inputs: Sequence[tf.data.Dataset] = dataset._inputs() if hasattr(dataset, "_inputs") else ()
    return inputs


def kind_of(dataset: tf.data.Dataset) -> str:
    """What made a data set, by TensorFlow's own word without its underscores: `Map`, `Prefetch`, `Cache` and so on."""
    return type(dataset).__name__.strip("_").removesuffix("Dataset").removesuffix("V1").removesuffix("V2")
