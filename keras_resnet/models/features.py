"""Parts of a built network: its feature maps by stride, and which of its stages train."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.errors import UsageError, listed
from keras_resnet.layer_names import HEAD, OTHER, STEM, part_of, section_of

if TYPE_CHECKING:
    import keras


def feature_extractor(model: keras.Model, strides: Sequence[int] = (4, 8, 16, 32)) -> keras.Model:
    """The feature maps that detectors and segmenters build on, as one model.

    Args:
        model: One that `build` made, with or without its top.
        strides: By how much each map is smaller than the input.

    Returns:
        A model that shares its layers with `model`, from the same input to a dictionary of activated
        maps, float (batch, height / stride, width / stride, channels). They are called as in the
        literature: `C2` has stride 4, `C5` stride 32, `Cn` stride 2ⁿ. Where several blocks have the same
        stride (dilation), it is the last one's map.

    Raises:
        UsageError: (a ValueError) The network has no map of such a stride; those it has, are listed.
    """
    import keras

    available = _maps(model)
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


def _maps(model: keras.Model) -> dict[int, Any]:
    """The last activated map of every stride."""
    blocks: dict[str, list[Any]] = {}
    stride = 1
    for layer in model.layers:
        section = section_of(layer.name)
        if section and section not in (STEM, HEAD):
            blocks.setdefault(str(section), []).append(layer)
        elif section == STEM:
            stride *= _stride(layer)
    maps = {}
    by_name = {layer.name: layer for layer in model.layers}
    for block, layers in blocks.items():
        if f"{block}_out" in by_name:
            stride *= max(_stride(layer) for layer in layers)
            maps[stride] = by_name[f"{block}_out"].output
        else:  # pre-activation: what a block adds up is activated by the next one
            if f"{block}_relu1" in by_name:  # folded away behind the stem of a fused network
                maps[stride] = by_name[f"{block}_relu1"].output
            stride *= max(_stride(layer) for layer in layers)
    if "head_relu" in by_name:
        maps[stride] = by_name["head_relu"].output
    if not maps:
        raise UsageError(f"{model.name} has no residual stages: give a model that keras_resnet.build made")
    return maps


def _stride(layer: Any) -> int:
    strides = getattr(layer, "strides", 1)
    return int(strides if isinstance(strides, int) else strides[0])
