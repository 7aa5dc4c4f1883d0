import gc
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.inference.predict import predict
from keras_resnet.inference.traced import traced

SHAPE = (8, 8, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, *SHAPE)).astype(np.uint8)


def network(*behind: keras.layers.Layer) -> keras.Sequential:
    """Images to shares of two classes."""
    layers = keras.layers
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Rescaling(1 / 255, name="scaled"),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            *behind,
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
            layers.Softmax(),
        ]
    )


def answers(model: keras.Model) -> np.ndarray:
    return predict(model, list(IMAGES)).probabilities


def of_keras(model: keras.Model) -> np.ndarray:
    return np.asarray(model(IMAGES.astype(np.float32), training=False))


def traces(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A list that grows with each function that is traced from now on."""
    made: list[Any] = []
    original = tf.function
    monkeypatch.setattr(tf, "function", lambda *given, **options: made.append(1) or original(*given, **options))
    return made


def test_a_model_is_traced_once_for_all_that_ask_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    first = answers(model)
    model.get_layer("conv").kernel.assign_add(keras.ops.full((3, 3, 3, 4), 0.1))  # weights are asked for at each call
    made = traces(monkeypatch)
    second = answers(model)

    assert not made
    assert not np.allclose(first, second)
    np.testing.assert_allclose(second, of_keras(model), atol=1e-6)
    answers(network())
    assert made  # of another model


def trained_otherwise(model: keras.Model) -> None:
    model.get_layer("norm").trainable = False
    model.compile("sgd", "categorical_crossentropy")
    model.fit(IMAGES.astype(np.float32), np.eye(2)[[0, 1, 0]], verbose=0)


def with_a_layer_more(model: keras.Sequential) -> None:
    softmax = model.layers[-1]
    model.pop()
    model.add(keras.layers.Dense(2))
    model.add(softmax)


def in_16_bits(model: keras.Model) -> None:
    for layer in model.layers:
        layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")


CHANGES: dict[str, Callable[[Any], None]] = {
    "an activation": lambda model: setattr(model.get_layer("conv"), "activation", keras.activations.tanh),
    "a number of a layer": lambda model: setattr(model.get_layer("scaled"), "scale", 1 / 100),
    "weights of 8 bits": lambda model: model.quantize("int8"),
    "another precision": in_16_bits,
    "a layer more": with_a_layer_more,
    "frozen, compiled, trained": trained_otherwise,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_that_is_changed_in_place_answers_as_it_is_now(change: str) -> None:
    model = network()
    before = answers(model)

    CHANGES[change](model)
    after = answers(model)

    assert not np.array_equal(after, before)
    np.testing.assert_allclose(after, of_keras(model), atol=1e-2 if change == "another precision" else 1e-6)


@keras.saving.register_keras_serializable("test_traced")
class Times(keras.layers.Layer):
    """Multiplies by a number that is not in its configuration."""

    factor = 1.0

    def call(self, inputs: Any) -> Any:
        return inputs * self.factor


FACTORS = {"squared": 1.0}


def powered(inputs: Any) -> Any:
    return inputs ** FACTORS["squared"]


def test_a_model_with_code_of_others_is_traced_each_time() -> None:
    times, model = Times(), None
    for layer in (times, keras.layers.Activation(powered)):
        model = network(layer)
        before = answers(model)

        times.factor, FACTORS["squared"] = 3.0, 2.0
        after = answers(model)

        assert not np.allclose(after, before)
        np.testing.assert_allclose(after, of_keras(model), atol=1e-6)
        times.factor, FACTORS["squared"] = 1.0, 1.0


def test_a_model_whose_code_is_of_others_is_traced_each_time() -> None:
    class Own(keras.Model):
        factor = 1.0

        def call(self, inputs: Any, training: bool | None = None) -> Any:
            return super().call(inputs, training=training) * self.factor

    inner = network()
    model = Own(inner.inputs, inner.outputs)

    assert not np.array_equal(traced(model, SHAPE)(tf.constant(IMAGES, tf.float32)), 3 * of_keras(inner))
    model.factor = 3.0
    np.testing.assert_allclose(traced(model, SHAPE)(tf.constant(IMAGES, tf.float32)), 3 * of_keras(inner), rtol=1e-5)


def test_a_normalisation_that_is_adapted_again_is_traced_again() -> None:
    normalisation = keras.layers.Normalization()
    model = network(normalisation)
    scaled = keras.Model(model.inputs, model.get_layer("relu").output)(IMAGES.astype(np.float32))
    normalisation.adapt(scaled)
    before = answers(model)

    normalisation.adapt(np.asarray(scaled) * 9)
    after = answers(model)

    assert not np.allclose(after, before)
    np.testing.assert_allclose(after, of_keras(model), atol=1e-6)


def test_models_of_other_sizes_and_of_shared_layers_keep_apart() -> None:
    convolution = keras.layers.Conv2D(4, 3)
    inputs = keras.Input((None, None, 3))
    features = keras.layers.GlobalAveragePooling2D()(convolution(inputs))
    one, other = (keras.Model(inputs, keras.layers.Dense(2)(features)) for _ in range(2))

    for model in (one, other, one):
        for side in (8, 9):
            images = tf.random.uniform((2, side, side, 3))
            np.testing.assert_allclose(traced(model, (side, side, 3))(images), model(images), atol=1e-5)


def test_a_model_that_was_asked_is_gone_when_it_is_dropped() -> None:
    model = network()
    answers(model)
    gone = [weakref.ref(one) for one in (model, model.get_layer("conv"), model.get_layer("conv").kernel.value)]

    del model
    keras.utils.clear_session(free_memory=False)  # Keras's own list of names and nodes
    gc.collect()

    assert [one() for one in gone] == [None, None, None]
