"""A model as a folder of C: what is in it, that it is checked before it counts, that it opens like any file."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import keras_resnet
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.exports import c
from keras_resnet.exports.evidence import gather
from keras_resnet.exports.export import Exported
from keras_resnet.inference import c_folder
from keras_resnet.inference.c_folder import CPredictor, compiler
from keras_resnet.inference.predictors import KerasPredictor, network_in, open_predictor
from keras_resnet.inference.runtimes import ask, kind_of, runtimes_for
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import VARIANTS
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.quantize.post_training import Quantization
from keras_resnet.stamp import read_stamp
from tests.c_code.compiled import CHECKED, needs_gcc

pytest.importorskip("ai_edge_litert", reason="the extra 'edge' is not installed")

READY = Preprocessing(Fit((8, 8), 3), (120.0,) * 3, (60.0,) * 3, ("a", 'b"\\', "ü?"))
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
HOW = Quantization("minmax", False, False)


@pytest.fixture(scope="module")
def model() -> Iterator[object]:
    return build(VARIANTS["oneblock"].spec, preprocessing=READY, num_classes=3, classifier_activation=None, seed=0)


@pytest.fixture(scope="module")
def exported(model: object, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    path = tmp_path_factory.mktemp("c") / "network"
    return keras_resnet.export_c(model, path, calibration=IMAGES, quantization=HOW)


@pytest.fixture
def copied(exported: Exported, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported.path, tmp_path / "network"))


def test_the_folder_has_the_code_its_test_and_the_file_that_it_was_made_from(exported: Exported) -> None:
    assert {one.name for one in exported.path.iterdir()} == {"model.h", "model.c", "selftest.c", "model.tflite"}
    header = (exported.path / "model.h").read_text()
    assert "#define MODEL_INPUT_ZERO (-128)" in header
    assert "typedef int8_t model_input_t;" in header
    assert any(one.startswith("arena ") for one in exported.remarks)
    assert kind_of(exported.path) == "c"
    assert network_in(exported.path) == exported.path / "model.tflite"


def test_it_was_compiled_and_run_before_it_counted(exported: Exported) -> None:
    needs_gcc()

    assert any(one.endswith("equals LiteRT's reference kernels on 12 images") for one in exported.remarks)


def test_its_selftest_passes(exported: Exported, tmp_path: Path) -> None:
    files = [str(exported.path / name) for name in ("model.c", "selftest.c")]
    program = str(tmp_path / "selftest")
    subprocess.run([needs_gcc(), *CHECKED, "-o", program, *files], check=True)

    done = subprocess.run([program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "passed: 0 of 24 outputs differ\n")


def test_it_is_asked_like_any_file(exported: Exported) -> None:
    found = keras_resnet.predict(exported.path, IMAGES)

    assert exported.predictor.name == "C"
    assert found.class_names == READY.class_names
    assert np.array_equal(found.logits, open_predictor(exported.path / "model.tflite").logits(IMAGES))
    assert exported.verification.images == 12


def test_verification_runs_the_code_beside_the_other_runtimes(model: object, exported: Exported) -> None:
    needs_gcc()
    reference = open_predictor(model)  # type: ignore[arg-type]
    assert isinstance(reference, KerasPredictor)

    evidence = gather(exported.path, reference, IMAGES, None, max_drop=100, runtimes=("litert-reference", "c"))

    first, second = evidence.runtimes
    assert (first.failure, second.failure) == ("", "")
    assert (second.steps, second.otherwise) == (0, 0)
    assert second.arena == int((exported.path / "model.h").read_text().split("ARENA_BYTES ")[1].split()[0])
    assert second.latency[1][0] > 0
    assert evidence.passes


@pytest.mark.parametrize("name", ["model.c", "model.h"])
def test_code_that_is_not_made_of_its_file_is_not_run(copied: Path, name: str) -> None:
    needs_gcc()
    text = (copied / name).read_text()
    (copied / name).write_text(text + "\nvoid __attribute__((constructor)) evil(void);\n")

    with pytest.raises(ModelError, match=f"{name} is not what its model.tflite becomes.* It is not run"):
        CPredictor(copied, read_stamp(copied / "model.tflite"))
    assert "is not what its model.tflite becomes" in ask("c", copied, IMAGES).failure


def test_a_damaged_file_in_the_folder_is_refused(copied: Path) -> None:
    content = bytearray((copied / "model.tflite").read_bytes())
    content[len(content) // 2] ^= 255
    (copied / "model.tflite").write_bytes(content)

    with pytest.raises(ModelError):
        open_predictor(copied)


def test_without_a_compiler_the_code_is_written_and_it_is_said_that_it_was_not_run(
    model: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(c_folder, "COMPILERS", ())

    remarks = c.write_c(
        c.Material(model, READY, IMAGES[:2], HOW),  # type: ignore[arg-type]
        tmp_path / "network",
    )

    assert compiler() is None
    assert any("there is no C compiler: the code was not run" in one for one in remarks)
    assert "c" not in runtimes_for(tmp_path / "network")
    assert "litert-reference" in runtimes_for(tmp_path / "network")


def test_code_that_gives_other_numbers_is_refused(
    model: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_gcc()
    right = c.reference
    monkeypatch.setattr(c, "reference", lambda content, inputs: right(content, inputs) ^ (np.arange(2)[:, None] == 1))

    with pytest.raises(ModelError, match="other numbers than LiteRT's reference kernels on 1 of 2 images"):
        c.write_c(c.Material(model, READY, IMAGES[:2], HOW), tmp_path / "network")  # type: ignore[arg-type]
    assert not (tmp_path / "network").exists()


def test_wider_layers_are_refused(model: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="C takes no max_drop; that is for 'tflite-int8', 'onnx-int8', 'tflm'"):
        keras_resnet.export_c(model, tmp_path / "n", calibration=IMAGES, quantization=Quantization(max_drop=1))
