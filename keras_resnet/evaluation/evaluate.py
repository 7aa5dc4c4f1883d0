"""A model against images it was not trained on."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keras_resnet import pictures as plots
from keras_resnet.atomic import write_json
from keras_resnet.data.images import ImageData, OnRead, Split, at_size
from keras_resnet.data.loading import load_data, merge
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.metrics import Metrics, classification_metrics
from keras_resnet.inference.predictors import Predictor, open_predictor
from keras_resnet.inference.views import check_views, view_logits, view_size
from keras_resnet.runs.run import Run, is_run

BATCH = 256


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Args:
        metrics: The figures.
        logits: float32 (n, number of classes).
        labels: int64 (n,).
        predictor: What was evaluated.
        data_name: On what.
    """

    metrics: Metrics
    logits: np.ndarray
    labels: np.ndarray
    predictor: Predictor
    data_name: str

    def write(self, folder: Path) -> list[Path]:
        """Put the figures into `evaluation.json`, and the confusion matrix into a picture if one can be drawn."""
        files = [folder / "evaluation.json"]
        summary = {"model": self.predictor.name, "data": self.data_name, **self.metrics.to_dict()}
        write_json(files[0], summary)
        if plots.available():
            files.append(folder / "confusion_matrix.png")
            title = f"{self.predictor.name} on {self.data_name}: {self.metrics.top1:.1%} of {self.metrics.images}"
            names = self.predictor.preprocessing.class_names
            plots.confusion_picture(self.metrics.confusion, names, title, files[1])
        return files


def evaluate(
    model: Predictor | Run | str | os.PathLike[str],
    data: ImageData | Source | str | None = None,
    *,
    split: str | None = None,
    views: str = "none",
    progress: OnRead | None = None,
) -> Evaluation:
    """Measure a model.

    Args:
        model: A run, a model file, or a `Predictor`.
        data: A data set, or the source of one. Default for a run: the data it was trained on.
        split: `train`, `validation`, `test` or `all`. Default: `test`, which of a source named here
            is all of it, unless the source itself separates a test split.
        views: Test-time augmentation: `none`; `flip`: the mean prediction for the image and its
            mirror image; `ten-crop`: for corners and centre, mirrored too, of an image 8/7 as large.
        progress: Called while images are read.

    Raises:
        DataError: The data cannot be read, have other classes than the model, or have changed
            since the run was trained.
        ModelError: The model cannot be read.
        UsageError: The run is not finished, or no data are given for a bare model file.
    """
    if data is None:
        if not isinstance(model, Run) and not (isinstance(model, str | os.PathLike) and is_run(Path(model))):
            raise UsageError("a bare model does not know its data: name them, as digits, folder:PATH or tfds:NAME")
        run = model if isinstance(model, Run) else Run.at(model, finished=True)
        data = load_run_data(run, progress)
    predictor = model if isinstance(model, Predictor) else open_predictor(model)
    fit = predictor.preprocessing.fit
    undivided = not isinstance(data, ImageData)
    images = data if isinstance(data, ImageData) else load_data(data, progress, whole=True, fit=fit)
    images = images.relabelled(predictor.preprocessing.class_names)
    split = split or ("all" if undivided and not len(images.test) else "test")
    chosen = merge(images) if split == "all" else _chosen(images, split)
    name = images.name if split == "all" else f"{images.name}, {split} split"
    name += "" if check_views(views) == "none" else f", {views} views"
    logits = split_logits(predictor, chosen, views)
    metrics = classification_metrics(logits, chosen.labels, predictor.preprocessing.class_names)
    return Evaluation(metrics, logits, chosen.labels, predictor, name)


def load_run_data(run: Run, progress: OnRead | None = None) -> ImageData:
    """Read the data a run was trained on, with the same split.

    Raises:
        DataError: They are gone or have changed since.
        UsageError: The run was trained on arrays, which only the caller has.
    """
    settings = run.config["data"]
    if "arrays" in settings:
        raise UsageError(f"the run {run.path} was trained on arrays: pass the data set again")
    data = load_data(Source(**settings), progress)
    if data.fingerprint != run.fingerprint:
        raise DataError(
            f"the data of {run.path} ({settings['name']}) have changed since it was trained, so that its test images "
            "may now be others; restore them, or name the data to evaluate on by --data"
        )
    return data


def split_logits(predictor: Predictor, split: Split, views: str = "none") -> np.ndarray:
    """The logits of all images of a split, float32 (n, number of classes).

    Args:
        predictor: The model.
        split: Its images are of the model's size.
        views: As `evaluate`; of several, the logarithm of the mean probability.
    """
    expected, found = predictor.preprocessing.input_shape, split.images.shape
    if expected != found:
        raise DataError(f"the model takes images of {expected}, the data are of {found} (height, width, channels)")
    starts = range(0, len(split), BATCH)
    if not starts:
        raise DataError("there are no images to evaluate on in this split")
    larger = replace(split, images=at_size(split.images, view_size(expected[:2], views)))
    return np.concatenate([view_logits(predictor, larger.read(slice(start, start + BATCH)), views) for start in starts])


def _chosen(images: ImageData, split: str) -> Split:
    if split not in images.splits:
        raise UsageError(f"split must be train, validation, test or all; received {split!r}")
    return images.splits[split]
