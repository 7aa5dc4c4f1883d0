"""Keras's own ONNX exporter, which turns the constants of `Normalization` into inputs that nobody gives."""

from pathlib import Path

import numpy as np
import pytest

import keras_resnet

pytest.importorskip("tf2onnx", reason="Keras writes ONNX by tf2onnx")
runtime = pytest.importorskip("onnxruntime", reason="runs the file")


def test_a_network_with_its_normalisation_inside_is_exported_and_run(tmp_path: Path) -> None:
    names = ("a", "b", "c")
    preprocessing = keras_resnet.Preprocessing(keras_resnet.Fit((16, 16), 3), (120.0, 110.0, 100.0), (60.0,) * 3, names)
    model = keras_resnet.build(keras_resnet.spec("resnet8"), preprocessing=preprocessing, seed=0)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.float32)
    expected = model(images).numpy()

    model.export(tmp_path / "mine.onnx", format="onnx", verbose=False)

    session = runtime.InferenceSession(tmp_path / "mine.onnx")
    (given,) = session.get_inputs()
    np.testing.assert_allclose(session.run(None, {given.name: images})[0], expected, atol=1e-5)
