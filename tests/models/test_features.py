import keras
import numpy as np
import pytest

from keras_resnet.errors import UsageError
from keras_resnet.models.features import feature_extractor, freeze
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import spec

FOUR = ResNetSpec("four", "bottleneck", (1, 2, 1, 1), (16, 32, 48, 64), stem="imagenet", stem_width=8)
X = np.random.default_rng(0).normal(size=(2, 64, 96, 3)).astype("float32")


@pytest.mark.parametrize("block", ["bottleneck", "basic", "preact_bottleneck", "preact_basic"])
def test_the_maps_c2_to_c5_have_their_strides(block: str) -> None:
    row = ResNetSpec("four", block, (1, 2, 1, 1), (16, 32, 48, 64), stem="imagenet", stem_width=8)
    maps = feature_extractor(build(row, 3, input_shape=(64, 96, 3), seed=1))(X)

    assert {name: tuple(value.shape) for name, value in maps.items()} == {
        "C2": (2, 16, 24, 16),
        "C3": (2, 8, 12, 32),
        "C4": (2, 4, 6, 48),
        "C5": (2, 2, 3, 64),
    }
    assert all(float(keras.ops.min(value)) >= 0 for value in maps.values()), "the maps are activated"


def test_where_the_last_block_strides_the_maps_are_taken_before_it() -> None:
    row = spec("resnet50v2", depths=(2, 2, 2, 1), width_multiplier=0.125)
    maps = feature_extractor(build(row, 3, input_shape=(64, 96, 3), seed=1))(X)

    assert [maps[name].shape[1] for name in ("C2", "C3", "C4", "C5")] == [16, 8, 4, 2]


def test_the_extractor_shares_its_layers_with_the_model() -> None:
    model = build(FOUR, 3, input_shape=(64, 96, 3), seed=1)
    extractor = feature_extractor(model, strides=(32,))
    before = extractor(X)["C5"].numpy()

    model.get_layer("stem_conv").kernel.assign(model.get_layer("stem_conv").kernel * 2)

    assert np.abs(extractor(X)["C5"].numpy() - before).max() > 1e-3
    assert extractor.output_names == ["C5"] or list(extractor.output) == ["C5"]


def test_the_last_map_of_a_dilated_network_is_the_last_stages() -> None:
    model = build(FOUR, 3, input_shape=(64, 96, 3), output_stride=8)

    maps = feature_extractor(model, strides=(4, 8))(X)

    assert maps["C3"].shape == (2, 8, 12, 64)
    with pytest.raises(UsageError, match=r"strides must be some of 4, 8 for four; received \(4, 8, 16, 32\)"):
        feature_extractor(model, (4, 8, 16, 32))


def test_without_strides_there_are_the_maps_of_all_stages() -> None:
    small = ResNetSpec("small", "basic", (1, 1, 1), (8, 16, 16), stem="cifar", stem_width=8)

    assert list(feature_extractor(build(small, 3, input_shape=(16, 16, 3))).output) == ["C0", "C1", "C2"]
    assert list(feature_extractor(build(FOUR, 3, input_shape=(64, 96, 3))).output) == ["C2", "C3", "C4", "C5"]
    assert list(feature_extractor(build(FOUR, 3, input_shape=(64, 96, 3), output_stride=8)).output) == ["C2", "C3"]


@pytest.mark.parametrize("stem", ["deep", "deep_strided", "cifar"])
def test_strides_follow_from_the_stem(stem: str) -> None:
    row = ResNetSpec("two", "basic", (1, 1), (8, 16), stem=stem, stem_width=8, antialias=stem != "cifar")
    strides = (1, 2) if stem == "cifar" else (4, 8)

    maps = feature_extractor(build(row, 3, input_shape=(64, 96, 3)), strides)(X)

    assert [value.shape[1] for value in maps.values()] == [64 // stride for stride in strides]


def test_a_model_of_someone_elses_is_refused() -> None:
    inputs = keras.Input((4,))

    with pytest.raises(UsageError, match="no residual blocks"):
        feature_extractor(keras.Model(inputs, keras.layers.Dense(2)(inputs)))


def test_frozen_stages_keep_weights_and_statistics_while_the_rest_trains() -> None:
    model = build(FOUR, 3, input_shape=(64, 96, 3), seed=1)

    frozen = freeze(model, until="stage3")
    before = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, np.array([0, 1]), epochs=2, verbose=0)

    assert "stem_conv" in frozen
    assert "stage3_block1_bn3" in frozen
    assert not any(name.startswith(("stage4", "head")) for name in frozen)
    for name, weights in before.items():
        same = all(np.array_equal(a, b) for a, b in zip(weights, model.get_layer(name).get_weights(), strict=True))
        assert same == (name in frozen), name


def test_freezing_less_frees_what_was_frozen() -> None:
    model = build(FOUR, 3, input_shape=(64, 96, 3))
    freeze(model, until="head")
    assert not model.trainable_weights

    freeze(model, until="stem")
    assert len(model.non_trainable_weights) == 5 + 2 * (len([w for w in model.weights if "moving_mean" in w.path]) - 1)

    assert freeze(model, until=None) == []
    assert all(layer.trainable for layer in model.layers)


def test_a_part_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="'stem', 'stage1', 'stage2', 'stage3', 'stage4', 'head'; received 'stage5'"):
        freeze(build(FOUR, 3, input_shape=(64, 96, 3)), until="stage5")
