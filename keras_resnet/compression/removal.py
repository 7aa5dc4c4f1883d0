"""A network without some of its channels: the same layers, thinner."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.compat.graph import is_functional, kind_of
from keras_resnet.compression.channels import WEIGHTS, ChannelGraph, Member
from keras_resnet.models.feature_info import carry_over
from keras_resnet.models.fusion import made_again


def without_channels(graph: ChannelGraph, kept: np.ndarray) -> keras.Model:
    """A copy of a model with the channels that are kept.

    Args:
        graph: Its channels.
        kept: By the channels' numbers; of a class either all or none.

    Raises:
        UsageError: A layer with weights cannot be made again.
    """
    copies: dict[int, tuple[Any, Any]] = {}  # by the identity of a layer that may stand in a model inside, too

    def copy(layer: Any) -> Any:
        if id(layer) not in copies:
            copies[id(layer)] = layer, inner(layer) if is_functional(layer) else _copy_of(layer, graph, kept)
        return copies[id(layer)][1]

    def inner(model: Any) -> keras.Model:
        def entry(tensor: Any) -> Any:
            shape, features = list(tensor.shape), graph.entries[id(tensor)]
            if features is not None:
                shape[features.axis] = int(kept[features.ids].sum())
            return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=tensor.name)

        entries = keras.tree.map_structure(entry, model.input)
        return keras.models.clone_model(_uncompiled(model), input_tensors=entries, clone_function=copy)

    with deep_recursion():
        pruned = keras.models.clone_model(_uncompiled(graph.model), clone_function=copy)
    for layer, made in copies.values():
        if getattr(layer, "variables", ()) and not is_functional(layer):
            _fill(made, layer, graph.member(layer), kept)
    carry_over(graph.model, pruned)
    return pruned


def _uncompiled(model: Any) -> keras.Model:
    """The same graph, of which Keras copies no optimizer."""
    return keras.Model(model.input, model.output, name=model.name)


def _copy_of(layer: Any, graph: ChannelGraph, kept: np.ndarray) -> Any:
    member = graph.member(layer)
    config = layer.get_config()
    if member is not None:
        config |= _widths(layer, member, kept)
    return made_again(layer, config, f"{graph.model.name} cannot be pruned")


def _widths(layer: Any, member: Member, kept: np.ndarray) -> dict[str, Any]:
    """What a layer's configuration says of its channels."""
    kind, left = kind_of(layer), int(kept[member.outputs].sum())
    if kind == "Dense":
        return {"units": left}
    if kind == "Reshape":
        return {"target_shape": [left if side == len(member.outputs) else side for side in layer.target_shape]}
    if kind.startswith("ZeroPadding"):
        return {"padding": _margins(layer, member, kept)}
    if kind == "BatchNormalization" or kind.startswith("Depthwise"):
        return {}
    groups = {"groups": left * member.groups // len(member.outputs)} if member.groups > 1 else {}
    return {"filters": left, **groups}


def _margins(layer: Any, member: Member, kept: np.ndarray) -> Any:
    """How many of the zeros before and behind the channels are left."""
    assert member.inputs is not None
    one_axis = not isinstance(layer.padding[0], tuple)
    margins = [layer.padding] if one_axis else list(layer.padding)
    before, after = margins[member.padded]
    zeros = kept[member.outputs[:before]], kept[member.outputs[len(member.outputs) - after :]]
    margins[member.padded] = tuple(int(one.sum()) for one in zeros)
    return margins[0] if one_axis else tuple(margins)


def _fill(made: Any, layer: Any, member: Member | None, kept: np.ndarray) -> None:
    """Give a copy of a layer the weights of the channels that are left."""
    axes = WEIGHTS.get(kind_of(layer)) if member is not None else None
    if member is None or axes is None:
        made.set_weights(layer.get_weights())
        return
    for name, sides in axes.items():
        variable = getattr(layer, name, None)
        if variable is None:
            continue
        values = np.asarray(variable)
        for axis, side in sides:
            ids = member.along(side)
            if ids is not None:
                values = np.compress(kept[ids], values, axis=axis)
        getattr(made, name).assign(values)
