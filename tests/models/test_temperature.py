import keras
import numpy as np
import pytest

from keras_resnet.errors import ModelError, UsageError
from keras_resnet.models.resnet import build
from keras_resnet.models.temperature import temperature_scaled
from keras_resnet.models.variants import spec

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype(np.float32)


def test_logits_are_divided_and_the_model_itself_is_left_alone() -> None:
    model = build(spec("oneblock"), 3, input_shape=(8, 8, 3), classifier_activation=None, seed=1)
    before = model.predict(IMAGES, verbose=0)

    scaled = temperature_scaled(model, 2.5)

    np.testing.assert_allclose(scaled.predict(IMAGES, verbose=0), before / 2.5, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), before)
    assert [layer.name for layer in scaled.layers] == [layer.name for layer in model.layers]
    assert not {id(one) for one in model.variables} & {id(one) for one in scaled.variables}


def ends() -> dict[str, list[keras.layers.Layer]]:
    inner = keras.Sequential([keras.Input((192,)), keras.layers.Dense(3), keras.layers.Softmax()])
    flat = keras.layers.Flatten()
    return {
        "softmax inside": [flat, keras.layers.Dense(3, activation="softmax")],
        "softmax behind": [flat, keras.layers.Dense(3), keras.layers.Dropout(0.5), keras.layers.Activation("softmax")],
        "a model": [flat, inner],
        "a convolution": [keras.layers.Conv2D(3, 1), keras.layers.GlobalAveragePooling2D(), keras.layers.Softmax()],
    }


@pytest.mark.parametrize("end", ends())
def test_a_softmax_behind_the_last_layer_stays_and_gets_cooler_logits(end: str) -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Rescaling(1 / 255), *ends()[end]])
    shares = model.predict(IMAGES, verbose=0)

    cooled = temperature_scaled(model, 2.0).predict(IMAGES, verbose=0)

    expected = np.sqrt(shares) / np.sqrt(shares).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(cooled, expected, atol=1e-5)


def test_what_has_no_last_layer_is_refused() -> None:
    relu = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, activation="relu")], name="mine")
    normalised = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])

    for model in (relu, normalised):
        with pytest.raises(ModelError, match="a temperature is put into a dense layer or convolution"):
            temperature_scaled(model, 2.0)
    for temperature in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="a number above 0"):
            temperature_scaled(relu, temperature)
