"""The graph of a functional model: who reads what, and computing it in another way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras.src.models.functional import Functional, operation_fn

from keras_resnet.compat.deep_graphs import deep_recursion


def is_functional(model: Any) -> bool:
    """Whether a model is a graph of layers; sequential and subclassed models are not."""
    return isinstance(model, Functional)


def graph_of(model: Any) -> Any:
    """The model as a graph, or None if it has none: a sequential one that knows its input has one."""
    if is_functional(model):
        return model
    if isinstance(model, keras.Sequential) and model.built and isinstance(getattr(model, "inputs", None), list):
        ends = (one[0] if len(one) == 1 else one for one in (model.inputs, model.outputs))
        with deep_recursion():
            return keras.Model(*ends, name=model.name)
    return None


def kind_of(operation: Any) -> str:
    """The name of the class of Keras that a layer or operation is of; empty: of none, so that it may do anything.

    Two that Keras calls by one name, as `Add`, the layer and the operation behind `+`, are of one kind.
    """
    kind = type(operation)
    if isinstance(operation, keras.layers.Layer):
        return kind.__name__ if kind is getattr(keras.layers, kind.__name__, None) else ""
    return kind.__name__ if kind.__module__.startswith("keras.src.ops.") else ""


@dataclass(frozen=True)
class Call:
    """A place in a graph where a layer, a model or an operation is called.

    Args:
        operation: What is called.
        inputs: The symbolic tensors that it is given.
        outputs: Those that it gives.
        in_training: Whether the graph has it called as in training where the model is not told. Keras hands on what a
            layer is told to those that are called after it.
    """

    operation: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    in_training: bool


def calls(model: keras.Model) -> list[Call]:
    """The calls of a functional model's graph, from input to output; those of other models with its layers are not."""
    return [call for _, call in _nodes(model)]


def rebuilt(
    model: keras.Model, inputs: Sequence[Any], compute: Callable[..., Any], tensors: dict[int, Any] | None = None
) -> list[Any]:
    """What a functional model's graph gives where each of its calls is computed in another way.

    Args:
        model: Its graph is walked through; it is not changed.
        inputs: What stands for its inputs.
        compute: Is given a `Call`, and then the arguments with which its operation is to be called; returns the result.
        tensors: Filled with what stands for each symbolic tensor of the graph, by its `id`.

    Returns:
        What stands for its outputs.
    """
    tensors = {} if tensors is None else tensors
    tensors.update(zip(map(id, model.inputs), inputs, strict=True))
    for node, call in _nodes(model):
        arguments, options = node.arguments.fill_in(tensors)
        results = keras.tree.flatten(compute(call, *arguments, **options))
        tensors.update(zip(map(id, call.outputs), results, strict=True))
    return [tensors[id(output)] for output in model.outputs]


def sole_readers(model: keras.Model) -> dict[int, Call]:
    """The one call that reads a tensor, for each that one alone reads, by the `id` of the symbolic tensor.

    What a model gives has a reader outside. So has what is read by an operation that is called several times.
    """
    graph = calls(model)
    times = Counter(id(call.operation) for call in graph)
    readers: dict[int, list[Call]] = {}
    for call in graph:
        for tensor in call.inputs:
            readers.setdefault(id(tensor), []).append(call)
    given = {id(tensor) for tensor in keras.tree.flatten(model.outputs)}
    return {
        tensor: found[0]
        for tensor, found in readers.items()
        if tensor not in given and len(found) == 1 and times[id(found[0].operation)] == 1
    }


def _nodes(model: keras.Model) -> list[tuple[Any, Call]]:
    by_depth = model._nodes_by_depth
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth] if not node.is_input]
    found, told = [], False
    for node in nodes:
        if "training" in node.arguments.kwargs:
            told = node.arguments.kwargs["training"] is True
        found.append((node, Call(node.operation, tuple(node.input_tensors), tuple(node.outputs), told)))
    return found


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
