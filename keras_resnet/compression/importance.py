"""How much each channel of a network matters: what pruning ranks them by."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_resnet.compat.graph import kind_of
from keras_resnet.compression.channels import WEIGHTS, ChannelGraph, Member

BATCH = 4
"""Images of one random combination: the fewer, the less chance there is in the estimate."""


def filter_norms(graph: ChannelGraph, power: int) -> np.ndarray:
    """The size of the filters that give each channel, relative to the mean of their layer.

    Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, https://arxiv.org/abs/1608.08710, where the channels
    of a sum are judged by the shortcut's filters; here by the mean of all that are added. A filter counts as it is once
    the batch normalisation that reads it is folded into it.

    Args:
        graph: The network's channels.
        power: 1: the sum of absolute values; 2: the root of the sum of squares.

    Returns:
        By the channel's number.
    """
    sums, counts = np.zeros(len(graph.classes)), np.zeros(len(graph.classes))
    for member in graph.members:
        if not member.has_kernel:
            continue
        sizes, channels = _sizes(member, power), graph.classes[member.outputs]
        np.add.at(sums, channels, sizes / (sizes.mean() or 1.0))
        np.add.at(counts, channels, 1)
    return sums / np.maximum(counts, 1)


def output_changes(graph: ChannelGraph, images: np.ndarray, seed: int) -> np.ndarray:
    """By how much a network's outputs change where a channel is removed, to first order: a mean square over images.

    To remove a channel is to set to zero what reads it. So an output changes by the sum, over those weights, of weight
    × gradient (Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019,
    https://arxiv.org/abs/1906.10771, there of the loss). The squares of all outputs and images are estimated from one
    random combination of them a batch, whose mixed terms are zero on average (Hutchinson, 1990): that needs neither
    labels nor a gradient of each output.

    Args:
        graph: The network's channels.
        images: As the model takes them, (n, height, width, channels).
        seed: Of the combinations.

    Returns:
        By the channel's number.
    """
    import tensorflow as tf

    readers = [one for one in graph.members if one.has_kernel and one.reads_each]
    kernels = [_kernel(one).value for one in readers]

    @tf.function(reduce_retracing=True)
    def gradients(batch: Any, seeds: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(kernels)
            combined = 0.0
            for number, one in enumerate(keras.tree.flatten(graph.model(batch, training=False))):
                weights = tf.random.stateless_normal(tf.shape(one), seeds + number)
                combined += tf.reduce_sum(tf.cast(one, tf.float32) * weights)
        return tape.gradient(combined, kernels, unconnected_gradients="zero")

    random, total = np.random.default_rng(seed), np.zeros(len(graph.classes))
    for begin in range(0, len(images), BATCH):
        batch = tf.convert_to_tensor(images[begin : begin + BATCH])
        found = gradients(batch, random.integers(0, 2**31 - 2, 2, dtype=np.int32))
        change = np.zeros(len(graph.classes))
        for member, kernel, gradient in zip(readers, kernels, found, strict=True):
            axis, side = _read_along(member)
            products = np.moveaxis(np.asarray(kernel, np.float64) * np.asarray(gradient, np.float64), axis, 0)
            np.add.at(change, graph.classes[member.along(side)], products.reshape(len(products), -1).sum(axis=1))
        total += change**2
    return total / len(images)


def _kernel(member: Member) -> Any:
    """The weights that sum over channels, or of a depthwise convolution the only ones."""
    return getattr(member.layer, _kernel_name(member))


def _kernel_name(member: Member) -> str:
    return "pointwise_kernel" if kind_of(member.layer).startswith("Separable") else "kernel"


def _read_along(member: Member) -> tuple[int, str]:
    """The axis of the kernel that goes over the channels that it reads, and which these are."""
    axes = WEIGHTS[kind_of(member.layer)][_kernel_name(member)]
    return next((axis, side) for axis, side in axes if side != "outputs")


def _sizes(member: Member, power: int) -> np.ndarray:
    kind, kernel = kind_of(member.layer), np.abs(np.asarray(_kernel(member), np.float64))
    if kind.startswith("Depthwise"):
        kernel = kernel.reshape(*kernel.shape[:-2], -1)
    elif kind.endswith("Transpose"):
        kernel = np.swapaxes(kernel, -1, -2)
    sizes: np.ndarray = (kernel**power).reshape(-1, kernel.shape[-1]).sum(axis=0) ** (1 / power)
    norm = member.norm
    if norm is None:
        return sizes
    gamma = np.abs(np.asarray(norm.gamma, np.float64)) if norm.scale else 1.0
    folded: np.ndarray = sizes * gamma / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)
    return folded
