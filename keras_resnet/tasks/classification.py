"""One class an image: softmax, cross-entropy, top-1. Labels are whole numbers (n,), 0 … number of classes - 1."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.errors import DataError
from keras_resnet.tasks import ranking
from keras_resnet.tasks.calibration import mean_log_loss
from keras_resnet.tasks.confidence import CONFIDENCE_METRICS
from keras_resnet.tasks.intervals import Estimate, bounded_interval, share_interval
from keras_resnet.tasks.ranking import mean_of
from keras_resnet.tasks.shares import log_mean_exp, log_softmax, softmax
from keras_resnet.tasks.task import Answers, ClassMetrics, Confused, Metric, Metrics, Task, class_rows, wholly_right

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

FAR_BELOW = 0.1
"""Balanced accuracy this far below top-1 shows that rare classes are recognised less often than common ones."""
MOST_CLASSES = 1_000_000
"""The most classes that are named by their numbers: names for numbers up to 2⁴⁰ would fill the memory."""
MOST_CONFUSED = 10
"""Pairs of classes that are listed."""
LABELLED_CLASSES = 40
"""With more classes than these, their names and the numbers in the cells would only blacken the picture."""


def top1(answers: Answers) -> float:
    """The share of images whose class has the largest logit."""
    return float(answers.right.mean())


def balanced_accuracy(answers: Answers) -> Estimate:
    """The mean recall of the classes that some image has, as scikit-learn's `balanced_accuracy_score` has it."""
    images = np.bincount(answers.labels)
    known = images > 0
    recall = np.bincount(answers.labels, answers.right) / np.maximum(images, 1)
    value, classes = float(recall[known].mean()), int(known.sum())
    influences = (answers.right - recall[answers.labels]) * len(answers.labels) / (classes * images[answers.labels])
    # Of classes of equal size it is a share of all images; of others it hangs on the images of the smallest.
    units = classes**2 / (1 / images[known]).sum()
    return Estimate(value, bounded_interval(value, influences, answers.groups, units=units))


def in_first_five(answers: Answers) -> np.ndarray:
    """Which images have their class among the five largest logits; of equal ones the first count as larger."""
    logits, labels = answers.logits, answers.labels[:, None]
    own = np.take_along_axis(logits, labels, axis=1)
    before = (logits > own) | ((logits == own) & (np.arange(logits.shape[1]) < labels))
    return before.sum(axis=1) < 5


def top5(answers: Answers) -> float | None:
    """The share of images whose class is among the five largest logits; None with five classes or fewer."""
    return None if answers.task.outputs <= 5 else float(in_first_five(answers).mean())


def roc_auc(answers: Answers) -> Estimate | None:
    """The mean area under the ROC curve of each class against the others, by its probability.

    The mean is over the classes that some images have and others do not, as the macro average of scikit-learn's
    `roc_auc_score` with `multi_class="ovr"`.
    """
    found = mean_of(ranking.roc_auc(scores, positive) for scores, positive in _one_against_rest(answers))
    return None if found is None else found.estimate(answers.groups)


def average_precision(answers: Answers) -> Estimate | None:
    """The mean over the classes that some image has: the macro average of scikit-learn's `average_precision_score`."""
    found = mean_of(ranking.average_precision(scores, positive) for scores, positive in _one_against_rest(answers))
    return None if found is None else found.estimate(answers.groups)


def _one_against_rest(answers: Answers) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The scores of each class, and which images have it."""
    logs = np.asfortranarray(log_softmax(answers.logits.astype(np.float64)))  # probabilities near 1 would be equal
    for number in np.unique(answers.labels):
        yield logs[:, number], answers.labels == number


def log_loss(answers: Answers) -> Estimate:
    """The mean negative log-likelihood of the true classes, in nats."""
    losses = -np.take_along_axis(log_softmax(answers.logits.astype(np.float64)), answers.labels[:, None], axis=1)[:, 0]
    return mean_log_loss(losses, ~answers.right, answers.groups)


METRICS = {
    "top1": Metric("top-1", top1, hits=wholly_right),
    "balanced_accuracy": Metric("balanced accuracy", balanced_accuracy),
    "top5": Metric("top-5", top5, hits=in_first_five),
    "roc_auc": Metric("area under ROC, mean of the classes", roc_auc, "{:.4f}"),
    "average_precision": Metric("average precision, mean of the classes", average_precision, "{:.4f}"),
    "log_loss": Metric("log loss", log_loss, "{:.4f}"),
    **CONFIDENCE_METRICS,
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

    def members(self, labels: np.ndarray, number: int) -> np.ndarray:
        return np.flatnonzero(labels == number)

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

    def confused(self, answers: Answers) -> Iterator[Confused]:
        labels, decisions, names = answers.labels, answers.decisions, self.class_names
        wrong = labels != decisions
        pairs, counts = np.unique(labels[wrong] * self.outputs + decisions[wrong], return_counts=True)
        for place in np.argsort(-counts, kind="stable")[:MOST_CONFUSED]:
            true, said = divmod(int(pairs[place]), self.outputs)
            of = labels == true
            taken = decisions[of] == said
            interval = share_interval(taken, None if answers.groups is None else answers.groups[of])
            yield Confused(names[true], names[said], int(counts[place]), float(taken.mean()), interval)

    def statements(self, answers: Answers) -> tuple[np.ndarray, np.ndarray]:
        """That an image shows the class that the model decides for."""
        return self.confidence(answers), answers.right

    def confidence(self, answers: Answers) -> np.ndarray:
        """The probability of the class that the model decides for."""
        return np.take_along_axis(answers.probabilities, answers.decisions[:, None], axis=1)[:, 0]

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
