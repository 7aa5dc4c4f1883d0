"""Export a finished run: write the file, run it, and compare it with the model before saying it is done."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet.atomic import put_in_place, storage_errors
from keras_resnet.data.images import ImageData, OnRead
from keras_resnet.errors import DataError, MissingExtraError, UsageError, listed
from keras_resnet.evaluation.evaluate import load_run_data
from keras_resnet.exports.saved_model import write_saved_model
from keras_resnet.exports.tflite import calibration_images, write_tflite
from keras_resnet.exports.verify import Verification, verify
from keras_resnet.inference.predictors import KerasPredictor, Predictor, open_predictor
from keras_resnet.runs.run import Run

FORMATS = {
    "saved_model": "saved_model",
    "tflite-float": "model_float.tflite",
    "tflite-int8": "model_int8.tflite",
}
"""Each format's name, and the file or folder it is written to inside a run's `exports/`."""

VERIFICATION_IMAGES = 256


@dataclass(frozen=True)
class Exported:
    """An exported and verified file.

    Args:
        path: The file or folder.
        predictor: Opened.
        verification: How it compares with its model.
    """

    path: Path
    predictor: Predictor
    verification: Verification


def export_saved_model(
    run: Run | str | os.PathLike[str], path: str | os.PathLike[str] | None = None, *, data: ImageData | None = None
) -> Exported:
    """Write a finished run's model as a SavedModel and verify it; as `export_run(run, "saved_model", …)`."""
    return export_run(run, "saved_model", path, data=data)


def export_tflite(
    run: Run | str | os.PathLike[str],
    path: str | os.PathLike[str] | None = None,
    *,
    int8: bool = True,
    data: ImageData | None = None,
) -> Exported:
    """Write a finished run's model as a `.tflite` file and verify it; as `export_run(run, "tflite-int8", …)`."""
    return export_run(run, "tflite-int8" if int8 else "tflite-float", path, data=data)


def export_run(
    run: Run | str | os.PathLike[str],
    file_format: str,
    path: str | os.PathLike[str] | None = None,
    *,
    data: ImageData | None = None,
    progress: OnRead | None = None,
) -> Exported:
    """Write a finished run's model in another format and verify it.

    The file takes its place only once it is verified; a file that fails leaves what was there
    before. INT8 calibration sees training images only; verification sees validation images, and
    training images where those are few; the test images stay untouched for evaluation.

    Args:
        run: A finished run or its folder.
        file_format: `saved_model`, `tflite-float` or `tflite-int8`.
        path: Where to; default: the run's `exports/`.
        data: The run's data, if they are loaded already.
        progress: Called while images are read.

    Raises:
        UsageError: The run is not finished, there is no such format, or `path` holds something else.
        DataError: The run's data are gone or have changed.
        ModelError: The file written is not the model it came from.
        MissingExtraError: A runtime for `.tflite` files is not installed.
    """
    run = Run.at(run.path if isinstance(run, Run) else run, finished=True)
    if file_format not in FORMATS:
        raise UsageError(f"the format must be one of {listed(FORMATS)}; received {file_format!r}")
    target = Path(path) if path is not None else run.exports / FORMATS[file_format]
    _check_target(target, file_format)
    reference = open_predictor(run)
    assert isinstance(reference, KerasPredictor)
    data = data or load_run_data(run, progress)
    if data.fingerprint != run.fingerprint:
        raise DataError(f"{data.name} are not the data that {run.path} was trained on")
    images = _verification_images(data)
    with storage_errors(target), tempfile.TemporaryDirectory(dir=_made(target.parent), prefix=".unverified-") as folder:
        unverified = Path(folder) / target.name
        if file_format == "saved_model":
            write_saved_model(reference.model, reference.preprocessing, unverified)
        else:
            calibration = calibration_images(data.train) if file_format == "tflite-int8" else None
            write_tflite(reference.model, reference.preprocessing, unverified, calibration)
        found = verify(open_predictor(unverified), reference, images, integer=file_format == "tflite-int8")
        put_in_place(unverified, target)
    return Exported(target, open_predictor(target), found)


def _verification_images(data: ImageData) -> np.ndarray:
    parts = [data.validation.read(slice(0, VERIFICATION_IMAGES))]
    parts.append(data.train.read(slice(0, VERIFICATION_IMAGES - len(parts[0]))))
    return np.concatenate(parts)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _check_target(path: Path, file_format: str) -> None:
    """Refuse what could only fail after the work, and a path whose content would be lost."""
    if file_format == "saved_model":
        if (
            path.exists()
            and not (path / "saved_model.pb").is_file()
            and not (path.is_dir() and not any(path.iterdir()))
        ):
            raise UsageError(f"{path} holds something else than a SavedModel; choose another path")
        return
    if path.is_dir() or path.suffix != ".tflite":
        raise UsageError(f"{path}: a TFLite model is a file whose name ends in .tflite")
    _require_runtime()


def _require_runtime() -> None:
    from importlib.util import find_spec

    if find_spec("ai_edge_litert") is None:
        raise MissingExtraError("exporting and verifying a .tflite file", "edge")
