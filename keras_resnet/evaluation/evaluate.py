"""A model against images it was not trained on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet import pictures
from keras_resnet.atomic import write_json, write_text
from keras_resnet.data.images import ImageData, OnRead, Split
from keras_resnet.data.loading import Data, in_memory, load_data, merge
from keras_resnet.data.sources.source import SETTINGS, Source
from keras_resnet.data.sources.table_rows import LABEL_SEPARATOR
from keras_resnet.data.stores import at_size
from keras_resnet.errors import DataError, ModelError, UsageError
from keras_resnet.evaluation.confidence_pictures import coverage_picture, reliability_picture
from keras_resnet.evaluation.conformal import PredictionSets, judge_sets
from keras_resnet.inference.predictor import Predictor
from keras_resnet.inference.predictors import open_predictor
from keras_resnet.inference.tta import check_tta, view_logits, view_size
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.runs.run import Run, is_run
from keras_resnet.settings import refuse_unknown
from keras_resnet.spreadsheet import csv_text
from keras_resnet.tasks.calibration import reliability
from keras_resnet.tasks.confidence import accuracy_at_coverage
from keras_resnet.tasks.task import Answers, Metrics

if TYPE_CHECKING:
    import keras

UNCALIBRATED = "Probabilities do not mean what they say"
"""How the remark on calibration begins."""
BATCH = 256
MOST_COLUMNS = 100
"""Classes whose probabilities are written for each image."""
FIRST = 32
"""Images, by which it is seen whether a model gets the pixels that it was trained on."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Args:
        metrics: The figures.
        logits: float32 (n, number of classes).
        labels: As the model's task has them.
        predictor: What was evaluated.
        data_name: On what.
        remarks: What these figures hide or mean less than they seem to.
        names: Of the images, in the order of the logits.
        groups: int (n,): images of one group are not independent, and intervals are by group; None: not known.
        sets: What conformal prediction sets are worth, where a coverage was asked for.
        split: The images.
    """

    metrics: Metrics
    logits: np.ndarray
    labels: np.ndarray
    predictor: Predictor
    data_name: str
    remarks: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    groups: np.ndarray | None = None
    sets: PredictionSets | None = None
    split: Split | None = None

    @property
    def headline(self) -> str:
        """The figure that models are compared by, in a line."""
        metrics, task = self.metrics, self.predictor.task
        name = task.headline
        text = f"{task.metrics[name].title} {task.shown(metrics, name)}"
        if name not in metrics.intervals:
            return text
        interval = "95 % interval " + " to ".join(map(task.metrics[name].text, metrics.intervals[name]))
        hits = f"{metrics.hits[name]} of {metrics.images}; " if name in metrics.hits else ""
        return f"{text} ({hits}{interval})"

    @property
    def answers(self) -> Answers:
        """The model's answers beside the true labels."""
        return Answers(self.predictor.task, self.logits, self.labels, self.groups)

    def write(self, folder: Path) -> list[Path]:
        """Put the figures into `evaluation.json`, and beside it every prediction and the task's picture.

        `predictions.csv` has the path, the label and the prediction of each image, and the probabilities of all
        classes, or of the label's and the prediction's where there are very many. Pictures need matplotlib:
        `reliability.png` shows whether probabilities mean what they say, `coverage.png` how many answers are right if
        only the surest are given.

        Returns:
            The files.
        """
        files = [folder / "evaluation.json", folder / "predictions.csv"]
        task = self.predictor.task
        summary = {"model": self.predictor.name, "data": self.data_name, "task": task.name, **self.metrics.to_dict()}
        write_json(files[0], summary | self._confidence() | {"remarks": list(self.remarks)})
        write_text(files[1], csv_text(*self._predictions()))
        if pictures.available():
            name = f"{self.predictor.name} on {self.data_name}"
            headline = f"{task.metrics[task.headline].title} {task.shown(self.metrics, task.headline)}"
            pictured = [folder / one for one in (task.picture_name, "reliability.png", "coverage.png")]
            task.draw(self.metrics, f"{name}: {headline} of {self.metrics.images} images", pictured[0])
            reliability_picture(self.answers, name, pictured[1])
            coverage_picture(self.answers, name, pictured[2])
            files += pictured
        return files

    def _confidence(self) -> dict[str, Any]:
        """What `evaluation.json` has of the model's confidence, beside the figures."""
        bins = reliability(*self.predictor.task.statements(self.answers))
        found: dict[str, Any] = {
            "reliability": [
                {"predicted": said, "observed": true, "answers": count}
                for said, true, count in zip(
                    bins.predicted.tolist(), bins.observed.tolist(), bins.answers.tolist(), strict=True
                )
            ],
            "accuracy_at_coverage": [
                {
                    "coverage": row.coverage,
                    "confidence": row.confidence,
                    "accuracy": row.accuracy,
                    "accuracy_95%_interval": list(row.interval),
                }
                for row in accuracy_at_coverage(self.answers)
            ],
        }
        return found if self.sets is None else {**found, "prediction_sets": self.sets.to_dict()}

    def _predictions(self) -> tuple[list[str], Iterator[list[str]]]:
        """The head and the rows of `predictions.csv`."""
        task = self.predictor.task
        shares, decided = task.probabilities(self.logits), task.decisions(self.logits)
        header = ["path", "label", "prediction"]
        if len(task.class_names) <= MOST_COLUMNS:
            header += task.class_names
        else:
            header += ["probability of the label", "probability of the prediction"]

        def rows() -> Iterator[list[str]]:
            labelled, predicted = task.membership(self.labels), task.membership(decided)
            for row, share in enumerate(shares):
                names = [LABEL_SEPARATOR.join(task.names_of(one)) for one in (self.labels[row], decided[row])]
                if len(task.class_names) > MOST_COLUMNS:
                    share = np.array([share[of[row]].mean() if of[row].any() else 0 for of in (labelled, predicted)])
                yield [self.names[row] if self.names else str(row), *names, *(f"{one:.6f}" for one in share)]

        return header, rows()


def evaluate(
    model: Predictor | Run | str | os.PathLike[str] | keras.Model,
    data: Data | None = None,
    *,
    split: str | None = None,
    tta: str = "none",
    preprocessing: Preprocessing | None = None,
    groups: np.ndarray | None = None,
    coverage: float | None = None,
    progress: OnRead | None = None,
) -> Evaluation:
    """Measure a model.

    Args:
        model: A run, a model file, a Keras model, or a `Predictor`.
        data: A data set or a split of one, the source of one, or a `tf.data.Dataset` or a pair of arrays, (images,
            labels), whose labels number the model's classes. Default for a run: the data it was trained on.
        split: `train`, `validation`, `test` or `all`. Default: `test`, or `validation` where there is no test; of a
            source named here that is not divided, all of it.
        tta: Test-time augmentation: `none`; `flip`: the mean prediction for the image and its
            mirror image; `ten-crop`: for corners and centre, mirrored too, of an image 8/7 as large.
        preprocessing: As `predict`. A Keras model that has no class names gets those of the data.
        groups: int (n,), one for each image that is evaluated: images of one group, as one person's, are not
            independent, and intervals are by group. Default: those that the data name.
        coverage: In (0, 1), as 0.9: make conformal prediction sets that hold the true class so often, by a threshold
            from the data's validation images.
        progress: Called while images are read.

    Raises:
        DataError: The data cannot be read, have other classes than the model, or have changed
            since the run was trained.
        ModelError: The model cannot be read.
        UsageError: The run is not finished, no data are given for a bare model file, or the model gets pixels of
            another scale than in its training.
    """
    if data is None:
        if not isinstance(model, Run) and not (isinstance(model, str | os.PathLike) and is_run(Path(model))):
            raise UsageError("a bare model does not know its data: name them, as digits, folder:PATH or tfds:NAME")
        run = model if isinstance(model, Run) else Run.at(model, finished=True)
        data = load_run_data(run, progress)
    predictor = model if isinstance(model, Predictor) else open_predictor(model, preprocessing)
    if isinstance(data, Split) and split is None:
        data, split = _place_of(data)
    undivided = not isinstance(data, ImageData)
    numbered = not isinstance(
        data, ImageData | Split | Source | str | os.PathLike
    )  # its labels number the model's classes
    own = predictor.task.class_names
    data = in_memory(data, class_names=own, task=predictor.task.name, whole=True)
    images = data if isinstance(data, ImageData) else _read(data, predictor, progress)
    if preprocessing is None and (numbered or predictor.is_assumed):
        predictor = predictor.named(images.class_names)
    images = images.relabelled(predictor.task)
    split = split or ("all" if undivided and not len(images.splits[images.reported]) else images.reported)
    chosen = merge(images) if split == "all" else _chosen(images, split)
    divided = len(chosen) < sum(map(len, images.splits.values()))
    name = f"{images.name}, {split} split" if divided else images.name
    name += "" if check_tta(tta) == "none" else f", {tta} views"
    _check_fits(predictor, chosen)
    doubt = predictor.check_pixels(chosen.read(slice(0, FIRST)))
    if isinstance(model, Run) and images.fingerprint == model.fingerprint:
        doubt = ""  # the pixels are right; after a short training statistics have not settled
    logits = split_logits(predictor, chosen, tta)
    if groups is None and images.groups is not None:
        groups = images.groups[chosen.indices]
    answers = Answers(predictor.task, logits, chosen.labels, groups)
    sets = None
    if coverage is not None:
        sets = judge_sets(_other_answers(predictor, images, split, tta), answers, coverage)
    metrics = predictor.task.evaluate(logits, chosen.labels, groups)
    return Evaluation(
        metrics,
        logits,
        chosen.labels,
        predictor,
        name,
        (*filter(None, [doubt]), *_remarks(split), *metrics.remarks, *_on_calibration(predictor, metrics)),
        tuple(images.names[index] for index in chosen.indices) if images.names else (),
        groups,
        sets,
        chosen,
    )


def _other_answers(predictor: Predictor, images: ImageData, split: str, tta: str) -> Answers:
    """The answers for the validation images, which a threshold for others is from."""
    if split in ("all", "validation"):
        raise UsageError(
            f"the threshold of prediction sets is from the validation images, which the split {split!r} has: evaluate "
            "the test images, or leave out the coverage"
        )
    if not len(images.validation):
        raise UsageError(
            f"{images.name} has no validation images, which the threshold of prediction sets is from: give data that "
            "are divided, as those of the run, or leave out the coverage"
        )
    return Answers(predictor.task, split_logits(predictor, images.validation, tta), images.validation.labels)


def load_run_data(run: Run, progress: OnRead | None = None, *, where: str | None = None) -> ImageData:
    """Read the data a run was trained on, with the same split. Nothing is downloaded: others may have written the run.

    Args:
        run: The run.
        progress: Called while images are read.
        where: The source they are now, `folder:NEW`, if they have been moved; None: where they were.

    Raises:
        DataError: They are gone or have changed since, or would have to be downloaded.
        ModelError: The run's record of them is damaged.
        UsageError: The run was trained on data that only the caller has.
    """
    settings: dict[str, Any] = {**run.config["data"]}
    if "arrays" in settings:
        raise UsageError(
            f"the run {run.path} was trained on arrays or on its script's own data: pass the data set again, data="
        )
    source = _recorded_source(run, settings | ({"name": where} if where else {}))
    if source.kind == "tfds" and source.data_dir is None:
        data = _load_prepared(run, source, progress)
    else:
        data = _load_there(run, source, progress, named=where is not None)
    if data.fingerprint != run.fingerprint:
        raise DataError(
            f"the data of {run.path} ({settings['name']}) have changed since it was trained, so that its test images "
            "may now be others; restore them, or name the data to evaluate on by --data"
        )
    return data


def _load_there(run: Run, source: Source, progress: OnRead | None, *, named: bool) -> ImageData:
    try:
        return load_data(source, progress)
    except DataError as error:
        if named or not source.is_missing:
            raise
        raise DataError(
            f"{error}, which {run.path} was trained on. Bring it back, or say where the images are by --data (of a "
            "source that is not divided, an evaluation uses all images, those of the training too)"
        ) from None


def _load_prepared(run: Run, source: Source, progress: OnRead | None) -> ImageData:
    folder = os.environ.get("TFDS_DATA_DIR", os.path.join("~", "tensorflow_datasets"))
    try:
        return load_data(replace(source, data_dir=folder), progress)
    except DataError as error:
        name = source.settings["name"]
        raise DataError(
            f"the run {run.path} names {name}, which is not there: {error}. Reading a run downloads nothing; "
            f"`keras-resnet evaluate {run.path} --data {name}` does"
        ) from None


def _recorded_source(run: Run, settings: dict[str, Any]) -> Source:
    """The source that a run's config.json names.

    Args:
        run: The run, for messages.
        settings: Under `data` in the file.

    Raises:
        ModelError: A setting is unknown or out of range; the message names it.
    """
    try:
        for name in settings.keys() - {"name"}:
            refuse_unknown(name, SETTINGS)
        return Source(**settings)
    except UsageError as error:
        raise ModelError(f"{run.path / 'config.json'}: data: {error}") from None


def split_logits(predictor: Predictor, split: Split, tta: str = "none") -> np.ndarray:
    """The logits of all images of a split, float32 (n, number of classes).

    Args:
        predictor: The model.
        split: Its images are of the model's size.
        tta: As `evaluate`; of several views, the logits of the mean probability.
    """
    _check_fits(predictor, split)
    size = view_size(predictor.preprocessing.fit.size, tta)
    larger = replace(split, images=at_size(split.images, size))
    starts = range(0, len(split), BATCH)
    return np.concatenate([view_logits(predictor, larger.read(slice(start, start + BATCH)), tta) for start in starts])


def _place_of(split: Split) -> tuple[ImageData | Split, str | None]:
    """The data set that a split belongs to, and its name there; a split of none as it is."""
    whole: ImageData | None = getattr(split, "whole", None)
    names = [] if whole is None else [name for name, one in whole.splits.items() if one is split]
    return (whole, names[0]) if whole is not None and names else (split, None)


def _check_fits(predictor: Predictor, split: Split) -> None:
    expected, found = predictor.preprocessing.input_shape, split.images.shape
    if expected != found:
        raise DataError(f"the model takes images of {expected}, the data are of {found} (height, width, channels)")
    if not len(split):
        raise DataError("there are no images to evaluate on in this split")


def _read(source: Source | str, predictor: Predictor, progress: OnRead | None) -> ImageData:
    """All images of a source, as the model takes them."""
    source = Source(source) if isinstance(source, str) else source
    source = replace(source, task=source.task or predictor.task.name)
    return load_data(source, progress, whole=True, fit=predictor.preprocessing.fit)


def _chosen(images: ImageData, split: str) -> Split:
    if split not in images.splits:
        raise UsageError(f"split must be train, validation, test or all; received {split!r}")
    if not len(images.splits[split]):
        there = [f"{len(part)} {name}" for name, part in images.splits.items() if len(part)]
        raise DataError(f"{images.name} has no {split} images to evaluate on, only {', '.join(there)}; name the split")
    return images.splits[split]


def _remarks(split: str) -> Iterator[str]:
    if split == "validation":
        yield (
            "These are validation images. Where they chose the epoch of the model, as in its own training, the figures "
            "are a little too good; images of a part named test choose nothing."
        )


def _on_calibration(predictor: Predictor, metrics: Metrics) -> Iterator[str]:
    """What mends probabilities that do not mean what they say, if chance alone does not make them look so."""
    low, high = metrics.intervals.get("ece", (0.0, 0.0))
    if not low:
        return
    around = [] if predictor.path is None else predictor.path.parents[:2]  # of a run's model, or of its exports
    if any(is_run(folder) and Run(folder).is_calibrated for folder in around):
        return
    yield (
        f"{UNCALIBRATED}: they are off by {metrics.figures['ece']:.2%} on average "
        f"({low:.2%} to {high:.2%}), more than chance explains. `keras-resnet calibrate` finds a "
        "temperature on the validation images that makes them fit better and changes no decision; models exported "
        "from what it writes have it, too."
    )
