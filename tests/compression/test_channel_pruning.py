"""A pruned network computes what the whole one would with the removed channels at zero, at the cost asked for."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.compression.channel_pruning import channel_worth, kept_channels
from keras_resnet.compression.channels import ChannelGraph
from keras_resnet.compression.importance import filter_norms, output_changes
from keras_resnet.compression.removal import without_channels
from keras_resnet.errors import UsageError
from keras_resnet.models.feature_info import feature_info
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from tests.golden.cases import CASES
from tests.models.test_fusion import lively, norms

layers = keras.layers
TINY = ResNetSpec("tiny", "basic", (1, 1), (16, 32), "cifar", stem_width=16)
IMAGES = np.random.default_rng(0).uniform(0, 255, (8, 12, 12, 3)).astype(np.float32)


def tiny(**options: Any) -> keras.Model:
    return lively(build(TINY, 5, input_shape=(12, 12, 3), classifier_activation=None, seed=1, **options))


def case(name: str) -> keras.Model:
    spec = ResNetSpec(name, **CASES[name].row)
    return build(spec, 7, input_shape=(32, 32, 3), classifier_activation=None, seed=1)


def set_to_zero(graph: ChannelGraph, kept: np.ndarray) -> None:
    """Filters, gamma, beta and the moving mean of the channels that are not kept, in the model itself."""
    for member in graph.members:
        layer, stays = member.layer, kept[member.outputs]
        if isinstance(layer, layers.BatchNormalization):
            found = [layer.gamma, layer.beta, layer.moving_mean]
        elif isinstance(layer, layers.DepthwiseConv2D):
            layer.kernel.assign(np.asarray(layer.kernel) * stays.reshape(layer.kernel.shape[-2:]))
            found = [layer.bias]
        elif isinstance(layer, layers.Conv2DTranspose):
            layer.kernel.assign(np.asarray(layer.kernel) * stays[:, np.newaxis])
            found = [layer.bias]
        else:
            names = [name for name in ("kernel", "pointwise_kernel", "bias") if hasattr(layer, name)]
            found = [getattr(layer, name) for name in names]
        for one in found:
            if one is not None:
                one.assign(np.asarray(one) * stays)


def assert_removed_as_if_zero(model: keras.Model, residual: bool = True, share: float = 0.5) -> keras.Model:
    graph = ChannelGraph(model)
    groups = graph.groups(residual)
    kept = kept_channels(graph, groups, channel_worth(graph, groups, "l2", None, 0), share, 8, 0.1)
    x = np.random.default_rng(0).normal(size=(2, *model.input_shape[1:])).astype(np.float32)
    before = np.asarray(model(x))

    pruned = without_channels(graph, kept)

    np.testing.assert_array_equal(model(x), before, "the model is not changed")
    set_to_zero(graph, kept)
    expected = np.asarray(model(x))
    assert np.abs(expected - before).max() > 1e-3 * np.abs(before).max(), "something was removed"
    assert np.abs(np.asarray(pruned(x)) - expected).max() < 1e-5 * np.abs(expected).max()
    assert ChannelGraph(pruned).macs / graph.macs == pytest.approx(share, abs=0.02)
    return pruned


@pytest.mark.parametrize(
    "name",
    [
        *("se", "cifar_identity", "resnext", "preact_bottleneck"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("basic", "bottleneck", "resnet_d", "eca", "rs", "wrn")
        ),
    ],
)
def test_what_is_removed_is_gone_as_if_it_were_zero_in_every_kind_of_block(name: str) -> None:
    assert_removed_as_if_zero(lively(case(name)))


@pytest.mark.parametrize("name", ["cifar_identity", pytest.param("resnet_d", marks=pytest.mark.slow)])
def test_without_the_residual_stream_only_what_is_inside_of_blocks_gets_thinner(name: str) -> None:
    model = lively(case(name))

    pruned = assert_removed_as_if_zero(model, residual=False)

    sums = [one.name for one in model.layers if isinstance(one, layers.Add)]
    assert [pruned.get_layer(one).output.shape for one in sums] == [model.get_layer(one).output.shape for one in sums]


def test_other_networks_of_keras_layers_can_be_pruned() -> None:
    """Inverted residuals, as MobileNetV2's, a separable and a transposed convolution, branches, a flattened map."""
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(inputs))
    y = layers.ReLU(6)(layers.BatchNormalization()(layers.Conv2D(48, 1, use_bias=False)(x)))
    y = layers.ZeroPadding2D(1)(y)
    y = layers.ReLU(6)(layers.BatchNormalization()(layers.DepthwiseConv2D(3, use_bias=False)(y)))
    x = layers.Add()([x, layers.BatchNormalization()(layers.Conv2D(16, 1, use_bias=False)(y))])
    y = layers.SeparableConv2D(16, 3, padding="same", depth_multiplier=2, activation="relu")(x)
    z = layers.MaxPooling2D()(layers.Conv2DTranspose(16, 2, strides=2, activation="relu")(x))
    x = layers.Dropout(0.1)(layers.Concatenate()([x, y, z]))
    x = layers.Dense(12, activation="relu")(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(3)(x))

    assert_removed_as_if_zero(lively(model), share=0.6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "ResNet50V2", "DenseNet121"])
def test_the_networks_of_keras_applications_can_be_pruned(name: str, alone: None) -> None:
    make = getattr(keras.applications, name)

    assert_removed_as_if_zero(
        lively(make(weights=None, input_shape=(64, 64, 3), classes=5, classifier_activation=None))
    )


def test_a_model_inside_is_pruned_with_the_one_around_it() -> None:
    inner_inputs = keras.Input((6, 6, 16))
    y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(24, 3)(inner_inputs)))
    inner = keras.Model(inner_inputs, layers.Conv2D(16, 1)(y), name="inner")
    inputs = keras.Input((8, 8, 3))
    x = inner(layers.Conv2D(16, 3, activation="relu", bias_initializer="ones")(inputs))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))

    pruned = assert_removed_as_if_zero(lively(model))

    assert pruned.get_layer("inner").input_shape[-1] < 16
    assert pruned.get_layer("inner").output_shape[-1] < 16


def test_it_is_a_plain_model_that_keras_reads_and_that_folds(tmp_path: Path) -> None:
    model = tiny(
        preprocessing=keras_resnet.Preprocessing(
            keras_resnet.Fit((12, 12), 3), (120.0,) * 3, (60.0,) * 3, tuple("abcde")
        )
    )
    model.compile("adam", "mse")

    pruned = keras_resnet.prune_channels(model, 0.5)

    assert (pruned.name, pruned.input_shape, pruned.output_shape) == (model.name, (None, 12, 12, 3), (None, 5))
    assert [layer.name for layer in pruned.layers] == [layer.name for layer in model.layers]
    assert not pruned.compiled
    assert pruned.preprocessing == model.preprocessing
    assert feature_info(pruned) == feature_info(model)
    pruned.save(tmp_path / "pruned.keras")
    read = keras.models.load_model(tmp_path / "pruned.keras")
    np.testing.assert_array_equal(read(IMAGES), pruned(IMAGES))
    folded = keras_resnet.fuse_batchnorm(pruned)
    np.testing.assert_allclose(folded(IMAGES), pruned(IMAGES), atol=1e-3)
    assert norms(folded) == []
    assert folded.preprocessing == model.preprocessing


@pytest.mark.slow
def test_it_is_exported_as_the_model_is(tmp_path: Path) -> None:
    images, sizes = IMAGES.astype(np.uint8), {}
    model = tiny(
        preprocessing=keras_resnet.Preprocessing(
            keras_resnet.Fit((12, 12), 3), (120.0,) * 3, (60.0,) * 3, tuple("abcde")
        )
    )
    for name, one in {"whole": model, "pruned": keras_resnet.prune_channels(model, 0.5)}.items():
        path = tmp_path / f"{name}.tflite"
        keras_resnet.export_tflite(one, path, calibration=images)
        sizes[name] = path.stat().st_size

        np.testing.assert_allclose(
            keras_resnet.predict(path, images).logits,
            keras_resnet.predict(one, images).logits,
            atol=0.1 * np.abs(one(IMAGES)).max(),
        )

    assert sizes["pruned"] < 0.8 * sizes["whole"]


@pytest.mark.parametrize("share", [0.8, 0.3])
def test_the_share_is_met_and_widths_are_multiples(share: float) -> None:
    model = build(ResNetSpec("wide", "basic", (1, 1), (64, 128), "cifar"), 5, input_shape=(12, 12, 3), seed=0)

    pruned = keras_resnet.prune_channels(model, share, multiple=4)

    widths = [layer.filters for layer in pruned.layers if isinstance(layer, layers.Conv2D)]
    assert ChannelGraph(pruned).macs / ChannelGraph(model).macs == pytest.approx(share, abs=0.02)
    assert all(width % 4 == 0 for width in widths)
    assert {layer.name for layer in pruned.layers if isinstance(layer, layers.Dense)} == {"head_dense"}


def test_every_layer_keeps_the_least_share_of_its_channels() -> None:
    model = tiny()
    for layer in model.layers:
        if layer.name == "stage2_block1_conv1":
            layer.kernel.assign(np.asarray(layer.kernel) * np.array([1.0] + [1e-6] * 31))

    few = keras_resnet.prune_channels(model, 0.5, least=0.25, multiple=1, criterion="l1")

    assert few.get_layer("stage2_block1_conv1").filters == 8
    with pytest.raises(UsageError, match="cannot be pruned to 30% of its multiply-accumulates"):
        keras_resnet.prune_channels(model, 0.3, least=0.9)


@pytest.mark.parametrize("power", [1, 2])
def test_filters_count_as_they_are_with_their_normalisation_folded_in(power: int) -> None:
    inputs = keras.Input((4, 4, 2))
    conv, norm = layers.Conv2D(3, 1, use_bias=False), layers.BatchNormalization(epsilon=0.0)
    model = keras.Model(inputs, layers.Conv2D(1, 1)(norm(conv(inputs))))
    conv.kernel.assign(np.array([[3, 1, 0], [-4, 1, 2]], np.float32).reshape(1, 1, 2, 3))
    norm.set_weights([np.array([1, -2, 3]), np.zeros(3), np.zeros(3), np.array([1, 1, 4])])
    graph = ChannelGraph(model)

    found = filter_norms(graph, power)[graph.members[0].outputs]

    expected = np.array([7, 4, 3]) if power == 1 else np.array([5, 2 * np.sqrt(2), 3])
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-6)


def test_the_change_of_outputs_is_that_of_a_linear_network() -> None:
    inputs = keras.Input((2, 2, 3))
    hidden = layers.Conv2D(4, 1, name="hidden", bias_initializer="ones")
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(hidden(inputs))))
    graph, image = ChannelGraph(model), IMAGES[:1, :2, :2]
    whole, kernel = float(model(image)[0, 0]), np.asarray(hidden.kernel)

    found = output_changes(graph, image, seed=3)[graph.members[0].outputs]

    changes = []
    for channel in range(4):  # one image and one output: its random factor is that of all channels
        hidden.set_weights([kernel * (np.arange(4) != channel), np.ones(4) * (np.arange(4) != channel)])
        changes.append((float(model(image)[0, 0]) - whole) ** 2)
    np.testing.assert_allclose(found / found.sum(), np.array(changes) / np.sum(changes), rtol=1e-3)
    hidden.set_weights([kernel, np.ones(4)])
    np.testing.assert_array_equal(output_changes(graph, image, seed=3)[graph.members[0].outputs], found)


def test_by_images_channels_go_that_no_output_needs() -> None:
    model = tiny()
    conv2 = model.get_layer("stage1_block1_conv2")
    unread = np.arange(16) % 2 == 0
    conv2.kernel.assign(np.asarray(conv2.kernel) * ~unread[:, np.newaxis])
    filters = np.asarray(model.get_layer("stage1_block1_conv1").kernel)

    pruned = keras_resnet.prune_channels(model, 0.8, calibration=IMAGES, residual=False, multiple=1)

    left = np.asarray(pruned.get_layer("stage1_block1_conv1").kernel)
    there = [any(np.array_equal(one, other) for other in left.T) for one in filters.T]
    assert len(left.T) < 16
    assert all(there[one] for one in np.flatnonzero(~unread))
    np.testing.assert_allclose(pruned(IMAGES), model(IMAGES), atol=1e-3)


class Subclassed(keras.Model):
    pass


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (Subclassed, {}, "only functional and sequential models that know their input can be pruned"),
        (lambda: keras.Sequential([layers.Conv2D(2, 1)]), {}, "build a sequential one by model.build"),
        (
            lambda: keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(2, 1)]),
            {},
            "no channels that can be removed",
        ),
        (tiny, {"calibration": IMAGES[:, :5]}, r"\(n, 12, 12, 3\); received an array of shape \(8, 5, 12, 3\)"),
        (tiny, {"criterion": "taylor"}, "give some, as the model takes them, by calibration="),
        (tiny, {"share": 0.0}, "share must be a number greater than 0"),
        (tiny, {"criterion": "l3"}, "criterion must be one of"),
    ],
)
def test_what_cannot_be_pruned_is_refused(make: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        keras_resnet.prune_channels(make(), **options)


def test_a_sequential_model_is_pruned_too() -> None:
    model = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(8, 3), layers.ReLU(), layers.Conv2D(2, 3)])

    pruned = keras_resnet.prune_channels(model, 0.5)

    assert [layer.filters for layer in pruned.layers if isinstance(layer, layers.Conv2D)] == [4, 2]
