"""Temperature scaling: one number, found on validation images, that makes probabilities mean what they say."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.atomic import put_in_place, storage_errors, temporary_folder, write_json
from keras_resnet.data.images import ImageData, OnRead
from keras_resnet.data.loading import Data, in_memory, load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import DataError, ModelError, UsageError
from keras_resnet.evaluation.evaluate import load_run_data, split_logits
from keras_resnet.inference.predictors import KerasPredictor, open_predictor
from keras_resnet.json_files import read_json
from keras_resnet.models.temperature import temperature_scaled
from keras_resnet.runs.contents import RunFile
from keras_resnet.runs.run import LOCK, Run, is_run
from keras_resnet.tasks.shares import log_softmax
from keras_resnet.tasks.task import Metrics
from keras_resnet.weights.saving import save_model

LOWEST, HIGHEST = 0.02, 50.0
CLOSE = 1e-3
"""By how much of their range the logits of a written model may differ from those that were asked for."""


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature by which logits, divided, have the lowest log loss (Guo et al., On calibration, 2017).

    Args:
        logits: float (n, classes), of images that neither trained the model nor test it.
        labels: int (n,), the classes of the images; or 0 and 1 (n, classes) where an image may have several.

    Returns:
        Above 1 where the model is too sure, below where it is not sure enough.

    Raises:
        DataError: Shapes do not fit, or no temperature is best: all images are answered right, or the logits say
            nothing of the labels.

    Example:
        >>> random = np.random.default_rng(0)
        >>> logits = random.normal(size=(2000, 3))
        >>> labels = (logits + random.gumbel(size=(2000, 3))).argmax(axis=1)  # as the logits say
        >>> round(fit_temperature(3 * logits, labels))
        3
    """
    from scipy.optimize import minimize_scalar

    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    if logits.ndim != 2 or not len(logits) or labels.shape not in ((len(logits),), logits.shape):
        raise DataError(
            f"expected logits (n, classes) and labels (n,) or (n, classes); received {logits.shape} and {labels.shape}"
        )

    def loss(log_temperature: float) -> float:
        cooled = logits / np.exp(log_temperature)
        if labels.ndim == 2:
            return float(np.logaddexp(0, np.where(labels > 0, -cooled, cooled)).mean())
        return float(-np.take_along_axis(log_softmax(cooled), labels[:, None], axis=1).mean())

    bounds = (np.log(LOWEST), np.log(HIGHEST))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-5})
    found = float(np.exp(best.x))
    lower, higher = (loss(bound) <= best.fun + 1e-9 for bound in bounds)
    if lower or higher:
        reason = (
            "all are answered right, so that ever surer probabilities would fit them better"
            if lower
            else "the model's answers say nothing of them, so that ever less sure ones would fit better"
        )
        raise DataError(f"no temperature fits these {len(logits)} images best: {reason}. Give more images, or others")
    return found


@dataclass(frozen=True)
class Calibrated:
    """A model with a temperature in its last layer.

    Args:
        temperature: What its logits are divided by.
        images: How many validation images it was found on.
        path: The run folder or `.keras` file that was written.
        before, after: The figures on the data's test images; None where there are none.
    """

    temperature: float
    images: int
    path: Path
    before: Metrics | None
    after: Metrics | None


def calibrate(
    model: Run | str | os.PathLike[str],
    data: Data | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    progress: OnRead | None = None,
) -> Calibrated:
    """Find a model's temperature on validation images, and write a model that has it. The model itself stays as it is.

    Args:
        model: A finished run, or a `.keras` file.
        data: Data with validation images; default for a run: those that it was trained on.
        path: Where to: for a run the folder of a new run, which `evaluate`, `predict` and `export` take as any other;
            for a file a `.keras` file. Default: beside the model, `NAME-calibrated`.
        progress: Called while images are read.

    Raises:
        UsageError: There are no data, the path is taken, or the model is an exported file.
        DataError: There are no validation images, or no temperature fits them.
        ModelError: The model cannot be read, or ends in another layer than a dense one or a convolution.
        StorageError: The files cannot be written.

    Example:
        >>> import keras_resnet
        >>> found = keras_resnet.calibrate("saved_models/photos")  # doctest: +SKIP
        >>> keras_resnet.export(found.path, format="tflite-int8")  # doctest: +SKIP
    """
    run = model if isinstance(model, Run) else Run(Path(model)) if is_run(Path(model)) else None
    run = None if run is None else Run.at(run.path, finished=True)
    source = run.path if run is not None else Path(os.fspath(model))  # type: ignore[arg-type]
    target = Path(path) if path is not None else source.with_name(f"{source.stem}-calibrated{source.suffix}")
    if target.exists():
        raise UsageError(f"{target} exists already: choose another path by --out")
    predictor = open_predictor(run or source)
    if not isinstance(predictor, KerasPredictor):
        raise UsageError(
            f"{source} is an exported file: calibrate the Keras model that it came from, and export it anew"
        )
    if run is None and target.suffix != ".keras":
        raise UsageError(f"a model is written as a .keras file; received {target}")
    images = _data(run, data, predictor, progress).relabelled(predictor.task)
    part = images.validation
    if not len(part):
        raise DataError(
            f"{images.name} has no validation images: a temperature is found on images that neither train nor test"
        )
    logits = split_logits(predictor, part)
    temperature = fit_temperature(logits, part.labels)
    scaled = KerasPredictor(temperature_scaled(predictor.model, temperature), predictor.preprocessing)

    def write(file: Path) -> None:
        save_model(scaled.model, file, predictor.preprocessing)
        first = slice(0, 32)
        difference = np.abs(open_predictor(file).logits(part.read(first)) - logits[first] / temperature).max()
        if not difference <= CLOSE * max(float(np.ptp(logits)) / temperature, 1e-6):
            raise ModelError(f"the model with its temperature differs by {difference:.3g} from what was asked for")

    with storage_errors(target), temporary_folder(target.parent) as folder:
        new = folder / target.name
        if run is None:
            write(new)
        else:
            _copy_run(run, new, {"temperature": temperature, "images": len(part), "run": run.path.name}, write)
        put_in_place(new, target)
    before = after = None
    if len(images.test):
        own = split_logits(predictor, images.test)
        groups = None if images.groups is None else images.groups[images.test.indices]
        before, after = (
            predictor.task.evaluate(one, images.test.labels, groups) for one in (own, own / np.float32(temperature))
        )
    return Calibrated(temperature, len(part), target, before, after)


def _data(run: Run | None, data: Data | None, predictor: KerasPredictor, progress: OnRead | None) -> ImageData:
    if data is None:
        if run is None:
            raise UsageError("a bare model does not know its data: name them, as digits, folder:PATH or tfds:NAME")
        return load_run_data(run, progress)
    found = in_memory(data, class_names=predictor.task.class_names, task=predictor.task.name)
    if isinstance(found, ImageData):
        return found
    named = found if isinstance(found, Source) else Source(found)
    named = replace(named, task=named.task or predictor.task.name)
    return load_data(named, progress, fit=predictor.preprocessing.fit)


def _copy_run(run: Run, folder: Path, calibrated: dict[str, Any], write: Callable[[Path], None]) -> None:
    """A run of the same training, with another model and without what was made of the old one."""
    folder.mkdir()
    for file in sorted(run.path.iterdir()):
        if file.is_file() and not file.is_symlink() and file.name not in (LOCK, run.model.name):
            shutil.copyfile(file, folder / file.name)
    write_json(folder / "run.json", {**read_json(run.path / "run.json", RunFile), "calibrated": calibrated})
    write(folder / run.model.name)
