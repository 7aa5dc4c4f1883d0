"""Any number of classes an image: sigmoid, binary cross-entropy, average precision.

Labels are uint8 (n, classes): 1 where an image shows the class. An image may show none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_resnet.errors import DataError
from keras_resnet.tasks import ranking
from keras_resnet.tasks.calibration import mean_log_loss
from keras_resnet.tasks.confidence import CONFIDENCE_METRICS
from keras_resnet.tasks.intervals import Estimate, bounded_interval
from keras_resnet.tasks.ranking import Area, mean_of
from keras_resnet.tasks.shares import logit, sigmoid
from keras_resnet.tasks.task import Answers, ClassMetrics, Metric, Metrics, Task, class_rows, wholly_right

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

MOST_DRAWN = 60
"""Classes in the picture; of more, those with the lowest average precision."""
NEARLY = 1e-7
"""Mean probabilities are kept so far from 0 and 1, where logits would be infinite."""


@dataclass(frozen=True)
class LabelMetrics(ClassMetrics):
    """One class's figures where an image may have several.

    Args:
        average_precision: The area under precision by recall, as scikit-learn's `average_precision_score` has it;
            None where no image has the class.
    """

    average_precision: float | None = None


def average_precisions(answers: Answers) -> list[Area | None]:
    """Of each class; None where no image has it."""
    return [ranking.average_precision(*one) for one in _by_class(answers)]


def mean_average_precision(answers: Answers) -> Estimate | None:
    """The mean over the classes that some image has."""
    found = mean_of(iter(average_precisions(answers)))
    return None if found is None else found.estimate(answers.groups)


def roc_auc(answers: Answers) -> Estimate | None:
    """The mean area under the ROC curve of the classes that some images have and others do not."""
    found = mean_of(ranking.roc_auc(*one) for one in _by_class(answers))
    return None if found is None else found.estimate(answers.groups)


def f1_macro(answers: Answers) -> Estimate:
    """The mean F1 of the classes at a probability of 0.5; 0 of a class that neither image nor answer has."""
    return _f1(answers, axis=0)


def f1_micro(answers: Answers) -> Estimate:
    """F1 of all decisions together, at a probability of 0.5."""
    return _f1(answers, axis=None)


def _f1(answers: Answers, axis: int | None) -> Estimate:
    """The mean of F1 = 2 TP / (labelled + decided), over what is summed along an axis of (images, classes)."""
    labelled, decided = answers.labels > 0, answers.decisions > 0
    both, parts = (labelled & decided).astype(np.float64), labelled + decided.astype(np.float64)
    whole = np.maximum(parts.sum(axis=axis), 1)
    figures = 2 * both.sum(axis=axis) / whole
    influences = ((2 * both - figures * parts) / whole).sum(axis=1) * len(parts) / figures.size
    concerned = np.maximum((parts > 0).sum(axis=axis), 1)
    value = float(figures.mean())
    units = figures.size**2 / (1 / concerned).sum()
    return Estimate(value, bounded_interval(value, influences, answers.groups, units=units))


def exact_match(answers: Answers) -> float:
    """The share of images all of whose classes are right."""
    return float(answers.right.mean())


def log_loss(answers: Answers) -> Estimate:
    """The mean negative log-likelihood of the decisions, in nats."""
    logits = answers.logits.astype(np.float64)
    losses = np.logaddexp(0, np.where(answers.labels > 0, -logits, logits)).mean(axis=1)
    return mean_log_loss(losses, answers.decisions != answers.labels, answers.groups)


def _by_class(answers: Answers) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The scores of each class, and which images have it."""
    yield from zip(np.ascontiguousarray(answers.logits.T), answers.labels.T > 0, strict=True)


METRICS = {
    "average_precision": Metric("mean average precision", mean_average_precision),
    "roc_auc": Metric("area under ROC, mean of the classes", roc_auc, "{:.4f}"),
    "f1_macro": Metric("F1, mean of the classes", f1_macro, "{:.3f}"),
    "f1_micro": Metric("F1, all decisions", f1_micro, "{:.3f}"),
    "exact_match": Metric("all classes right", exact_match, hits=wholly_right),
    "log_loss": Metric("log loss", log_loss, "{:.4f}"),
    **CONFIDENCE_METRICS,
}
"""What an evaluation reports: a row each."""


@dataclass(frozen=True)
class MultiLabel(Task):
    """Which of some classes an image shows: none, one or several."""

    name = "multi-label"
    several = True
    activation = "sigmoid"
    metrics = METRICS
    headline = "average_precision"
    monitored = "average_precision"
    picture_name = "average_precision.png"

    def checked(self, labels: np.ndarray, images: int) -> np.ndarray:
        labels = np.asarray(labels)
        if labels.shape != (images, self.outputs) or not np.isin(labels, (0, 1)).all():
            raise DataError(
                f"labels must be 0 or 1 for each of {images} images and {self.outputs} classes; received "
                f"{labels.dtype}{labels.shape}"
            )
        return labels.astype(np.uint8)

    def targets(self, labels: np.ndarray, positions: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.cast(tf.gather(tf.constant(labels), positions), tf.float32)

    def membership(self, labels: np.ndarray) -> np.ndarray:
        return labels.astype(bool)

    def members(self, labels: np.ndarray, number: int) -> np.ndarray:
        return np.flatnonzero(labels[:, number])

    def renumbered(self, labels: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
        number_of = {name: number for number, name in enumerate(class_names)}
        wider = np.zeros((len(labels), len(class_names)), np.uint8)
        wider[:, [number_of[name] for name in self.class_names]] = labels
        return wider

    def loss(self, kind: str, label_smoothing: float = 0.0, *, threshold: float | None = None) -> keras.losses.Loss:
        """Binary cross-entropy by either word; smoothing draws each target towards a half. Args: as `Task.loss`."""
        from keras_resnet.losses import BinaryCrossEntropy, loss

        loss(kind, label_smoothing, threshold=threshold)  # refuses what classification refuses
        return BinaryCrossEntropy(label_smoothing, threshold, smooth_towards=0.5)

    def loss_of_a_guess(self, kind: str) -> float:
        return math.log(2)

    def accuracy(self) -> keras.metrics.Metric:
        """The share of decisions that are right, of an image."""
        import keras

        return keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)  # of logits

    def validation_metrics(self) -> list[keras.metrics.Metric]:
        """The mean average precision, from the counts at 200 thresholds."""
        import keras

        return [
            keras.metrics.AUC(
                curve="PR", multi_label=True, num_labels=self.outputs, from_logits=True, name="average_precision"
            )
        ]

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        return sigmoid(logits)

    def decisions(self, logits: np.ndarray) -> np.ndarray:
        return (logits > 0).astype(np.uint8)

    def mean_logits(self, logits: Sequence[np.ndarray]) -> np.ndarray:
        mean = np.mean([sigmoid(one.astype(np.float64)) for one in logits], axis=0)
        return logit(np.clip(mean, NEARLY, 1 - NEARLY)).astype(np.float32)

    def agreement(self, first: np.ndarray, second: np.ndarray) -> float:
        """The mean over the images of classes that both decide for, as a share of those that either decides for."""
        ours, theirs = first > 0, second > 0
        both, either = (ours & theirs).sum(axis=1), (ours | theirs).sum(axis=1)
        return float(np.where(either > 0, both / np.maximum(either, 1), 1.0).mean())

    def class_metrics(self, answers: Answers) -> tuple[LabelMetrics, ...]:
        areas = [None if one is None else one.estimate(answers.groups) for one in average_precisions(answers)]
        rows = class_rows(answers, LabelMetrics, average_precision=[area and area.value for area in areas])
        return tuple(
            replace(row, intervals={**row.intervals, "average_precision": area.interval})
            if area and area.interval
            else row
            for row, area in zip(rows, areas, strict=True)
        )

    def statements(self, answers: Answers) -> tuple[np.ndarray, np.ndarray]:
        """That an image shows a class, of all classes."""
        return answers.probabilities, answers.labels > 0

    def confidence(self, answers: Answers) -> np.ndarray:
        """The mean logarithm of the probabilities of what it decides; that of an image whose answers are sure is 0."""
        return -np.logaddexp(0, -np.abs(answers.logits.astype(np.float64))).mean(axis=1)

    def draw(self, metrics: Metrics, title: str, path: Path) -> None:
        """Each class's average precision as a bar, the lowest on top. Args: as `Task.draw`."""
        from keras_resnet.pictures import new_figure, save, short

        rows = [row for row in metrics.classes if isinstance(row, LabelMetrics) and row.average_precision is not None]
        rows = sorted(rows, key=lambda row: row.average_precision or 0.0)[:MOST_DRAWN]
        figure = new_figure(8, 1.6 + 0.28 * len(rows))
        axes = figure.subplots()
        places = range(len(rows))
        axes.barh(places, [row.average_precision or 0.0 for row in rows], color="#3b6ea5")
        for place, row in zip(places, rows, strict=True):
            axes.text(0.01, place, f"{row.average_precision:.3f}", va="center", color="white", fontsize=9)
        axes.set_yticks(places, [f"{short(row.name)} ({row.images})" for row in rows])
        axes.invert_yaxis()
        axes.set(title=title, xlabel="average precision (images with the class)", xlim=(0, 1))
        save(figure, path)
