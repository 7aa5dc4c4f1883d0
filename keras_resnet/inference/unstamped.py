"""What a Keras model says of its input and outputs that no `Preprocessing` was stored with."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.errors import UsageError
from keras_resnet.inference.activation import SIGMOID, SOFTMAX, final_activation
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.weights.pixels import CONVENTIONS, FIRST_KERNELS, affine, first_layers, order_of_caffe
from keras_resnet.weights.pretrained import imagenet_classes

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)
CLASSIFICATION = "classification"
CLOSE = 1e-3
"""By which share two normalisations may differ and still be one."""


def with_raw_pixels(
    model: keras.Model, preprocessing: Preprocessing | None, logits: keras.Model
) -> tuple[keras.Model, Preprocessing]:
    """A model that takes pixels of 0–255, and how they are prepared for it.

    What the model's first layers do to pixels, its input's size and its outputs are taken from its graph; class names
    that it does not have are numbers, or ImageNet's where there are 1,000.

    Args:
        model: One input (batch, height, width, channels) and one output (batch, classes).
        preprocessing: What the user says; None: what `build` recorded with the model, or else what the graph says. A
            model that does not normalise its input gets it before its first layer.
        logits: The same model, ending before a softmax or sigmoid.

    Returns:
        `logits` for pixels of 0–255, and its preprocessing. One output becomes the logits of two classes, 0 and what it
        was; the first kernel of the ResNet-50 trained in Caffe tells its means and that it reads blue first.

    Raises:
        UsageError: It has other inputs or outputs, its size is not known, or it normalises otherwise than is said.
    """
    called = f"the model {model.name}"
    ends = (*(getattr(model, "inputs", None) or ()), *(getattr(model, "outputs", None) or ()))
    shapes = [tuple(one.shape) for one in ends]
    if [len(shape) for shape in shapes] != [4, 2]:
        raise UsageError(
            f"{called} must take one batch of images, (batch, height, width, channels), and give a row of outputs for "
            f"each, (batch, classes); its inputs and outputs are {shapes or 'not known: it must be a functional model'}"
        )
    (_, height, width, channels), (_, outputs) = shapes
    own: Preprocessing | None = preprocessing or getattr(model, "preprocessing", None)
    if outputs == 1 and (own is None or own.task == CLASSIFICATION):
        if final_activation(model) == SOFTMAX:
            raise UsageError(
                f"{called} ends in a softmax of one output, which is 1 whatever the image: end it in two outputs, or "
                "in a sigmoid"
            )
        logits, outputs = _two_ways(logits), 2
        if own is not None and len(own.class_names) == 1:
            own = replace(own, class_names=(f"not {own.class_names[0]}", *own.class_names))
    turned = channels == 3 and _order(model) == "bgr"
    inside = affine(first_layers(model), channels)
    hidden = None if inside is not None else _first_of_own_code(model)
    if hidden is not None:
        logger.warning(
            "%s begins with %s, a model whose code is its own: whether it normalises pixels cannot be seen. It gets "
            "pixels of 0–255%s",
            called,
            hidden,
            "" if own is None else f", less {own.mean} and divided by {own.std}, as preprocessing= says",
        )
    if own is None:
        if height is None or width is None:
            raise UsageError(
                f"{called} takes images of any size: give preprocessing=, which says to what size they are fitted"
            )
        mean, std = inside or ((0.0,) * channels, (1.0,) * channels)
        if inside is None and _order(model) is not None:
            mean, std = CONVENTIONS["caffe"].for_channels(channels)
            logger.warning("%s has the first kernel that was trained in Caffe: %s", called, CONVENTIONS["caffe"].title)
            logits = _normalised(logits, (height, width, channels), mean, std, turned=turned)
        names = imagenet_classes() if outputs == 1000 else tuple(str(number) for number in range(outputs))
        task = "multi-label" if shapes[1][1] > 1 and final_activation(model) == SIGMOID else CLASSIFICATION
        return logits, Preprocessing(Fit((height, width), channels), mean, std, names, task)
    if own.fit.channels != channels or (height or own.fit.size[0], width or own.fit.size[1]) != own.fit.size:
        raise UsageError(f"{called} takes images of {(height, width, channels)}; preprocessing= says {own.input_shape}")
    if inside is None and (set(own.mean) != {0} or set(own.std) != {1}):
        return _normalised(logits, own.input_shape, own.mean, own.std, turned=turned), own
    if inside is not None and not _close(inside, own):
        raise UsageError(
            f"{called} normalises its input itself, by mean {inside[0]} and std {inside[1]}; preprocessing= says "
            f"{own.mean} and {own.std}: give those of the model, or a model without its first layers"
        )
    return logits, own


def _first_of_own_code(model: keras.Model) -> str | None:
    """The name of what a model begins with, where that is a model which is no graph of layers; else None."""
    import keras

    from keras_resnet.compat.graph import is_functional  # which imports Keras

    first = next((layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)), None)
    if not isinstance(first, keras.Model):
        return None
    return _first_of_own_code(first) if isinstance(first, keras.Sequential) or is_functional(first) else first.name


def _close(inside: tuple[tuple[float, ...], tuple[float, ...]], own: Preprocessing) -> bool:
    pairs = zip((*inside[0], *inside[1]), (*own.mean, *own.std), strict=True)
    return all(abs(found - said) <= CLOSE * max(own.std) for found, said in pairs)


def _normalised(
    model: keras.Model, shape: tuple[int, int, int], mean: Sequence[float], std: Sequence[float], *, turned: bool
) -> keras.Model:
    """A model that takes pixels of 0–255, red first.

    Args:
        model: What it becomes a part of.
        shape: Of an image.
        mean, std: Of the channels, red first.
        turned: Whether the model reads blue first.
    """
    import keras

    scale, offset = [1 / one for one in std], [-average / one for average, one in zip(mean, std, strict=True)]
    raw = keras.Input(shape, name="image")
    x = keras.layers.Rescaling(scale, offset, dtype="float32", name="normalization")(raw)
    if turned:
        x = x[..., ::-1]  # not `take`: few formats have a GATHER
    return keras.Model(raw, model(x), name=model.name)


def _order(model: keras.Model) -> str | None:
    """The order of the channels that the first convolution reads, where it is that of the weights trained in Caffe."""
    first = next((layer.kernel for layer in model.layers if hasattr(layer, "kernel")), None)
    return None if first is None else order_of_caffe({FIRST_KERNELS[0]: np.asarray(first)})


def _two_ways(model: keras.Model) -> keras.Model:
    """The logits of two classes, of a model that gives the logit of the second against the first."""
    import keras

    (logit,) = model.outputs
    with deep_recursion():
        both = keras.ops.concatenate([keras.ops.zeros_like(logit), logit], axis=-1)
        return keras.Model(model.inputs, both, name=model.name)
