"""Residual blocks, their shortcuts and attention: tensor → tensor functions, chosen by name in a spec.

He et al., "Deep Residual Learning for Image Recognition", 2015, and "Identity Mappings in Deep
Residual Networks", 2016 (pre-activation). Layers are numbered in the order in which they act.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras_resnet.layer_names import Section
from keras_resnet.models.layers import Layers, T
from keras_resnet.models.spec import ResNetSpec


@dataclass(frozen=True)
class Place:
    """Where a block stands in its network.

    Args:
        section: Which block it is; it names the block's layers.
        width: Output channels.
        stride: By which it divides the resolution.
        total_stride: By which the network has divided it after this block.
        dilation: Of its convolutions, except the one that strides.
        dilation_before: Of the convolution that strides: the dilation of the block before.
        drop_path: Chance in [0, 1) that a training sample goes through the shortcut alone.
        dropout: Rate between the convolutions, in [0, 1).
    """

    section: Section
    width: int
    stride: int = 1
    total_stride: int = 1
    dilation: int = 1
    dilation_before: int = 1
    drop_path: float = 0.0
    dropout: float = 0.0

    def layer(self, role: str) -> str:
        """The name of the layer that does this in the block: `conv1`, `shortcut_bn`."""
        return self.section.layer(role)

    @property
    def subsamples(self) -> bool:
        """Whether it divides the resolution, or would do so if its stride had not become a dilation."""
        return self.stride > 1 or self.dilation_before != self.dilation


def _basic(x: T, at: Place, spec: ResNetSpec, make: Layers[T]) -> T:
    """Two 3×3 convolutions and a shortcut."""
    stride = _branch_stride(at, spec)
    y = make.conv(x, at.width, 3, stride=stride, dilation=at.dilation_before, name=at.layer("conv1"))
    y = make.relu(make.norm(y, name=at.layer("bn1")), name=at.layer("relu1"))
    y = _subsample(y, at, spec, make)
    y = _dropout(y, at, make)
    y = make.conv(y, at.width, 3, dilation=at.dilation, name=at.layer("conv2"))
    y = make.norm(y, last=_begins_at_zero(x, at, spec), name=at.layer("bn2"))
    return make.relu(_join(y, x, x, at, spec, make), name=at.layer("out"))


def _bottleneck(x: T, at: Place, spec: ResNetSpec, make: Layers[T]) -> T:
    """1×1 to the inner width, 3×3, 1×1 to the full width, and a shortcut."""
    y = _reduce(x, at, spec, make)
    y = make.relu(make.norm(y, name=at.layer("bn1")), name=at.layer("relu1"))
    y = _look_around(y, at, spec, make)
    y = make.relu(make.norm(y, name=at.layer("bn2")), name=at.layer("relu2"))
    y = _subsample(y, at, spec, make)
    y = _dropout(y, at, make)
    y = make.conv(y, at.width, 1, name=at.layer("conv3"))
    y = make.norm(y, last=_begins_at_zero(x, at, spec), name=at.layer("bn3"))
    return make.relu(_join(y, x, x, at, spec, make), name=at.layer("out"))


def _preact_basic(x: T, at: Place, spec: ResNetSpec, make: Layers[T]) -> T:
    """Normalisation and ReLU, then 3×3, twice; projections read what the first ReLU gives."""
    active = make.relu(make.norm(x, name=at.layer("bn1")), name=at.layer("relu1"))
    y = make.conv(active, at.width, 3, stride=at.stride, dilation=at.dilation_before, name=at.layer("conv1"))
    y = make.relu(make.norm(y, name=at.layer("bn2")), name=at.layer("relu2"))
    y = _dropout(y, at, make)
    y = make.conv(y, at.width, 3, dilation=at.dilation, normalised=False, name=at.layer("conv2"))
    return _join(y, active, x, at, spec, make)


def _preact_bottleneck(x: T, at: Place, spec: ResNetSpec, make: Layers[T]) -> T:
    """Normalisation and ReLU before each of 1×1, 3×3, 1×1; projections read what the first ReLU gives."""
    active = make.relu(make.norm(x, name=at.layer("bn1")), name=at.layer("relu1"))
    y = _reduce(active, at, spec, make)
    y = make.relu(make.norm(y, name=at.layer("bn2")), name=at.layer("relu2"))
    y = _look_around(y, at, spec, make)
    y = make.relu(make.norm(y, name=at.layer("bn3")), name=at.layer("relu3"))
    y = _dropout(y, at, make)
    y = make.conv(y, at.width, 1, normalised=False, name=at.layer("conv3"))
    return _join(y, active, x, at, spec, make)


def _reduce(x: T, at: Place, spec: ResNetSpec, make: Layers[T]) -> T:
    """A bottleneck's 1×1 convolution to its inner width, which strides in v1."""
    stride = _branch_stride(at, spec) if spec.strided_conv == "1x1" else 1
    return make.conv(x, spec.inner_width(at.width), 1, stride=stride, name=at.layer("conv1"))


def _look_around(x: T, at: Place, spec: ResNetSpec, make: Layers[T]) -> T:
    """A bottleneck's 3×3 convolution, which strides in v1.5."""
    strides = spec.strided_conv == "3x3"
    return make.conv(
        x,
        spec.inner_width(at.width),
        3,
        stride=_branch_stride(at, spec) if strides else 1,
        dilation=at.dilation_before if strides else at.dilation,
        groups=spec.groups,
        name=at.layer("conv2"),
    )


def _branch_stride(at: Place, spec: ResNetSpec) -> int:
    """The stride of the branch's convolution; where a blur follows, that strides instead."""
    return 1 if spec.antialias else at.stride


def _subsample(y: T, at: Place, spec: ResNetSpec, make: Layers[T]) -> T:
    return make.blur(y, stride=at.stride, name=at.layer("blur")) if spec.antialias and at.subsamples else y


def _dropout(y: T, at: Place, make: Layers[T]) -> T:
    return make.dropout(y, at.dropout, name=at.layer("dropout")) if at.dropout else y


def _join(branch: T, entry: T, x: T, at: Place, spec: ResNetSpec, make: Layers[T]) -> T:
    """Weigh the branch's channels and add the shortcut: `x` itself, or a projection of `entry`."""
    branch = ATTENTION_FUNCTIONS[spec.attention](branch, spec, make, at.layer(spec.attention))
    if spec.shortcut == "none":
        return branch
    if at.drop_path:
        branch = make.drop_path(branch, at.drop_path, name=at.layer("drop_path"))
    if x.shape[-1] != at.width or (at.stride > 1 and spec.strided_block == "first"):
        x = SHORTCUT_FUNCTIONS[spec.shortcut](entry, at, spec, make, at.layer("shortcut"))
    elif at.stride > 1:
        x = make.max_pool(x, 1, stride=at.stride, name=at.layer("shortcut_subsample"))
    return make.add(branch, x, name=at.layer("add"))


def _begins_at_zero(x: T, at: Place, spec: ResNetSpec) -> bool:
    """Whether the branch's last gamma is zero at first, so that the block begins as its shortcut.

    Not where channels have no shortcut, or one that fills them up with zeros: the ReLU behind would pass no gradient
    and the gamma would never move. These channels would stay dead, in the following blocks too.
    """
    return spec.shortcut != "none" and (spec.shortcut != "identity_pad" or x.shape[-1] == at.width)


def _projection(x: T, at: Place, spec: ResNetSpec, make: Layers[T], name: str) -> T:
    """Option B: a strided 1×1 convolution and, in post-activation blocks, normalisation."""
    if spec.is_preact:
        return _plain_projection(x, at, spec, make, name)
    return make.norm(make.conv(x, at.width, 1, stride=at.stride, name=f"{name}_conv"), name=f"{name}_bn")


def _plain_projection(x: T, at: Place, spec: ResNetSpec, make: Layers[T], name: str) -> T:
    """A strided 1×1 convolution alone."""
    return make.conv(x, at.width, 1, stride=at.stride, normalised=False, name=f"{name}_conv")


def _avgpool_projection(x: T, at: Place, spec: ResNetSpec, make: Layers[T], name: str) -> T:
    """ResNet-D: 2×2 means, so that no pixel is passed over, then an unstrided projection.

    He et al., "Bag of Tricks for Image Classification with Convolutional Neural Networks", 2018.
    """
    if at.stride > 1 or at.dilation > 1:
        x = make.average_pool(x, stride=at.stride, name=f"{name}_pool")
    x = make.conv(x, at.width, 1, normalised=not spec.is_preact, name=f"{name}_conv")
    return x if spec.is_preact else make.norm(x, name=f"{name}_bn")


def _identity_pad(x: T, at: Place, spec: ResNetSpec, make: Layers[T], name: str) -> T:
    """Option A: every `stride`-th pixel, the missing channels zero on both sides; no parameters."""
    if at.stride > 1:
        x = make.max_pool(x, 1, stride=at.stride, name=f"{name}_subsample")
    missing = at.width - int(x.shape[-1] or 0)
    return make.pad_channels(x, missing // 2, missing - missing // 2, name=f"{name}_pad")


def _no_attention(x: T, spec: ResNetSpec, make: Layers[T], name: str) -> T:
    """The branch as it is."""
    return x


def _squeeze_excitation(x: T, spec: ResNetSpec, make: Layers[T], name: str) -> T:
    """Hu et al., "Squeeze-and-Excitation Networks", 2017; squeezed to a multiple of 8, as timm has it."""
    channels = int(x.shape[-1] or 0)
    return make.squeeze_excite(x, max(8, int(channels * spec.se_ratio + 4) // 8 * 8), name=name)


def _efficient_channel_attention(x: T, spec: ResNetSpec, make: Layers[T], name: str) -> T:
    """Wang et al., "ECA-Net", 2019: a convolution over the channels, wider where there are more."""
    size = int(abs(math.log2(int(x.shape[-1] or 0)) + 1) / 2)
    return make.channel_attention(x, max(3, size + 1 - size % 2), name=name)


BLOCK_FUNCTIONS: dict[str, Callable[[Any, Place, ResNetSpec, Layers[Any]], Any]] = {
    "basic": _basic,
    "bottleneck": _bottleneck,
    "preact_basic": _preact_basic,
    "preact_bottleneck": _preact_bottleneck,
}
"""By `ResNetSpec.block`: a feature map, the block's place, the network's spec and `make` to the block's output."""

SHORTCUT_FUNCTIONS: dict[str, Callable[[Any, Place, ResNetSpec, Layers[Any], str], Any]] = {
    "projection": _projection,
    "plain_projection": _plain_projection,
    "avgpool_projection": _avgpool_projection,
    "identity_pad": _identity_pad,
}
"""By `ResNetSpec.shortcut`: what a block receives, as before, and a prefix for names, to the shape of its output."""

ATTENTION_FUNCTIONS: dict[str, Callable[[Any, ResNetSpec, Layers[Any], str], Any]] = {
    "none": _no_attention,
    "se": _squeeze_excitation,
    "eca": _efficient_channel_attention,
}
"""By `ResNetSpec.attention`: a branch's output, the spec, `make` and a prefix for names to the output weighed."""
