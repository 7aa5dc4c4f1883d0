"""Gradients kept within bounds: by their common norm, value by value, or in proportion to the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

Tensor = Any

USUAL_BOUNDS = {"none": 0.0, "norm": 1.0, "value": 0.5, "adaptive": 0.01}
"""Where each clips if nothing is said: `norm` as timm's LAMB, `adaptive` as Brock et al., 2021, have it."""


def norm(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all numbers in some tensors, a float32 scalar."""
    return ops.sqrt(sum(_square_sum(ops.cast(tensor, "float32")) for tensor in tensors))


def _square_sum(tensor: Tensor) -> Tensor:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return 2 * tf.nn.l2_loss(tensor)  # one pass, and no tensor of squares
    return ops.sum(ops.square(tensor))


def clip_by_norm(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """Scaled together so that their common norm is at most `limit`, as `torch.nn.utils.clip_grad_norm_`."""
    scale = ops.minimum(limit / (norm(gradients) + 1e-6), 1.0)
    return [gradient * ops.cast(scale, gradient.dtype) for gradient in gradients]


def clip_by_value(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """Each number cut to `-limit` … `limit`."""
    return [ops.clip(gradient, -limit, limit) for gradient in gradients]


def clip_adaptively(gradient: Tensor, weights: Tensor, ratio: float) -> Tensor:
    """A gradient whose norm is at most `ratio` times the weights', for each output by itself (Brock et al., 2021).

    As `timm.utils.agc.adaptive_clip_grad`: weights' norms count as at least 1e-3.

    Args:
        gradient: Of the weights' shape.
        weights: A Keras kernel, whose last axis counts the outputs, or a vector, which is one unit.
        ratio: Positive; 0.01 in the paper.
    """
    axes = tuple(range(len(weights.shape) - 1)) or None
    most = ratio * ops.maximum(_norm(weights, axes), 1e-3)
    present = _norm(gradient, axes)
    return ops.where(present < most, gradient, gradient * (most / ops.maximum(present, 1e-6)))


def _norm(tensor: Tensor, axes: tuple[int, ...] | None) -> Tensor:
    return ops.sqrt(ops.sum(ops.square(tensor), axis=axes, keepdims=True))
