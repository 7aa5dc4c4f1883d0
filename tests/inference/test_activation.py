"""A softmax or sigmoid at a model's end is found wherever it stands, so that it is not applied twice."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from keras_resnet.errors import UsageError
from keras_resnet.inference.activation import final_activation, logits_model

layers = keras.layers
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)


def plain(outputs: int = 3) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Flatten()(layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, layers.Dense(outputs, kernel_initializer="glorot_normal")(x))


def ending(end: Callable[[keras.KerasTensor], keras.KerasTensor], outputs: int = 3) -> keras.Model:
    model = plain(outputs)
    return keras.Model(model.inputs, end(model.outputs[0]))


def wrapped(model: keras.Model) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, model(inputs))


SOFTMAXES: dict[str, Callable[[], keras.Model]] = {
    "a layer": lambda: ending(layers.Softmax()),
    "an activation": lambda: ending(layers.Activation("softmax")),
    "an operation": lambda: ending(keras.ops.softmax),
    "before a cast": lambda: ending(lambda x: layers.Activation("linear", dtype="float32")(keras.ops.softmax(x))),
    "before nothing": lambda: ending(lambda x: layers.Identity()(layers.Softmax()(x))),
    "a lambda": lambda: ending(layers.Lambda(tf.nn.softmax)),
    "inside the last layer": lambda: wrapped(ending(layers.Softmax())),
    "inside a sequence": lambda: keras.Sequential([keras.Input((8, 8, 3)), ending(layers.Softmax())]),
}


@pytest.mark.parametrize("name", SOFTMAXES)
def test_a_softmax_is_not_applied_twice(name: str) -> None:
    model = SOFTMAXES[name]()

    found = keras_resnet.predict(model, IMAGES)

    expected = np.asarray(model(IMAGES.astype(np.float32)))
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    assert np.ptp(expected) > 0.2


def test_logits_stay_as_they_are() -> None:
    model = plain()

    assert logits_model(model) is model
    assert final_activation(model) is None
    logits = np.asarray(model(IMAGES.astype(np.float32)))
    np.testing.assert_allclose(keras_resnet.predict(model, IMAGES).logits, logits, rtol=1e-6)


@pytest.mark.parametrize("end", [layers.Dense(3, activation="softmax"), layers.Conv2D(3, 1, activation="softmax")])
def test_a_layer_without_its_activation_has_the_same_variables(end: keras.layers.Layer, tmp_path: Path) -> None:
    model = ending(end) if isinstance(end, layers.Dense) else ending(lambda x: end(layers.Reshape((1, 1, 3))(x)))

    logits = logits_model(model)

    assert [*map(id, logits.variables)] == [*map(id, model.variables)]
    end.kernel.assign(2 * end.kernel)
    shown = np.asarray(logits(IMAGES.astype(np.float32)))
    np.testing.assert_allclose(keras.ops.softmax(shown), model(IMAGES.astype(np.float32)), atol=1e-6)
    logits.save(tmp_path / "logits.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "logits.keras")(IMAGES.astype(np.float32)), shown)
    assert keras.models.clone_model(logits).count_params() == model.count_params()


@pytest.mark.parametrize("change", [lambda layer: layer.quantize("int8"), lambda layer: layer.enable_lora(1)])
def test_weights_that_are_not_plain_are_copied(change: Callable[[keras.layers.Dense], None]) -> None:
    end = layers.Dense(3, activation="softmax")
    model = ending(end)
    change(end)

    logits = logits_model(model)

    shares = keras.ops.softmax(logits(IMAGES.astype(np.float32)))
    np.testing.assert_allclose(shares, model(IMAGES.astype(np.float32)), atol=1e-5)


@pytest.mark.parametrize("end", [layers.Activation("sigmoid"), keras.ops.sigmoid, lambda x: x])
def test_one_output_tells_two_classes_apart(end: Callable[[keras.KerasTensor], keras.KerasTensor]) -> None:
    logits = np.asarray(plain(1)(IMAGES.astype(np.float32)))[:, 0]

    found = keras_resnet.predict(ending(end, 1), IMAGES)

    np.testing.assert_allclose(found.probabilities[:, 1], 1 / (1 + np.exp(-logits)), atol=1e-6)
    assert found.class_names == ("0", "1")
    assert found.labels == [str(int(one > 0)) for one in logits]
    labels = (logits > 0).astype(np.int64)
    assert keras_resnet.evaluate(ending(end, 1), (IMAGES, labels)).metrics.correct == 6


def test_a_network_of_ours_with_one_output_names_both_classes() -> None:
    preprocessing = keras_resnet.Preprocessing(keras_resnet.Fit((8, 8), 3), (0.0,) * 3, (255.0,) * 3, ("cat",))
    model = keras_resnet.build(
        keras_resnet.spec("oneblock"), preprocessing=preprocessing, classifier_activation="sigmoid", seed=0
    )

    found = keras_resnet.predict(model, IMAGES)

    assert found.class_names == ("not cat", "cat")
    np.testing.assert_allclose(found.probabilities[:, 1], np.asarray(model(IMAGES.astype(np.float32)))[:, 0], atol=1e-6)


def test_several_sigmoids_are_several_classes() -> None:
    found = keras_resnet.predict(ending(keras.ops.sigmoid), IMAGES)

    assert found.task.name == "multi-label"
    np.testing.assert_allclose(found.probabilities, np.asarray(ending(keras.ops.sigmoid)(IMAGES / 1.0)), atol=1e-5)


def test_a_softmax_of_one_output_is_refused() -> None:
    with pytest.raises(UsageError, match="a softmax of one output, which is 1 whatever the image"):
        keras_resnet.predict(ending(layers.Softmax(), 1), IMAGES)
