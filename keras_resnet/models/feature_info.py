"""Where the stem and the blocks of a built network end: the layers that give their outputs, and their strides.

The assembly knows it, and `build` records it with the model. A copy that this package makes of the model gets the
record; of a model without one, such as one from a file, the names and strides of the layers say the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from keras_resnet.errors import UsageError
from keras_resnet.layer_names import HEAD, STEM, Section, section_of

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class SectionInfo:
    """Where the stem or a block ends.

    Args:
        section: Which of them.
        output: Name of the layer that gives its output.
        activated: Name of the layer that gives this output after a ReLU. In pre-activation networks it stands in the
            next section. None where a model ends before it.
        stride: By how much the output is smaller than the image.
    """

    section: Section
    output: str
    activated: str | None
    stride: int


@dataclass(frozen=True)
class FeatureInfo:
    """Where the sections of a network end.

    Args:
        sections: The stem and every block, from input to output.
    """

    sections: tuple[SectionInfo, ...]


def record(model: keras.Model, info: FeatureInfo) -> None:
    """Keep with a model what is known of it; Keras does not save it."""
    model.feature_info = info  # no container: Keras would look for layers in it


def carry_over(model: keras.Model, copy: keras.Model, replaced: Mapping[str, str] | None = None) -> None:
    """Give a copy of a model its record, if it has one.

    Args:
        model: One that was copied.
        copy: Its copy, with layers of the same names.
        replaced: Names of layers that the copy lacks, and of those that do their work there.
    """
    info = getattr(model, "feature_info", None)
    if info is None:
        return
    names = replaced or {}
    sections = (
        replace(one, output=names.get(one.output, one.output), activated=names.get(one.activated, one.activated))
        for one in info.sections
    )
    record(copy, FeatureInfo(tuple(sections)))


def feature_info(model: keras.Model) -> FeatureInfo:
    """What is recorded of a model, or else what its layers say.

    Raises:
        UsageError: (a ValueError) It has no residual blocks.
    """
    info: FeatureInfo = getattr(model, "feature_info", None) or read_feature_info(model)
    if not any(one.section.block for one in info.sections):
        raise UsageError(f"{model.name} has no residual blocks: give a model that keras_resnet.build made")
    return info


def read_feature_info(model: keras.Model) -> FeatureInfo:
    """What the names and strides of a model's layers say.

    Args:
        model: One that `build` made, or a part or a copy of one.
    """
    layers: dict[Section, list[Any]] = {}
    for layer in model.layers:  # from input to output
        if section := section_of(layer.name):
            layers.setdefault(section, []).append(layer)
    names = {layer.name for layer in model.layers}
    sections = sorted(layers.keys() - {HEAD})
    preact = not any(section.layer("out") in names for section in sections)
    infos, stride = [], 1
    for section, following in zip(sections, [*sections[1:], HEAD], strict=False):
        output, strides = layers[section][-1], [_stride(layer) for layer in layers[section]]
        # The stem is a chain; in a block, branch and shortcut divide the resolution alike.
        stride *= math.prod(strides) if section == STEM else max(strides)
        if section != STEM and output.name != section.layer("add" if preact else "out"):
            break  # a part of a network, which ends within a block
        activated = following.layer("relu" if following == HEAD else "relu1") if preact else output.name
        if activated not in names:
            activated = output.name if _is_activated(output) else None
        infos.append(SectionInfo(section, output.name, activated, stride))
    return FeatureInfo(tuple(infos))


def _stride(layer: Any) -> int:
    strides = getattr(layer, "strides", 1)
    return int(strides if isinstance(strides, int) else strides[0])


def _is_activated(layer: Any) -> bool:
    """Whether a convolution does the work of a ReLU too, as where normalisations are folded into it."""
    import keras

    return getattr(layer, "activation", None) is keras.activations.relu
