"""What a Keras model says of its input and outputs that no `Preprocessing` was stored with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_resnet.errors import UsageError
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.weights.pixels import affine
from keras_resnet.weights.pretrained import imagenet_classes

if TYPE_CHECKING:
    import keras

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
        `logits` for pixels of 0–255, and its preprocessing.

    Raises:
        UsageError: It has other inputs or outputs, its size is not known, or it normalises otherwise than is said.
    """
    import keras

    called = f"the model {model.name}"
    ends = (*(getattr(model, "inputs", None) or ()), *(getattr(model, "outputs", None) or ()))
    shapes = [tuple(one.shape) for one in ends]
    if [len(shape) for shape in shapes] != [4, 2]:
        raise UsageError(
            f"{called} must take one batch of images, (batch, height, width, channels), and give a row of outputs for "
            f"each, (batch, classes); its inputs and outputs are {shapes or 'not known: it must be a functional model'}"
        )
    (_, height, width, channels), (_, outputs) = shapes
    own = preprocessing or getattr(model, "preprocessing", None)
    inside = affine(((type(layer).__name__, layer.get_config()) for layer in model.layers), channels)
    if own is None:
        if height is None or width is None:
            raise UsageError(
                f"{called} takes images of any size: give preprocessing=, which says to what size they are fitted"
            )
        mean, std = inside or ((0.0,) * channels, (1.0,) * channels)
        names = imagenet_classes() if outputs == 1000 else tuple(str(number) for number in range(outputs))
        task = "multi-label" if outputs > 1 and _ends_in(model, keras.activations.sigmoid) else "classification"
        return logits, Preprocessing(Fit((height, width), channels), mean, std, names, task)
    if own.fit.channels != channels or (height or own.fit.size[0], width or own.fit.size[1]) != own.fit.size:
        raise UsageError(f"{called} takes images of {(height, width, channels)}; preprocessing= says {own.input_shape}")
    if inside is None and (set(own.mean) != {0} or set(own.std) != {1}):
        scale, offset = [1 / std for std in own.std], [-mean / std for mean, std in zip(own.mean, own.std, strict=True)]
        raw = keras.Input(own.input_shape, name="image")
        first = keras.layers.Rescaling(scale, offset, dtype="float32", name="normalization")
        return keras.Model(raw, logits(first(raw)), name=model.name), own
    if inside is not None and not _close(inside, own):
        raise UsageError(
            f"{called} normalises its input itself, by mean {inside[0]} and std {inside[1]}; preprocessing= says "
            f"{own.mean} and {own.std}: give those of the model, or a model without its first layers"
        )
    return logits, own


def _close(inside: tuple[tuple[float, ...], tuple[float, ...]], own: Preprocessing) -> bool:
    pairs = zip((*inside[0], *inside[1]), (*own.mean, *own.std), strict=True)
    return all(abs(found - said) <= CLOSE * max(own.std) for found, said in pairs)


def _ends_in(model: keras.Model, activation: object) -> bool:
    return getattr(model.layers[-1], "activation", None) is activation
