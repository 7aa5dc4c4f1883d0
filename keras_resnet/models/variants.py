"""The table of networks. One row is the whole declaration and is itself the public builder."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from keras_resnet.errors import UsageError
from keras_resnet.models.builder import Builder, variant
from keras_resnet.models.spec import ResNetSpec

HE_2015 = 'He et al., "Deep Residual Learning for Image Recognition", 2015, https://arxiv.org/abs/1512.03385'
HE_2016 = 'He et al., "Identity Mappings in Deep Residual Networks", 2016, https://arxiv.org/abs/1603.05027'
HE_2018 = (
    'He et al., "Bag of Tricks for Image Classification with Convolutional Neural Networks", 2018, '
    "https://arxiv.org/abs/1812.01187"
)
ZAGORUYKO_2016 = 'Zagoruyko & Komodakis, "Wide Residual Networks", 2016, https://arxiv.org/abs/1605.07146'
XIE_2016 = (
    'Xie et al., "Aggregated Residual Transformations for Deep Neural Networks", 2016, https://arxiv.org/abs/1611.05431'
)
HU_2017 = 'Hu et al., "Squeeze-and-Excitation Networks", 2017, https://arxiv.org/abs/1709.01507'
WANG_2019 = (
    'Wang et al., "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks", 2019, '
    "https://arxiv.org/abs/1910.03151"
)
ZHANG_2019 = 'Zhang, "Making Convolutional Networks Shift-Invariant Again", 2019, https://arxiv.org/abs/1904.11486'
BELLO_2021 = (
    'Bello et al., "Revisiting ResNets: Improved Training and Scaling Strategies", 2021, '
    "https://arxiv.org/abs/2103.07579"
)
BANBURY_2021 = 'Banbury et al., "MLPerf Tiny Benchmark", 2021, https://arxiv.org/abs/2106.07597'

# Blocks in each stage, by depth.
BASIC = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
BOTTLENECK = {
    26: (2, 2, 2, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
RESNET_RS = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
    270: (4, 29, 53, 4),
    350: (4, 36, 72, 4),
    420: (4, 44, 87, 4),
}


def _imagenet(public_name: str, depth: int, summary: str, *, paper: str = HE_2015, **row: Any) -> Builder:
    """A network for ImageNet: basic blocks up to 34 layers, bottlenecks of four times the width beyond."""
    basic = depth in BASIC
    return variant(
        public_name,
        summary,
        paper=paper,
        **{
            "block": "basic" if basic else "bottleneck",
            "depths": BASIC[depth] if basic else BOTTLENECK[depth],
            "widths": (64, 128, 256, 512) if basic else (256, 512, 1024, 2048),
            **row,
        },
    )


def _v1(depth: int) -> Builder:
    same = "; the same network as v1.5, since basic blocks have no 1×1 convolution" if depth in BASIC else ""
    row = {} if depth in BASIC else {"strided_conv": "1x1"}
    return _imagenet(f"ResNet{depth}V1", depth, f"ResNet-{depth} v1: strides in the 1×1 convolution{same}.", **row)


def _v2(depth: int) -> Builder:
    return _imagenet(
        f"ResNet{depth}V2",
        depth,
        f"Pre-activation ResNet-{depth}, arranged as TF-Slim and keras.applications have it: stages stride in "
        "their last block, convolutions without a normalisation behind them have biases.",
        paper=HE_2016,
        block="preact_basic" if depth in BASIC else "preact_bottleneck",
        stem="imagenet",
        strided_block="last",
        bias="unnormalised",
    )


def _c(depth: int) -> Builder:
    return _imagenet(f"ResNet{depth}C", depth, f"ResNet-{depth}-C: the deep stem.", paper=HE_2018, stem="deep")


def _d(depth: int) -> Builder:
    summary = f"ResNet-{depth}-D: the deep stem, and shortcuts that pool before they project."
    return _imagenet(f"ResNet{depth}D", depth, summary, paper=HE_2018, **RESNET_D)


def _attention(prefix: str, depth: int, word: str, paper: str, letter: str = "", **row: Any) -> Builder:
    name = {"se": "squeeze and excitation", "eca": "efficient channel attention"}[word]
    return _imagenet(
        f"{prefix}ResNet{depth}{letter}",
        depth,
        f"ResNet-{depth}{letter and '-' + letter} with {name} in every block.",
        paper=paper,
        attention=word,
        **row,
    )


def _blur(depth: int) -> Builder:
    return _imagenet(
        f"ResNetBlur{depth}",
        depth,
        f"Anti-aliased ResNet-{depth}: blurs before it subsamples, in the stem and in every branch; shortcuts "
        "as in timm's resnetblur.",
        paper=ZHANG_2019,
        antialias=True,
    )


def _resnext(depth: int, groups: int, width: int) -> Builder:
    return _imagenet(
        f"ResNeXt{depth}_{groups}x{width}d",
        depth,
        f"ResNeXt-{depth} {groups}×{width}d: 3×3 convolutions in {groups} groups of {width} channels and, stage "
        "by stage, twice as many.",
        paper=XIE_2016,
        groups=groups,
        bottleneck_ratio=groups * width / 256,
    )


def _wide(depth: int) -> Builder:
    return _imagenet(
        f"WideResNet{depth}_2",
        depth,
        f"Wide ResNet-{depth}-2: 3×3 convolutions of twice the width.",
        paper=ZAGORUYKO_2016,
        bottleneck_ratio=0.5,
    )


def _rs(depth: int, input_size: int) -> Builder:
    return variant(
        f"ResNetRS{depth}",
        f"ResNet-RS-{depth}: strided deep stem, pooled shortcuts, squeeze and excitation. The paper trains it "
        f"at {input_size} pixels with dropout before the classifier and stochastic depth.",
        block="bottleneck",
        depths=RESNET_RS[depth],
        widths=(256, 512, 1024, 2048),
        stem="deep_strided",
        shortcut="avgpool_projection",
        attention="se",
        se_ratio=0.25,
        input_size=input_size,
        paper=BELLO_2021,
    )


def _cifar(depth: int) -> Builder:
    blocks = (depth - 2) // 6
    return variant(
        f"ResNet{depth}",
        f"ResNet-{depth} for 32×32 images: three stages of {blocks} basic blocks, 16, 32 and 64 channels, "
        'identity shortcuts (option A; `shortcut="projection"` is option B).',
        block="basic",
        depths=(blocks,) * 3,
        widths=(16, 32, 64),
        stem="cifar",
        stem_width=16,
        shortcut="identity_pad",
        input_size=32,
        paper=HE_2015,
    )


def _cifar_v2(depth: int) -> Builder:
    blocks = (depth - 2) // 9
    return variant(
        f"ResNet{depth}V2",
        f"Pre-activation ResNet-{depth} for 32×32 images: three stages of {blocks} bottlenecks.",
        block="preact_bottleneck",
        depths=(blocks,) * 3,
        widths=(64, 128, 256),
        stem="cifar",
        stem_width=16,
        input_size=32,
        paper=HE_2016,
    )


def _mlperf(public_name: str, filters: int, summary: str) -> Builder:
    return variant(
        public_name,
        f"{summary} One basic block a stage, {filters}, {2 * filters} and {4 * filters} channels; biases in all "
        "convolutions, none normalised on the shortcuts, TensorFlow's padding, as its reference has them.",
        block="basic",
        depths=(1, 1, 1),
        widths=(filters, 2 * filters, 4 * filters),
        stem="cifar",
        stem_width=filters,
        shortcut="plain_projection",
        bias="all",
        padding="same",
        input_size=32,
        paper=BANBURY_2021,
    )


def wrn(depth: int, width: int) -> ResNetSpec:
    """The spec of a wide residual network for small images, WRN-`depth`-`width`.

    Its `dropout` acts between the convolutions of each block (the paper has 0.3 on CIFAR).

    Args:
        depth: 6n + 4 for n blocks in each of three stages: 10, 16, 22, 28, 40 …
        width: Factor on the channels 16, 32, 64.

    Returns:
        The spec, which `build` takes. Zagoruyko & Komodakis, 2016, https://arxiv.org/abs/1605.07146.

    Raises:
        UsageError: (a ValueError) The depth is not 6n + 4, or the width not positive.
    """
    if not isinstance(depth, int) or depth < 10 or (depth - 4) % 6:
        raise UsageError(f"depth must be 6n + 4 (10, 16, 22, 28, 34, 40 …); received {depth!r}")
    if not isinstance(width, int) or width < 1:
        raise UsageError(f"width must be a positive whole number; received {width!r}")
    return ResNetSpec(
        f"wrn{depth}_{width}",
        block="preact_basic",
        depths=((depth - 4) // 6,) * 3,
        widths=(16 * width, 32 * width, 64 * width),
        stem="cifar",
        stem_width=16,
        dropout_at="block",
        input_size=32,
        paper=ZAGORUYKO_2016,
    )


def _wrn(depth: int, width: int) -> Builder:
    row = {field.name: getattr(wrn(depth, width), field.name) for field in fields(ResNetSpec)[1:]}
    summary = f"Wide residual network WRN-{depth}-{width} for 32×32 images; `dropout` acts in the blocks."
    return variant(f"WRN{depth}_{width}", summary, **row)


V1_5 = "ResNet-{} of {} blocks, v1.5: bottlenecks stride in their 3×3 convolution."
RESNET_D: dict[str, Any] = {"stem": "deep", "shortcut": "avgpool_projection"}

ResNet18 = _imagenet("ResNet18", 18, V1_5.format(18, "basic"))
ResNet34 = _imagenet("ResNet34", 34, V1_5.format(34, "basic"))
ResNet26 = _imagenet("ResNet26", 26, V1_5.format(26, "bottleneck"))
ResNet50 = _imagenet("ResNet50", 50, V1_5.format(50, "bottleneck"))
ResNet101 = _imagenet("ResNet101", 101, V1_5.format(101, "bottleneck"))
ResNet152 = _imagenet("ResNet152", 152, V1_5.format(152, "bottleneck"))
ResNet200 = _imagenet("ResNet200", 200, V1_5.format(200, "bottleneck"), paper=HE_2016)

ResNet18V1 = _v1(18)
ResNet34V1 = _v1(34)
ResNet50V1 = _v1(50)
ResNet101V1 = _v1(101)
ResNet152V1 = _v1(152)

ResNet18V2 = _v2(18)
ResNet34V2 = _v2(34)
ResNet50V2 = _v2(50)
ResNet101V2 = _v2(101)
ResNet152V2 = _v2(152)
ResNet200V2 = _v2(200)

ResNet50C = _c(50)
ResNet101C = _c(101)
ResNet152C = _c(152)

ResNet18D = _d(18)
ResNet26D = _d(26)
ResNet34D = _d(34)
ResNet50D = _d(50)
ResNet101D = _d(101)
ResNet152D = _d(152)
ResNet200D = _d(200)

WideResNet50_2 = _wide(50)
WideResNet101_2 = _wide(101)

ResNeXt50_32x4d = _resnext(50, 32, 4)
ResNeXt101_32x8d = _resnext(101, 32, 8)
ResNeXt101_64x4d = _resnext(101, 64, 4)

SEResNet18 = _attention("SE", 18, "se", HU_2017)
SEResNet34 = _attention("SE", 34, "se", HU_2017)
SEResNet50 = _attention("SE", 50, "se", HU_2017)
SEResNet101 = _attention("SE", 101, "se", HU_2017)
SEResNet152 = _attention("SE", 152, "se", HU_2017)
SEResNet152D = _attention("SE", 152, "se", HU_2017, "D", **RESNET_D)

ECAResNet18 = _attention("ECA", 18, "eca", WANG_2019)
ECAResNet34 = _attention("ECA", 34, "eca", WANG_2019)
ECAResNet50 = _attention("ECA", 50, "eca", WANG_2019)
ECAResNet101 = _attention("ECA", 101, "eca", WANG_2019)
ECAResNet152 = _attention("ECA", 152, "eca", WANG_2019)
ECAResNet50D = _attention("ECA", 50, "eca", WANG_2019, "D", **RESNET_D)
ECAResNet101D = _attention("ECA", 101, "eca", WANG_2019, "D", **RESNET_D)

ResNetBlur18 = _blur(18)
ResNetBlur34 = _blur(34)
ResNetBlur50 = _blur(50)
ResNetBlur101 = _blur(101)

# Training resolutions of timm's ports, at which their weights were made.
ResNetRS50 = _rs(50, 160)
ResNetRS101 = _rs(101, 192)
ResNetRS152 = _rs(152, 256)
ResNetRS200 = _rs(200, 256)
ResNetRS270 = _rs(270, 256)
ResNetRS350 = _rs(350, 288)
ResNetRS420 = _rs(420, 320)

ResNet8 = _mlperf("ResNet8", 16, "MLPerf Tiny's image classification network (IC01).")
ResNet8Large = _mlperf("ResNet8Large", 40, "MLPerf Tiny's larger image classification network (IC02).")

ResNet20 = _cifar(20)
ResNet32 = _cifar(32)
ResNet44 = _cifar(44)
ResNet56 = _cifar(56)
ResNet110 = _cifar(110)
ResNet1202 = _cifar(1202)

ResNet164V2 = _cifar_v2(164)
ResNet1001V2 = _cifar_v2(1001)

WRN16_4 = _wrn(16, 4)
WRN16_8 = _wrn(16, 8)
WRN28_10 = _wrn(28, 10)
WRN40_2 = _wrn(40, 2)
WRN40_4 = _wrn(40, 4)
