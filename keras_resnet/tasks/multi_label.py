"""Any number of classes an image: sigmoid, binary cross-entropy, average precision.

Labels are uint8 (n, classes): 1 where an image shows the class. An image may show none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.errors import DataError
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


def average_precisions(answers: Answers) -> list[float | None]:
    """Of each class; None where no image has it."""
    from sklearn.metrics import average_precision_score

    return [
        float(average_precision_score(labels, logits)) if labels.any() else None
        for labels, logits in zip(answers.labels.T, answers.logits.T, strict=True)
    ]


def mean_average_precision(answers: Answers) -> float | None:
    """The mean over the classes that some image has."""
    known = [value for value in average_precisions(answers) if value is not None]
    return float(np.mean(known)) if known else None


def f1(average: str) -> Any:
    """F1 at a probability of 0.5: the mean over the classes (`macro`), or of all decisions together (`micro`)."""

    def value(answers: Answers) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(answers.labels, answers.decisions, average=average, zero_division=0.0))

    return value


def exact_match(answers: Answers) -> float:
    """The share of images all of whose classes are right."""
    return wholly_right(answers) / len(answers.labels)


def log_loss(answers: Answers) -> float:
    """The mean negative log-likelihood of the decisions, in nats."""
    logits = answers.logits.astype(np.float64)
    return float(np.logaddexp(0, np.where(answers.labels > 0, -logits, logits)).mean())


METRICS = {
    "average_precision": Metric("mean average precision", mean_average_precision),
    "f1_macro": Metric("F1, mean of the classes", f1("macro"), "{:.3f}"),
    "f1_micro": Metric("F1, all decisions", f1("micro"), "{:.3f}"),
    "exact_match": Metric("all classes right", exact_match, hits=wholly_right),
    "log_loss": Metric("log loss", log_loss, "{:.4f}"),
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
        return class_rows(answers, LabelMetrics, average_precision=average_precisions(answers))

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
