import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.weights.files import variables_by_path

BASIC = ResNetSpec("tiny", "basic", (1, 2), (8, 16), stem_width=8)
THREE_STAGES = ResNetSpec("three", "basic", (1, 1, 1), (8, 8, 8))
BOTTLENECK = ResNetSpec("tiny_bottleneck", "bottleneck", (2, 1), (16, 32), stem_width=8)


def test_layers_are_named_by_stage_block_and_part() -> None:
    names = {layer.name for layer in build(BOTTLENECK, 3, input_shape=(8, 8, 3)).layers}

    assert names == {
        "image",
        "stem_conv",
        "stem_bn",
        "stem_relu",
        *(f"stage1_block1_{part}" for part in ("conv1", "bn1", "relu1", "conv2", "bn2", "relu2", "conv3")),
        "stage1_block1_shortcut_conv",
        "stage1_block1_bn3",
        "stage1_block1_shortcut_bn",
        *(f"stage1_block1_{part}" for part in ("add", "out")),
        *(f"stage1_block2_{part}" for part in ("conv1", "bn1", "relu1", "conv2", "bn2", "relu2", "conv3", "bn3")),
        *(f"stage1_block2_{part}" for part in ("add", "out")),
        *(f"stage2_block1_{part}" for part in ("conv1", "bn1", "relu1", "conv2_pad", "conv2", "bn2", "relu2", "conv3")),
        "stage2_block1_shortcut_conv",
        "stage2_block1_bn3",
        "stage2_block1_shortcut_bn",
        *(f"stage2_block1_{part}" for part in ("add", "out")),
        "head_pool",
        "head_dense",
        "head_activation",
    }


def test_normalisation_has_the_constants_of_the_literature_and_convolutions_no_bias() -> None:
    for layer in build(BASIC, 3, input_shape=(8, 8, 3)).layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)
        if isinstance(layer, keras.layers.Conv2D):
            assert not layer.use_bias


@pytest.mark.parametrize("spec", [BASIC, BOTTLENECK])
def test_the_last_gamma_of_each_block_is_zero_so_that_a_block_begins_as_its_shortcut(spec: ResNetSpec) -> None:
    model = build(spec, 3, input_shape=(8, 8, 3), seed=1)
    last = "bn2" if spec is BASIC else "bn3"
    gammas = {path: variable.numpy() for path, variable in variables_by_path(model).items() if path.endswith("gamma")}

    for path, gamma in gammas.items():
        assert (gamma == (0 if path.endswith(f"{last}/gamma") and "block" in path else 1)).all(), path


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_no_channel_is_dead_where_a_shortcut_fills_up_with_zeros(block: str) -> None:
    """A branch that is zero where the shortcut is too would never learn: ReLU passes no gradient at zero."""
    spec = ResNetSpec("padded", block, (2, 2), (8, 16), stem_width=8, stem="cifar", shortcut="identity_pad")  # type: ignore[arg-type]
    model = build(spec, 3, input_shape=(8, 8, 3), seed=0)
    images = keras.random.uniform((16, 8, 8, 3), seed=0)
    last = [layer for layer in model.layers if layer.name.endswith("bn2" if block == "basic" else "bn3")]

    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(images, training=True)[:, 0])
    gradients = tape.gradient(loss, [layer.gamma.value for layer in last])

    assert len(last) == 4
    for layer, gradient in zip(last, gradients, strict=True):
        assert np.count_nonzero(gradient) == len(gradient), f"{layer.name} does not learn"
    zero = [layer.name for layer in last if not layer.gamma.numpy().any()]
    assert "stage2_block1_bn2" not in zero
    assert "stage2_block2_bn2" in zero or block == "bottleneck"


def test_weights_are_he_normal_by_fan_out() -> None:
    model = build(ResNetSpec("wide", "basic", (1,), (256,), stem_width=256), 3, input_shape=(8, 8, 3), seed=1)
    kernel = model.get_layer("stage1_block1_conv1").kernel.numpy()

    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 256)), rel=0.01)
    assert abs(kernel).max() > 4 * kernel.std(), "a normal distribution that is not truncated has tails"


def test_a_strided_convolution_pads_on_all_sides() -> None:
    model = build(BASIC, 3, input_shape=(8, 8, 1), seed=1)
    convolution = keras.Model(
        model.get_layer("stage1_block1_out").output, model.get_layer("stage2_block1_conv1").output
    )
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 8)).astype("float32")
    kernel = model.get_layer("stage2_block1_conv1").kernel.numpy()

    padded = np.pad(x[0], ((1, 1), (1, 1), (0, 0)))
    expected = [
        [np.tensordot(padded[2 * i : 2 * i + 3, 2 * j : 2 * j + 3], kernel, 3) for j in range(4)] for i in range(4)
    ]

    np.testing.assert_allclose(convolution(x)[0], expected, atol=1e-5)


def test_the_imagenet_stem_quarters_the_resolution_of_even_and_odd_inputs() -> None:
    for side, expected in ((64, 16), (65, 17), (63, 16)):  # as 7×7/2 with padding 3 and 3×3/2 with padding 1 give
        model = build(BASIC, 3, input_shape=(side, side, 3), stem="imagenet")

        assert model.get_layer("stem_pool").output.shape[1:3] == (expected, expected)


def test_the_padded_shortcut_takes_every_second_pixel_and_adds_zero_channels_on_both_sides() -> None:
    model = build(BASIC, 3, input_shape=(8, 8, 3), shortcut="identity_pad", seed=1)
    shortcut = keras.Model(model.get_layer("stage1_block1_out").output, model.get_layer("stage2_block1_add").input[0])
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 8)).astype("float32")

    expected = np.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (4, 4)))

    np.testing.assert_array_equal(shortcut(x), expected)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("sides", [(8, 8), (9, 14), (None, None)])
def test_any_input_size_and_number_of_channels_works(sides: tuple[int, int], channels: int) -> None:
    model = build(BASIC, 3, input_shape=(*sides, channels), stem="cifar")
    height, width = (side or 11 for side in sides)

    assert model(np.ones((2, height, width, channels), "float32")).shape == (2, 3)


@pytest.mark.parametrize(("pooling", "shape"), [(None, (None, 4, 4, 16)), ("avg", (None, 16)), ("max", (None, 16))])
def test_without_the_top_the_output_is_the_feature_map_or_what_pooling_makes_of_it(
    pooling: str | None, shape: tuple[int | None, ...]
) -> None:
    assert build(BASIC, include_top=False, pooling=pooling, input_shape=(8, 8, 3)).output_shape == shape


def test_pooling_is_over_all_positions() -> None:
    options: dict[str, Any] = {"include_top": False, "input_shape": (8, 8, 3), "seed": 3}
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    features = build(BASIC, **options)(x).numpy()

    np.testing.assert_allclose(build(BASIC, pooling="avg", **options)(x), features.mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(build(BASIC, pooling="max", **options)(x), features.max((1, 2)), rtol=1e-5)


def test_the_classifier_activation_is_applied_to_the_logits() -> None:
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    logits = build(BASIC, 5, classifier_activation=None, input_shape=(8, 8, 3), seed=2)(x)
    probabilities = build(BASIC, 5, input_shape=(8, 8, 3), seed=2)(x)

    assert abs(float(keras.ops.sum(logits[0])) - 1) > 1e-3
    np.testing.assert_allclose(keras.ops.softmax(logits), probabilities, rtol=1e-5)


def test_dropout_acts_in_training_only() -> None:
    model = build(BASIC, 5, dropout=0.5, input_shape=(8, 8, 3), seed=2)
    x = np.ones((1, 8, 8, 3), "float32")

    assert model.get_layer("head_dropout").rate == 0.5
    np.testing.assert_array_equal(model(x), model(x))
    assert np.abs(model(x, training=True) - model(x, training=True)).max() > 0


def test_a_seed_makes_the_initial_weights_repeat_and_another_seed_changes_them() -> None:
    first, again, other = (build(BASIC, 3, input_shape=(8, 8, 3), seed=seed).get_weights() for seed in (1, 1, 2))

    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert np.abs(first[0] - other[0]).max() > 0.01


def test_one_layers_initial_weights_do_not_depend_on_the_others() -> None:
    shallow = build(BASIC, 3, input_shape=(8, 8, 3), seed=1)
    deep = build(ResNetSpec("deeper", "basic", (3, 2), (8, 16), stem_width=8), 3, input_shape=(8, 8, 3), seed=1)
    name = "stage2_block1_conv1"

    np.testing.assert_array_equal(shallow.get_layer(name).kernel, deep.get_layer(name).kernel)


def test_a_model_with_preprocessing_takes_raw_pixels() -> None:
    preprocessing = Preprocessing(Fit((8, 8), 3), (100.0, 110.0, 120.0), (50.0, 60.0, 70.0), ("a", "b"))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("uint8")
    normalised = ((pixels - np.array([100, 110, 120])) / np.array([50, 60, 70])).astype("float32")

    raw = build(BASIC, preprocessing=preprocessing, seed=1)
    plain = build(BASIC, 2, input_shape=(8, 8, 3), seed=1)

    np.testing.assert_allclose(raw(pixels.astype("float32")), plain(normalised), atol=1e-5)
    assert raw.output_shape == (None, 2)


def test_a_number_of_classes_other_than_the_preprocessings_is_refused_and_the_same_is_taken() -> None:
    preprocessing = Preprocessing(Fit((8, 8), 3), (0.0,) * 3, (1.0,) * 3, ("a", "b"))

    assert build(BASIC, 2, preprocessing=preprocessing).output_shape == (None, 2)
    for number in (3, 1000):
        with pytest.raises(
            UsageError, match=f"num_classes={number} does not fit the preprocessing, which names 2 classes"
        ):
            build(BASIC, number, preprocessing=preprocessing)
        with pytest.raises(UsageError, match=f"num_classes={number} does not fit"):
            keras_resnet.ResNet20(classes=number, preprocessing=preprocessing)
    with pytest.raises(UsageError, match="num_classes must be a whole number of at least 1; received None"):
        build(BASIC, None, preprocessing=preprocessing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, "num_classes must be a whole number of at least 1; received 0"),
        ({"num_classes": -3}, "num_classes"),
        ({"num_classes": 2.5}, "num_classes"),
        ({"num_classes": True}, "num_classes"),
        ({"num_classes": None}, "num_classes"),
        ({"pooling": "mean", "include_top": False}, "pooling must be None or one of 'avg', 'max'; received 'mean'"),
        ({"dropout": 1.0}, "dropout"),
        ({"input_shape": (3, 8, 3)}, r"input_shape=\(3, 8, 3\) is too small for three .* divides the resolution by 4"),
        ({"input_shape": (8, 8)}, "input_shape must be"),
        ({"input_shape": (8, 8, 0)}, "input_shape must be"),
        ({"input_shape": (15, 16, 3), "stem": "imagenet"}, "at least 16×16 pixels or use stem='cifar'"),
        ({"stem": "none"}, "stem must be one of"),
        ({"shortcut": "conv"}, "shortcut must be one of"),
        ({"output_stride": 4}, "output_stride must be None, 8, 16 or 32; received 4"),
        ({"stochastic_depth": 1.0}, "stochastic_depth must be at least 0 and less than 1"),
        ({"head": "reset"}, "head='reset' and adapt_input say how weights are loaded"),
        ({"adapt_input": True}, "give weights, too"),
        ({"input_shape": 224}, "input_shape must be"),
        ({"head": "keep"}, "head must be 'load' or 'reset'; received 'keep'"),
        ({"preprocessing": "weights"}, "'weights' together with weights"),
        ({"preprocessing": "imagenet", "weights": "imagenet"}, "preprocessing must be a Preprocessing"),
        ({"weights": "nowhere.safetensors"}, "there is no weights file nowhere.safetensors"),
        ({"weights": "nowhere.weights.h5"}, "there is no weights file nowhere.weights.h5"),
        ({"weights": "imagenet"}, "there are no weights 'imagenet' for three"),
    ],
)
def test_a_bad_argument_is_named_with_what_was_received_before_anything_is_built(
    options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras, "Input", lambda *_, **__: pytest.fail("a network is built"))

    with pytest.raises(ValueError, match=message):
        build(THREE_STAGES, **{"num_classes": 3, "input_shape": (8, 8, 3), **options})


def test_it_trains_with_the_string_loss_and_comes_back_from_a_keras_file(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = build(BOTTLENECK, num_classes=10, input_shape=(8, 8, 3))
    model.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    x = np.random.default_rng(0).normal(size=(8, 8, 8, 3)).astype("float32")

    history = model.fit(x, np.arange(8), batch_size=4, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")

    assert np.isfinite(history.history["loss"][0])
    np.testing.assert_array_equal(model(x), again(x))


@pytest.mark.parametrize("ending", [".safetensors", ".weights.h5"])
def test_weights_come_from_a_file(ending: str, tmp_path: Path) -> None:
    from keras_resnet.weights.saving import save_weights

    model = build(BASIC, 3, input_shape=(8, 8, 3), seed=1)
    path = tmp_path / f"net{ending}"
    save_weights(model, path) if ending == ".safetensors" else model.save_weights(path)

    again = build(BASIC, 3, input_shape=(8, 8, 3), seed=2, weights=path)

    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    from keras_resnet.weights.saving import save_weights

    save_weights(build(BASIC, 4, input_shape=(8, 8, 3)), tmp_path / "four.safetensors")

    with pytest.raises(ModelError, match=r"head_dense/bias is float32\[4\], expected float32\[3\]"):
        build(BASIC, 3, input_shape=(8, 8, 3), weights=tmp_path / "four.safetensors")


@pytest.mark.parametrize(
    ("block", "row"),
    [
        ("basic", {}),
        ("preact_bottleneck", {"strided_block": "last", "bias": "unnormalised"}),
        pytest.param("bottleneck", {}, marks=pytest.mark.slow),
        pytest.param("bottleneck", {"strided_conv": "1x1"}, marks=pytest.mark.slow),
        pytest.param("preact_basic", {}, marks=pytest.mark.slow),
        pytest.param("preact_bottleneck", {}, marks=pytest.mark.slow),
    ],
)
def test_a_dilated_network_sees_at_every_second_position_what_the_strided_one_sees(
    block: Any, row: dict[str, Any]
) -> None:
    spec = ResNetSpec("net", block, (1, 1, 2, 2), (16, 32, 48, 64), stem="imagenet", stem_width=8, **row)
    options: dict[str, Any] = {"include_top": False, "input_shape": (None, None, 3)}
    strided, eight, sixteen = (build(spec, output_stride=stride, **options, seed=1) for stride in (None, 8, 16))
    random = np.random.default_rng(0)
    weights = [random.uniform(0.5, 1.5, w.shape) if w.ndim == 1 else w for w in strided.get_weights()]
    for model in (strided, eight, sixteen):
        model.set_weights(weights)
    for side in (64, 69):
        x = random.normal(size=(1, side, side, 3)).astype("float32")

        expected = strided(x).numpy()

        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(eight(x)[:, ::4, ::4], expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(sixteen(x)[:, ::2, ::2], expected, rtol=1e-3, atol=1e-4)


def test_stochastic_depth_grows_linearly_and_leaves_out_whole_samples() -> None:
    deep = ResNetSpec("deep", "basic", (2, 1), (8, 16), stem_width=8)
    model = build(deep, 3, input_shape=(8, 8, 3), stochastic_depth=0.5, seed=1)
    rates = [layer.rate for layer in model.layers if layer.name.endswith("_drop_path")]
    branch = model.get_layer("stage2_block1_drop_path")
    x = np.ones((4000, 2, 2, 1), "float32")

    y = branch(x, training=True).numpy().reshape(4000, -1)

    assert rates == [0.25, 0.5], "none in the first block"
    assert (y == y[:, :1]).all(), "a sample is left out whole"
    assert set(np.unique(y)) == {0.0, 2.0}, "what is kept makes up for what is not"
    assert (y[:, 0] == 0).mean() == pytest.approx(0.5, abs=0.04)
    np.testing.assert_array_equal(branch(x, training=False), x)


def test_a_network_with_stochastic_depth_comes_back_from_a_keras_file(tmp_path: Path) -> None:
    options: dict[str, Any] = {"output_stride": 8, "stochastic_depth": 0.2, "dropout": 0.1, "seed": 1}
    spec = ResNetSpec(
        "all", "bottleneck", (1, 1), (16, 32), stem="deep", stem_width=8, shortcut="avgpool_projection",
        attention="eca", antialias=True,
    )  # fmt: skip
    model = build(spec, 3, input_shape=(32, 32, 3), **options)
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")

    np.testing.assert_array_equal(model(x), again(x))


def test_the_dropout_of_a_wide_network_acts_between_the_convolutions_of_its_blocks() -> None:
    model = keras_resnet.build(keras_resnet.wrn(10, 1), 3, dropout=0.3)
    names = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    order = [layer.name for layer in model.layers]

    assert names == [f"stage{stage}_block1_dropout" for stage in (1, 2, 3)]
    assert all(model.get_layer(name).rate == 0.3 for name in names)
    first, second = (order.index(f"stage1_block1_conv{number}") for number in (1, 2))
    assert first < order.index("stage1_block1_dropout") < second


@contextmanager
def nested_at_most(calls: int) -> Iterator[int]:
    """So many calls deeper than here, and no more; the limit that Python has for it."""
    before, limit = sys.getrecursionlimit(), len(inspect.stack()) + calls
    sys.setrecursionlimit(limit)
    try:
        yield limit
    finally:
        sys.setrecursionlimit(before)


def test_a_network_deeper_than_pythons_recursion_limit_is_built_and_read_and_gives_features(tmp_path: Path) -> None:
    """A network of two blocks needs 60 nested calls for all this, and each other block two more, of its shortcut."""
    deep = ResNetSpec("deep", "basic", (16,), (2,), stem_width=2)
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 1)).astype("float32")

    with nested_at_most(75) as limit:
        model = build(deep, 3, input_shape=(4, 4, 1), seed=1)

        assert keras_resnet.feature_extractor(model, strides=(1,))(x)["C0"].shape == (2, 4, 4, 2)
        np.testing.assert_allclose(keras_resnet.fuse_batchnorm(model)(x), model(x), atol=1e-4)
        model.save(tmp_path / "deep.keras")
        again = build(deep, 3, input_shape=(4, 4, 1), seed=2, weights=tmp_path / "deep.keras")
        for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)
        assert sys.getrecursionlimit() == limit, "the limit is as it was"


@pytest.mark.parametrize("shape", [(3, 224, 224), (1, 28, 28)])
def test_an_input_with_its_channels_first_is_refused_with_the_right_order(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=rf"looks like channels first: give \({shape[1]}, {shape[2]}, {shape[0]}\)"):
        build(BASIC, 3, input_shape=shape)


def test_a_softmax_of_one_output_is_refused_and_a_sigmoid_is_not() -> None:
    with pytest.raises(ValueError, match="a softmax of one output is 1 whatever the image shows.*'sigmoid'"):
        build(BASIC, 1, input_shape=(8, 8, 3))

    shares = build(BASIC, 1, input_shape=(8, 8, 3), classifier_activation="sigmoid", seed=0)(
        np.eye(8)[None, ..., None] * np.ones(3)
    )
    assert 0 < shares.numpy().item() < 1
    assert build(BASIC, 1, input_shape=(8, 8, 3), classifier_activation=None).output_shape == (None, 1)


@pytest.mark.parametrize("options", [{"shortcut": "identity_pad"}, {"antialias": True}], ids=["padded", "blurred"])
def test_an_h5_file_of_any_network_is_loaded_by_keras_alone(options: dict[str, Any], tmp_path: Path) -> None:
    made = ResNetSpec("net", "basic", (1, 1), (8, 16), stem="cifar", stem_width=8, **options)
    model = build(made, 3, input_shape=(16, 16, 3), seed=1)
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 3))
    model.save(tmp_path / "net.h5")

    found = keras.models.load_model(tmp_path / "net.h5")

    np.testing.assert_array_equal(found(images), model(images))
