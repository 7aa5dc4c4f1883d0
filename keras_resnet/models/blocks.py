"""Residual blocks and their shortcuts: tensor → tensor functions, chosen by name in a spec.

He et al., "Deep Residual Learning for Image Recognition", 2015. A stage's first block may stride;
bottlenecks stride in their 3×3 convolution ("v1.5"), as torchvision and timm do.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from keras_resnet.models.layers import LayerFactory, relu
from keras_resnet.models.spec import ResNetSpec


def basic(
    x: keras.KerasTensor, width: int, stride: int, spec: ResNetSpec, make: LayerFactory, name: str
) -> keras.KerasTensor:
    """Two 3×3 convolutions and a shortcut; `width` channels out."""
    y = make.conv(x, width, 3, stride=stride, name=f"{name}_conv1")
    y = make.norm(y, name=f"{name}_bn1")
    y = relu(y, name=f"{name}_relu1")
    y = make.conv(y, width, 3, name=f"{name}_conv2")
    y = make.norm(y, last=True, name=f"{name}_bn2")
    return _join(y, x, width, stride, spec, make, name)


def bottleneck(
    x: keras.KerasTensor, width: int, stride: int, spec: ResNetSpec, make: LayerFactory, name: str
) -> keras.KerasTensor:
    """1×1 down to a quarter of `width`, 3×3, 1×1 up to `width`, and a shortcut."""
    y = make.conv(x, width // 4, 1, name=f"{name}_conv1")
    y = make.norm(y, name=f"{name}_bn1")
    y = relu(y, name=f"{name}_relu1")
    y = make.conv(y, width // 4, 3, stride=stride, name=f"{name}_conv2")
    y = make.norm(y, name=f"{name}_bn2")
    y = relu(y, name=f"{name}_relu2")
    y = make.conv(y, width, 1, name=f"{name}_conv3")
    y = make.norm(y, last=True, name=f"{name}_bn3")
    return _join(y, x, width, stride, spec, make, name)


def _join(
    branch: keras.KerasTensor,
    x: keras.KerasTensor,
    width: int,
    stride: int,
    spec: ResNetSpec,
    make: LayerFactory,
    name: str,
) -> keras.KerasTensor:
    if stride != 1 or x.shape[-1] != width:  # elsewhere the shortcut is the identity
        x = SHORTCUT_FUNCTIONS[spec.shortcut](x, width, stride, make, f"{name}_shortcut")
    return relu(layers.Add(name=f"{name}_add")([x, branch]), name=f"{name}_out")


def projection(x: keras.KerasTensor, width: int, stride: int, make: LayerFactory, name: str) -> keras.KerasTensor:
    """Option B: a strided 1×1 convolution and normalisation."""
    return make.norm(make.conv(x, width, 1, stride=stride, name=f"{name}_conv"), name=f"{name}_bn")


def identity_pad(x: keras.KerasTensor, width: int, stride: int, make: LayerFactory, name: str) -> keras.KerasTensor:
    """Option A: every `stride`-th pixel, the missing channels zero on both sides; no parameters."""
    if stride != 1:
        x = layers.MaxPooling2D(1, strides=stride, data_format="channels_last", name=f"{name}_subsample")(x)
    missing = width - x.shape[-1]
    before = missing // 2
    return keras.ops.pad(x, ((0, 0), (0, 0), (0, 0), (before, missing - before)))


BlockFunction = Callable[[keras.KerasTensor, int, int, ResNetSpec, LayerFactory, str], keras.KerasTensor]
ShortcutFunction = Callable[[keras.KerasTensor, int, int, LayerFactory, str], keras.KerasTensor]

BLOCK_FUNCTIONS: dict[str, BlockFunction] = {"basic": basic, "bottleneck": bottleneck}
SHORTCUT_FUNCTIONS: dict[str, ShortcutFunction] = {"projection": projection, "identity_pad": identity_pad}
