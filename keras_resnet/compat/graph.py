"""The graph of a functional model: who reads what, and computing it in another way."""

from __future__ import annotations

from typing import Any

import keras
from keras.src.models.functional import Functional, operation_fn


def is_functional(model: Any) -> bool:
    """Whether a model is a graph of layers; sequential and subclassed models are not."""
    return isinstance(model, Functional)


def readers(layer: Any) -> list[Any]:
    """The layers and operations that read what a layer gives, one for each time that one does.

    Those of all models that the layer is in are counted.
    """
    return [node.operation for node in layer._outbound_nodes]


def times_called(layer: Any) -> int:
    """In how many places of all its graphs a layer or an operation is called."""
    return len(layer._inbound_nodes)


def compute(function: keras.Function, x: Any, training: bool | None) -> Any:
    """The output of a part of a graph, as if its layers were called one by one.

    A layer's place in a graph remembers the `training` that it was built with, and a `keras.Function` cannot be called
    with another.

    Args:
        function: Of one input.
        x: A tensor of the input's shape.
        training: What the layers are told; None leaves them what they remember.
    """
    return function._run_through_graph([x], lambda part: operation_fn(part, training=training))


def made_by(tensor: Any) -> tuple[Any, list[Any]]:
    """The layer, model or operation that gives a symbolic tensor, and the tensors that it is given for that.

    Args:
        tensor: A `KerasTensor` of a graph.

    Returns:
        None and no tensors for an input.
    """
    history = tensor._keras_history
    node = history.operation._inbound_nodes[history.node_index]
    return (None, []) if node.is_input else (history.operation, list(node.input_tensors))
