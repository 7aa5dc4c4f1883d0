"""Export a finished run: write the file, run it, and compare it with its model before it counts."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.atomic import put_in_place, storage_errors, temporary_folder
from keras_resnet.data.images import ImageData, OnRead
from keras_resnet.data.sources.source import PATHS, Source
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.evaluate import load_run_data
from keras_resnet.exports.formats import format_named
from keras_resnet.exports.tflite import calibration_images
from keras_resnet.exports.verify import Verification, verify
from keras_resnet.inference.predictors import KerasPredictor, Predictor, open_predictor
from keras_resnet.runs.run import Run

logger = logging.getLogger(__name__)
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
    run: Run | str | os.PathLike[str],
    path: str | os.PathLike[str] | None = None,
    *,
    data: ImageData | str | None = None,
) -> Exported:
    """Write a finished run's model as a SavedModel and verify it: `export_run(run, "saved_model", …)`.

    Args:
        run: A finished run or its folder.
        path: The folder to write; default: in the run's `exports/`.
        data: As `export_run`.

    Raises: as `export_run`.
    """
    return export_run(run, "saved_model", path, data=data)


def export_tflite(
    run: Run | str | os.PathLike[str],
    path: str | os.PathLike[str] | None = None,
    *,
    int8: bool = True,
    data: ImageData | str | None = None,
) -> Exported:
    """Write a finished run's model as a `.tflite` file and verify it: `export_run(run, "tflite-int8", …)`.

    Args:
        run: A finished run or its folder.
        path: The file to write, `.tflite`; default: in the run's `exports/`.
        int8: Whether all of it computes in integers of 8 bits; otherwise in float32.
        data: As `export_run`.

    Raises: as `export_run`.
    """
    return export_run(run, "tflite-int8" if int8 else "tflite-float", path, data=data)


def export_run(
    run: Run | str | os.PathLike[str],
    file_format: str,
    path: str | os.PathLike[str] | None = None,
    *,
    data: ImageData | str | None = None,
    progress: OnRead | None = None,
) -> Exported:
    """Write a finished run's model in another format and verify it.

    The file takes its place only once it is verified; a file that fails leaves what was there
    before. INT8 calibration sees training images only; verification sees validation images, and
    training images where those are few; the test images stay untouched for evaluation.

    Args:
        run: A finished run or its folder.
        file_format: A key of `keras_resnet.exports.formats.FORMATS`, such as `tflite-int8` or `saved_model`.
        path: Where to; default: the run's `exports/`.
        data: The run's data, if they are loaded already, or the source they are now, if they were moved. Without them,
            and where they are gone, the few images serve that the run keeps.
        progress: Called while images are read.

    Raises:
        UsageError: The run is not finished, there is no such format, or `path` holds something else.
        DataError: The run's data are gone or have changed.
        ModelError: The file written is not the model it came from.
        MissingExtraError: A runtime for `.tflite` files is not installed.
    """
    run = Run.at(run.path if isinstance(run, Run) else run, finished=True)
    chosen = format_named(file_format)
    target = Path(path) if path is not None else run.exports / chosen.path
    chosen.check_target(target)
    reference = open_predictor(run)
    assert isinstance(reference, KerasPredictor)
    images, calibration = _images(run, data, progress)
    reference.check_pixels(images)
    with storage_errors(target), temporary_folder(target.parent) as folder:
        unverified = folder / target.name
        chosen.write(
            reference.model,
            reference.preprocessing,
            unverified,
            calibration if chosen.calibrated else None,
        )
        found = verify(open_predictor(unverified), reference, images, same=chosen.same, called=target)
        put_in_place(unverified, target)
    predictor = open_predictor(target)
    predictor.name = chosen.title  # a file does not always tell which format it is of
    return Exported(target, predictor, found)


def _images(run: Run, data: ImageData | str | None, progress: OnRead | None) -> tuple[np.ndarray, np.ndarray]:
    """Images to verify with, and to calibrate with."""
    if data is None:
        try:
            data = load_run_data(run, progress)
        except (DataError, UsageError) as error:
            kept = run.kept_images()
            if kept is None or not _is_gone(run):
                raise
            logger.warning("%s; calibrating and verifying on the %d images that the run keeps", error, len(kept))
            return kept, kept
    elif isinstance(data, str):
        data = load_run_data(run, progress, where=data)
    if data.fingerprint != run.fingerprint:
        raise DataError(f"{data.name} are not the data that {run.path} was trained on")
    return _verification_images(data), calibration_images(data.train)


def _is_gone(run: Run) -> bool:
    """Whether the data were arrays, or files that are not where they were."""
    settings: dict[str, Any] = {**run.config["data"]}
    if "arrays" in settings:
        return True
    source = Source(**settings)
    return source.kind in PATHS and not Path(source.location).exists()


def _verification_images(data: ImageData) -> np.ndarray:
    parts = [data.validation.read(slice(0, VERIFICATION_IMAGES))]
    parts.append(data.train.read(slice(0, VERIFICATION_IMAGES - len(parts[0]))))
    return np.concatenate(parts)
