from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_resnet import save_weights
from keras_resnet.errors import UsageError
from keras_resnet.models.features import feature_extractor
from keras_resnet.models.inputs import shape_of
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.preprocessing import Fit, Preprocessing

SPEC = ResNetSpec("small", "basic", (1, 1), (8, 16), "cifar", stem_width=8)
X = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")


def test_a_network_stands_on_the_users_input() -> None:
    image = keras.Input((16, 16, 3), name="mine")

    model = build(SPEC, 3, input_tensor=image, seed=1)

    assert model.inputs[0] is image
    assert model.input_shape == (None, 16, 16, 3)
    np.testing.assert_array_equal(model(X), build(SPEC, 3, input_shape=(16, 16, 3), seed=1)(X))


def test_a_network_on_layers_of_the_users_has_its_weights_and_theirs(tmp_path: Path) -> None:
    trained = build(SPEC, 3, input_shape=(16, 16, 3), seed=1)
    save_weights(trained, tmp_path / "net.safetensors")
    image = keras.Input((16, 16, 3))
    own = keras.layers.Conv2D(3, 1, use_bias=False, name="own")
    tensor = own(image)

    model = build(SPEC, 3, input_tensor=tensor, weights=tmp_path / "net.safetensors", seed=2)

    assert model.get_layer("own") is own
    assert len(model.weights) == len(trained.weights) + 1
    np.testing.assert_allclose(model(X), trained(np.asarray(X @ own.kernel.numpy()[0, 0])), atol=1e-6)
    assert feature_extractor(model)(X)["C1"].shape == (2, 8, 8, 16)


def test_a_network_on_two_inputs_of_the_users_has_both() -> None:
    images = [keras.Input((16, 16, 1)), keras.Input((16, 16, 2))]

    model = build(SPEC, 3, input_tensor=keras.layers.Concatenate()(images), seed=1)

    expected = build(SPEC, 3, input_shape=(16, 16, 3), seed=1)(X)
    np.testing.assert_array_equal(model([X[..., :1], X[..., 1:]]), expected)


def test_what_the_users_input_says_of_its_size_counts_before_the_preprocessings() -> None:
    preprocessing = Preprocessing(Fit((8, 8), 3), (1.0,) * 3, (2.0,) * 3, ("a", "b"))

    model = build(SPEC, preprocessing=preprocessing, input_tensor=keras.Input((16, 16, 3)), seed=1)

    assert model.input_shape == (None, 16, 16, 3)
    plain = build(SPEC, 2, input_shape=(16, 16, 3), seed=1)
    np.testing.assert_allclose(model(X), plain((X - 1) / 2), atol=1e-6)


@pytest.mark.parametrize(
    ("tensor", "expected", "message"),
    [
        (X, None, r"a tensor of Keras's functional API, .* received ndarray of shape \(2, 16, 16, 3\)"),
        ("image", None, "received 'image'"),
        ((16, 16, 3), (16, 8, 3), r"is of shape \(16, 16, 3\), input_shape=\(16, 8, 3\): leave input_shape out"),
        ((16, 16, 3), (16, 16), "leave input_shape out"),
        ((16, 3), None, r"must be \(batch, height, width, channels\); received \(None, 16, 3\)"),
    ],
)
def test_a_tensor_that_a_network_cannot_stand_on_is_refused(tensor: Any, expected: Any, message: str) -> None:
    if isinstance(tensor, tuple):
        tensor = keras.Input(tensor)

    with pytest.raises(UsageError, match=message):
        shape_of(tensor, expected)


def test_unknown_sides_fit_any() -> None:
    assert shape_of(keras.Input((None, 16, 3)), (16, None, 3)) == (None, 16, 3)


def test_keras_set_to_channels_first_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")

    with pytest.raises(UsageError, match=r"channels_first .* keras.config.set_image_data_format\('channels_last'\)"):
        build(SPEC, 3, input_shape=(16, 16, 3))
