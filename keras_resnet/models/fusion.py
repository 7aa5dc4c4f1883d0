"""Batch normalisations folded into the convolutions before them: the same function in fewer steps.

y = γ (k∗x + b − μ) / √(σ² + ε) + β is a convolution with kernel k γ/√(σ² + ε). For inference only: a folded
normalisation has no statistics to update.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.errors import UsageError
from keras_resnet.models.deep_graphs import deep_recursion

if TYPE_CHECKING:
    import keras


def fuse_batchnorm(model: keras.Model) -> keras.Model:
    """A copy of a functional model whose convolutions have their normalisations folded in.

    Folded are batch normalisations that alone read the output of a convolution without activation.
    Others stay, such as those that stand before the convolutions of pre-activation networks.

    Args:
        model: A functional model; it is not changed.

    Returns:
        A model of the same inputs and outputs with weights of its own, equal up to rounding. It is
        not for training.

    Raises:
        UsageError: (a ValueError) The model is not functional, or has nothing to fold.
    """
    import keras

    if not isinstance(model, keras.src.models.Functional):
        raise UsageError(f"only functional models can be folded; received {type(model).__name__} {model.name!r}")
    pairs = _pairs(model)
    if not pairs:
        raise UsageError(f"{model.name} has no convolution with a batch normalisation behind it")
    convolutions = {norm: convolution for convolution, norm in pairs.items()}

    def copy(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name in pairs:
            config["use_bias"] = True
        return type(layer).from_config(config)

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        return arguments[0] if layer.name in convolutions else layer(*arguments, **options)

    with deep_recursion():
        fused = keras.models.clone_model(model, clone_function=copy, call_function=call)
    for layer in fused.layers:
        if layer.name in pairs:
            layer.set_weights(_folded(model.get_layer(layer.name), model.get_layer(pairs[layer.name])))
        elif layer.variables:  # Keras may have renamed the inputs, which have none
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return fused


def _pairs(model: keras.Model) -> dict[str, str]:
    """Names of convolutions and of the normalisations that alone read them."""
    import keras

    outputs = {id(tensor) for tensor in keras.tree.flatten(model.outputs)}
    found = {}
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            continue
        if layer.activation is not keras.activations.linear or id(layer.output) in outputs:
            continue
        readers = [node.operation for node in layer._outbound_nodes]
        if len(readers) == 1 and isinstance(readers[0], keras.layers.BatchNormalization):
            found[layer.name] = readers[0].name
    return found


def _folded(convolution: Any, norm: Any) -> list[np.ndarray]:
    """Kernel and bias of a convolution that does its normalisation's work too; in float64 until the end."""
    kernel = convolution.kernel.numpy()
    bias = convolution.bias.numpy() if convolution.use_bias else 0.0
    gamma = norm.gamma.numpy().astype(np.float64) if norm.scale else 1.0
    beta = norm.beta.numpy() if norm.center else 0.0
    factor = gamma / np.sqrt(norm.moving_variance.numpy().astype(np.float64) + norm.epsilon)
    depthwise = kernel.shape[-1] * kernel.shape[-2] == factor.size and convolution.__class__.__name__.startswith("Dep")
    scaled = kernel * (factor.reshape(kernel.shape[-2:]) if depthwise else factor)
    return [scaled.astype(kernel.dtype), ((bias - norm.moving_mean.numpy()) * factor + beta).astype(kernel.dtype)]
