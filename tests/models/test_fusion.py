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


def norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Of the model and of those inside it."""
    inside = [norm for layer in model.layers if isinstance(layer, keras.Model) for norm in norms(layer)]
    return inside + [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def lively(model: keras.Model) -> keras.Model:
    """Weights and statistics that are not those of a fresh network, where folding would be trivial."""
    random = np.random.default_rng(1)
    for layer in norms(model):
        channels = layer.moving_mean.shape[0]
        signed = random.uniform(0.5, 1.5, channels) * random.choice([-1, 1], channels)
        learned = [signed] * layer.scale + [random.normal(size=channels)] * layer.center
        layer.set_weights([*learned, random.normal(size=channels), random.uniform(0.5, 2, channels)])
    return model


def assert_folded(model: keras.Model, left: int) -> keras.Model:
    """The folded copy of a model, which computes the same with so many normalisations left."""
    lively(model)
    x = np.random.default_rng(0).normal(size=(2, *model.input_shape[1:])).astype("float32")
    expected = np.asarray(model(x))

    fused = fuse_batchnorm(model)

    assert np.abs(expected).max() > 1e-2
    assert np.abs(np.asarray(fused(x)) - expected).max() < 1e-5 * np.abs(expected).max()
    assert len(norms(fused)) == left < len(norms(model))
    np.testing.assert_array_equal(model(x), expected)
    return fused


@pytest.mark.parametrize(
    "name",
    [
        *("rs", "wrn", "cifar_identity"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("basic", "bottleneck", "resnet_d", "eca", "resnext")),
    ],
)
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
    with pytest.raises(UsageError, match="no convolution or dense layer with a batch normalisation"):
        fuse_batchnorm(keras.Model(inputs, keras.layers.Dense(2)(inputs)))
    with pytest.raises(UsageError, match=r"only functional and sequential models that know .* model.build"):
        fuse_batchnorm(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(UsageError, match="received Model"):
        fuse_batchnorm(keras.Model())


@pytest.mark.slow  # of the same layers as the users' networks below
@pytest.mark.usefixtures("alone")
def test_networks_of_keras_applications_are_folded_whole() -> None:
    resnet = keras.applications.ResNet50(
        weights=None, input_shape=(64, 64, 3), classes=3, classifier_activation=None, name="theirs"
    )
    fused = assert_folded(resnet, 0)

    assert (fused.name, fused.input_shape, fused.output_shape) == ("theirs", (None, 64, 64, 3), (None, 3))
    assert fused.get_layer("conv5_block3_1_conv").activation is keras.activations.relu
    assert_folded(
        keras.applications.MobileNetV2(alpha=0.35, weights=None, input_shape=(64, 64, 3), include_top=False), 0
    )


def users_layers() -> list[keras.layers.Layer]:
    layers = keras.layers
    return [
        layers.GaussianNoise(0.1, seed=1),
        layers.Conv2D(8, 3, padding="same", strides=2),
        layers.BatchNormalization(),
        layers.Activation("relu"),
        layers.SeparableConv2D(8, 3),
        layers.BatchNormalization(scale=False),
        layers.Conv2DTranspose(6, 3, strides=2, bias_initializer="ones"),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Conv2D(5, 3, activation="relu"),
        layers.BatchNormalization(name="behind_activation"),
        layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False),
        layers.BatchNormalization(center=False),
        layers.Conv2D(9, 3),
        layers.BatchNormalization(axis=1, name="over_rows"),
        layers.Lambda(lambda x: x * 2.0, name="double"),
        layers.Reshape((-1, 9)),
        layers.Conv1D(4, 3),
        layers.BatchNormalization(),
        layers.Flatten(),
        layers.Dense(5),
        layers.BatchNormalization(),
        layers.Dense(3),
    ]


def test_a_sequential_model_of_the_users_is_folded_where_that_is_the_same_function() -> None:
    fused = assert_folded(keras.Sequential([keras.Input((16, 16, 3)), *users_layers()]), 2)

    assert {norm.name for norm in norms(fused)} == {"behind_activation", "over_rows"}


def test_models_inside_are_folded_but_for_those_that_always_train() -> None:
    inside = keras.Sequential([keras.Input((16, 16, 3)), *users_layers()[1:4]], name="inside")
    trains = keras.Sequential(
        [keras.Input((8, 8, 8)), keras.layers.Conv2D(4, 1), keras.layers.BatchNormalization()], name="trains"
    )
    image = keras.Input((16, 16, 3))
    twice = keras.layers.Add()([inside(image), inside(image * -1.0)])
    x = keras.layers.Flatten()(trains(twice, training=True))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Dense(5)(x)))

    fused = assert_folded(keras.Model(image, keras.layers.Dense(2)(x)), 2)  # Keras trains what comes later, too

    assert [layer.name for layer in fused.layers if isinstance(layer, keras.Model)] == ["inside", "trains"]
    assert norms(fused.get_layer("trains"))


def test_only_the_readers_in_this_model_count() -> None:
    image = keras.Input((8, 8, 3))
    convolution = keras.layers.Conv2D(4, 1)(image)
    model = keras.Model(image, keras.layers.BatchNormalization()(convolution))
    keras.Model(image, keras.layers.ReLU()(convolution))  # shares the layer

    assert_folded(model, 0)


class Standardised(keras.layers.Conv2D):
    """Scales what a convolution gives, as a class of the user's may."""

    def call(self, inputs: Any) -> Any:
        return super().call(inputs) ** 2


def test_layers_of_classes_that_derive_from_keras_are_left_alone() -> None:
    image = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization()(Standardised(4, 3)(image))

    assert_folded(keras.Model(image, keras.layers.BatchNormalization()(keras.layers.Conv2D(2, 1)(x))), 1)


class Unmade(keras.layers.Dense):
    """Cannot be made from its configuration."""

    def __init__(self, units: int, needed: int, **options: Any) -> None:
        super().__init__(units, **options)


def test_a_layer_that_cannot_be_made_again_is_named() -> None:
    layers = [keras.layers.Dense(2), keras.layers.BatchNormalization(), Unmade(2, 3, name="mine")]

    with pytest.raises(UsageError, match=r"its layer 'mine' \(Unmade\) cannot be made again from its configuration"):
        fuse_batchnorm(keras.Sequential([keras.Input((4,)), *layers]))
