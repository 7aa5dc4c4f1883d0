"""Batch normalisations folded into the layers before them: the same function in fewer steps.

y = γ (k∗x + b − μ) / √(σ² + ε) + β is a convolution with kernel k γ/√(σ² + ε). For inference only: a folded
normalisation has no statistics to update.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.errors import UsageError
from keras_resnet.models.feature_info import carry_over

if TYPE_CHECKING:
    import keras

KERNELS = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D", "Conv3D"), ("kernel", "last")),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), ("kernel", "last but one")),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), ("kernel", "last two")),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), ("pointwise_kernel", "last")),
}
"""Layers of Keras that a normalisation can be folded into: the kernel that gives their channels, its axes of these."""


def fuse_batchnorm(model: keras.Model) -> keras.Model:
    """A copy of a model in which normalisations are folded into the layers before them.

    Folded are batch normalisations over the channels that alone read the output of a convolution (transposed, depthwise
    and separable too) or a dense layer without activation; a ReLU that alone reads such a normalisation becomes the
    layer's activation. Others stay, such as those that stand before the convolutions of pre-activation networks or
    behind an activation, and all of layers that are called in several places. Models inside are folded likewise.

    Args:
        model: A functional or sequential model; it is not changed.

    Returns:
        A functional model of the same inputs and outputs with weights of its own, equal up to rounding. It is
        not for training.

    Raises:
        UsageError: (a ValueError) The model has no graph, or nothing to fold, or a layer that cannot be copied.
    """
    fused, folded = folded_copy(as_functional(model, "folded"))
    if not folded:
        raise UsageError(f"{model.name} has no convolution or dense layer with a batch normalisation behind it")
    preprocessing = getattr(model, "preprocessing", None)
    if preprocessing is not None:
        fused.preprocessing = preprocessing
    return fused


@dataclass(frozen=True)
class _Chain:
    """A layer, the normalisation that alone reads it, and the ReLU that alone reads that, if there is one."""

    layer: Any
    norm: Any
    relu: Any

    @property
    def absorbed(self) -> list[str]:
        """Names of the layers whose work the first one does in the copy."""
        return [one.name for one in (self.norm, self.relu) if one is not None]


def as_functional(model: keras.Model, done: str) -> keras.Model:
    """A functional or sequential model as a graph.

    Args:
        model: Any.
        done: What is to be done with it, as errors call it: `folded`.

    Raises:
        UsageError: It has none.
    """
    from keras_resnet.compat.graph import graph_of

    graph = graph_of(model)
    if graph is None:
        raise UsageError(
            f"only functional and sequential models that know their input can be {done}; received "
            f"{type(model).__name__} {model.name!r}: build a sequential one by model.build((None, height, width, "
            "channels)); write a subclassed one as keras.Model(inputs, outputs)"
        )
    return graph


def folded_copy(model: keras.Model) -> tuple[keras.Model, int]:
    """A copy of a functional model with what can be folded folded, and how many normalisations that were."""
    import keras

    from keras_resnet.compat.graph import calls, graph_of

    chains = _chains(model)
    absorbed = {name: layer for layer, chain in chains.items() for name in chain.absorbed}
    trained = {id(call.operation) for call in calls(model) if call.in_training}
    folded, inner = len(chains), set()

    def copy(layer: Any) -> Any:
        nonlocal folded
        graph = graph_of(layer) if isinstance(layer, keras.Model) and id(layer) not in trained else None
        if graph is not None:
            part, count = folded_copy(graph)
            folded += count
            inner.add(layer.name)
            return part
        config = layer.get_config()
        if layer.name in chains:
            config["use_bias"] = True
            config["activation"] = "linear" if chains[layer.name].relu is None else "relu"
        return made_again(layer, config, f"{model.name} cannot be folded")

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        return arguments[0] if layer.name in absorbed else layer(*arguments, **options)

    with deep_recursion():
        fused = keras.models.clone_model(model, clone_function=copy, call_function=call)
    originals = {layer.name: layer for layer in model.layers}
    for layer in fused.layers:
        if layer.name in chains:
            _fold(chains[layer.name], layer)
        elif layer.variables and layer.name not in inner:  # Keras may have renamed the inputs, which have none
            layer.set_weights(originals[layer.name].get_weights())
    carry_over(model, fused, absorbed)
    return fused, folded


def made_again(layer: Any, config: dict[str, Any], refusal: str) -> Any:
    """A layer of the same class.

    Args:
        layer: The other; it is returned itself if it cannot be made again and has no variables.
        config: Of the new one.
        refusal: How an error begins.

    Raises:
        UsageError: It cannot be made from a configuration.
    """
    try:
        return type(layer).from_config(config)
    except Exception as error:  # of the user's classes, and of functions in a Lambda layer
        if not getattr(layer, "variables", ()):
            return layer  # it can stand in both graphs
        raise UsageError(
            f"{refusal}: its layer {layer.name!r} ({type(layer).__name__}) cannot be made again from its configuration "
            f"({error})"
        ) from error


def _chains(model: keras.Model) -> dict[str, _Chain]:
    """What can be folded, by the name of its first layer.

    A layer that is called in several places is in none: it must stay for the others.
    """
    from keras_resnet.compat.graph import Call, calls, sole_readers

    graph, readers = calls(model), sole_readers(model)
    times = Counter(id(call.operation) for call in graph)

    def only_reader(call: Call) -> Call | None:
        return readers.get(id(call.outputs[0])) if len(call.outputs) == 1 else None

    found = {}
    for call in graph:
        if times[id(call.operation)] != 1 or not _can_fold(call.operation):
            continue
        norm = only_reader(call)
        if norm is None or norm.in_training or not _is_norm_of(norm.operation, call.operation, call.outputs[0]):
            continue
        relu = only_reader(norm)
        behind = relu.operation if relu is not None and is_relu(relu.operation) else None
        found[call.operation.name] = _Chain(call.operation, norm.operation, behind)
    return found


def _can_fold(layer: Any) -> bool:
    """Whether it is one of Keras's own layers, without activation; a class that derives from one may do anything."""
    import keras

    kind = type(layer).__name__
    return (
        kind in KERNELS
        and type(layer) is getattr(keras.layers, kind)
        and layer.activation is keras.activations.linear
        and not getattr(layer, "lora_enabled", False)
        and getattr(layer, "quantization_mode", None) is None
    )


def _is_norm_of(norm: Any, layer: Any, output: Any) -> bool:
    """Whether it is a batch normalisation over the channels of what the layer gives."""
    import keras

    if type(norm) is not keras.layers.BatchNormalization:
        return False
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    return bool(norm.axis % len(output.shape) == (1 if first else len(output.shape) - 1))


def is_relu(layer: Any) -> bool:
    """Whether it is max(x, 0), not a clipped or leaky one."""
    import keras

    if isinstance(layer, keras.layers.ReLU):
        return layer.max_value is None and not layer.negative_slope and not layer.threshold
    return isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.relu


def _fold(chain: _Chain, copy: Any) -> None:
    """Give a copy of a layer the kernel and bias that do its normalisation's work too; in float64 until the end."""
    layer, norm = chain.layer, chain.norm
    bias = layer.bias.numpy().astype(np.float64) if layer.use_bias else 0.0
    gamma = norm.gamma.numpy().astype(np.float64) if norm.scale else 1.0
    beta = norm.beta.numpy() if norm.center else 0.0
    factor = gamma / np.sqrt(norm.moving_variance.numpy().astype(np.float64) + norm.epsilon)
    name, axes = KERNELS[type(layer).__name__]
    copy.set_weights([*layer.get_weights()[: len(layer.weights) - layer.use_bias], np.zeros(factor.shape)])
    kernel = getattr(layer, name).numpy()
    if axes == "last two":
        scale = factor.reshape(kernel.shape[-2:])
    else:
        scale = factor if axes == "last" else factor[:, np.newaxis]
    getattr(copy, name).assign((kernel * scale).astype(kernel.dtype))
    copy.bias.assign(((bias - norm.moving_mean.numpy()) * factor + beta).astype(kernel.dtype))
