import gc
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.evaluation.evaluate import evaluate
from keras_resnet.inference.predict import predict
from keras_resnet.inference.predictors import open_predictor
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


def ending_in(*head: keras.layers.Layer) -> keras.Sequential:
    layers = keras.layers
    keras.utils.set_random_seed(0)
    first = [layers.Input(SHAPE), layers.Rescaling(1 / 255), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()]
    return keras.Sequential([*first, *head])


def inside(model: keras.Model) -> keras.Model:
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, model(inputs))


ENDS: dict[str, Callable[[], keras.Model]] = {
    "softmax of a dense layer": lambda: ending_in(keras.layers.Dense(3, activation="softmax")),
    "sigmoid of a dense layer": lambda: ending_in(keras.layers.Dense(1, activation="sigmoid")),
    "softmax of a convolution": lambda: ending_in(
        keras.layers.Reshape((1, 1, 4)),
        keras.layers.Conv2D(3, 1, activation="softmax"),
        keras.layers.Identity(),
        keras.layers.Flatten(),
    ),
    "a logit": lambda: ending_in(keras.layers.Dense(1)),
    "a softmax inside": lambda: inside(ending_in(keras.layers.Dense(3, activation="softmax"))),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_model_is_traced_once_however_it_ends(end: str) -> None:
    """Where an activation is left out, models are made anew each time; their weights are the same variables."""
    model = ENDS[end]()
    before = answers(model)
    traces = [traced(open_predictor(model).model, SHAPE) for _ in range(3)]
    model.weights[-2].assign(model.weights[-2] * 3)
    after = answers(model)

    assert traces[0] is traces[1] is traces[2]
    assert not np.allclose(after, before, atol=1e-3)
    shares = of_keras(model)
    if end == "a logit":
        shares = 1 / (1 + np.exp(-shares))
    np.testing.assert_allclose(after[:, -1], shares[:, -1], atol=1e-6)


def test_repeated_evaluations_of_a_model_that_ends_in_a_softmax_trace_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ending_in(keras.layers.Dense(2, activation="softmax"))
    data = IMAGES, np.array([0, 1, 0])
    first = evaluate(model, data)
    made = traces(monkeypatch)
    model.layers[-1].kernel.assign(-2 * model.layers[-1].kernel)
    second = evaluate(model, data)

    assert not made
    np.testing.assert_allclose(second.logits, -2 * first.logits, atol=1e-6)


def test_graphs_are_told_apart_though_names_are_not_looked_at() -> None:
    def model(second: str) -> keras.Model:
        inputs = keras.Input(SHAPE)
        x = shared(inputs)
        one, two = keras.layers.ReLU(name=f"one{second}")(x), keras.layers.Flatten()(x)
        x = keras.layers.Flatten()(one) if second == "one" else two
        return keras.Model(inputs, keras.layers.Concatenate()([x, two] if second != "turned" else [two, -two]))

    shared = keras.layers.Conv2D(2, 3)
    images = tf.constant(IMAGES, tf.float32)
    for name in ("one", "two", "turned", "one"):
        made = model(name)
        np.testing.assert_allclose(traced(made, SHAPE)(images), made(images), rtol=1e-5)
