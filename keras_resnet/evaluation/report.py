"""The report of a run: test figures, pictures, and warnings about its training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np

from keras_resnet import pictures
from keras_resnet.atomic import write_json
from keras_resnet.data.duplicates import SIDE
from keras_resnet.data.images import ImageData, OnRead
from keras_resnet.data.leakage import CODE
from keras_resnet.evaluation.evaluate import Evaluation, evaluate, load_run_data
from keras_resnet.evaluation.slices import Slice, slices, write_slices
from keras_resnet.evaluation.split_comparison import SplitComparison, beside, is_at_random
from keras_resnet.explanation.diagnosis import LabelAgreement, Symptom, diagnose
from keras_resnet.explanation.history import History
from keras_resnet.explanation.training_pictures import learning_curves, training_picture
from keras_resnet.inspection.label_doubts import label_agreement
from keras_resnet.json_files import read_json
from keras_resnet.runs.run import Run

MOST_CAMERAS = 4
"""That are named."""
LABELS, CLASSES = 1000, 50
"""Training images, and classes, that are looked at where labels are in doubt."""


@dataclass(frozen=True)
class Report:
    """What was found, and the files it was written to.

    Args:
        evaluation: Of each test image as it is.
        averaged: Over the views that the recipe asks for; None where it asks for none.
        slices: On which images it fails more often than on the others.
        splits: The figure beside those of the same training on other splits, see `beside`.
        notes: What the split may hide.
        symptoms: Warnings about the training.
        files: All that was written.
    """

    evaluation: Evaluation
    averaged: Evaluation | None
    slices: tuple[Slice, ...]
    splits: tuple[SplitComparison, ...]
    notes: tuple[str, ...]
    symptoms: tuple[Symptom, ...]
    files: tuple[Path, ...]


def report_run(run: Run, data: ImageData | None = None, progress: OnRead | None = None) -> Report:
    """Evaluate a finished run on its test images and write figures and pictures into its folder.

    Pictures are left out where matplotlib is not installed.

    Args:
        run: Finished.
        data: Its data, if they are loaded already.
        progress: Called while images are read.

    Raises: as `evaluate`.

    Example:
        >>> import keras_resnet
        >>> report = keras_resnet.report_run(keras_resnet.Run.at("saved_models/photos"))  # doctest: +SKIP
        >>> print(report.evaluation.metrics.top1, *report.symptoms)  # doctest: +SKIP
    """
    data, averaged = data or load_run_data(run, progress), None
    evaluation = evaluate(run, data)
    files = evaluation.write(run.folder("evaluation"))
    found = slices(evaluation, data)
    files.append(write_slices(found, run.folder("evaluation")))
    tta = run.config["recipe"]["tta"]
    if tta != "none":
        averaged = evaluate(run, data, tta=tta)
        files += averaged.write(run.folder("evaluation", tta))
    splits = beside(run)
    notes = tuple(_hidden_by_split(run, data, found, splits))
    symptoms, more = report_training(run, data)
    return Report(evaluation, averaged, found, splits, notes, tuple(symptoms), (*files, *more))


def _hidden_by_split(
    run: Run, data: ImageData, found: Sequence[Slice], splits: Sequence[SplitComparison]
) -> Iterator[str]:
    """What a random split may hide, unless a training on another one has shown it."""
    if not is_at_random(run, data):
        return
    shown = [one.second.division for one in splits]
    if not any(division.startswith("by series") for division in shown):
        yield from {event["text"]: None for event in run.events.rows() if event["event"] == CODE and "text" in event}
    cameras = [one for one in found if one.attribute == "camera"]
    if len(cameras) > 1 and not any(division.startswith("by camera") for division in shown):
        named = ", ".join(f"{one.value} ({one.accuracy:.1%} of {one.images:,} right)" for one in cameras[:MOST_CAMERAS])
        yield (
            f"The test images are of several cameras that were trained on, too: {named}. That says nothing of another "
            "camera. Train once more with --split group --group-by camera, which holds one out"
        )


def report_training(run: Run, data: ImageData | None = None) -> tuple[list[Symptom], list[Path]]:
    """Write the warnings about a run's training, and its pictures; the run need not be finished.

    Args:
        run: Finished or not.
        data: Its data; where the training makes labels doubtful, some images are looked at.

    Returns:
        The warnings, and the files: `evaluation/diagnosis.json`, and under `plots/`, where matplotlib is
        installed, `training.png` and `learning_curves.png`. No files before the first epoch's end.
    """
    history = History.of_run(run)
    if not history.epochs:
        return [], []
    return report_history(run, history, _title(run, history), data)


def report_history(
    run: Run, history: History, title: str, data: ImageData | None = None
) -> tuple[list[Symptom], list[Path]]:
    """Write what a record of at least one epoch tells; see `report_training`.

    Args:
        run: In whose folder.
        history: The record.
        title: Of the picture.
        data: As `report_training`.
    """
    symptoms = diagnose(history, lambda: labels_fit(data) if data else None)
    files = [run.folder("evaluation") / "diagnosis.json"]
    write_json(files[0], {"epochs": len(history.epochs), "symptoms": [asdict(one) for one in symptoms]})
    if pictures.available():
        plots = run.folder("plots")
        files += [plots / "training.png", plots / "learning_curves.png"]
        training_picture(history, symptoms, title, files[1])
        learning_curves(history, files[2])
    return symptoms, files


class _Symptom(TypedDict):
    code: str
    text: str


class _Diagnosis(TypedDict):
    """What is read of diagnosis.json."""

    symptoms: list[_Symptom]


def read_symptoms(path: Path) -> tuple[Symptom, ...]:
    """Read the warnings that `report_training` has written.

    Raises:
        ModelError: The file is damaged.
    """
    return tuple(Symptom(one["code"], one["text"]) for one in read_json(path, _Diagnosis)["symptoms"])


def labels_fit(data: ImageData) -> LabelAgreement | None:
    """Whether training labels fit their images; None where an image has several labels, or too few have any."""
    import tensorflow as tf

    labels = data.train.labels
    if labels.ndim != 1 or not len(labels):
        return None
    largest = np.argsort(-np.bincount(labels), kind="stable")[:CLASSES]
    each = LABELS // len(largest)
    random = np.random.default_rng(0)
    members = [np.flatnonzero(labels == label) for label in largest]
    chosen = np.sort(np.concatenate([random.permutation(one)[:each] for one in members]))
    images = tf.image.resize(data.train.read(chosen), (SIDE, SIDE), method="area")
    thumbnails = np.broadcast_to(np.rint(images).astype(np.uint8), (len(chosen), SIDE, SIDE, 3))
    accuracy, guess, looked_at = label_agreement(thumbnails, labels[chosen])
    return LabelAgreement(accuracy, guess, looked_at) if looked_at else None


def _title(run: Run, history: History) -> str:
    epochs, name = len(history.epochs), Path(run.config["data"]["name"]).name  # of folder:/a/long/path its end
    return f"{run.network} on {name}, {epochs} epoch{'s' if epochs > 1 else ''}"
