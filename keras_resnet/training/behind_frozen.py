"""Training behind a frozen part of a network: what that makes of an image is computed once, not in every epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.augment.policies import Policy
from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.data.images import Split
from keras_resnet.data.memory import aligned_empty, memory_for_images
from keras_resnet.data.stores import ArrayImages
from keras_resnet.models.feature_info import feature_info
from keras_resnet.training.recipe import Recipe
from keras_resnet.weights.files import assign, read_tensors, variables_by_path
from keras_resnet.weights.saving import write_tensors

BATCH = 32
"""Images that are computed at once."""
FILE = "frozen.safetensors"
"""In the folder of a run that is not finished: the frozen weights, which its checkpoints do not hold."""


def stays_the_same(recipe: Recipe, policy: Policy) -> bool:
    """Whether the frozen part of a network makes the same of an image in every epoch.

    Args:
        recipe: Says what is frozen, and what of it is random.
        policy: How images are augmented.
    """
    random = recipe.stochastic_depth or recipe.dropout or recipe.train_sizes or recipe.head_epochs
    return bool(recipe.frozen) and policy == Policy() and not random and not recipe.recompute


def cut(network: keras.Model, frozen: str) -> tuple[keras.Model, keras.Model]:
    """Cut a network in two that share its layers.

    Args:
        network: One that `build` made.
        frozen: The last part of the first: `stem`, `stage1` and so on.

    Returns:
        From the network's input to the feature map where they meet; and from there to its output.
    """
    last = [one for one in feature_info(network).sections if one.section.part == frozen][-1]
    there = network.get_layer(last.output).output
    with deep_recursion():
        front = keras.Model(network.input, there, name=f"{network.name}_front")
        return front, keras.Model(there, network.output, name=f"{network.name}_behind_{frozen}")


def fits_into_memory(front: keras.Model, images: int) -> bool:
    """Whether the feature maps of so many images may be kept."""
    return 4 * images * int(np.prod(front.output_shape[1:])) <= memory_for_images()


def feature_maps(front: keras.Model, split: Split, progress: Callable[[int, int], None]) -> Split:
    """The split with what the front of a network makes of its images in place of their pixels.

    Args:
        front: From pixels, 0–255, to a feature map.
        split: The images.
        progress: Called with how many of how many are done.

    Returns:
        Maps of float32, in memory.
    """
    shape = (len(split), *front.output_shape[1:])
    maps = aligned_empty((4 * int(np.prod(shape)),)).view(np.float32).reshape(shape)

    @tf.function(input_signature=[tf.TensorSpec((None, *front.input_shape[1:]), tf.uint8)], autograph=False)
    def call(pixels: tf.Tensor) -> tf.Tensor:
        return tf.cast(front(tf.cast(pixels, tf.float32), training=False), tf.float32)

    for begin in range(0, len(split), BATCH):
        end = min(begin + BATCH, len(split))
        maps[begin:end] = call(tf.constant(split.read(np.arange(begin, end)))).numpy()
        progress(end, len(split))
    return Split(ArrayImages(maps), np.arange(len(split)), split.labels, split.task)


def keep_weights(front: keras.Model, folder: Path, is_new: bool) -> None:
    """Leave the frozen weights in a run's folder as it begins, and take them from there as it goes on.

    Args:
        front: Whose weights they are.
        folder: The run's.
        is_new: Whether it begins.

    Raises:
        ModelError: The file is damaged or missing.
        StorageError: It cannot be written.
    """
    variables = variables_by_path(front)
    if is_new:
        write_tensors({name: one.numpy() for name, one in variables.items()}, folder / FILE, {})
    else:
        assign(variables, read_tensors(folder / FILE)[0], str(folder / FILE))
