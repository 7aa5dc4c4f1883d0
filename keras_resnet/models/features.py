"""Parts of a built network: its feature maps by stride, and which of its stages train."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.errors import UsageError, listed
from keras_resnet.layer_names import OTHER, part_of
from keras_resnet.models.feature_info import feature_info

if TYPE_CHECKING:
    import keras


def feature_extractor(model: keras.Model, strides: Sequence[int] | None = None) -> keras.Model:
    """The feature maps that detectors and segmenters build on, as one model.

    Args:
        model: One that `build` made, with or without its top.
        strides: By how much each map is smaller than the input; None: the maps of all stages, which have the
            strides 4, 8, 16 and 32 in networks for ImageNet.

    Returns:
        A model that shares its layers with `model`, from the same input to a dictionary of activated
        maps, float (batch, height / stride, width / stride, channels). They are called as in the
        literature: `C2` has stride 4, `C5` stride 32, `Cn` stride 2ⁿ. Where several blocks have the same
        stride (dilation), it is the last one's map.

    Raises:
        UsageError: (a ValueError) The network has no map of such a stride; those it has, are listed.
    """
    import keras

    sections = feature_info(model).sections
    available = {one.stride: model.get_layer(one.activated).output for one in sections if one.activated}
    if strides is None:
        strides = sorted({one.stride for one in sections if one.activated and one.section.block})
    unknown = [stride for stride in strides if stride not in available]
    if unknown or not strides:
        known = ", ".join(map(str, available))
        raise UsageError(f"strides must be some of {known} for {model.name}; received {tuple(strides)}")
    outputs = {f"C{int(math.log2(stride))}": available[stride] for stride in strides}
    with deep_recursion():
        return keras.Model(model.input, outputs, name=f"{model.name}_features")


def freeze(model: keras.Model, until: str | None) -> list[str]:
    """Keep the first parts of a network from training; their batch normalisations keep their statistics.

    Compile the model afterwards: Keras notes what trains when it compiles.

    Args:
        model: One that `build` made.
        until: The last part that is frozen: `"stem"`, `"stage1"` … or `"head"` for all. None makes
            everything trainable.

    Returns:
        Names of the frozen layers that have weights.

    Raises:
        UsageError: (a ValueError) The network has no such part; those it has, are listed.
    """
    parts = [part for part in dict.fromkeys(part_of(layer.name) for layer in model.layers) if part != OTHER]
    if until is not None and until not in parts:
        raise UsageError(f"until must be None or one of {listed(parts, most=20)}; received {until!r}")
    frozen = set(parts[: parts.index(until) + 1]) if until is not None else set()
    names = []
    for layer in model.layers:
        layer.trainable = part_of(layer.name) not in frozen
        if not layer.trainable and layer.weights:
            names.append(layer.name)
    return names
