"""How good a classifier is, and how sure we are, from its logits; by scikit-learn and SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from keras_resnet.errors import DataError


@dataclass(frozen=True)
class ClassMetrics:
    """One class's figures; shares in [0, 1], 0 where nothing was to be counted."""

    name: str
    precision: float
    recall: float
    f1: float
    images: int


@dataclass(frozen=True)
class Metrics:
    """A classifier's figures on one set of images.

    Args:
        images: How many.
        correct: How many were classified right.
        top1: Their share.
        top1_interval: The 95 % Wilson interval of that share.
        top5: Share with the right class among the first five; None with five classes or fewer.
        log_loss: Mean negative log-likelihood, in nats.
        classes: Each class's figures.
        confusion: int64 (classes, classes): rows are the true classes, columns the predicted.
    """

    images: int
    correct: int
    top1: float
    top1_interval: tuple[float, float]
    top5: float | None
    log_loss: float
    classes: tuple[ClassMetrics, ...]
    confusion: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "images": self.images,
            "correct": self.correct,
            "top1": self.top1,
            "top1_95%_interval": list(self.top1_interval),
            "top5": self.top5,
            "log_loss": self.log_loss,
            "classes": [vars(row) for row in self.classes],
            "confusion": self.confusion.tolist(),
        }


def classification_metrics(logits: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]) -> Metrics:
    """Compare logits with the true labels.

    Args:
        logits: float (n, number of classes).
        labels: int (n,).
        class_names: The classes in the order of the logits.

    Raises:
        DataError: There are no images, or shapes do not fit.
    """
    if logits.shape != (len(labels), len(class_names)) or not len(labels):
        raise DataError(
            f"expected logits of shape (number of labels, number of classes), at least one label; "
            f"received {logits.shape} for {len(labels)} labels and {len(class_names)} classes"
        )
    if not np.isfinite(logits).all():
        raise DataError("the model's outputs are not all finite numbers")
    predicted = logits.argmax(axis=1)
    correct = int((predicted == labels).sum())
    interval = binomtest(correct, len(labels)).proportion_ci(method="wilson")
    every = np.arange(len(class_names))
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0.0)
    rows = zip(class_names, precision, recall, f1, support, strict=True)
    return Metrics(
        images=len(labels),
        correct=correct,
        top1=correct / len(labels),
        top1_interval=(float(interval.low), float(interval.high)),
        top5=_top(5, logits, labels) if len(class_names) > 5 else None,
        log_loss=float(-log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels].mean()),
        classes=tuple(ClassMetrics(name, float(p), float(r), float(f), int(n)) for name, p, r, f, n in rows),
        confusion=confusion_matrix(labels, predicted, labels=every),
    )


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """The share of images on which two sets of logits choose the same class."""
    return float((first.argmax(axis=1) == second.argmax(axis=1)).mean())


def _top(count: int, logits: np.ndarray, labels: np.ndarray) -> float:
    best = np.argsort(-logits, axis=1, kind="stable")[:, :count]
    return float((best == labels[:, None]).any(axis=1).mean())
