"""How much each channel of a network matters: what pruning ranks them by."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_resnet.compression.channels import WEIGHTS, ChannelGraph, Member

BATCH = 32


def norms(graph: ChannelGraph, power: int) -> np.ndarray:
    """The size of the filters that give each channel, each relative to the mean of its layer.

    Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, https://arxiv.org/abs/1608.08710, where the filters
    of a sum are judged by the shortcut's alone; here by the mean of all that are added. A filter counts as it is once
    the batch normalisation that reads it is folded into it.

    Args:
        graph: The network's channels.
        power: 1: the sum of absolute values; 2: the root of the sum of squares.

    Returns:
        By the channel's number.
    """
    sums, counts = np.zeros(len(graph.classes)), np.zeros(len(graph.classes))
    for member in graph.members:
        if not _has_filters(member):
            continue
        sizes = _filter_sizes(member, power)
        mean = sizes.mean()
        channels = graph.classes[member.outputs]
        np.add.at(sums, channels, sizes / mean if mean else sizes)
        np.add.at(counts, channels, 1)
    return sums / np.maximum(counts, 1)


def output_changes(graph: ChannelGraph, images: np.ndarray, seed: int) -> np.ndarray:
    """By how much a network's outputs change where a channel is removed, to first order, as a mean square over images.

    To remove a channel is to set to zero what reads it: the change of an output is the sum, over those weights, of
    weight × gradient (Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019,
    https://arxiv.org/abs/1906.10771, there of the loss). The square over all outputs is estimated from one random
    combination of them an image, so that neither labels nor a gradient of each output are needed.

    Args:
        graph: The network's channels.
        images: As the model takes them, (n, height, width, channels).
        seed: Of the combinations.

    Returns:
        By the channel's number.
    """
    import tensorflow as tf

    readers = [one for one in graph.members if _has_filters(one) and one.inputs is not None and one.groups == 1]
    readers = [one for one in readers if "Depthwise" not in type(one.layer).__name__]
    names = ["pointwise_kernel" if "Separable" in type(one.layer).__name__ else "kernel" for one in readers]
    kernels = [getattr(one.layer, name) for one, name in zip(readers, names, strict=True)]
    sides = [
        dict((side, axis) for axis, side in WEIGHTS[type(one.layer).__name__][name])
        for one, name in zip(readers, names, strict=True)
    ]
    random, total = np.random.default_rng(seed), np.zeros(len(graph.classes))

    @tf.function(reduce_retracing=True)
    def gradients(batch: Any, seeds: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([one.value for one in kernels])
            outputs = keras.tree.flatten(graph.model(batch, training=False))
            combined = tf.add_n(
                [
                    tf.reduce_sum(tf.cast(one, tf.float32) * tf.random.stateless_normal(tf.shape(one), seeds + number))
                    for number, one in enumerate(outputs)
                ]
            )
        return tape.gradient(combined, [one.value for one in kernels], unconnected_gradients="zero")

    for begin in range(0, len(images), BATCH):
        found = gradients(images[begin : begin + BATCH], random.integers(0, 2**31 - 1, 2, dtype=np.int32))
        change = np.zeros(len(graph.classes))
        for member, kernel, gradient, axes in zip(readers, kernels, found, sides, strict=True):
            ids = member.inputs if "inputs" in axes else member.middle
            products = np.asarray(kernel, np.float64) * np.asarray(gradient, np.float64)
            along = axes.get("inputs", axes.get("middle")) % products.ndim
            each = products.sum(axis=tuple(place for place in range(products.ndim) if place != along))
            np.add.at(change, graph.classes[ids], each)
        total += change**2
    return total / len(images)


def _has_filters(member: Member) -> bool:
    kind = type(member.layer).__name__
    return kind in WEIGHTS and kind != "BatchNormalization"


def _filter_sizes(member: Member, power: int) -> np.ndarray:
    kind = type(member.layer).__name__
    name = "pointwise_kernel" if kind.startswith("Separable") else "kernel"
    kernel = np.abs(np.asarray(getattr(member.layer, name), np.float64))
    if kind.startswith("Depthwise"):
        kernel = kernel.reshape(*kernel.shape[:-2], -1)
    elif kind.endswith("Transpose"):
        kernel = np.swapaxes(kernel, -1, -2)
    sizes = (kernel**power).reshape(-1, kernel.shape[-1]).sum(axis=0) ** (1 / power)
    norm = member.norm
    if norm is not None:
        sizes = sizes / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)
        sizes = sizes * (np.abs(np.asarray(norm.gamma, np.float64)) if norm.scale else 1.0)
    return np.asarray(sizes)
