"""The residual network from input to output: stem, stages, head.

What the calls of `make` do, it does not know: they build Keras layers, or count what these cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keras_resnet.errors import UsageError
from keras_resnet.layer_names import CLASSIFIER, HEAD, STEM, Section
from keras_resnet.models.blocks import BLOCK_FUNCTIONS, Place
from keras_resnet.models.feature_info import FeatureInfo, SectionInfo
from keras_resnet.models.layers import Layers, T
from keras_resnet.models.spec import STEM_STRIDES, ResNetSpec, Stem
from keras_resnet.models.stems import STEM_FUNCTIONS, stem_output

OUTPUT_STRIDES = (8, 16, 32)


def check_classes(num_classes: object) -> None:
    """Refuse a number of outputs that no classifier can have; before a network is built.

    Raises:
        UsageError: It is not a whole number of at least 1.
    """
    whole = hasattr(num_classes, "__index__") and not isinstance(num_classes, bool)
    if not whole or num_classes < 1:  # type: ignore[operator]
        raise UsageError(f"num_classes must be a whole number of at least 1; received {num_classes!r}")


def check_output_stride(output_stride: int | None) -> None:
    """Refuse an output stride that no network can have; before one is built.

    Raises:
        UsageError: It is neither None nor one of `OUTPUT_STRIDES`.
    """
    if output_stride is not None and output_stride not in OUTPUT_STRIDES:
        raise UsageError(f"output_stride must be None, 8, 16 or 32; received {output_stride!r}")


def features(
    x: T,
    spec: ResNetSpec,
    stem: Stem,
    make: Layers[T],
    *,
    output_stride: int | None = None,
    stochastic_depth: float = 0.0,
    dropout: float = 0.0,
) -> tuple[T, FeatureInfo]:
    """Everything before the head.

    Args:
        x: Images, (batch, height, width, channels).
        spec: Which network.
        stem: The stem it has for images of this size.
        make: Builds the layers, or counts them.
        output_stride: None or one of `OUTPUT_STRIDES`: by how much the last feature map is at most smaller than the
            image.
        stochastic_depth: Chance in [0, 1) that the last block's branch is left out of a training sample.
        dropout: Rate in [0, 1), used where the spec has dropout in its blocks.

    Returns:
        The last stage's feature map, and what each section ends in.
    """
    x = STEM_FUNCTIONS[stem](x, spec, make)
    block_dropout = dropout if spec.dropout_at == "block" else 0.0
    blocks = list(places(spec, stem, output_stride, stochastic_depth, block_dropout))
    for at in blocks:
        x = BLOCK_FUNCTIONS[spec.block](x, at, spec, make)
    if spec.is_preact:
        x = make.relu(make.norm(x, name=HEAD.layer("bn")), name=HEAD.layer("relu"))
    return x, _feature_info(spec, stem, blocks)


def classifier(x: T, num_classes: int, dropout: float, make: Layers[T]) -> T:
    """A feature map to logits.

    Args:
        x: (batch, height, width, channels).
        num_classes: See `check_classes`.
        dropout: Rate in [0, 1) before the classifier.
        make: Builds the layers, or counts them.

    Returns:
        (batch, num_classes).
    """
    x = make.global_pool(x, "avg", name=HEAD.layer("pool"))
    if dropout:
        x = make.dropout(x, dropout, name=HEAD.layer("dropout"))
    return make.dense(x, int(num_classes), name=CLASSIFIER)


def places(
    spec: ResNetSpec, stem: Stem, output_stride: int | None, stochastic_depth: float, dropout: float
) -> Iterator[Place]:
    """The blocks from input to output, each with its place in the network.

    Beyond `output_stride`, strides become dilations (Yu & Koltun, "Multi-Scale Context Aggregation by
    Dilated Convolutions", 2015): the next convolutions look as far as they would have, at the higher
    resolution. The chance of leaving a branch out grows linearly from 0 in the first block to
    `stochastic_depth` in the last: Huang et al., "Deep Networks with Stochastic Depth", 2016, where the
    first block begins a step above 0; here as timm has it.

    Args:
        spec: Which network.
        stem: The stem before the blocks.
        output_stride: None or one of `OUTPUT_STRIDES`.
        stochastic_depth: In [0, 1).
        dropout: Rate between a block's convolutions, in [0, 1).
    """
    reached, dilation = STEM_STRIDES[stem], 1
    total, number = sum(spec.depths), 0
    for stage, (depth, width) in enumerate(zip(spec.depths, spec.widths, strict=True), start=1):
        for block in range(1, depth + 1):
            stride, before = (2 if _strides(spec, stage, block) else 1), dilation
            if output_stride is not None and reached * stride > output_stride:
                stride, dilation = 1, dilation * stride
            reached *= stride
            drop_path = stochastic_depth * number / max(1, total - 1)
            number += 1
            yield Place(Section(stage, block), width, stride, reached, dilation, before, drop_path, dropout)


def _strides(spec: ResNetSpec, stage: int, block: int) -> bool:
    if spec.strided_block == "first":
        return block == 1 and stage > 1
    return block == spec.depths[stage - 1] and stage < len(spec.depths)


def _feature_info(spec: ResNetSpec, stem: Stem, blocks: Sequence[Place]) -> FeatureInfo:
    """The output of a pre-activation block goes through the first ReLU of the next block, or the head's."""
    sections = [STEM, *(at.section for at in blocks)]
    outputs = [stem_output(spec, stem), *(at.layer("add" if spec.is_preact else "out") for at in blocks)]
    activated = [*(at.layer("relu1") for at in blocks), HEAD.layer("relu")] if spec.is_preact else outputs
    strides = [STEM_STRIDES[stem], *(at.total_stride for at in blocks)]
    return FeatureInfo(tuple(map(SectionInfo, sections, outputs, activated, strides)))
