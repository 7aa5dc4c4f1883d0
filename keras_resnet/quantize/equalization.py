"""Cross-layer equalisation: neighbouring layers share the sizes of their channels.

Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019,
https://arxiv.org/abs/1906.04721. A ReLU between two layers lets a positive factor pass: what the first multiplies a
channel by, the second may divide by.
"""

from __future__ import annotations

import numpy as np

from keras_resnet.quantize.graph import HOMOGENEOUS, WEIGHTED, Graph, Step, weighted

ROUNDS = 20
SETTLED = 1e-3
"""Factors that differ from 1 by no more end it."""


def equalize(graph: Graph) -> int:
    """Balance the channels of all pairs of layers of which the second alone reads the first.

    The network computes the same, up to rounding.

    Args:
        graph: Of floats; changed.

    Returns:
        How many pairs there are.
    """
    pairs = [pair for step in weighted(graph) if (pair := neighbour(graph, step))]
    for _ in range(ROUNDS if pairs else 0):
        if max(_balance(graph, *pair) for pair in pairs) <= SETTLED:
            break
    return len(pairs)


def neighbour(graph: Graph, first: Step) -> tuple[Step, Step] | None:
    """A layer with the layer that alone reads it, between which channels may be balanced; None: there is none.

    Args:
        graph: Of floats.
        first: A step of it.
    """
    if first.operator not in WEIGHTED:
        return None
    readers = graph.readers(first.output)
    if first.options["fusedActivationFunction"] not in HOMOGENEOUS or len(readers) != 1 or first.output == graph.output:
        return None
    (second,) = readers
    if second not in list(weighted(graph)) or second.inputs[0] != first.output:
        return None
    own, next_ = graph.tensor(first.inputs[1]), graph.tensor(second.inputs[1])
    outputs = own.shape[-1 if first.operator == "DEPTHWISE_CONV_2D" else 0]
    # In a grouped convolution a channel's reader depends on its group; a dense layer may read a picture.
    if own.values is None or next_.values is None or next_.shape[-1] != outputs:
        return None
    return first, second


def _balance(graph: Graph, first: Step, second: Step) -> float:
    """One round of a pair. Returns how far the largest factor is from 1."""
    own, next_ = graph.tensor(first.inputs[1]).values, graph.tensor(second.inputs[1]).values
    assert own is not None
    assert next_ is not None
    last = first.operator == "DEPTHWISE_CONV_2D"
    sizes = np.abs(own).reshape(-1, own.shape[-1]).max(0) if last else np.abs(own).reshape(len(own), -1).max(1)
    next_sizes = np.abs(next_).reshape(-1, next_.shape[-1]).max(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = np.sqrt(next_sizes / sizes)
    factors[~np.isfinite(factors) | (factors <= 0)] = 1  # channels that are all zero
    factors = factors.astype(np.float32)
    by_output = factors if last else factors.reshape(-1, *[1] * (own.ndim - 1))
    graph.set_values(first.inputs[1], (own * by_output).astype(np.float32))
    if len(first.inputs) > 2 and first.inputs[2] >= 0:
        bias = graph.tensor(first.inputs[2]).values
        assert bias is not None
        graph.set_values(first.inputs[2], (bias * factors).astype(np.float32))
    graph.set_values(second.inputs[1], (next_ / factors).astype(np.float32))
    return float(np.abs(factors - 1).max())
