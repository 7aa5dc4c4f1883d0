"""Batch normalisations folded into the convolutions before them: the same function in fewer steps.

y = γ (k∗x + b − μ) / √(σ² + ε) + β is a convolution with kernel k γ/√(σ² + ε). For inference only: a folded
normalisation has no statistics to update.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.errors import UsageError
from keras_resnet.models.feature_info import carry_over

if TYPE_CHECKING:
    import keras


def fuse_batchnorm(model: keras.Model) -> keras.Model:
    """A copy of a functional model whose convolutions have their normalisations folded in.

    Folded are batch normalisations that alone read the output of a convolution without activation; a
    ReLU that alone reads such a normalisation becomes the convolution's activation. Others stay, such as
    those that stand before the convolutions of pre-activation networks.

    Args:
        model: A functional model; it is not changed.

    Returns:
        A model of the same inputs and outputs with weights of its own, equal up to rounding. It is
        not for training.

    Raises:
        UsageError: (a ValueError) The model is not functional, or has nothing to fold.
    """
    import keras

    from keras_resnet.compat.graph import is_functional

    if not is_functional(model):
        raise UsageError(f"only functional models can be folded; received {type(model).__name__} {model.name!r}")
    chains = _chains(model)
    if not chains:
        raise UsageError(f"{model.name} has no convolution with a batch normalisation behind it")
    absorbed = {layer.name: name for name, chain in chains.items() for layer in chain}

    def copy(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name in chains:
            config["use_bias"] = True
            config["activation"] = "relu" if len(chains[layer.name]) > 1 else None
        return type(layer).from_config(config)

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        return arguments[0] if layer.name in absorbed else layer(*arguments, **options)

    with deep_recursion():
        fused = keras.models.clone_model(model, clone_function=copy, call_function=call)
    for layer in fused.layers:
        if layer.name in chains:
            layer.set_weights(_folded(model.get_layer(layer.name), chains[layer.name][0]))
        elif layer.variables:  # Keras may have renamed the inputs, which have none
            layer.set_weights(model.get_layer(layer.name).get_weights())
    carry_over(model, fused, absorbed)
    return fused


def _chains(model: keras.Model) -> dict[str, list[Any]]:
    """By name of convolution: the normalisation that alone reads it, and the ReLU that alone reads that.

    A layer that is called in several places is none of them: it must stay for the others.
    """
    import keras

    from keras_resnet.compat.graph import readers, times_called

    outputs = {id(tensor) for tensor in keras.tree.flatten(model.outputs)}

    def only_reader(layer: Any) -> Any:
        found = readers(layer)
        alone = len(found) == 1 and times_called(found[0]) == 1 and id(layer.output) not in outputs
        return found[0] if alone else None

    found = {}
    for layer in model.layers:
        is_convolution = isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)
        if not is_convolution or times_called(layer) != 1 or layer.activation is not keras.activations.linear:
            continue
        norm = only_reader(layer)
        if isinstance(norm, keras.layers.BatchNormalization):
            relu = only_reader(norm)
            found[layer.name] = [norm, relu] if _is_relu(relu) else [norm]
    return found


def _is_relu(layer: Any) -> bool:
    """Whether it is max(x, 0), not a clipped or leaky one."""
    import keras

    if isinstance(layer, keras.layers.ReLU):
        return layer.max_value is None and not layer.negative_slope and not layer.threshold
    return isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.relu


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
