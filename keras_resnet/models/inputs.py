"""What a network stands on: an input of its own, or a tensor of a functional graph that is there already."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.errors import UsageError
from keras_resnet.models.feature_info import FeatureInfo, record

if TYPE_CHECKING:
    import keras

Shape = tuple[int | None, int | None, int]


def refuse_channels_first() -> None:
    """Refuse to build a network where Keras is set to channels first: what a script does to images then does not fit.

    Raises:
        UsageError: (a ValueError) It is.
    """
    import keras

    if keras.config.image_data_format() == "channels_first":
        raise UsageError(
            "Keras is set to channels_first (keras.config.image_data_format(), from ~/.keras/keras.json or set by the "
            "script), and networks here are channels last: call keras.config.set_image_data_format('channels_last'), "
            "and give images as (batch, height, width, channels), by numpy.moveaxis(images, 1, -1)"
        )


def shape_of(tensor: object, expected: Shape | None = None) -> Shape:
    """Height, width and channels of the images that a symbolic tensor stands for.

    Args:
        tensor: What the user gave for one.
        expected: What else they said of it; None stands for any side.

    Raises:
        UsageError: (a ValueError) It is no such tensor, or has another shape.
    """
    import keras

    if not isinstance(tensor, keras.KerasTensor):
        received = (
            f"{type(tensor).__name__} of shape {tuple(tensor.shape)}" if hasattr(tensor, "shape") else repr(tensor)
        )
        raise UsageError(
            "input_tensor must be a tensor of Keras's functional API, which keras.Input(shape) or a layer called on "
            f"one gives; received {received}. To compute with arrays or tensors, call the model on them"
        )
    if len(tensor.shape) != 4:
        raise UsageError(f"input_tensor must be (batch, height, width, channels); received {tensor.shape}")
    shape: Shape = tuple(tensor.shape[1:])
    if expected is not None and (
        len(expected) != 3
        or any(None not in (one, two) and one != two for one, two in zip(shape, expected, strict=True))
    ):
        raise UsageError(f"input_tensor is of shape {shape}, input_shape={expected}: leave input_shape out")
    return shape


def model_on(
    tensor: keras.KerasTensor | None,
    shape: Shape,
    network: Callable[[Any], tuple[Any, FeatureInfo]],
    name: str,
    fill: Callable[[keras.Model], None] | None,
) -> keras.Model:
    """A network as a functional model, from the inputs that its first layer depends on.

    Args:
        tensor: What it reads; None: an input of its own.
        shape: Height, width, channels of that.
        network: From a symbolic tensor to the network's output, and where its sections end.
        name: Of the model.
        fill: Loads weights into a model of the network alone.

    Returns:
        The model, with its record. Layers between its inputs and `tensor` are the user's and stay as they are.
    """
    import keras

    def whole(source: Any) -> keras.Model:
        output, info = network(source)
        sources = _sources_of(source)
        with deep_recursion():
            model = keras.Model(sources[0] if len(sources) == 1 else sources, output, name=name)
        record(model, info)
        return model

    source = keras.Input(shape, name="image") if tensor is None else tensor
    model = whole(source)
    if fill is None:
        return model
    if any(one is source for one in model.inputs):
        fill(model)
        return model
    # A file of weights has none for the user's layers: it fills the same network without them.
    apart = whole(keras.Input(shape, dtype=source.dtype, name="image"))
    fill(apart)
    for layer in apart.layers:
        if layer.variables:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    return model


def _sources_of(tensor: Any) -> list[Any]:
    """The inputs that a symbolic tensor depends on; Keras's own search goes every way through a residual network."""
    from keras_resnet.compat.graph import made_by

    found, seen, waiting = [], {id(tensor)}, [tensor]
    while waiting:
        one = waiting.pop()
        operation, given = made_by(one)
        if operation is None:
            found.append(one)
        new = [each for each in dict.fromkeys(given) if id(each) not in seen]
        seen |= {id(each) for each in new}
        waiting += reversed(new)
    return found
