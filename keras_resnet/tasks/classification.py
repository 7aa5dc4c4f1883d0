"""One class an image: softmax, cross-entropy, top-1. Labels are whole numbers (n,), 0 … number of classes - 1."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.errors import DataError
from keras_resnet.tasks.shares import log_mean_exp, log_softmax, softmax
from keras_resnet.tasks.task import Answers, ClassMetrics, Metric, Metrics, Task, class_rows, wholly_right

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

FAR_BELOW = 0.1
"""Balanced accuracy this far below top-1 shows that rare classes are recognised less often than common ones."""
MOST_CLASSES = 1_000_000
"""The most classes that are named by their numbers: names for numbers up to 2⁴⁰ would fill the memory."""
LABELLED_CLASSES = 40
"""With more classes than these, their names and the numbers in the cells would only blacken the picture."""


def top1(answers: Answers) -> float:
    """The share of images whose class has the largest logit."""
    return wholly_right(answers) / len(answers.labels)


def balanced_accuracy(answers: Answers) -> float:
    """The mean recall of the classes that some image has, as scikit-learn's `balanced_accuracy_score` has it."""
    right = answers.decisions == answers.labels
    images = np.bincount(answers.labels)
    recognised = np.bincount(answers.labels, right)
    return float((recognised[images > 0] / images[images > 0]).mean())


def top5(answers: Answers) -> float | None:
    """The share of images whose class is among the five largest logits; None with five classes or fewer."""
    if answers.task.outputs <= 5:
        return None
    best = np.argsort(-answers.logits, axis=1, kind="stable")[:, :5]
    return float((best == answers.labels[:, None]).any(axis=1).mean())


def log_loss(answers: Answers) -> float:
    """The mean negative log-likelihood of the true classes, in nats."""
    logs = log_softmax(answers.logits.astype(np.float64))
    return float(-logs[np.arange(len(answers.labels)), answers.labels].mean())


METRICS = {
    "top1": Metric("top-1", top1, hits=wholly_right),
    "balanced_accuracy": Metric("balanced accuracy", balanced_accuracy),
    "top5": Metric("top-5", top5),
    "log_loss": Metric("log loss", log_loss, "{:.4f}"),
}
"""What an evaluation reports: a row each."""


def check_numbers(labels: np.ndarray, classes: int | None, *, complete: bool = False) -> None:
    """Refuse labels that do not number classes from 0, and say how to renumber them.

    Args:
        labels: Whole numbers, (n,).
        classes: How many there are; None: as many as the labels say.
        complete: Whether the class 0 must have images.

    Raises:
        DataError: One is below 0 or is no class, or none is 0 and should be.
    """
    if not labels.size:
        return
    low, high, different = int(labels.min()), int(labels.max()), len(np.unique(labels))
    most = MOST_CLASSES if classes is None else classes
    if low >= 0 and high < most and not (complete and low):
        return
    if low > 0 and (high - low < different if classes is None else high - low < classes):
        remedy = f"subtract {low}"
    elif different <= most:
        remedy = "renumber them, as numpy.unique(labels, return_inverse=True) does"
    else:
        remedy = f"there are {different} different ones"
    if classes is None:
        raise DataError(f"labels count from 0; received {low} to {high}: {remedy}, or give class_names")
    raise DataError(
        f"labels count from 0 and must lie in 0–{classes - 1} for {classes} classes; received {low} to {high}: {remedy}"
    )


@dataclass(frozen=True)
class Classification(Task):
    """Which one of some classes an image shows."""

    name = "classification"
    several = False
    activation = "softmax"
    metrics = METRICS
    headline = "top1"
    monitored = "accuracy"
    picture_name = "confusion_matrix.png"

    def checked(self, labels: np.ndarray, images: int) -> np.ndarray:
        labels = np.asarray(labels)
        if labels.shape != (images,) or not np.issubdtype(labels.dtype, np.integer):
            hint = '; give task="multi-label" for 0 and 1 by class' if labels.ndim == 2 else ""
            raise DataError(
                f"labels must be {images} whole numbers, one an image; received {labels.dtype}{labels.shape}{hint}"
            )
        check_numbers(labels, self.outputs)
        return labels.astype(np.int64)

    def targets(self, labels: np.ndarray, positions: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        return tf.one_hot(tf.gather(tf.constant(labels), positions), self.outputs)

    def membership(self, labels: np.ndarray) -> np.ndarray:
        return labels[:, None] == np.arange(self.outputs)

    def images_of_classes(self, labels: np.ndarray) -> np.ndarray:
        return np.bincount(labels, minlength=self.outputs)

    def names_of(self, label: np.ndarray) -> tuple[str, ...]:
        return (self.class_names[int(label)],)

    def renumbered(self, labels: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
        number_of = {name: number for number, name in enumerate(class_names)}
        return np.array([number_of[name] for name in self.class_names])[labels]

    def loss(self, kind: str, label_smoothing: float = 0.0, *, threshold: float | None = None) -> keras.losses.Loss:
        from keras_resnet.losses import loss

        return loss(kind, label_smoothing, threshold=threshold)

    def loss_of_a_guess(self, kind: str) -> float:
        return math.log(2 if kind == "binary" else max(self.outputs, 2))

    def accuracy(self) -> keras.metrics.Metric:
        import keras

        return keras.metrics.CategoricalAccuracy(name="accuracy")

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        return softmax(logits)

    def decisions(self, logits: np.ndarray) -> np.ndarray:
        return logits.argmax(axis=1)

    def mean_logits(self, logits: Sequence[np.ndarray]) -> np.ndarray:
        return log_mean_exp(np.stack([log_softmax(one) for one in logits])).astype(np.float32)

    def agreement(self, first: np.ndarray, second: np.ndarray) -> float:
        """The share of images on which both choose the same class."""
        return float((first.argmax(axis=1) == second.argmax(axis=1)).mean())

    def remarks(self, metrics: Metrics) -> Iterator[str]:
        yield from super().remarks(metrics)
        common, balanced = (metrics.figures.get(name) for name in ("top1", "balanced_accuracy"))
        if common is not None and balanced is not None and common - balanced > FAR_BELOW:
            yield (
                f"Balanced accuracy, the mean recall of the classes, is {balanced:.2%} and top-1 {common:.2%}: rare "
                "classes are recognised less often than common ones. More images of them help, and training with "
                "--sampling balanced or --class-weights balanced (in a Recipe sampling, class_weights)."
            )

    def class_metrics(self, answers: Answers) -> tuple[ClassMetrics, ...]:
        return class_rows(answers, ClassMetrics)

    def confusion(self, answers: Answers) -> np.ndarray:
        from sklearn.metrics import confusion_matrix

        every: Any = np.arange(self.outputs)
        return confusion_matrix(answers.labels, answers.decisions, labels=every)

    def draw(self, metrics: Metrics, title: str, path: Path) -> None:
        """The confusion matrix: rows are true classes, shades their shares, numbers images. Args: as `Task.draw`."""
        from keras_resnet.pictures import new_figure, save, short

        confusion, count = metrics.confusion, self.outputs
        assert confusion is not None
        side = min(max(5.0, 0.55 * count), 22.0)
        figure = new_figure(side + 1.5, side)
        axes = figure.subplots()
        parts = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
        picture = axes.imshow(parts, cmap="Blues", vmin=0, vmax=1)
        figure.colorbar(picture, label="share of the true class", fraction=0.046)
        axes.set(title=title, xlabel="predicted class", ylabel="true class")
        if count <= LABELLED_CLASSES:
            names = [short(name) for name in self.class_names]
            axes.set_xticks(range(count), names, rotation=90 if max(map(len, names)) > 2 else 0)
            axes.set_yticks(range(count), names)
            for row, column in zip(*np.nonzero(confusion), strict=True):
                colour = "white" if parts[row, column] > 0.5 else "black"
                number = str(confusion[row, column])
                axes.text(column, row, number, ha="center", va="center", color=colour, fontsize=9)
        save(figure, path)
