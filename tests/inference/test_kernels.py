"""What runtimes make of files: their kernels, and what is left in floats or alone."""

from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnet.atomic import write_with
from keras_resnet.exports.material import Material
from keras_resnet.exports.onnx import onnx_model, write_onnx
from keras_resnet.exports.tflite import float_graph
from keras_resnet.inference.kernels import of_onnxruntime, of_openvino
from keras_resnet.inference.onnx_file import stamped
from keras_resnet.models.resnet import build
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.quantize.graph import Graph
from keras_resnet.quantize.post_training import Quantization, quantize
from keras_resnet.quantize.widening import widened

pytest.importorskip("ai_edge_litert", reason="the extra 'edge' is not installed")
pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")

READY = Preprocessing(Fit((16, 16), 3), (120.0,) * 3, (60.0,) * 3, ("a", "b", "c"))
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
PLAIN = Quantization("minmax", False, False)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return build("resnet8", preprocessing=READY, classifier_activation=None, seed=0)


def test_every_layer_of_a_file_of_integers_has_an_integer_kernel(model: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_onnx(Material(model, READY, IMAGES, PLAIN), path)

    found = of_onnxruntime(path)

    assert found.unfused == ()
    assert found.counts["QLinearConv"] == 9
    assert found.counts["QLinearAdd"] == 3 + 1, "and the normalisation of pixels"
    assert found.counts["QLinearMul"] == 1
    assert found.counts["QLinearGlobalAveragePool"] == found.counts["QGemm"] == 1
    assert found.counts["QuantizeLinear"] == found.counts["DequantizeLinear"] == 1
    assert "Conv" not in found.counts
    pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")
    assert of_openvino(path).counts["Convolution"] == 9


def test_a_layer_in_floats_among_integers_is_named(model: keras.Model, tmp_path: Path) -> None:
    quantized = quantize(float_graph(model, (16, 16, 3)), IMAGES, PLAIN)
    graph = Graph(quantized.content)
    wide = next(step.output for step in graph.steps if "stage2_block1_conv1" in graph.tensor(step.output).name)
    content = widened(quantized.content, Graph(quantized.origin), [wide], "float")
    path = tmp_path / "model.onnx"
    whole = stamped(onnx_model(content, "softmax"), READY)
    write_with(path, lambda temporary: temporary.write_bytes(whole))

    found = of_onnxruntime(path)

    convolutions, between = found.unfused
    assert convolutions.startswith("2 Conv in floats (")
    assert "stage2_block1_conv1" in convolutions
    assert "stage2_block1_conv2" in convolutions
    assert between == "1 DequantizeLinear and 1 QuantizeLinear between integers and floats"
    assert found.counts["QLinearConv"] == 7


def test_what_a_file_of_floats_leaves_alone_is_named(model: keras.Model, tmp_path: Path) -> None:
    write_onnx(Material(model, READY), tmp_path / "fused.onnx")
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.MaxPooling2D()(inputs)
    x = keras.layers.ReLU(name="lonely")(x - 100.0)
    lonely = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    write_onnx(Material(lonely, READY), tmp_path / "lonely.onnx")

    assert of_onnxruntime(tmp_path / "fused.onnx").unfused == (
        "1 Mul not fused (normalization_1)",
        "1 Add not fused (normalization_1)",
    )
    assert [one.split(" (")[0] for one in of_onnxruntime(tmp_path / "lonely.onnx").unfused] == [
        "1 Sub not fused",
        "1 Relu not fused",
    ]
