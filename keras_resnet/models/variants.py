"""The table of networks: what there is, and the spec of one by its name.

A row is the whole declaration of a network; `builders` makes a function of each.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, fields, replace
from typing import Any

from keras_resnet.errors import UsageError, alike, listed, nearest
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

RESNET_D: dict[str, Any] = {"stem": "deep", "shortcut": "avgpool_projection"}


@dataclass(frozen=True)
class Variant:
    """A named network.

    Args:
        public_name: Of the function that builds it: `ResNet50`.
        summary: One sentence.
        spec: What it is; its name is the public one in small letters.
    """

    public_name: str
    summary: str
    spec: ResNetSpec


def _variant(public_name: str, summary: str, **row: Any) -> Variant:
    return Variant(public_name, summary, ResNetSpec(name=public_name.lower(), **row))


def _imagenet(public_name: str, depth: int, summary: str, *, paper: str = HE_2015, **row: Any) -> Variant:
    """A network for ImageNet: basic blocks up to 34 layers, bottlenecks of four times the width beyond."""
    basic = depth in BASIC
    return _variant(
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


def _v1_5(depth: int, **row: Any) -> Variant:
    kind = "basic" if depth in BASIC else "bottleneck"
    summary = f"ResNet-{depth} of {kind} blocks, v1.5: bottlenecks stride in their 3×3 convolution."
    return _imagenet(f"ResNet{depth}", depth, summary, **row)


def _v1(depth: int) -> Variant:
    same = "; the same network as v1.5, since basic blocks have no 1×1 convolution" if depth in BASIC else ""
    row = {} if depth in BASIC else {"strided_conv": "1x1"}
    return _imagenet(f"ResNet{depth}V1", depth, f"ResNet-{depth} v1: strides in the 1×1 convolution{same}.", **row)


def _v2(depth: int) -> Variant:
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


def _c(depth: int) -> Variant:
    return _imagenet(f"ResNet{depth}C", depth, f"ResNet-{depth}-C: the deep stem.", paper=HE_2018, stem="deep")


def _d(depth: int) -> Variant:
    summary = f"ResNet-{depth}-D: the deep stem, and shortcuts that pool before they project."
    return _imagenet(f"ResNet{depth}D", depth, summary, paper=HE_2018, **RESNET_D)


def _se(depth: int, letter: str = "", **row: Any) -> Variant:
    return _attention("SE", "squeeze and excitation", depth, letter, attention="se", paper=HU_2017, **row)


def _eca(depth: int, letter: str = "", **row: Any) -> Variant:
    return _attention("ECA", "efficient channel attention", depth, letter, attention="eca", paper=WANG_2019, **row)


def _attention(prefix: str, kind: str, depth: int, letter: str, **row: Any) -> Variant:
    summary = f"ResNet-{depth}{letter and '-' + letter} with {kind} in every block."
    return _imagenet(f"{prefix}ResNet{depth}{letter}", depth, summary, **row)


def _blur(depth: int) -> Variant:
    return _imagenet(
        f"ResNetBlur{depth}",
        depth,
        f"Anti-aliased ResNet-{depth}: blurs before it subsamples, in the stem and in every branch; shortcuts "
        "as in timm's resnetblur.",
        paper=ZHANG_2019,
        antialias=True,
    )


def _resnext(depth: int, groups: int, width: int) -> Variant:
    return _imagenet(
        f"ResNeXt{depth}_{groups}x{width}d",
        depth,
        f"ResNeXt-{depth} {groups}×{width}d: 3×3 convolutions in {groups} groups of {width} channels and, stage "
        "by stage, twice as many.",
        paper=XIE_2016,
        groups=groups,
        bottleneck_ratio=groups * width / 256,
    )


def _wide(depth: int) -> Variant:
    return _imagenet(
        f"WideResNet{depth}_2",
        depth,
        f"Wide ResNet-{depth}-2: 3×3 convolutions of twice the width.",
        paper=ZAGORUYKO_2016,
        bottleneck_ratio=0.5,
    )


def _rs(depth: int, input_size: int) -> Variant:
    return _variant(
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


def _cifar(depth: int) -> Variant:
    blocks = (depth - 2) // 6
    return _variant(
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


def _plain_cifar(depth: int) -> Variant:
    residual = _cifar(depth)
    summary = (
        f"ResNet-{depth} without its shortcuts: the plain network of the paper, which shows what shortcuts are for."
    )
    return Variant(f"PlainNet{depth}", summary, replace(residual.spec, name=f"plainnet{depth}", shortcut="none"))


def _cifar_v2(depth: int) -> Variant:
    blocks = (depth - 2) // 9
    return _variant(
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


def _mlperf(public_name: str, filters: int, summary: str) -> Variant:
    return _variant(
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


def _wrn(depth: int, width: int) -> Variant:
    row = {field.name: getattr(wrn(depth, width), field.name) for field in fields(ResNetSpec)[1:]}
    summary = f"Wide residual network WRN-{depth}-{width} for 32×32 images; `dropout` acts in the blocks."
    return _variant(f"WRN{depth}_{width}", summary, **row)


VARIANTS: dict[str, Variant] = {
    row.spec.name: row
    for row in (
        *map(_v1_5, (18, 34, 26, 50, 101, 152)),
        _v1_5(200, paper=HE_2016),
        *map(_v1, (18, 34, 50, 101, 152)),
        *map(_v2, (18, 34, 50, 101, 152, 200)),
        *map(_c, (50, 101, 152)),
        *map(_d, (18, 26, 34, 50, 101, 152, 200)),
        *map(_wide, (50, 101)),
        _resnext(50, 32, 4),
        _resnext(101, 32, 8),
        _resnext(101, 64, 4),
        *map(_se, (18, 34, 50, 101, 152)),
        _se(152, "D", **RESNET_D),
        *map(_eca, (18, 34, 50, 101, 152)),
        _eca(50, "D", **RESNET_D),
        _eca(101, "D", **RESNET_D),
        *map(_blur, (18, 34, 50, 101)),
        # Training resolutions of timm's ports, at which their weights were made.
        _rs(50, 160),
        _rs(101, 192),
        _rs(152, 256),
        _rs(200, 256),
        _rs(270, 256),
        _rs(350, 288),
        _rs(420, 320),
        _mlperf("ResNet8", 16, "MLPerf Tiny's image classification network (IC01)."),
        _mlperf("ResNet8Large", 40, "MLPerf Tiny's larger image classification network (IC02)."),
        *map(_cifar, (20, 32, 44, 56, 110, 1202)),
        *map(_plain_cifar, (20, 32, 44, 56)),
        *map(_cifar_v2, (164, 1001)),
        _wrn(16, 4),
        _wrn(16, 8),
        _wrn(28, 10),
        _wrn(40, 2),
        _wrn(40, 4),
    )
}


def list_models(pattern: str = "*") -> list[str]:
    """Names of the networks that match a shell pattern, in the order of the table."""
    return [name for name in VARIANTS if fnmatch.fnmatch(name, pattern.lower())]


def spec(name: str, *, width_multiplier: float = 1.0, **changes: Any) -> ResNetSpec:
    """The spec of a named network, as it is or changed.

    Args:
        name: As in `list_models`, in any spelling: `"resnet50"`, `"ResNet-50"`; also by rule
            `"wrn-28-10"`, whatever its numbers.
        width_multiplier: Factor on all channels, rounded to what the blocks can divide.
        changes: Fields of `ResNetSpec` and their new values: `depths=(2, 2, 2, 2)`.

    Returns:
        A spec that `build` takes.

    Raises:
        UsageError: (a ValueError) No network has this name, `ResNetSpec` no such field, or a value
            does not fit; the message names it.
    """
    known = [field.name for field in fields(ResNetSpec)]
    for field in changes:
        if field not in known:
            near = nearest(field, [*known, "width_multiplier"])
            hint = f"; did you mean {near!r}?" if near else f": its fields are {listed(known, most=40)}"
            raise UsageError(f"a spec has no field {field!r}{hint}")
    if not isinstance(name, str):
        raise UsageError(f"a network's name is a text such as 'resnet50'; received {name!r}")
    found = replace(_named(name), **changes)
    return found if width_multiplier == 1 else found.scaled(width_multiplier)


def as_spec(network: ResNetSpec | str) -> ResNetSpec:
    """A spec as it is, a name as its spec.

    Args:
        network: Either.

    Raises:
        UsageError: (a ValueError) As `spec`.
    """
    return network if isinstance(network, ResNetSpec) else spec(network)


def true_name(spec: ResNetSpec) -> str:
    """What a network is called, so that files tell which it is: its spec's name, unless that is another network's.

    Args:
        spec: Of the table, changed, or the user's own.

    Returns:
        The name, where the table has no network of that name or this one. Of a network that was changed into another of
        the table, that one's; else the name with the changes.

    Example:
        >>> from dataclasses import replace
        >>> true_name(spec("resnet20")), true_name(replace(spec("resnet20"), shortcut="none"))
        ('resnet20', 'plainnet20')
        >>> true_name(replace(spec("resnet20"), attention="se", depths=(2, 2, 2)))
        'resnet20_depths_2_2_2_attention_se'
    """
    try:
        changes = _changes(spec, _named(spec.name))
    except UsageError:  # a name of the user's own
        return spec.name
    if not changes:
        return spec.name
    others = (name for name, row in VARIANTS.items() if not _changes(spec, row.spec))
    return next(others, "_".join([spec.name, *changes]))


def _changes(spec: ResNetSpec, row: ResNetSpec) -> list[str]:
    """What a network computes otherwise than a row of the table, in words that Keras takes in a name."""
    found = []
    for field in fields(ResNetSpec):
        value, usual = getattr(spec, field.name), getattr(row, field.name)
        by_size = field.name == "stem" and usual == "auto" and value in ("cifar", "imagenet")
        if value == usual or by_size or field.name in ("name", "paper", "input_size", "dropout_at"):
            continue
        parts = value if isinstance(value, tuple) else [f"{value:.4g}" if isinstance(value, float) else value]
        found.append("_".join(map(str, [field.name, *parts])))
    return found


def _named(name: str) -> ResNetSpec:
    rule = re.fullmatch(r"wrn[-_ ]?(\d+)[-_ ](\d+)", name.lower())
    if rule:
        return wrn(int(rule[1]), int(rule[2]))
    name = name.lower().replace("v1.5", "")  # what the bare names mean
    spelled = {_plain(known): known for known in VARIANTS}
    if _plain(name) not in spelled:
        near = (
            _beginning(name)
            or _of_other_depth(_plain(name))
            or [spelled[one] for one in alike(_plain(name), spelled, most=1)]
        )
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise UsageError(f"there is no network called {name!r}: {hint}`keras-resnet models` lists them all")
    return VARIANTS[spelled[_plain(name)]].spec


def _beginning(name: str) -> list[str]:
    """The names that go on behind this one and a mark, as `resnext50_32x4d` behind `resnext50`; the first two."""
    begins = {known: {_plain(known[: mark.start()]) for mark in re.finditer("_", known)} for known in VARIANTS}
    return [known for known, parts in begins.items() if _plain(name) in parts][:2]


def _of_other_depth(name: str) -> list[str]:
    """Of the names that differ in one number alone, as `resnet51` and `resnet50`, the nearest and one more.

    That is the nearest on the other side, or else on the same, for images of the same size.
    """
    whole = re.fullmatch(r"(\D+)(\d+)(\D*)", name)
    if not whole:
        return []
    number = int(whole[2])
    pattern = re.compile(rf"{re.escape(whole[1])}(\d+){re.escape(whole[3])}")
    numbers = {int(match[1]): known for known in VARIANTS if (match := pattern.fullmatch(_plain(known)))}
    if not numbers:
        return []
    first, *others = sorted(numbers, key=lambda other: abs(other - number))
    size = VARIANTS[numbers[first]].spec.input_size
    kin = [other for other in others if VARIANTS[numbers[other]].spec.input_size == size]
    kin.sort(key=lambda other: (other < number) == (first < number))  # stable: each side by distance
    return [numbers[one] for one in (first, *kin[:1])]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
