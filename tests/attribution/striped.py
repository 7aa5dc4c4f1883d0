"""Grey noise with a patch of stripes somewhere, and a tiny network that has learned to tell the stripes."""

import functools

import keras
import numpy as np

from keras_resnet.preprocessing import Fit, Preprocessing

SIDE, PATCH = 24, 8
NAMES = ("across", "down", "none")
PREPROCESSING = Preprocessing(Fit((SIDE, SIDE), 3), (128.0,) * 3, (64.0,) * 3, NAMES)
CORNER = SIDE - PATCH


def striped(label: int, top: int, left: int, seed: int = 0) -> np.ndarray:
    """An image, uint8 (24, 24, 3), with a patch of this class."""
    image = np.random.default_rng(seed).integers(108, 149, (SIDE, SIDE, 3))
    stripes = np.where(np.arange(PATCH) % 4 < 2, 235, 20)
    patch = np.broadcast_to(stripes[:, None] if label == 0 else stripes, (PATCH, PATCH))
    if label < 2:
        image[top : top + PATCH, left : left + PATCH] = patch[..., None]
    return image.astype(np.uint8)


@functools.cache
def trained_weights() -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(0)
    labels = np.arange(384) % 3
    images = np.stack([striped(label, *random.integers(0, CORNER + 1, 2), seed) for seed, label in enumerate(labels)])
    keras.utils.set_random_seed(0)
    model = untrained()
    logits = keras.Model(model.input, model.get_layer("logits").output)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    logits.compile(keras.optimizers.Adam(0.02), loss)
    logits.fit(images, labels, batch_size=64, epochs=12, verbose=0)
    return tuple(model.get_weights())


def untrained() -> keras.Model:
    """A network of two convolutions, which takes raw pixels and ends in a softmax."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 64, -2)(inputs)
    x = keras.layers.Conv2D(8, 5, padding="same", activation="relu", name="first")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="second")(x)
    x = keras.layers.MaxPooling2D(name="pooled")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(3, name="logits")(x)
    return keras.Model(inputs, keras.layers.Softmax()(x), name="stripes")


def trained() -> keras.Model:
    """It, trained; a model of its own at each call."""
    model = untrained()
    model.set_weights(trained_weights())
    return model


def share_in(values: np.ndarray, top: int, left: int) -> float:
    """The share of a map's positive mass that lies in the patch and three pixels around it."""
    positive = np.maximum(values, 0)
    near = positive[max(0, top - 3) : top + PATCH + 3, max(0, left - 3) : left + PATCH + 3]
    return float(near.sum() / positive.sum())
