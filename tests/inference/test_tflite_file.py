"""The structure of `.tflite` files: every case is one that ended the process in the runtime, or could."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from PIL import Image

from keras_resnet.errors import ModelError
from keras_resnet.exports.tflite import write_tflite
from keras_resnet.inference.predictors import TFLitePredictor, open_predictor
from keras_resnet.inference.tflite_file import check_tflite
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.stamp import read_stamp

PREPROCESSING = Preprocessing(Fit((8, 8), 1), (127.0,), (74.0,), ("a", "b", "c"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tflite") / "int8.tflite"
    row = ResNetSpec("tiny", "basic", (1,), (8,), "cifar", stem_width=8)
    model = build(row, preprocessing=PREPROCESSING, classifier_activation=None, seed=1)
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1)).astype(np.uint8)
    write_tflite(model, PREPROCESSING, path, images)
    return path


def changed(path: Path, change: Callable[[Any], object], target: Path) -> Path:
    """The file's model changed and written again, without a stamp."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(path.read_bytes()), 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    target.write_bytes(builder.Output())
    return target


def step(model: Any, name: str) -> Any:
    """The first step of a graph that is of this operator."""
    code = getattr(schema.BuiltinOperator, name)
    return next(one for one in model.subgraphs[0].operators if model.operatorCodes[one.opcodeIndex].builtinCode == code)


def constant(model: Any) -> Any:
    """A tensor with numbers in the file."""
    return model.subgraphs[0].tensors[step(model, "CONV_2D").inputs[1]]


def quantised(model: Any) -> Any:
    return model.subgraphs[0].tensors[step(model, "ADD").outputs[0]].quantization


def again(model: Any) -> None:
    model.subgraphs.append(model.subgraphs[0])


def twice(model: Any) -> None:
    steps = model.subgraphs[0].operators
    steps[-1].outputs = steps[-2].outputs


def backwards(model: Any) -> None:
    model.subgraphs[0].operators.reverse()


DAMAGE: dict[str, tuple[Callable[[Any], object], str]] = {
    "a buffer that is not there": (lambda m: setattr(constant(m), "buffer", 9999), "names the buffer 9999"),
    "another buffer": (lambda m: setattr(constant(m), "buffer", 0), "before they are written"),
    "another shape": (lambda m: setattr(constant(m), "shape", [8, 3, 3, 2]), "has the shape .* bytes in the file"),
    "a negative side": (lambda m: setattr(constant(m), "shape", [-8, -3, 3, 1]), "has the shape"),
    "an overflowing shape": (lambda m: setattr(m.subgraphs[0].tensors[0], "shape", [2**31 - 1] * 4), "has the shape"),
    "another type": (lambda m: setattr(constant(m), "type", schema.TensorType.INT64), "bytes in the file"),
    "a type of texts": (lambda m: setattr(constant(m), "type", schema.TensorType.STRING), "is of the type 5"),
    "a tensor that is not there": (lambda m: step(m, "ADD").inputs.__setitem__(0, 999), "names the tensor 999"),
    "no first input": (lambda m: step(m, "CONV_2D").inputs.__setitem__(0, -1), "names the tensor -1"),
    "an input less": (lambda m: setattr(step(m, "ADD"), "inputs", [0]), "ADD reads 1 tensors, expected 2 to 2"),
    "an operator that is not there": (lambda m: setattr(step(m, "ADD"), "opcodeIndex", 99), "names the operator 99"),
    "a foreign operator": (lambda m: setattr(m.operatorCodes[0], "builtinCode", 130), "has the operator 130"),
    "a custom operator": (lambda m: setattr(m.operatorCodes[0], "customCode", "x"), "has the field 1"),
    "a stride of 0": (lambda m: setattr(step(m, "CONV_2D").builtinOptions, "strideH", 0), "CONV_2D has 0 in field 2"),
    "options of another operator": (
        lambda m: setattr(step(m, "ADD"), "builtinOptionsType", 1),
        "options of the kind 1",
    ),
    "no options": (lambda m: setattr(step(m, "CONV_2D"), "builtinOptionsType", 0), "options of the kind 0"),
    "a scale less": (lambda m: setattr(quantised(m), "scale", []), "has 0 scales and 1 zero points"),
    "a scale of 0": (lambda m: setattr(quantised(m), "scale", [0.0]), "out of range"),
    "a tiny scale": (lambda m: setattr(quantised(m), "scale", [1e-44]), "too far apart"),
    "a zero point that is no int8": (lambda m: setattr(quantised(m), "zeroPoint", [300]), "out of range"),
    "two graphs": (again, "has 2 graphs"),
    "no graph": (lambda m: m.subgraphs.clear(), "has 0 graphs"),
    "two outputs": (lambda m: setattr(m.subgraphs[0], "outputs", [0, 1]), "has 1 inputs and 2 outputs"),
    "a tensor that is written twice": (twice, "writes one of the tensors"),
    "steps in another order": (backwards, "before they are written"),
    "another version": (lambda m: setattr(m, "version", 4), "is of version 4, expected 3"),
    "metadata that is not there": (lambda m: setattr(m.metadata[0], "buffer", 77), "names the buffer 77"),
    "a signature's tensor": (lambda m: setattr(m.signatureDefs[0].inputs[0], "tensorIndex", 77), "the tensor 77"),
    "constants behind the file": (lambda m: setattr(m.buffers[1], "offset", 12), "has the field 1"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_parts_that_name_each_other_wrongly_are_refused(kind: str, exported: Path, tmp_path: Path) -> None:
    change, message = DAMAGE[kind]

    with pytest.raises(ModelError, match=rf"m\.tflite cannot be read as a TFLite model: .*{message}"):
        check_tflite(changed(exported, change, tmp_path / "m.tflite"))


def test_a_whole_file_is_taken_with_its_stamp_and_without(exported: Path, tmp_path: Path) -> None:
    check_tflite(exported)
    check_tflite(changed(exported, lambda _: None, tmp_path / "m.tflite"))


@pytest.mark.parametrize("content", [b"", b"TFL3", bytes(4) + b"TFL3", b"\xff" * 4 + b"TFL3" + bytes(90)])
def test_a_file_that_is_no_flatbuffer_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(content)

    with pytest.raises(ModelError, match=r"m\.tflite cannot be read as a TFLite model"):
        check_tflite(tmp_path / "m.tflite")


def test_every_word_may_be_any_and_nothing_but_a_refusal_follows(exported: Path, tmp_path: Path) -> None:
    content, random = exported.read_bytes(), np.random.default_rng(0)
    path, outcomes = tmp_path / "m.tflite", {"taken": 0, "refused": 0}
    for place in range(0, len(content) // 4 * 4, 12):
        torn = bytearray(content)
        torn[place : place + 4] = random.choice([bytes(4), b"\xff" * 4, b"\xff\xff\xff\x7f", random.bytes(4)])
        path.write_bytes(torn)
        try:
            check_tflite(path)
            outcomes["taken"] += 1
        except ModelError:
            outcomes["refused"] += 1

    assert min(outcomes.values()) > 60


def test_cut_files_are_refused(exported: Path, tmp_path: Path) -> None:
    whole = changed(exported, lambda _: None, tmp_path / "m.tflite").read_bytes()
    for length in range(0, len(whole) - 64, 61):
        (tmp_path / "m.tflite").write_bytes(whole[:length])
        with pytest.raises(ModelError):
            check_tflite(tmp_path / "m.tflite")


def test_damage_of_a_file_without_digests_is_refused_when_it_is_opened(exported: Path, tmp_path: Path) -> None:
    path = changed(exported, lambda m: setattr(step(m, "CONV_2D").builtinOptions, "strideW", 0), tmp_path / "m.tflite")

    with pytest.raises(ModelError, match="CONV_2D has 0 in field 1"):
        TFLitePredictor(path, PREPROCESSING)


def test_one_flipped_bit_of_an_exported_file_is_noticed(exported: Path, tmp_path: Path) -> None:
    content = exported.read_bytes()
    for place in range(0, len(content) - 1200, 397):
        torn = bytearray(content)
        torn[place] ^= 1
        (tmp_path / "m.tflite").write_bytes(torn)
        with pytest.raises(ModelError, match=r"m\.tflite is damaged: model\.flatbuffer is not what was written"):
            open_predictor(tmp_path / "m.tflite")
    assert read_stamp(exported) == PREPROCESSING


COLD = """
import sys
import keras_resnet
from keras_resnet.cli import main
codes = [main(["predict", *sys.argv[1:], *more]) for more in ([], ["--tta", "flip"])]
keras_resnet.predict(sys.argv[1], sys.argv[2:]).top(0)
slow = {"tensorflow", "keras", "jax", "scipy", "sklearn", "matplotlib", "pandas", "h5py", "safetensors", "yaml"}
print(codes, sorted(slow & set(sys.modules)))
"""


def test_a_cold_predict_imports_nothing_that_is_slow_to_import(exported: Path, tmp_path: Path) -> None:
    """TensorFlow alone would make it wait for several seconds."""
    Image.fromarray(np.full((20, 30, 3), 200, np.uint8)).save(tmp_path / "new.png")

    # A fresh process: in this one TensorFlow is imported already.
    done = subprocess.run(
        [sys.executable, "-c", COLD, exported, tmp_path / "new.png"], capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines()[-1:] == ["[0, 0] []"], done.stderr
    assert "new.png" in done.stdout
