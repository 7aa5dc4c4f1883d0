"""What `Evaluation.write` has written, read back: figures and every answer, without the model and its images."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np

from keras_resnet.data.sources.table_rows import LABEL_SEPARATOR
from keras_resnet.errors import ModelError
from keras_resnet.evaluation.evaluate import MOST_COLUMNS
from keras_resnet.json_files import check_json, read_json
from keras_resnet.regular_files import read_bytes
from keras_resnet.runs.contents import FIGURE, NUMBER
from keras_resnet.spreadsheet import csv_cell
from keras_resnet.tasks.intervals import Interval
from keras_resnet.tasks.multi_label import LabelMetrics
from keras_resnet.tasks.table import task as task_named
from keras_resnet.tasks.task import ClassMetrics, Confused, Metrics, Task

FIGURES, PREDICTIONS = "evaluation.json", "predictions.csv"
MOST_BYTES = 2**30
LEAST = 1e-6
"""The least probability that six digits tell from 0."""
OF_INTERVAL = "_95%_interval"
PAIR = list[float]

_Class = TypedDict(
    "_Class",
    {
        "name": str,
        "precision": float,
        "recall": float,
        "f1": float,
        "images": NUMBER,
        "average_precision": NotRequired[FIGURE],
        "precision_95%_interval": NotRequired[PAIR],
        "recall_95%_interval": NotRequired[PAIR],
        "f1_95%_interval": NotRequired[PAIR],
        "average_precision_95%_interval": NotRequired[PAIR],
    },
)
_Confused = TypedDict(
    "_Confused", {"label": str, "prediction": str, "images": NUMBER, "share": float, "share_95%_interval": PAIR}
)


class _Bin(TypedDict):
    predicted: float
    observed: float
    answers: NUMBER


class _Evaluation(TypedDict):
    """evaluation.json; the figures of the task stand beside these."""

    data: str
    task: str
    images: NUMBER
    correct: NUMBER
    groups: NotRequired[NUMBER]
    classes: list[_Class]
    confusion: NotRequired[list[list[NUMBER]]]
    most_confused: NotRequired[list[_Confused]]
    reliability: list[_Bin]
    remarks: list[str]


@dataclass(frozen=True)
class Answer:
    """What a model says of one image.

    Args:
        image: Its name, as a cell of `predictions.csv` has it.
        label, prediction: Names of classes; of several, with `|` between them.
        probability: That the model gives the label, 0–1; of several classes, in the mean.
        probability_of_prediction: That it gives its own answer.
        loss: How wrong it is: the cross-entropy, in nats, from probabilities of six digits.
    """

    image: str
    label: str
    prediction: str
    probability: float
    probability_of_prediction: float
    loss: float

    @property
    def is_right(self) -> bool:
        """Whether label and prediction are the same."""
        return self.label == self.prediction


@dataclass(frozen=True)
class WrittenEvaluation:
    """An evaluation as its folder has it.

    Args:
        data_name: On what.
        task: What was asked of the model.
        metrics: The figures.
        reliability: Of each bin: the mean probability, the share that came true, and how many answers.
        remarks: What these figures hide.
        answers: To every image, in the order of the table.
        probabilities: float64 (images, classes); None where there are too many classes to write them.
    """

    data_name: str
    task: Task
    metrics: Metrics
    reliability: tuple[tuple[float, float, int], ...]
    remarks: tuple[str, ...]
    answers: tuple[Answer, ...]
    probabilities: np.ndarray | None

    @cached_property
    def labels(self) -> np.ndarray:
        """int64 (images,): the number of each image's class; -1 where it has not exactly one."""
        number_of = {csv_cell(name): number for number, name in enumerate(self.task.class_names)}
        return np.array([number_of.get(one.label, -1) for one in self.answers], np.int64)

    @property
    def largest_losses(self) -> list[Answer]:
        """The answers, the most wrong first."""
        return sorted(self.answers, key=lambda one: (-one.loss, -one.probability_of_prediction))


def is_written(folder: Path) -> bool:
    """Whether a folder holds an evaluation."""
    return (folder / FIGURES).is_file() and (folder / PREDICTIONS).is_file()


def read_evaluation(folder: Path, class_names: Sequence[str]) -> WrittenEvaluation:
    """Read what `Evaluation.write` has written.

    Args:
        folder: Where to, as a run's `evaluation/`.
        class_names: The model's, in its order.

    Raises:
        ModelError: A file is missing or damaged, or is of other classes.
    """
    path = folder / FIGURES
    found = read_json(path, _Evaluation, raw_names=True)
    task = task_named(found["task"], class_names)
    if [row["name"] for row in found["classes"]] != list(class_names):
        raise ModelError(f"{path} is of other classes than the model: evaluate anew by `keras-resnet evaluate`")
    confusion = found.get("confusion")
    if confusion is not None and {len(confusion), *map(len, confusion)} != {len(class_names)}:
        raise ModelError(f"{path}: confusion must have a row and a column a class. Evaluate anew")
    answers, probabilities = _read_predictions(folder / PREDICTIONS, task)
    bins = tuple((one["predicted"], one["observed"], one["answers"]) for one in found["reliability"])
    return WrittenEvaluation(
        found["data"], task, _metrics(path, found, task), bins, tuple(found["remarks"]), answers, probabilities
    )


def _metrics(path: Path, found: _Evaluation, task: Task) -> Metrics:
    own: dict[str, Any] = {**found}
    figures = {name: check_json(own.get(name), _FIGURE, f"{path}: {name}") for name in task.metrics}
    intervals = {name: _pair(path, own, name) for name in task.metrics if f"{name}{OF_INTERVAL}" in own}
    confusion = found.get("confusion")
    return Metrics(
        found["images"],
        found["correct"],
        figures,
        {task.headline: found["correct"]} if task.headline == "top1" else {},
        intervals,
        tuple(_class(path, {**row}) for row in found["classes"]),
        None if confusion is None else np.array(confusion, np.int64),
        tuple(found["remarks"]),
        tuple(
            Confused(one["label"], one["prediction"], one["images"], one["share"], _pair(path, {**one}, "share"))
            for one in found.get("most_confused", [])
        ),
        found.get("groups"),
        _pair(path, own, "correct") if f"correct{OF_INTERVAL}" in own else None,
    )


_FIGURE: Any = FIGURE


def _class(path: Path, row: dict[str, Any]) -> ClassMetrics:
    known = ("precision", "recall", "f1", "average_precision")
    intervals = {name: _pair(path, row, name) for name in known if f"{name}{OF_INTERVAL}" in row}
    kind, names = ClassMetrics, ["name", "precision", "recall", "f1", "images"]
    if "average_precision" in row:
        kind, names = LabelMetrics, [*names, "average_precision"]
    return kind(**{name: row[name] for name in names}, intervals=intervals)


def _pair(path: Path, row: dict[str, Any], name: str) -> Interval:
    pair = check_json(row[f"{name}{OF_INTERVAL}"], PAIR, f"{path}: {name}{OF_INTERVAL}")
    if len(pair) != 2:
        raise ModelError(f"{path}: {name}{OF_INTERVAL} must be two numbers; received {len(pair)}. Evaluate anew")
    return pair[0], pair[1]


def _read_predictions(path: Path, task: Task) -> tuple[tuple[Answer, ...], np.ndarray | None]:
    try:
        table = list(
            csv.reader(io.StringIO(read_bytes(path, MOST_BYTES).decode("utf-8", "surrogateescape"), newline=""))
        )
        shares = np.array([[float(cell) for cell in row[3:]] for row in table[1:]], np.float64)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from None
    except (csv.Error, ValueError) as error:
        raise ModelError(f"{path} is damaged: {error}. Evaluate anew by `keras-resnet evaluate`") from None
    few = len(task.class_names) <= MOST_COLUMNS
    columns = len(task.class_names) if few else 2
    if shares.shape != (len(table) - 1, columns) or not np.isfinite(shares).all() or any(len(one) < 3 for one in table):
        raise ModelError(f"{path} is damaged: expected path, label, prediction and {columns} probabilities a row")
    rows = [(row[0], row[1], row[2]) for row in table[1:]]
    if not few:
        pairs = zip(rows, shares.tolist(), strict=True)
        return tuple(Answer(*row, own, said, -math.log(max(own, LEAST))) for row, (own, said) in pairs), None
    return tuple(_answers(rows, shares, task)), shares


def _answers(rows: list[tuple[str, str, str]], shares: np.ndarray, task: Task) -> Iterator[Answer]:
    number_of = {csv_cell(name): number for number, name in enumerate(task.class_names)}
    for (image, label, prediction), share in zip(rows, shares, strict=True):
        of_label, of_prediction = (_members(text, number_of, several=task.several) for text in (label, prediction))
        if task.several:
            true = np.isin(np.arange(len(share)), of_label)
            loss = float(-np.log(np.maximum(np.where(true, share, 1 - share), LEAST)).mean())
        else:
            loss = -math.log(max(float(share[of_label].mean()) if of_label else 0.0, LEAST))
        means = [float(share[one].mean()) if one else 0.0 for one in (of_label, of_prediction)]
        yield Answer(image, label, prediction, means[0], means[1], loss)


def _members(text: str, number_of: dict[str, int], *, several: bool) -> list[int]:
    """The numbers of the classes that a cell names."""
    if text in number_of or not several:
        return [number_of[text]] if text in number_of else []
    return [number_of[csv_cell(name)] for name in text.split(LABEL_SEPARATOR) if csv_cell(name) in number_of]
