"""A walk through a network gives what the network gives, whatever stands inside."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from keras_resnet.attribution.network import Cut, Network
from keras_resnet.errors import UsageError
from keras_resnet.models.fusion import fuse_batchnorm
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from tests.attribution.striped import trained, untrained

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 24, 24, 3)).astype(np.float32)


def plain() -> keras.Model:
    return build(spec("oneblock"), 3, input_shape=(24, 24, 3), classifier_activation=None, seed=0)


def nested() -> keras.Model:
    """A sequential model in a functional model in a model, behind layers of their own."""
    inner = keras.Sequential(
        [keras.Input((24, 24, 3)), keras.layers.Conv2D(4, 3, activation="relu", name="deep")], name="inner"
    )
    between = keras.Input((24, 24, 3))
    backbone = keras.Model(between, keras.layers.BatchNormalization()(inner(between)), name="backbone")
    inputs = keras.Input((24, 24, 3))
    x = keras.layers.Dropout(0.5)(backbone(keras.layers.Rescaling(1 / 255)(inputs)), training=True)
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))


def foreign(name: str, **options: object) -> Callable[[], keras.Model]:
    return lambda: getattr(keras.applications, name)(
        weights=None, input_shape=(32, 32, 3), classes=3, classifier_activation=None, **options
    )


@pytest.mark.parametrize(
    ("made", "layer"),
    [
        (plain, "stage1_block1_out"),
        (lambda: fuse_batchnorm(plain()), "stage1_block1_out"),
        (nested, "dropout"),
        (foreign("MobileNet", alpha=0.25), "conv_pw_11_relu"),
        pytest.param(foreign("ResNet50V2"), "conv4_block5_out", marks=pytest.mark.slow),
        pytest.param(foreign("EfficientNetB0"), "block6a_expand_activation", marks=pytest.mark.slow),
    ],
    ids=["plain", "folded", "nested", "mobilenet", "resnet50v2", "efficientnet"],
)
def test_both_parts_together_are_the_whole(made: Callable[[], keras.Model], layer: str) -> None:
    model = made()
    images = np.resize(IMAGES, (2, *model.input_shape[1:]))
    expected = model(images, training=False)
    network = Network(model)

    cut = Cut(network, images[0])

    np.testing.assert_allclose(network.logits(images), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(cut.logits(cut.maps(images)), expected, rtol=1e-4, atol=1e-5)
    assert cut.maps(images).shape == (2, *cut.place.shape)
    assert np.prod(cut.place.shape[:2]) > 1
    assert cut.place.name.startswith(layer)


def test_a_layer_inside_is_found_by_its_name_and_by_its_path() -> None:
    network = Network(nested())

    paths = {Cut(network, IMAGES[0], one).place.path for one in ("deep", "backbone/inner/deep")}

    assert paths == {"backbone/inner/deep"}


def test_a_walk_leaves_the_layers_of_the_model_as_they_are() -> None:
    model = trained()
    before = model.get_config()

    cut = Cut(Network(model), IMAGES[0])
    cut.logits(cut.maps(IMAGES))

    assert model.get_config() == before
    assert model.get_layer("second").output is not None
    assert keras.models.clone_model(model).count_params() == model.count_params()


def test_a_layer_that_a_shortcut_goes_around_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be cut at stage1_block1_conv1"):
        Cut(Network(plain()), IMAGES[0], "stage1_block1_conv1")


def test_a_layer_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"no layer 'third' that gives .* its last are .*'second'"):
        Cut(Network(untrained()), IMAGES[0], "third")


def test_a_network_without_convolutions_has_nothing_to_be_cut_at() -> None:
    layers = [keras.Input((24, 24, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(3)]

    with pytest.raises(UsageError, match="take a method that needs none, as occlusion"):
        Cut(Network(keras.Sequential(layers)), IMAGES[0])
