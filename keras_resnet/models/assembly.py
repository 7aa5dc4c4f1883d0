"""The residual network, top to bottom: stem, each stage in turn, head; in any meaning of the words."""

from __future__ import annotations

from collections.abc import Iterator

from keras_resnet.errors import UsageError
from keras_resnet.layer_names import CLASSIFIER, HEAD, Section
from keras_resnet.models.blocks import BLOCK_FUNCTIONS, Place
from keras_resnet.models.layers import Layers, T
from keras_resnet.models.spec import ResNetSpec, Stem
from keras_resnet.models.stems import STEM_FUNCTIONS

OUTPUT_STRIDES = (8, 16, 32)


def features(
    x: T,
    spec: ResNetSpec,
    stem: Stem,
    make: Layers[T],
    *,
    output_stride: int | None = None,
    stochastic_depth: float = 0.0,
    dropout: float = 0.0,
) -> T:
    """Everything before the head: an image to the last stage's feature map."""
    x = STEM_FUNCTIONS[stem](x, spec, make)
    block_dropout = dropout if spec.dropout_at == "block" else 0.0
    for at in places(spec, stem, output_stride, stochastic_depth, block_dropout):
        x = BLOCK_FUNCTIONS[spec.block](x, at, spec, make)
    if spec.is_preact:
        x = make.relu(make.norm(x, name=HEAD.layer("bn")), name=HEAD.layer("relu"))
    return x


def classifier(x: T, num_classes: int, dropout: float, make: Layers[T]) -> T:
    """A feature map to logits.

    Raises:
        UsageError: `num_classes` is not a whole number of at least 1.
    """
    if isinstance(num_classes, bool) or not hasattr(num_classes, "__index__") or num_classes < 1:
        raise UsageError(f"num_classes must be a whole number of at least 1; received {num_classes!r}")
    x = make.global_pool(x, "avg", name=HEAD.layer("pool"))
    if dropout:
        x = make.dropout(x, dropout, name=HEAD.layer("dropout"))
    return make.dense(x, int(num_classes), name=CLASSIFIER)


def places(
    spec: ResNetSpec, stem: Stem, output_stride: int | None, stochastic_depth: float, dropout: float
) -> Iterator[Place]:
    """Where each block stands, in order.

    Beyond `output_stride`, strides become dilations (Yu & Koltun, "Multi-Scale Context Aggregation by
    Dilated Convolutions", 2015): the next convolutions look as far as they would have, at the higher
    resolution. The chance of leaving a branch out grows linearly from 0 in the first block to
    `stochastic_depth` in the last: Huang et al., "Deep Networks with Stochastic Depth", 2016, where the
    first block begins a step above 0; here as timm has it.

    Raises:
        UsageError: The output stride is not one of `OUTPUT_STRIDES`.
    """
    if output_stride is not None and output_stride not in OUTPUT_STRIDES:
        raise UsageError(f"output_stride must be None, 8, 16 or 32; received {output_stride!r}")
    reached, dilation = (1 if stem == "cifar" else 4), 1
    total, number = sum(spec.depths), 0
    for stage, (depth, width) in enumerate(zip(spec.depths, spec.widths, strict=True), start=1):
        for block in range(1, depth + 1):
            stride, before = (2 if _strides(spec, stage, block) else 1), dilation
            if output_stride is not None and reached * stride > output_stride:
                stride, dilation = 1, dilation * stride
            reached *= stride
            drop_path = stochastic_depth * number / max(1, total - 1)
            number += 1
            yield Place(Section(stage, block), width, stride, dilation, before, drop_path, dropout)


def _strides(spec: ResNetSpec, stage: int, block: int) -> bool:
    if spec.strided_block == "first":
        return block == 1 and stage > 1
    return block == spec.depths[stage - 1] and stage < len(spec.depths)
