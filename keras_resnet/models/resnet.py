"""The residual network, top to bottom: pixels, stem, each stage in turn, head."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Literal

import keras
from keras import layers

from keras_resnet.errors import UsageError, listed
from keras_resnet.models.blocks import BLOCK_FUNCTIONS
from keras_resnet.models.layers import LayerFactory, relu
from keras_resnet.models.spec import ResNetSpec, Shortcut, Stem
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.weights.files import load_weights

Pooling = Literal["avg", "max"]


def build(
    spec: ResNetSpec,
    num_classes: int = 1000,
    *,
    input_shape: tuple[int | None, int | None, int] | None = None,
    weights: str | os.PathLike[str] | None = None,
    include_top: bool = True,
    pooling: Pooling | None = None,
    classifier_activation: str | None = "softmax",
    stem: Stem | Literal["auto"] | None = None,
    shortcut: Shortcut | None = None,
    dropout: float = 0.0,
    preprocessing: Preprocessing | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """Assemble a residual network as a functional Keras model.

    Args:
        spec: Which network; `keras_resnet.spec("resnet50")` gives a named one.
        num_classes: Outputs of the classifier, at least 1.
        input_shape: Height, width, channels (channels last). Height and width may be None and at
            least the network's total stride. Default: the published size, RGB.
        weights: A `.safetensors` or `.weights.h5` file of this same network, or None for random
            initial weights. Every tensor's name and shape must match.
        include_top: False leaves out the classifier: the output is the last stage's feature map,
            float (batch, height / stride, width / stride, channels), or what `pooling` makes of it.
        pooling: Without the top: None, `"avg"` or `"max"` over all positions.
        classifier_activation: `"softmax"` as in `keras.applications`, another Keras activation, or
            None for logits.
        stem: Overrides the spec's: `"imagenet"`, `"cifar"` or `"auto"` (by input size).
        shortcut: Overrides the spec's: `"projection"` or `"identity_pad"`.
        dropout: Rate in [0, 1) before the classifier.
        preprocessing: If given, the model takes raw pixels (0–255, any dtype that casts to float)
            and normalises them itself; `num_classes` and `input_shape` follow from it.
        seed: Makes the initial weights repeat.
        name: The Keras model's name; default: the spec's.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        UsageError: (a ValueError) An argument is out of range or the input is too small.
        ModelError: (a ValueError) The weights do not fit.
    """
    spec = replace(spec, stem=stem or spec.stem, shortcut=shortcut or spec.shortcut)
    if preprocessing is not None:
        input_shape, num_classes = preprocessing.input_shape, len(preprocessing.class_names)
    input_shape = input_shape or (spec.input_size, spec.input_size, 3)
    stem_word = check_input(spec, input_shape)
    _check_head(num_classes, include_top, pooling, dropout)
    make = LayerFactory(seed)

    inputs = x = keras.Input(input_shape, name="image")
    if preprocessing is not None:
        variance = [value**2 for value in preprocessing.std]
        x = layers.Normalization(axis=-1, mean=list(preprocessing.mean), variance=variance, name="normalization")(x)
    x = STEM_FUNCTIONS[stem_word](x, spec.stem_width, make)
    for stage, (depth, width) in enumerate(zip(spec.depths, spec.widths, strict=True), start=1):
        for block in range(1, depth + 1):
            stride = 2 if block == 1 and stage > 1 else 1
            x = BLOCK_FUNCTIONS[spec.block](x, width, stride, spec, make, f"stage{stage}_block{block}")
    if include_top:
        x = _classifier(x, num_classes, classifier_activation, dropout, make)
    elif pooling is not None:
        x = POOLINGS[pooling](data_format="channels_last", name="head_pool")(x)

    model = keras.Model(inputs, x, name=name or spec.name)
    if weights is not None:
        load_weights(model, weights)
    return model


def imagenet_stem(x: keras.KerasTensor, width: int, make: LayerFactory) -> keras.KerasTensor:
    """7×7/2 convolution and 3×3/2 max-pooling: a quarter of the resolution."""
    x = make.conv(x, width, 7, stride=2, name="stem_conv")
    x = relu(make.norm(x, name="stem_bn"), name="stem_relu")
    # Zeros stand for −inf here: nothing is below zero after a ReLU.
    x = layers.ZeroPadding2D(1, data_format="channels_last", name="stem_pool_pad")(x)
    return layers.MaxPooling2D(3, strides=2, data_format="channels_last", name="stem_pool")(x)


def cifar_stem(x: keras.KerasTensor, width: int, make: LayerFactory) -> keras.KerasTensor:
    """3×3/1 convolution: the full resolution, for small images."""
    x = make.conv(x, width, 3, name="stem_conv")
    return relu(make.norm(x, name="stem_bn"), name="stem_relu")


STEM_FUNCTIONS = {"imagenet": imagenet_stem, "cifar": cifar_stem}
POOLINGS = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}


def _classifier(
    x: keras.KerasTensor, num_classes: int, activation: str | None, dropout: float, make: LayerFactory
) -> keras.KerasTensor:
    x = layers.GlobalAveragePooling2D(data_format="channels_last", name="head_pool")(x)
    if dropout:
        x = layers.Dropout(dropout, seed=make.seed_for("head_dropout"), name="head_dropout")(x)
    # float32 also under a mixed-precision policy: half-precision logits lose accuracy in the loss.
    x = layers.Dense(
        num_classes,
        kernel_initializer=keras.initializers.GlorotUniform(make.seed_for("head_dense")),
        dtype="float32",
        name="head_dense",
    )(x)
    return layers.Activation(activation, dtype="float32", name="head_activation")(x) if activation else x


def check_input(spec: ResNetSpec, input_shape: tuple[int | None, int | None, int]) -> Stem:
    """Refuse an input the network cannot take, and say which stem it gets."""
    if len(input_shape) != 3 or not isinstance(input_shape[2], int) or input_shape[2] < 1:
        raise UsageError(
            "input_shape must be (height, width, channels), channels last and at least 1, "
            f"height and width whole numbers or None; received {input_shape}"
        )
    height, width, _ = input_shape
    stem = spec.resolve_stem(height, width)
    smallest = spec.smallest_side(stem)
    if any(side is not None and side < smallest for side in (height, width)):
        remedy = " or use stem='cifar'" if stem == "imagenet" else " or a network with fewer stages"
        raise UsageError(
            f"input_shape={input_shape} is too small for {spec.name} with the {stem} stem, which divides the "
            f"resolution by {smallest}: give images of at least {smallest}×{smallest} pixels{remedy}"
        )
    return stem


def _check_head(num_classes: int, include_top: bool, pooling: str | None, dropout: float) -> None:
    if include_top and (isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1):
        raise UsageError(f"num_classes must be a whole number of at least 1; received {num_classes!r}")
    if pooling is not None and pooling not in POOLINGS:
        raise UsageError(f"pooling must be None or one of {listed(POOLINGS)}; received {pooling!r}")
    if not 0 <= dropout < 1:
        raise UsageError(f"dropout must be at least 0 and less than 1; received {dropout}")
