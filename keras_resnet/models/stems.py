"""What stands before the first stage: tensor → tensor functions, chosen by name in a spec.

In a pre-activation network the stem ends without normalisation and ReLU: the first block brings its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras_resnet.layer_names import STEM
from keras_resnet.models.layers import Layers, T
from keras_resnet.models.spec import ResNetSpec, Stem


def _imagenet_stem(x: T, spec: ResNetSpec, make: Layers[T]) -> T:
    """7×7/2 convolution and 3×3/2 max-pooling: a quarter of the resolution."""
    x = make.conv(x, spec.stem_width, 7, stride=2, normalised=not spec.is_preact, name=STEM.layer("conv"))
    return _pool(_activate(x, spec, make), spec, make)


def _cifar_stem(x: T, spec: ResNetSpec, make: Layers[T]) -> T:
    """3×3/1 convolution: the full resolution, for small images."""
    x = make.conv(x, spec.stem_width, 3, normalised=not spec.is_preact, name=STEM.layer("conv"))
    return _activate(x, spec, make)


def _deep_stem(x: T, spec: ResNetSpec, make: Layers[T]) -> T:
    """ResNet-C: three 3×3 convolutions for the 7×7, the first strided, and max-pooling.

    He et al., "Bag of Tricks for Image Classification with Convolutional Neural Networks", 2018.
    """
    return _pool(_three_convolutions(x, spec, make), spec, make)


def _deep_strided_stem(x: T, spec: ResNetSpec, make: Layers[T]) -> T:
    """ResNet-RS: the deep stem with a strided 3×3 convolution for the max-pool.

    Bello et al., "Revisiting ResNets: Improved Training and Scaling Strategies", 2021.
    """
    x = _three_convolutions(x, spec, make)
    x = make.conv(x, spec.stem_width, 3, stride=1 if spec.antialias else 2, name=STEM.layer("down_conv"))
    if spec.antialias:
        x = make.blur(x, stride=2, name=STEM.layer("blur"))
    return make.relu(make.norm(x, name=STEM.layer("down_bn")), name=STEM.layer("down_relu"))


def _three_convolutions(x: T, spec: ResNetSpec, make: Layers[T]) -> T:
    half = spec.stem_width // 2
    x = make.conv(x, half, 3, stride=2, name=STEM.layer("conv1"))
    x = make.relu(make.norm(x, name=STEM.layer("bn1")), name=STEM.layer("relu1"))
    x = make.conv(x, half, 3, name=STEM.layer("conv2"))
    x = make.relu(make.norm(x, name=STEM.layer("bn2")), name=STEM.layer("relu2"))
    x = make.conv(x, spec.stem_width, 3, normalised=not spec.is_preact, name=STEM.layer("conv3"))
    return _activate(x, spec, make)


def _activate(x: T, spec: ResNetSpec, make: Layers[T]) -> T:
    return x if spec.is_preact else make.relu(make.norm(x, name=STEM.layer("bn")), name=STEM.layer("relu"))


def _pool(x: T, spec: ResNetSpec, make: Layers[T]) -> T:
    """Padded with zeros: after a ReLU that is the same as with −∞; before one, TF-Slim's v2 networks do so."""
    if spec.antialias:
        return make.blur(make.max_pool(x, 3, stride=1, name=STEM.layer("pool")), stride=2, name=STEM.layer("blur"))
    return make.max_pool(x, 3, stride=2, name=STEM.layer("pool"))


def stem_output(spec: ResNetSpec, stem: Stem) -> str:
    """The name of the layer that a stem ends with."""
    if stem == "deep_strided":
        return STEM.layer("down_relu")
    if stem == "cifar":
        return STEM.layer("conv" if spec.is_preact else "relu")
    return STEM.layer("blur" if spec.antialias else "pool")


STEM_FUNCTIONS: dict[str, Callable[[Any, ResNetSpec, Layers[Any]], Any]] = {
    "imagenet": _imagenet_stem,
    "cifar": _cifar_stem,
    "deep": _deep_stem,
    "deep_strided": _deep_strided_stem,
}
"""By the stem's name: images, the network's spec and `make` to what the first stage receives."""
