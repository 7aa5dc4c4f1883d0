from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from keras_resnet.models.kernels import use_matrix_product

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(0.0, 1.0, (3, 5, 4, 8)).astype("float32")
WEIGHTS = RANDOM.normal(0.0, 1.0, (3, 5, 4, 6)).astype("float32")
START = [RANDOM.normal(0.0, 1.0, (1, 1, 8, 6)).astype("float32"), RANDOM.normal(0.0, 1.0, 6).astype("float32")]
TOLERANCE = {"float32": 1e-5, "mixed_bfloat16": 2e-2}

pytestmark = pytest.mark.skipif(bool(tf.config.list_logical_devices("GPU")), reason="on GPUs convolutions stay")


def layer(precision: str = "float32", *, product: bool) -> keras.layers.Conv2D:
    made = keras.layers.Conv2D(6, 1, activation="relu", data_format="channels_last", dtype=precision)
    made.build((None, None, None, 8))
    made.set_weights(START)
    return use_matrix_product(made) if product else made


def step(conv: keras.layers.Conv2D) -> list[np.ndarray]:
    """Outputs and gradients by inputs, kernel and bias."""
    x = tf.cast(IMAGES, conv.compute_dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = conv(x, training=True)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * WEIGHTS)
    gradients = tape.gradient(loss, [x, *(weight.value for weight in conv.weights)])
    return [np.asarray(tf.cast(value, tf.float32)) for value in (y, *gradients)]


def operations(called: Any, shape: tuple[int | None, ...], training: bool) -> Counter[str]:
    signature = tf.TensorSpec(shape, tf.float32)
    traced = tf.function(lambda x: called(x, training=training)).get_concrete_function(signature)
    return Counter(operation.type for operation in traced.graph.get_operations())


@pytest.mark.parametrize("precision", TOLERANCE)
def test_a_training_step_is_the_one_of_keras(precision: str) -> None:
    ours, theirs = (step(layer(precision, product=product)) for product in (True, False))

    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=TOLERANCE[precision], atol=10 * TOLERANCE[precision])


def test_training_multiplies_matrices_and_inference_has_the_bits_of_keras() -> None:
    conv = layer(product=True)

    assert operations(conv, IMAGES.shape, training=True)["MatMul"] == 1
    assert operations(conv, IMAGES.shape, training=True)["Conv2D"] == 0
    assert operations(conv, IMAGES.shape, training=False)["Conv2D"] == 1
    np.testing.assert_array_equal(conv(IMAGES), layer(product=False)(IMAGES))


def test_maps_of_unknown_size_are_convolved() -> None:
    assert operations(layer(product=True), (None, None, None, 8), training=True)["Conv2D"] == 1
    assert operations(layer(product=True), (None, 5, 4, 8), training=True)["MatMul"] == 1  # but not of unknown number


@pytest.mark.parametrize("options", [{"kernel_size": 3}, {"strides": 2}, {"groups": 2}])
def test_other_convolutions_are_left_alone(options: dict[str, int]) -> None:
    conv = keras.layers.Conv2D(**{"filters": 6, "kernel_size": 1, **options})

    assert use_matrix_product(conv) is conv
    assert "convolution_op" not in vars(conv)


def test_a_network_in_training_has_convolutions_where_they_are_needed_only() -> None:
    spec = keras_resnet.spec("resnet50", depths=(1, 2, 1, 1), width_multiplier=0.25, attention="se")
    model = keras_resnet.build(spec, input_shape=(32, 32, 3), num_classes=3)
    kernels = [layer.kernel.shape for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    strided = sum(layer.strides != (1, 1) and layer.kernel_size == (1, 1) for layer in model.layers
                  if isinstance(layer, keras.layers.Conv2D))  # fmt: skip
    wide = sum(shape[0] > 1 for shape in kernels)

    found = operations(model, (2, 32, 32, 3), training=True)

    assert strided == 3  # the shortcuts of stages 2 to 4
    assert found["Conv2D"] == wide + strided
    assert found["MatMul"] == len(kernels) - wide - strided + 1  # and the classifier
    assert operations(model, (2, 32, 32, 3), training=False)["Conv2D"] == len(kernels)


def test_a_saved_network_comes_back_with_stock_layers_and_the_same_bits(tmp_path: Path) -> None:
    spec = keras_resnet.spec("resnet50", depths=(1, 1, 1, 1), width_multiplier=0.25)
    model = keras_resnet.build(spec, input_shape=(32, 32, 3), num_classes=3)
    model.save(tmp_path / "model.keras")
    images = RANDOM.uniform(0, 255, (2, 32, 32, 3)).astype("float32")

    again = keras.models.load_model(tmp_path / "model.keras")

    assert all("convolution_op" not in vars(layer) for layer in again.layers)
    np.testing.assert_array_equal(model(images, training=False), again(images, training=False))
