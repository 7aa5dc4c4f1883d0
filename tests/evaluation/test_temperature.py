import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnet.cli import main
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import from_arrays
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.evaluate import evaluate
from keras_resnet.evaluation.temperature import calibrate, fit_temperature
from keras_resnet.exports.export import export
from keras_resnet.inference.predictor import Predictor
from keras_resnet.inference.predictors import open_predictor
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.runs.run import Run
from keras_resnet.tasks.shares import sigmoid
from keras_resnet.weights.saving import save_model


def sampled(logits: np.ndarray, seed: int) -> np.ndarray:
    """Labels as the logits say them."""
    return (logits + np.random.default_rng(seed).gumbel(size=logits.shape)).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_logits_were_multiplied_by_is_found(temperature: float) -> None:
    logits = 2 * np.random.default_rng(0).normal(size=(4000, 5))
    yes = np.random.default_rng(1).random(logits.shape) < sigmoid(logits)

    assert fit_temperature(temperature * logits, sampled(logits, 2)) == pytest.approx(temperature, rel=0.05)
    assert fit_temperature(temperature * logits, yes.astype(np.uint8)) == pytest.approx(temperature, rel=0.05)


def test_where_no_temperature_is_best_it_is_said_why() -> None:
    labels = np.arange(30) % 3

    with pytest.raises(DataError, match="30 images best: all are answered right"):
        fit_temperature(np.eye(3)[labels], labels)
    with pytest.raises(DataError, match="the model's answers say nothing of them"):
        fit_temperature(np.eye(3)[(labels + 1) % 3], labels)
    with pytest.raises(DataError, match=r"received \(30, 3\) and \(29,\)"):
        fit_temperature(np.eye(3)[labels], labels[1:])


def test_a_calibrated_run_is_a_run_whose_files_have_the_temperature(
    finished_run: Run, tiny_data: ImageData, tmp_path: Path
) -> None:
    run = Run(shutil.copytree(finished_run.path, tmp_path / "photos"))
    digest = hashlib.sha256(run.model.read_bytes()).hexdigest()

    found = calibrate(run, tiny_data)

    assert found.path == tmp_path / "photos-calibrated"
    assert hashlib.sha256(run.model.read_bytes()).hexdigest() == digest
    validation, test = evaluate(run, tiny_data, split="validation"), evaluate(run, tiny_data)
    assert found.temperature == pytest.approx(fit_temperature(validation.logits, validation.labels))
    assert abs(found.temperature - 1) > 0.02
    assert found.images == len(tiny_data.validation)
    after = evaluate(found.path)
    np.testing.assert_allclose(after.logits, test.logits / found.temperature, atol=1e-4)
    assert found.before is not None
    assert found.after is not None
    assert found.before.log_loss == test.metrics.log_loss
    assert found.after.log_loss == pytest.approx(after.metrics.log_loss, abs=1e-5)
    assert after.metrics.correct == test.metrics.correct
    record = json.loads((found.path / "run.json").read_text())["calibrated"]
    assert record == {"run": "photos", "temperature": found.temperature, "images": found.images}
    keras.models.load_model(found.path / "model.keras")
    exported = export(found.path, format="saved_model", data=tiny_data)
    np.testing.assert_allclose(
        open_predictor(exported.path).logits(tiny_data.test.read(slice(None))), after.logits, atol=1e-4
    )
    with pytest.raises(UsageError, match="exists already: choose another path by --out"):
        calibrate(run, tiny_data)


@pytest.fixture(scope="module")
def overconfident(finished_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run with six times its logits."""
    run = Run(shutil.copytree(finished_run.path, tmp_path_factory.mktemp("temperature") / "sure"))
    model = keras.models.load_model(run.model)
    for variable in model.get_layer("head_dense").variables:
        variable.assign(6 * variable)
    save_model(model, run.model, run.preprocessing)
    return run


@pytest.fixture(scope="module")
def calibrated(overconfident: Run, tiny_data: ImageData) -> Path:
    """The same, with a temperature."""
    found = calibrate(overconfident, tiny_data)
    assert found.temperature > 2
    return found.path


@pytest.mark.parametrize("format", ["tflite-int8", "onnx-int8", "onnx"])
def test_exported_files_of_a_calibrated_run_have_its_probabilities(
    format: str, overconfident: Run, calibrated: Path, tiny_data: ImageData, tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra 'edge' is not installed")
    if format != "tflite-int8":
        pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    images = tiny_data.test.read(slice(None))
    sure, expected = (open_predictor(one) for one in (overconfident, calibrated))
    logits, shares = expected.logits(images), expected.task.probabilities
    # An error of one step in the logits moves no probability by more than half of it.
    most = np.ptp(logits) / 255 / 2 if "int8" in format else 1e-5
    assert np.abs(shares(sure.logits(images)) - shares(logits)).max() > 2 * most, "else nothing is told apart"

    file = open_predictor(export(calibrated, format=format, data=tiny_data).path)

    found = file.logits(images)
    np.testing.assert_allclose(file.task.probabilities(found), shares(logits), rtol=0, atol=most)
    assert np.vdot(found, logits) / np.vdot(logits, logits) == pytest.approx(1, abs=0.01)


class Stated(Predictor):
    """A model that gives known logits, in order."""

    def __init__(self, logits: np.ndarray, path: Path | None = None) -> None:
        taken = Fit((2, 2), 1, "bilinear", None)
        super().__init__("stated", Preprocessing(taken, (0.0,), (1.0,), ("a", "b", "c")), path)
        self.given, self.place = logits, 0

    def logits(self, images: np.ndarray) -> np.ndarray:
        self.place += len(images)
        return self.given[self.place - len(images) : self.place]

    def one(self, image: np.ndarray) -> Callable[[], object]:
        raise NotImplementedError


def test_calibration_is_named_last_where_probabilities_are_surely_wrong_and_only_there(
    finished_run: Run, tmp_path: Path
) -> None:
    logits = (2 * np.random.default_rng(0).normal(size=(600, 3))).astype(np.float32)
    data = from_arrays(np.zeros((600, 2, 2, 1), np.uint8), sampled(logits, 1), ["a", "b", "c"], whole=True)
    run = Run(shutil.copytree(finished_run.path, tmp_path / "run"))

    def last_remark(times: float, path: Path | None = None) -> str:
        return (evaluate(Stated(times * logits, path), data).remarks or ("",))[-1]

    assert "`keras-resnet calibrate` finds a temperature" in last_remark(3.0)
    assert last_remark(1.0) == "", "these probabilities mean what they say"
    assert "calibrate" in last_remark(3.0, run.model)
    record = run.path / "run.json"
    calibrated = {"calibrated": {"run": "photos", "temperature": 2.0, "images": 5}}
    record.write_text(json.dumps(json.loads(record.read_text()) | calibrated))
    assert last_remark(3.0, run.model) == "", "it was calibrated already"
    assert last_remark(3.0, run.exports / "model.tflite") == ""


def test_a_file_is_calibrated_on_the_command_line(
    finished_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = shutil.copyfile(finished_run.model, tmp_path / "mine.keras")

    assert main(["calibrate", str(model)]) == 2
    assert "a bare model does not know its data" in capsys.readouterr().err
    assert main(["calibrate", str(model), "--data", "digits"]) == 0

    shown = capsys.readouterr().out
    assert "log loss" in shown
    assert "top-1" not in shown, "it decides as before"
    assert f"wrote {tmp_path / 'mine-calibrated.keras'}" in shown
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype(np.uint8)
    before, after = (
        open_predictor(model).logits(images),
        open_predictor(tmp_path / "mine-calibrated.keras").logits(images),
    )
    ratio = before / after
    assert float(ratio.min()) == pytest.approx(float(ratio.max()), rel=1e-3)
    (said,) = re.findall(r"temperature ([\d.]+) of", shown)
    assert float(said) == pytest.approx(float(ratio.mean()), rel=0.01)


def test_exported_files_are_refused(finished_run: Run, tiny_data: ImageData, tmp_path: Path) -> None:
    exported = export(finished_run, tmp_path / "saved", format="saved_model", data=tiny_data)

    with pytest.raises(UsageError, match="is an exported file: calibrate the Keras model that it came from"):
        calibrate(exported.path, tiny_data)
