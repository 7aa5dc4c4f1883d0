from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

import keras_resnet
from keras_resnet.errors import UsageError
from keras_resnet.models.features import feature_extractor, freeze
from keras_resnet.models.recompute import recompute_activations
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.weights.files import variables_by_path

TINY = {"depths": (2, 1), "widths": (8, 16), "stem_width": 8}
SPECS = {
    "basic": keras_resnet.spec("resnet18", **TINY),
    "basic, option A": keras_resnet.spec("resnet20", **TINY),
    "bottleneck, SE": keras_resnet.spec("resnet50", attention="se", **TINY | {"depths": (1, 1)}),
    "bottleneck, ECA, ResNet-D, blurred": keras_resnet.spec("resnet50d", attention="eca", antialias=True, **TINY),
    "preact bottleneck": keras_resnet.spec("resnet50v2", **TINY),
    "preact basic, dropout in the blocks": keras_resnet.spec("wrn-16-4", **TINY | {"depths": (1, 1)}),
}
QUICK = ("preact basic, dropout in the blocks",)
FAMILIES = [family if family in QUICK else pytest.param(family, marks=pytest.mark.slow) for family in SPECS]
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (12, 16, 16, 3)).astype("uint8")
LABELS = RANDOM.integers(0, 3, 12)
PREPROCESSING = Preprocessing(Fit((16, 16), 3), (120.0,) * 3, (70.0,) * 3, ("a", "b", "c"))


def network(family: str, **options: Any) -> keras.Model:
    """A tiny network in which every branch counts from the first step on, dropping blocks and activations."""
    chances = {"dropout": 0.3, "stochastic_depth": 0.5} | options
    model = keras_resnet.build(
        SPECS[family], preprocessing=PREPROCESSING, classifier_activation=None, stem="cifar", seed=1, **chances
    )
    for name, variable in variables_by_path(model).items():
        if name.endswith("gamma"):
            variable.assign(np.random.default_rng(2).uniform(0.5, 1.5, variable.shape))
    return model


def trained(model: keras.Model, **options: Any) -> list[float]:
    """Losses of three steps through `fit`."""
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **options,
    )
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(4)
    losses: list[float] = []
    keep = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]))
    model.fit(batches, verbose=0, shuffle=False, callbacks=[keep])
    return losses


def assert_same_variables(model: keras.Model, expected: keras.Model) -> None:
    ours, theirs = variables_by_path(model), variables_by_path(expected)
    assert list(ours) == list(theirs)
    for name, variable in theirs.items():
        np.testing.assert_array_equal(ours[name].numpy(), variable.numpy(), err_msg=name)


@pytest.fixture(scope="module", params=FAMILIES)
def lean(request: pytest.FixtureRequest) -> keras.Model:
    """A network that recomputes, and was trained as one that does not."""
    plain, lean = network(request.param), recompute_activations(network(request.param))
    before = {name: variable.numpy() for name, variable in variables_by_path(plain).items()}

    assert trained(plain) == trained(lean)
    assert_same_variables(lean, plain)
    unmoved = [name for name, variable in variables_by_path(lean).items() if np.array_equal(before[name], variable)]
    assert not unmoved  # weights, moving statistics and random states alike
    return lean


def test_training_is_the_same_to_the_last_bit_and_it_is_saved_and_cloned_as_the_ordinary_model_with_its_optimizer(
    lean: keras.Model, tmp_path: Path
) -> None:
    inputs = keras.Input((16, 16, 3))
    around = keras.Model(inputs, keras.layers.Softmax()(lean(inputs)))

    for model in (around, lean):
        model.save(tmp_path / "it.keras")
        again = keras.models.load_model(tmp_path / "it.keras")
        np.testing.assert_array_equal(again(IMAGES), model(IMAGES))
    assert int(again.optimizer.iterations) == 3
    assert keras.models.clone_model(lean).count_params() == lean.count_params()
    assert '"keras_resnet' not in zipfile.ZipFile(tmp_path / "it.keras").read("config.json").decode()


def test_longer_segments_train_the_same_and_frozen_layers_stay_as_they_are() -> None:
    plain, lean = network("basic"), recompute_activations(network("basic"), blocks=2)
    for model in (plain, lean):
        freeze(model, "stage1")
    before = lean.get_layer("stage1_block2_bn1").moving_mean.numpy()

    assert trained(plain) == trained(lean)
    assert_same_variables(lean, plain)
    np.testing.assert_array_equal(lean.get_layer("stage1_block2_bn1").moving_mean.numpy(), before)


def test_it_shares_the_variables_and_leaves_the_model_whole() -> None:
    model = network("basic")
    lean = recompute_activations(model)

    assert [id(variable) for variable in lean.variables] == [id(variable) for variable in model.variables]
    assert [id(v) for v in lean.trainable_variables] == [id(v) for v in model.trainable_variables]
    assert lean.layers == model.layers
    assert list(feature_extractor(model, (1, 2)).output) == ["C0", "C1"]
    np.testing.assert_array_equal(lean(IMAGES), model(IMAGES))
    assert type(keras.Model(lean.input, lean.output)) is type(model)


def gradient(model: keras.Model, **options: Any) -> Any:
    @tf.function(**options)
    def compiled(images: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(images, training=True) ** 2)
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    return compiled


@pytest.fixture
def grappler() -> Iterator[None]:
    """As it is where nobody says anything; the tests do without it otherwise."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.mark.usefixtures("grappler")
def test_grappler_leaves_the_second_computation_in_the_graph() -> None:
    """It merges equal operations; merged, their results would be kept after all."""
    convolutions = {}
    for name, model in {"plain": network("basic"), "lean": recompute_activations(network("basic"))}.items():
        with context.collect_graphs(optimized=True) as graphs:
            gradient(model)(tf.constant(IMAGES, tf.float32))
        nodes = [node for graph in graphs for node in graph.node]
        nodes += [node for graph in graphs for function in graph.library.function for node in function.node_def]
        convolutions[name] = sum(node.op in ("Conv2D", "_FusedConv2D") for node in nodes)

    assert convolutions == {"plain": 8, "lean": 16}  # stem, two in each of three blocks, one projection


@pytest.mark.slow
def test_xla_leaves_the_second_computation_in_the_program() -> None:
    images = tf.constant(IMAGES, tf.float32)
    convolutions = {}
    for name, model in {"plain": network("basic"), "lean": recompute_activations(network("basic"))}.items():
        program = gradient(model, jit_compile=True).experimental_get_compiler_ir(images)(stage="optimized_hlo")
        convolutions[name] = program.count(" convolution(")

    assert convolutions["lean"] == convolutions["plain"] + 8


@pytest.mark.slow
def test_compiled_by_xla_it_trains_the_same_up_to_rounding() -> None:
    """XLA fuses, and so rounds, either program in its own way."""
    plain, lean = network("basic"), recompute_activations(network("basic"))

    assert trained(plain, jit_compile=True) == pytest.approx(trained(lean, jit_compile=True), abs=1e-6)
    for ours, theirs in zip(lean.variables, plain.variables, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_it_trains_under_a_mirrored_strategy() -> None:
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        plain, lean = network("basic"), recompute_activations(network("basic"))
        losses, expected = trained(lean), trained(plain)

    assert losses == expected
    assert_same_variables(lean, plain)


@pytest.mark.parametrize("blocks", [0, 1.5, True])
def test_segments_hold_a_whole_number_of_blocks(blocks: Any) -> None:
    with pytest.raises(UsageError, match=f"blocks must be a whole number of at least 1; received {blocks}"):
        recompute_activations(network("basic"), blocks)


def test_a_model_without_residual_blocks_is_refused() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="perceptron")

    with pytest.raises(UsageError, match="perceptron has no residual blocks"):
        recompute_activations(model)
