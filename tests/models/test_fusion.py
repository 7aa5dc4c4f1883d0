from typing import Any

import keras
import numpy as np
import pytest

from keras_resnet.errors import UsageError
from keras_resnet.models.features import feature_extractor
from keras_resnet.models.fusion import fuse_batchnorm
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from tests.golden.cases import CASES

X = np.random.default_rng(0).normal(size=(2, 41, 41, 3)).astype("float32")


def lively(model: keras.Model) -> keras.Model:
    """Weights and statistics that are not those of a fresh network, where folding would be trivial."""
    random = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            channels = layer.gamma.shape[0]
            signed = random.uniform(0.5, 1.5, channels) * random.choice([-1, 1], channels)
            layer.set_weights(
                [signed, random.normal(size=channels), random.normal(size=channels), random.uniform(0.5, 2, channels)]
            )
    return model


@pytest.mark.parametrize("name", ["basic", "bottleneck", "resnet_d", "rs", "eca", "resnext", "wrn", "cifar_identity"])
def test_the_fused_network_gives_the_same_logits_without_the_normalisations(name: str) -> None:
    spec = ResNetSpec("golden", **CASES[name].row)
    model = lively(build(spec, 7, input_shape=(41, 41, 3), classifier_activation=None, seed=1))
    before = [weight.copy() for weight in model.get_weights()]

    fused = fuse_batchnorm(model)

    expected = model(X).numpy()
    assert np.abs(expected).max() > 0.5
    assert np.abs(fused(X).numpy() - expected).max() < 1e-4 * max(1, np.abs(expected).max())
    left = [layer.name for layer in fused.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if spec.is_preact:  # only those between two convolutions
        assert {name.rsplit("_", 1)[1] for name in left} == {"bn1", "bn"}
    else:
        assert not left
    for weight, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, now)


def test_convolutions_with_biases_and_normalisations_without_scale_fold_too() -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, use_bias=True, bias_initializer="ones")(inputs)
    x = keras.layers.BatchNormalization(scale=False)(x)
    x = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, bias_initializer="ones")(x)
    x = keras.layers.BatchNormalization(center=False)(x)
    model = keras.Model(inputs, x)
    random = np.random.default_rng(2)
    model.set_weights([random.uniform(0.5, 2, weight.shape) for weight in model.get_weights()])
    x = random.normal(size=(2, 8, 8, 3)).astype("float32")

    fused = fuse_batchnorm(model)

    np.testing.assert_allclose(fused(x), model(x), rtol=1e-4, atol=1e-3)
    assert len(fused.layers) == len(model.layers) - 2


@pytest.mark.parametrize("relu", [keras.layers.ReLU(), keras.layers.Activation("relu"), keras.layers.ReLU(6.0)])
def test_a_plain_relu_behind_becomes_the_convolutions_activation(relu: keras.layers.Layer) -> None:
    inputs = keras.Input((8, 8, 3))
    y = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, name="conv", kernel_initializer="ones")(inputs))
    model = keras.Model(inputs, type(relu).from_config(relu.get_config())(y))
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")

    fused = fuse_batchnorm(model)

    np.testing.assert_allclose(fused(x), model(x), atol=1e-4)
    clipped = getattr(relu, "max_value", None) is not None
    assert len(fused.layers) == (3 if clipped else 2)
    assert fused.get_layer("conv").activation is (keras.activations.linear if clipped else keras.activations.relu)


@pytest.mark.parametrize("change", ["activation", "second reader", "is an output"])
def test_a_convolution_whose_output_is_used_otherwise_is_left_alone(change: str) -> None:
    inputs = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(4, 1, name="first")(inputs)
    z = keras.layers.BatchNormalization(name="first_bn")(y)
    w = keras.layers.Conv2D(4, 1, name="second", activation="relu" if change == "activation" else None)(z)
    v = keras.layers.BatchNormalization(name="second_bn")(w)
    outputs: Any = v
    if change == "second reader":
        outputs = keras.layers.Add()([v, w])
    if change == "is an output":
        outputs = [v, w]

    fused = fuse_batchnorm(keras.Model(inputs, outputs))

    kept = [layer.name for layer in fused.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert kept == ["second_bn"]


def test_layers_that_are_called_twice_stay_for_their_other_place() -> None:
    inputs = keras.Input((8, 8, 4))
    relu = keras.layers.ReLU()
    y = relu(keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 1)(inputs)))
    norm = keras.layers.BatchNormalization(name="twice")
    z = norm(keras.layers.Conv2D(4, 1)(relu(keras.layers.Add()([y, inputs]))))
    model = keras.Model(inputs, norm(z))
    random = np.random.default_rng(2)
    model.set_weights([random.uniform(-1, 2, weight.shape) ** 2 for weight in model.get_weights()])
    x = random.normal(size=(2, 8, 8, 4)).astype("float32")

    fused = fuse_batchnorm(model)

    np.testing.assert_allclose(fused(x), model(x), rtol=1e-4, atol=1e-3)
    kept = [layer.name for layer in fused.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert kept == ["twice"]


def test_a_fused_wide_network_still_gives_its_features() -> None:
    fused = fuse_batchnorm(build(ResNetSpec("wide", **CASES["wrn"].row), 3, input_shape=(16, 16, 3)))

    assert feature_extractor(fused, strides=(2, 4))(np.ones((1, 16, 16, 3), "float32"))["C2"].shape == (1, 4, 4, 24)


def test_what_cannot_be_folded_is_said() -> None:
    inputs = keras.Input((4,))
    with pytest.raises(UsageError, match="no convolution with a batch normalisation"):
        fuse_batchnorm(keras.Model(inputs, keras.layers.Dense(2)(inputs)))
    with pytest.raises(UsageError, match="only functional models"):
        fuse_batchnorm(keras.Sequential([keras.layers.Dense(2)]))
