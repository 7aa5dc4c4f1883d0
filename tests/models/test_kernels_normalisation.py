from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from keras_resnet.models.kernels import use_fused_kernel

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(3.0, 2.0, (6, 5, 4, 8)).astype("float32")
WEIGHTS = RANDOM.normal(0.0, 1.0, IMAGES.shape).astype("float32")
START = [RANDOM.uniform(0.5, 2.0, 8).astype("float32") for _ in range(4)]
TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2, "float16": 2e-3}


def layer(precision: str = "float32", *, fused: bool, **options: Any) -> keras.layers.BatchNormalization:
    made = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=policy(precision), **options)
    made.build((None, None, None, 8))
    made.set_weights(START)
    return use_fused_kernel(made) if fused else made


def policy(precision: str) -> str:
    return precision if precision == "float32" else f"mixed_{precision}"


def step(norm: keras.layers.BatchNormalization, images: np.ndarray, training: bool = True) -> list[np.ndarray]:
    """Outputs, gradients by inputs, gamma and beta, and the moving statistics afterwards."""
    x = tf.cast(images, norm.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = norm(x, training=training)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * WEIGHTS[: len(images), : images.shape[1], : images.shape[2]])
    gradients = tape.gradient(loss, [x, norm.gamma.value, norm.beta.value])
    return [np.asarray(tf.cast(value, tf.float32)) for value in (y, *gradients, *norm.weights[2:])]


def operations(norm: keras.layers.BatchNormalization, training: bool) -> set[str]:
    traced = tf.function(lambda x: norm(x, training=training)).get_concrete_function(tf.constant(IMAGES))
    return {operation.type for operation in traced.graph.get_operations()}


@pytest.mark.parametrize("precision", TOLERANCE)
def test_a_training_step_is_the_one_of_keras(precision: str) -> None:
    fused, composed = (step(layer(precision, fused=fused), IMAGES) for fused in (True, False))

    for ours, theirs in zip(fused, composed, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=TOLERANCE[precision], atol=5 * TOLERANCE[precision])
    np.testing.assert_allclose(fused[4], composed[4], rtol=1e-3 if precision == "bfloat16" else 1e-4)
    np.testing.assert_allclose(fused[5], composed[5], rtol=1e-3 if precision == "bfloat16" else 1e-4)


def test_moving_statistics_keep_a_tenth_of_the_mean_and_of_the_variance_over_all_values() -> None:
    norm = layer(fused=True)
    norm(IMAGES, training=True)
    over = (0, 1, 2)
    np.testing.assert_allclose(norm.moving_mean.numpy(), 0.9 * START[2] + 0.1 * IMAGES.mean(over), rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance.numpy(), 0.9 * START[3] + 0.1 * IMAGES.var(over), rtol=1e-5)


def test_one_value_a_channel_leaves_numbers() -> None:
    norm = layer(fused=True)
    outputs = norm(IMAGES[:1, :1, :1], training=True)
    np.testing.assert_allclose(outputs[0, 0, 0], START[1], rtol=1e-5)  # beta alone
    np.testing.assert_allclose(norm.moving_variance.numpy(), 0.9 * START[3], rtol=1e-6)


def test_inference_has_the_bits_of_keras() -> None:
    np.testing.assert_array_equal(layer(fused=True)(IMAGES), layer(fused=False)(IMAGES))
    assert "FusedBatchNormV3" not in operations(layer(fused=True), training=False)


def test_a_frozen_layer_uses_and_keeps_its_statistics() -> None:
    norm = layer(fused=True)
    norm.trainable = False
    np.testing.assert_array_equal(norm(IMAGES, training=True), layer(fused=False)(IMAGES, training=False))
    np.testing.assert_array_equal(norm.moving_mean.numpy(), START[2])


def test_every_normalisation_of_a_network_trains_by_the_kernel_and_none_by_pieces() -> None:
    model = keras_resnet.ResNet18(num_classes=3, input_shape=(8, 8, 3))
    norms = [part for part in model.layers if isinstance(part, keras.layers.BatchNormalization)]
    traced = tf.function(lambda x: model(x, training=True)).get_concrete_function(tf.zeros((2, 8, 8, 3)))
    types = [operation.type for operation in traced.graph.get_operations()]
    assert types.count("FusedBatchNormV3") == len(norms) == 20
    assert "SquaredDifference" not in types


def test_statistics_over_replicas_are_left_to_keras() -> None:
    norm = layer(fused=True, synchronized=True)
    assert "FusedBatchNormV3" not in operations(norm, training=True)


def test_float64_is_left_to_keras() -> None:
    norm = use_fused_kernel(keras.layers.BatchNormalization(dtype="float64"))
    assert norm(IMAGES.astype("float64"), training=True).dtype == "float64"


def test_xla_computes_the_same() -> None:
    norms = [layer(fused=True), layer(fused=True)]
    plain, compiled = (
        tf.function(lambda x, norm=norm: norm(x, training=True), jit_compile=jit)
        for norm, jit in zip(norms, (False, True), strict=True)
    )
    np.testing.assert_allclose(plain(IMAGES), compiled(IMAGES), rtol=1e-4, atol=1e-4)
    for ours, theirs in zip(*(norm.weights for norm in norms), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5)


def test_it_is_saved_as_a_layer_of_keras(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((5, 4, 8)), layer(fused=True)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").layers[0]
    assert type(loaded) is keras.layers.BatchNormalization
    assert loaded.get_config() == model.layers[0].get_config()
    np.testing.assert_array_equal(loaded(IMAGES), model.layers[0](IMAGES))


@pytest.mark.parametrize("policy", ["bfloat16", "float16", "float64"])
def test_a_network_trains_under_keras_own_policy_of_one_type(policy: str) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        spec = keras_resnet.spec("resnet18", depths=(1, 1), widths=(8, 16), stem_width=8)
        model = keras_resnet.build(spec, num_classes=3, input_shape=(16, 16, 3))
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile("sgd", "sparse_categorical_crossentropy")

    assert model.variables[0].dtype == policy
    assert np.isfinite(model.train_on_batch(RANDOM.normal(0, 1, (4, 16, 16, 3)), np.array([0, 1, 2, 0])))
