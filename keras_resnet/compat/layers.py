"""What a Keras layer is told while it is called, and methods for a single one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import keras
from keras.src.backend.common import global_state


def called_in_training() -> bool:
    """Whether a layer that is being called now would get `training=True`.

    For layers such as convolutions, whose `call` takes no such argument.
    """
    context = global_state.get_global_attribute("current_call_ctx")
    return context is not None and context.training is True


def override(
    layer: keras.layers.Layer, method: Literal["call", "convolution_op"], function: Callable[..., Any]
) -> None:
    """Give a single layer or model a method of its own.

    The layer keeps its class, by which Keras saves and clones it: what is read back from a file, or cloned, computes
    as Keras has it. Keras does the same with `build`.

    Args:
        layer: Built or not; it is changed in place.
        method: Which; Keras must look it up on the layer each time it calls it.
        function: Takes the arguments of the method that it replaces, which Keras has inspected already.
    """
    setattr(layer, method, function)


def share_weights(layer: keras.layers.Layer, other: keras.layers.Dense | keras.layers.Conv2D) -> bool:
    """Give a layer that is not built yet the kernel and bias of another: the same variables, no copies.

    Keras has no way to hand a layer variables that there are; `set_weights` copies their values.

    Args:
        layer: Of the same class and configuration, but for its activation.
        other: Built.

    Returns:
        Whether it was done: not of weights that are quantized or have LoRA's beside them.
    """
    if other.quantization_mode is not None or len(other.weights) != 1 + other.use_bias:
        return False
    layer._kernel, layer.bias, layer.built = other._kernel, other.bias, True
    return True
