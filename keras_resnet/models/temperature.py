"""A temperature in a model's last layer: the same decisions, with probabilities that are less sure or surer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.models.feature_info import carry_over

if TYPE_CHECKING:
    import keras

PASSED = ("Activation", "Softmax", "Sigmoid", "Dropout", "Identity", "Flatten", "Reshape", "GlobalAveragePooling2D")
"""What may stand behind the last layer: what it gives for logits divided by a number is as if they were given so."""
ACTIVATIONS = ("linear", "softmax", "sigmoid")


def temperature_scaled(model: keras.Model, temperature: float) -> keras.Model:
    """A model whose logits are those of another, divided by a temperature (Guo et al., On calibration, 2017).

    The kernel and the bias of the last layer are divided, so that the model has the same layers and size, and every
    file made from it, of integers too, has the temperature in it.

    Args:
        model: Ends in a dense layer or a convolution, perhaps with a softmax or sigmoid behind; it is not changed.
        temperature: Above 0: above 1 probabilities become less sure, below surer.

    Returns:
        A model that shares nothing with the other.

    Raises:
        UsageError: The temperature is out of range.
        ModelError: The model ends in something else.

    Example:
        >>> import keras_resnet, numpy as np
        >>> model = keras_resnet.ResNet8(num_classes=3, input_shape=(8, 8, 3), classifier_activation=None)
        >>> cooled, images = keras_resnet.temperature_scaled(model, 2.0), np.ones((1, 8, 8, 3), np.float32)
        >>> bool(np.allclose(cooled(images), model(images) / 2, rtol=1e-5))
        True
    """
    import keras

    if not (math.isfinite(temperature) and temperature > 0):
        raise UsageError(f"a temperature is a number above 0; received {temperature}")
    path = _last_layer(model)
    plain = keras.Model(model.inputs, model.outputs, name=model.name)
    with deep_recursion():
        copy = keras.models.clone_model(plain)
    filled = {layer.name: layer for layer in model.layers if layer.variables}
    for layer in copy.layers:  # by name: Keras may order them otherwise
        if layer.name in filled:
            layer.set_weights(filled[layer.name].get_weights())
    last: Any = copy
    for name in path:
        last = last.get_layer(name)
    last.set_weights([weight / temperature for weight in last.get_weights()])
    carry_over(model, copy)
    return copy


def _last_layer(model: keras.Model) -> list[str]:
    """The name of the layer that gives the logits, with those of the models that it is in before it."""
    import keras

    from keras_resnet.compat.graph import kind_of, made_by

    (tensor, *others) = model.outputs
    if others:
        raise ModelError(f"{model.name} has several outputs, expected one")
    while True:
        operation, given = made_by(tensor)
        kind = "" if operation is None else kind_of(operation)
        activation = getattr(getattr(operation, "activation", None), "__name__", "linear")
        if isinstance(operation, keras.Model):
            return [operation.name, *_last_layer(operation)]
        if kind in ("Dense", "Conv2D") and activation in ACTIVATIONS:
            return [operation.name]
        if kind not in PASSED or len(given) != 1 or activation not in ACTIVATIONS:
            raise ModelError(
                f"{model.name} ends in {getattr(operation, 'name', 'its input')}: a temperature is put into a dense "
                "layer or convolution, perhaps with a softmax or sigmoid behind it. Calibrate a model before it is "
                "made ready for integers"
            )
        (tensor,) = given
