"""ONNX files of the networks there are, run by onnxruntime."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_resnet.errors import ModelError
from keras_resnet.exports.material import Material
from keras_resnet.exports.onnx import onnx_model, proto_of, write_onnx
from keras_resnet.exports.tflite import float_graph
from keras_resnet.inference.onnx_file import read_onnx
from keras_resnet.inference.predictors import KerasPredictor, open_predictor
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.quantize.graph import Graph
from keras_resnet.quantize.post_training import Quantization, logits_of, quantize

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")

PLAIN = Quantization(ranges="minmax", equalize=False, correct_bias=False)


def preprocessing(shape: tuple[int, int, int], classes: int) -> Preprocessing:
    return Preprocessing(Fit(shape[:2], shape[2]), (120.0,) * 3, (60.0,) * 3, tuple("abcdefghij"[:classes]))


def made() -> tuple[keras.Model, Preprocessing]:
    ready = preprocessing((16, 16, 3), 7)
    network = spec("resnet8", shortcut="identity_pad")
    return build(network, preprocessing=ready, classifier_activation=None, seed=1), ready


def answers(model: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(
        zip(("logits", "probabilities"), session.run(["logits", "probabilities"], {"image": images}), strict=True)
    )


def test_logits_and_probabilities_are_the_models_for_a_batch_of_any_size() -> None:
    """Networks of all kinds: tests/exports/test_export.py."""
    model, ready = made()
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    expected = KerasPredictor(model, ready).logits(images)

    found = answers(proto_of(Material(model, ready)), images)

    np.testing.assert_allclose(found["logits"], expected, atol=1e-4 * np.ptp(expected))
    np.testing.assert_allclose(found["probabilities"], keras.ops.softmax(expected), atol=1e-5)


def test_integers_have_the_scales_of_the_tflite_file_and_its_answers() -> None:
    model, _ = made()
    images = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), np.uint8)
    content = quantize(float_graph(model, (16, 16, 3)), images, PLAIN).content
    proto = onnx_model(content, "softmax")

    scales = {
        float(one)
        for initializer in proto.graph.initializer
        if initializer.name.startswith("scale")
        for one in np.atleast_1d(onnx.numpy_helper.to_array(initializer))
    }
    graph = Graph(content)
    numbers = {*graph.computed(), *(number for step in graph.steps for number in step.inputs)}
    assert scales == {float(scale) for number in numbers for scale in graph.tensor(number).scales}
    step = graph.tensor(graph.output).scales[0]
    assert np.abs(answers(proto, images)["logits"] - logits_of(content, images)).max() <= 3.01 * step
    dequantized = [one for one in proto.graph.node if one.op_type == "DequantizeLinear"]
    weights = [one for one in dequantized if one.input[0].startswith("weights")]
    assert len(weights) > 10
    assert all(one.attribute[0].i == 0 for one in weights), "per output channel"


def test_layers_become_floats_until_the_file_loses_no_more_than_it_may() -> None:
    model, ready = made()
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)

    def right(content: bytes, needed: int = 4) -> tuple[int, int]:
        graph = Graph(content)
        floats = sum(graph.tensor(step.output).dtype == np.float32 for step in graph.steps)
        return (10 if floats >= needed else 5), 10

    remarks: list[str] = []
    material = Material(model, ready, images, replace(PLAIN, max_drop=1.0), right)
    proto = proto_of(material, remarks)
    plain = proto_of(replace(material, quantization=PLAIN))

    def floats_of(found: Any) -> int:
        made_by = {one.output[0]: one.op_type for one in found.graph.node}
        readers = {name for one in found.graph.node if one.op_type == "QuantizeLinear" for name in one.input}
        return sum(kind in ("Conv", "Add", "Relu") and name not in readers for name, kind in made_by.items())

    assert "loses 0.00 points on 10 images, and 50.00 with 8 bits alone" in remarks[-1]
    assert "are floats" in remarks[-1]
    assert floats_of(proto) > floats_of(plain)
    assert answers(proto, images)["logits"].shape == (6, 7)
    asked = iter((10, *[0] * 100))  # of the float graph first
    with pytest.raises(ModelError, match="with all layers in float, too"):
        proto_of(replace(material, right=lambda content: (next(asked), 10)))


def test_a_file_opens_alone_and_a_damaged_or_strange_one_does_not(tmp_path: Path) -> None:
    model, ready = made()
    path = tmp_path / "model.onnx"
    write_onnx(Material(model, ready), path)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    predictor = open_predictor(path)

    assert predictor.preprocessing == ready
    np.testing.assert_allclose(predictor.logits(images), KerasPredictor(model, ready).logits(images), atol=1e-4)
    content = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(40):
        spoiled = bytearray(content)
        spoiled[int(random.integers(len(spoiled)))] ^= 1 << int(random.integers(8))
        path.write_bytes(spoiled)
        with pytest.raises(ModelError):
            read_onnx(path)
    stranger = onnx.ModelProto.FromString(content)
    stranger.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    path.write_bytes(stranger.SerializeToString())
    with pytest.raises(ModelError, match="keeps numbers in other files"):
        read_onnx(path)
    del stranger.metadata_props[:]
    path.write_bytes(stranger.SerializeToString())
    with pytest.raises(ModelError, match="does not say how its input is prepared"):
        read_onnx(path)


def test_an_operator_without_a_translation_is_named() -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.ops.cumsum(inputs, axis=1)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))

    with pytest.raises(ModelError, match="ONNX has no translation for CUMSUM"):
        onnx_model(float_graph(model, (8, 8, 3)), "softmax")
