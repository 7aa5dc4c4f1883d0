from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.errors import UsageError
from keras_resnet.models.precision import computing_in, float32_copy
from keras_resnet.models.recompute import recompute_activations
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.preprocessing import Fit, Preprocessing

SPEC = keras_resnet.spec("resnet50", depths=(1, 1), widths=(16, 32), stem_width=8, attention="se", antialias=True)
PREPROCESSING = Preprocessing(Fit((16, 16), 3), (120.0,) * 3, (70.0,) * 3, ("a", "b", "c"))
RANDOM = np.random.default_rng(0)
LABELS = np.arange(24) % 3
IMAGES = np.clip(60 * LABELS[:, None, None, None] + RANDOM.integers(0, 130, (24, 16, 16, 3)), 0, 255).astype("uint8")
HALVES = ["bfloat16", "float16"]


# One block, and a pool whose stride is blurred: what may compute in 16 bits, traced in half the time.
ONE_STAGE = replace(SPEC, depths=(1,), widths=(16,), stem="imagenet")


def network(precision: Any, spec: ResNetSpec = SPEC, **options: Any) -> keras.Model:
    return keras_resnet.build(
        spec, preprocessing=PREPROCESSING, precision=precision, classifier_activation=None, seed=1, **options
    )


@pytest.mark.parametrize("precision", HALVES)
def test_blocks_compute_in_16_bits_and_everything_else_in_32(precision: str) -> None:
    model = network(precision)

    in_32 = {layer.name for layer in model.layers if layer.compute_dtype == "float32"} - {"image"}
    assert in_32 == {"normalization", "head_pool", "head_dense"}
    assert model.get_layer("stage1_block1_conv2").output.dtype == precision
    assert {variable.dtype for variable in model.weights} == {"float32"}
    assert model.output.dtype == "float32"
    assert model(IMAGES).dtype == "float32"


@pytest.mark.parametrize("precision", HALVES)
def test_it_leaves_no_policy_behind(precision: Any) -> None:
    network(precision)
    assert keras.config.dtype_policy().name == "float32"

    with pytest.raises(UsageError):
        keras_resnet.build(SPEC, 0, precision=precision)  # fails in the middle
    assert keras.config.dtype_policy().name == "float32"


def test_none_takes_the_policy_that_keras_has() -> None:
    with computing_in("bfloat16"):
        assert network(None).get_layer("stem_conv").compute_dtype == "bfloat16"
        assert network("float32").get_layer("stem_conv").compute_dtype == "float32"
        assert keras.config.dtype_policy().name == "mixed_bfloat16"


@pytest.mark.parametrize("precision", ["half", "mixed_bfloat16", 16])
def test_an_unknown_precision_is_refused(precision: Any) -> None:
    with pytest.raises(UsageError, match=f"None or one of 'float32', 'bfloat16', 'float16'; received {precision!r}"):
        network(precision)


def test_raw_pixels_are_normalised_in_float32() -> None:
    """In bfloat16, 203 - 120.4 would lose the fraction."""
    preprocessing = Preprocessing(Fit((16, 16), 3), (120.4,) * 3, (70.0,) * 3, ("a", "b", "c"))
    model = keras_resnet.build(SPEC, preprocessing=preprocessing, precision="bfloat16")
    normalise = keras.Model(model.input, model.get_layer("normalization").output)

    np.testing.assert_allclose(normalise(np.full((1, 16, 16, 3), 203)), (203 - 120.4) / 70, rtol=1e-6)


@pytest.fixture(scope="module", params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=["kept", "recomputed"])
def losses(request: pytest.FixtureRequest) -> Callable[[str], list[float]]:
    """Of four epochs in a precision, whose activations are kept or recomputed."""

    @cache
    def of(name: str) -> list[float]:
        model = network(name, ONE_STAGE)
        model = recompute_activations(model) if request.param else model
        model.compile(
            keras.optimizers.SGD(0.05, momentum=0.9), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (name == "float16")
        return model.fit(IMAGES, LABELS, batch_size=12, epochs=4, shuffle=False, verbose=0).history["loss"]

    return of


@pytest.mark.parametrize("precision", ["float16", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_a_training_in_16_bits_learns_as_one_in_32(precision: str, losses: Callable[[str], list[float]]) -> None:
    found = losses(precision)

    assert found[-1] < 0.8 * found[0]
    np.testing.assert_allclose(found, losses("float32"), rtol=0.1)


def test_a_float16_step_with_infinite_gradients_changes_no_weight_and_halves_the_scale() -> None:
    model = network("float16")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05), initial_scale=1024.0), loss)
    before = [variable.numpy() for variable in model.trainable_variables]

    model.train_on_batch(IMAGES, LABELS, sample_weight=np.full(24, np.inf, "float32"))
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert float(model.optimizer.dynamic_scale) == 512

    model.train_on_batch(IMAGES, LABELS)
    assert not np.array_equal(model.get_layer("head_dense").kernel.numpy(), before[-2])


@pytest.mark.parametrize("precision", HALVES)
def test_the_float32_copy_has_the_weights_and_computes_as_if_built_so(precision: str, tmp_path: Path) -> None:
    trained = network(precision, dropout=0.2, stochastic_depth=0.2)
    for variable in trained.weights:
        variable.assign(np.random.default_rng(3).uniform(0.2, 0.6, variable.shape))
    expected = network("float32", dropout=0.2, stochastic_depth=0.2)
    expected.set_weights(trained.get_weights())

    copy = float32_copy(trained)

    assert {layer.compute_dtype for layer in copy.layers} == {"float32"}
    np.testing.assert_array_equal(copy(IMAGES), expected(IMAGES))
    assert not np.array_equal(copy(IMAGES), trained(IMAGES))
    assert {v.path for v in copy.weights} == {v.path for v in trained.weights}
    copy.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert "float16" not in str(loaded.get_config())
    np.testing.assert_array_equal(loaded(IMAGES), copy(IMAGES))


def test_the_float32_copy_of_a_recomputing_model_is_a_plain_one() -> None:
    model = network("bfloat16")

    assert type(float32_copy(recompute_activations(model))) is type(model)
