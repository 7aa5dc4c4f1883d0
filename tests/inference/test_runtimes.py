"""Files on the runtimes at hand. Each is a process of its own, which is what is tested, so networks are few."""

import stat
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.exports.material import Material
from keras_resnet.exports.micro import write_micro
from keras_resnet.exports.onnx import write_onnx
from keras_resnet.exports.tflite import write_tflite
from keras_resnet.inference.predictors import open_predictor
from keras_resnet.inference.runtimes import RUNTIMES, ask, kind_of, runtimes_for
from keras_resnet.models.resnet import build
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.quantize.post_training import Quantization

pytest.importorskip("ai_edge_litert", reason="the extra 'edge' is not installed")

READY = Preprocessing(Fit((8, 8), 3), (120.0,) * 3, (60.0,) * 3, ("a", 'b"\\', "ü?"))
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tflm") / "model"
    model = build("resnet8", preprocessing=READY, num_classes=3, classifier_activation=None, seed=0)
    write_micro(Material(model, READY, IMAGES, Quantization("minmax", False, False)), path)
    return path


def test_a_microcontrollers_runtime_decides_as_litert_and_says_its_arena(folder: Path) -> None:
    if find_spec("tflite_micro") is None:
        pytest.skip("the extra 'tflm' is not installed")
    expected = open_predictor(folder).logits(IMAGES)

    answered = ask("tflite-micro", folder, IMAGES)

    assert not answered.failure
    assert answered.logits is not None
    assert np.abs(answered.logits - expected).max() <= 0.05 * np.ptp(expected)
    assert 5_000 < answered.arena < 30_000
    assert answered.latency is not None
    half, most, nearly_all = answered.latency[1]
    assert 0 < half <= most <= nearly_all
    header = (folder / "model_data.h").read_text()
    stated = int(header.split("MODEL_ARENA_BYTES ")[1].split()[0])
    assert answered.arena <= stated <= 1.1 * answered.arena


def test_a_microcontrollers_runtime_takes_activations_of_16_bits(tmp_path: Path) -> None:
    if find_spec("tflite_micro") is None:
        pytest.skip("the extra 'tflm' is not installed")
    model = build("resnet8", preprocessing=READY, num_classes=3, classifier_activation=None, seed=0)
    for one in model.weights:  # the last normalisation of a block begins with zeros, which have no scale
        if one.name == "gamma":
            one.assign(np.linspace(0.5, 1.0, one.shape[0]))
    path = tmp_path / "model.tflite"
    write_tflite(model, READY, path, IMAGES, kind="int16x8")
    expected = open_predictor(path).logits(IMAGES)

    answered = ask("tflite-micro", path, IMAGES)

    assert "tflite-micro" in runtimes_for(path)
    assert answered.logits is not None, answered.failure
    assert np.abs(answered.logits - expected).max() <= 1e-3 * np.ptp(expected)


def test_a_folder_for_microcontrollers_has_the_file_as_a_c_array(folder: Path) -> None:
    text = (folder / "model_data.cc").read_text()
    numbers = bytes(int(one, 16) for one in text.split("{")[1].split("}")[0].replace(",", " ").split())

    assert (folder / "model.tflite").read_bytes().startswith(numbers)
    assert f"model_data_length = {len(numbers)};" in text
    assert '"b\\042\\134"' in text
    assert '"\\303\\274\\077"' in text
    assert "#define MODEL_INPUT_ZERO (-128)" in (folder / "model_data.h").read_text()
    assert "resolver.AddConv2D();" in (folder / "sketch.cc").read_text()


def test_what_a_runtime_made_of_the_operators_comes_back_from_its_process(tmp_path: Path) -> None:
    if find_spec("onnxruntime") is None:
        pytest.skip("the extra 'onnx' is not installed")
    model = build("resnet8", preprocessing=READY, num_classes=3, classifier_activation=None, seed=0)
    write_onnx(Material(model, READY), tmp_path / "model.onnx")

    answered = ask("onnxruntime", tmp_path / "model.onnx", IMAGES)

    assert answered.kernels is not None
    assert answered.kernels.counts["Conv"] == 9
    assert answered.kernels.unfused[0].startswith("1 Mul not fused")


def test_files_are_told_by_what_they_are(folder: Path, tmp_path: Path) -> None:
    assert kind_of(folder) == kind_of(folder / "model.tflite") == "integers"
    assert {"litert", "litert-reference"} <= set(runtimes_for(folder))
    (tmp_path / "photo.jpg").write_bytes(b"")
    assert kind_of(tmp_path / "photo.jpg") == ""
    assert runtimes_for(tmp_path) == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("kill -SEGV $$", "its process was ended by signal 11: it said nothing"),
        ("echo 'no such operator' >&2; exit 1", "its process failed: no such operator"),
    ],
)
def test_a_runtime_that_dies_is_a_finding(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    dying = tmp_path / "dying"
    dying.write_text(f"#!/bin/sh\n{script}\n")
    dying.chmod(dying.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(dying))

    answered = ask("litert", folder, IMAGES)

    assert answered.logits is None
    assert answered.failure == said


def test_every_runtime_has_a_title_of_its_own() -> None:
    assert len({one.title for one in RUNTIMES.values()}) == len(RUNTIMES)
