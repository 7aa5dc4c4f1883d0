"""The softmax or sigmoid at the end of a Keras model: found wherever it stands, and left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.compat.deep_graphs import deep_recursion

if TYPE_CHECKING:
    import keras

SOFTMAX, SIGMOID = "softmax", "sigmoid"
CLOSE = 1e-3
"""By how much a row of shares may differ from a sum of 1, in 16 bits too."""


def logits_model(model: keras.Model) -> keras.Model:
    """A model that ends before the softmax or sigmoid of another, with the same layers and weights.

    Where a dense layer or convolution has the activation, one without it stands in its place, with the same variables
    (copies, where they are quantized).

    It is found in a layer's activation, in a layer or operation of its own, behind others that change nothing, and
    inside a model that is the last layer.

    Args:
        model: Any; one without an activation at its end is returned as it is.
    """
    found = _before_activation(model)
    return model if found is None else _model(model, found[1])


def final_activation(model: keras.Model) -> str | None:
    """What a model ends with: `softmax`, `sigmoid` or, as far as the graph tells, neither."""
    found = _before_activation(model)
    return None if found is None else found[0]


def gives_shares(model: keras.Model) -> bool:
    """Whether a model whose graph does not tell it ends with a softmax: all it gives are rows that add up to 1.

    Args:
        model: Of one input of known size and one output; it is asked for four images of random pixels.
    """
    shape = model.inputs[0].shape[1:]
    if None in shape or model.outputs[0].shape[-1] == 1:
        return False
    images = np.random.default_rng(0).uniform(0, 255, (4, *shape)).astype(np.float32)
    rows = np.asarray(model(images, training=False), np.float32)
    return bool((rows >= 0).all() and np.allclose(rows.sum(axis=-1), 1, atol=CLOSE))


def logs_of(model: keras.Model) -> keras.Model:
    """A model that gives the logarithms of the shares that another gives."""
    return _model(model, _log(model.outputs[0]))


def _before_activation(model: keras.Model) -> tuple[str, Any] | None:
    """The activation at the end, and what it is given."""
    import keras

    outputs: list[Any] = list(getattr(model, "outputs", None) or ())
    return _behind(outputs[0]) if len(outputs) == 1 and isinstance(outputs[0], keras.KerasTensor) else None


def _behind(output: Any) -> tuple[str, Any] | None:
    import keras

    from keras_resnet.compat.graph import made_by  # which imports Keras
    from keras_resnet.compat.layers import share_weights

    operation, given = made_by(output)
    if operation is None or len(given) != 1:
        return None
    known = {keras.activations.softmax: SOFTMAX, keras.activations.sigmoid: SIGMOID}
    activation = known.get(getattr(operation, "activation", None))
    if isinstance(operation, keras.layers.Softmax) or type(operation).__name__ == "Softmax":
        return SOFTMAX, given[0]
    if type(operation).__name__ == "Sigmoid":
        return SIGMOID, given[0]
    if isinstance(operation, keras.layers.Activation):
        if activation is not None:
            return activation, given[0]
        changes_nothing = operation.activation is keras.activations.linear
        return _behind(given[0]) if changes_nothing else None
    if isinstance(operation, keras.layers.Identity | keras.layers.Dropout):
        return _behind(given[0])
    if isinstance(operation, keras.Model):
        inner = _before_activation(operation)
        return None if inner is None else (inner[0], _model(operation, inner[1])(given[0]))
    if activation is None:
        return None
    if type(operation) in (keras.layers.Dense, keras.layers.Conv2D):
        linear = type(operation).from_config({**operation.get_config(), "activation": "linear"})
        if share_weights(linear, operation):
            return activation, linear(given[0])
        logits = linear(given[0])
        linear.set_weights(operation.get_weights())
        return activation, logits
    # A part of a layer that is not known: its inverse.
    return activation, _log(output) if activation == SOFTMAX else _logit(output)


def _log(shares: Any) -> Any:
    import keras

    return keras.ops.log(keras.ops.clip(keras.ops.cast(shares, "float32"), 1e-30, 1.0))


def _logit(shares: Any) -> Any:
    import keras

    shares = keras.ops.cast(shares, "float32")
    return _log(shares) - keras.ops.log(keras.ops.maximum(1.0 - shares, 1e-30))


def _model(model: keras.Model, output: Any) -> keras.Model:
    import keras

    with deep_recursion():
        return keras.Model(model.inputs, output, name=model.name)
