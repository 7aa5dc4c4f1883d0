"""A network as one traced function of TensorFlow, which whoever asks the same network again gets again.

To trace a network takes as long as its answers for hundreds of small images. A trace computes what the layers were when
it was made, with the weights of now. So it is given again only where the layers and their wiring are as they were and
the variables are the same objects, and only for networks of which Keras tells all else that they compute by.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import keras

TOLD = ("keras", "keras_resnet")
"""Packages whose layers and operations compute by their configurations and variables alone."""
MARKS = {"__keras_tensor__", "__ellipsis__", "__slice__"}
"""What Keras writes in a configuration for values, without a package."""
ADAPTED = {"Normalization", "Discretization", "IntegerLookup", "StringLookup", "TextVectorization"}
"""Layers of Keras that compute by what they saw of data, which is neither a variable nor in their configuration."""


@dataclass(frozen=True)
class _Trace:
    """A traced function, and what it was traced of.

    Args:
        call: Images to outputs. It holds variables, and neither layers nor a model.
        layers: As `_layers` has them.
        shape: Of an image.
        variables: Those of TensorFlow; held here, so that no other object can be taken for one of them.
    """

    call: Callable[[Any], Any]
    layers: str
    shape: tuple[int, ...]
    variables: tuple[Any, ...]

    def is_of(self, layers: str, shape: tuple[int, ...], variables: tuple[Any, ...]) -> bool:
        """Whether another trace, of these, would compute the same."""
        return (self.layers, self.shape, [*map(id, self.variables)]) == (layers, shape, [*map(id, variables)])


_TRACES: WeakKeyDictionary[keras.layers.Layer, _Trace] = WeakKeyDictionary()
"""The last trace of each network, by its first layer that has variables, which models made of its layers share."""


def traced(model: keras.Model, shape: tuple[int, ...]) -> Callable[[Any], Any]:
    """What a model gives in inference, by a traced function: the one of before, where another would compute the same.

    Args:
        model: Of one input and one output.
        shape: Of an image, (height, width, channels).

    Returns:
        A function of a float32 tensor (n, height, width, channels), which returns a tensor. It computes with the
        weights of the moment when it is called, and with the layers of now.
    """
    import tensorflow as tf

    layers, variables = _layers(model), tuple(variable.value for variable in model.variables)
    first = _first(model)
    known = None if first is None else _TRACES.get(first)
    if known is not None and layers is not None and known.is_of(layers, shape, variables):
        return known.call
    function = tf.function(lambda images: model(images, training=False))
    call: Callable[[Any], Any] = function.get_concrete_function(tf.TensorSpec((None, *shape), tf.float32))
    if first is not None and layers is not None:
        _TRACES[first] = _Trace(call, layers, shape, variables)
    return call


def _first(model: keras.Model) -> keras.layers.Layer | None:
    """The first layer that has variables, in models inside too: these may have been made for this one."""
    import keras

    first = next((layer for layer in model.layers if layer.variables), None)
    return _first(first) or first if isinstance(first, keras.Model) else first


def _layers(model: keras.Model) -> str | None:
    """The layers of a model and their wiring, and all that they compute by but variables; None: Keras does not tell."""
    if type(model).__module__.split(".")[0] not in TOLD:  # its `call` may do anything
        return None
    config = model.get_config()
    try:
        return json.dumps(_numbered(config)) if all(map(_is_told, _parts(config))) else None
    except TypeError:  # an array, of a layer that Keras will not write to a file either
        return None


def _numbered(config: Any) -> Any:
    """A configuration whose graphs call layers by their places: Keras gives operations new names each time.

    Args:
        config: Of a model or any part of it.
    """
    if isinstance(config, list | tuple):
        return [_numbered(part) for part in config]
    if not isinstance(config, dict):
        return config
    if not config.keys() >= {"layers", "input_layers", "output_layers"}:
        return {key: _numbered(part) for key, part in config.items()}
    place = {layer["name"]: number for number, layer in enumerate(config["layers"])}

    def placed(part: Any) -> Any:
        if isinstance(part, list | tuple):
            return [placed(one) for one in part]
        if not isinstance(part, dict):
            return part
        return {key: ends(one) if key == "keras_history" else placed(one) for key, one in part.items()}

    def ends(part: Any) -> Any:
        if isinstance(part, list | tuple):
            return [ends(one) for one in part]
        return place[part] if isinstance(part, str) else part

    layers = [
        {
            **layer,
            "name": place[layer["name"]],
            "config": {**_numbered(layer["config"]), "name": place[layer["name"]]},
            "inbound_nodes": placed(layer["inbound_nodes"]),
        }
        for layer in config["layers"]
    ]
    return {**config, "layers": layers, **{key: ends(config[key]) for key in ("input_layers", "output_layers")}}


def _parts(config: Any) -> Iterator[dict[str, Any]]:
    """The configurations of layers, operations, functions and symbolic tensors anywhere in one."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        config = list(config.values())
    if isinstance(config, list | tuple):
        for part in config:
            yield from _parts(part)


def _is_told(part: dict[str, Any]) -> bool:
    """Whether a part's configuration tells what it computes. Functions of others are known by their names alone."""
    name = part["class_name"]
    package = str(part.get("module") or "").split(".")[0]
    return name in MARKS or (package in TOLD and name not in ADAPTED)
