"""A linear probe: logistic regression of a trained network's features, its penalty chosen by cross-validation.

Alain & Bengio, Understanding intermediate layers using linear classifier probes, 2016; as a way to use a network for
other images: Kornblith, Shlens & Le, Do Better ImageNet Models Transfer Better?, 2019.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np

from keras_resnet.errors import DataError
from keras_resnet.tasks.shares import log_softmax
from keras_resnet.tasks.task import Metrics, Task

FOLDS = 5
STRENGTHS = tuple(float(10**exponent) for exponent in np.arange(-4.0, 1.01, 0.5))
"""How much the images count beside the penalty, from little to much: `C` of scikit-learn, of features that have a
standard deviation of 1."""
PATIENCE = 2
"""After so many strengths that were worse than the best one, stronger ones are not tried."""
ITERATIONS = 300
TOLERANCE = 1e-3
"""Of the gradient: classes no longer change beyond it."""


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """A linear classifier of features.

    Args:
        kernel: float32 (features, outputs).
        bias: float32 (outputs,).
        strength: How much the images counted beside the penalty, one of `STRENGTHS`.
        task: What it answers.
        labels: Of the images that it was made from.
        held_out: float32 (images, outputs): the logits of each of these images by a probe that was made without it;
            None where they are too few for that.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float
    task: Task
    labels: np.ndarray
    held_out: np.ndarray | None

    def logits(self, features: np.ndarray) -> np.ndarray:
        """What it answers.

        Args:
            features: float (n, features).

        Returns:
            float32 (n, outputs).
        """
        return (features @ self.kernel + self.bias).astype(np.float32)

    @cached_property
    def metrics(self) -> Metrics | None:
        """How good it is on images that it was not made from, with intervals; None where they are too few."""
        return None if self.held_out is None else self.task.evaluate(self.held_out, self.labels)

    def assign_to(self, network: keras.Model) -> None:
        """Make it the classifier of the network whose features it was made from.

        Args:
            network: Whose last `Dense` layer is its classifier, of as many outputs.
        """
        classifier = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)][-1]
        classifier.kernel.assign(self.kernel)
        classifier.bias.assign(self.bias)


def linear_probe(
    features: np.ndarray,
    labels: np.ndarray,
    task: Task,
    *,
    groups: np.ndarray | None = None,
    balanced: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> LinearProbe:
    """Make a linear classifier of features.

    The strength of the penalty is the one with the least loss on images that were held out.

    Args:
        features: float (n, features); or (n, views, features), of several views of each image, as mirrored: it learns
            from all, and where it is judged, their predictions are averaged.
        labels: As the task has them, n of them.
        task: What is asked.
        groups: int (n,): images of one group are held out together; None: each by itself.
        balanced: Whether all classes count as much, however many images they have.
        seed: Of the folds.
        progress: Called with the fits that are done and the most that there will be.

    Raises:
        DataError: There are no images, or they are all of one class.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data("digits", limit=200)
        >>> network = keras_resnet.ResNet8(num_classes=10, input_shape=(16, 16, 1), seed=0)
        >>> features = keras_resnet.image_features(network, digits.train, cached=False)
        >>> probe = keras_resnet.linear_probe(features, digits.train.labels, digits.task)
        >>> probe.assign_to(network)
        >>> probe.metrics.images
        140
    """
    if not len(features) or not _classes_differ(labels):
        raise DataError("a linear probe needs images of two classes or more")
    count, views = len(features), features.shape[1] if features.ndim == 3 else 1
    features = features.reshape(count * views, -1)
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    scale = np.where(scale > 1e-6 * max(float(scale.max()), 1e-12), scale, np.inf)  # what never changes says nothing
    standard = ((features - mean) / scale).astype(np.float32)
    small, turn = _turned(standard)
    folds = _folds(labels, groups, seed)
    most = len(STRENGTHS) * len(folds) + 1
    best, best_loss, held_out, worse = STRENGTHS[len(STRENGTHS) // 2], np.inf, None, 0
    small = small.reshape(count, views, -1)
    paths = [_Path(_rows(small[train]), np.repeat(labels[train], views, axis=0), task, balanced) for train, _ in folds]
    for number, strength in enumerate(STRENGTHS if folds else ()):
        logits = np.zeros((len(labels), task.outputs), np.float32)
        for fold, (path, (_, test)) in enumerate(zip(paths, folds, strict=True)):
            path.fit(strength)
            seen = [path.logits(small[test, view]) for view in range(views)]
            logits[test] = seen[0] if views == 1 else task.mean_logits(seen)
            if progress:
                progress(number * len(folds) + fold + 1, most)
        loss = _loss(logits, labels, balanced)
        if loss < best_loss:
            best, best_loss, held_out, worse = strength, loss, logits, 0
        else:
            worse += 1
        if worse == PATIENCE:
            break
    whole = _Path(_rows(small), np.repeat(labels, views, axis=0), task, balanced)
    whole.fit(best)
    if progress:
        progress(most, most)
    kernel = (turn @ whole.kernel) / scale[:, None]
    bias = whole.bias - mean @ kernel
    return LinearProbe(kernel.astype(np.float32), bias.astype(np.float32), best, task, labels, held_out)


class _Path:
    """Logistic regression of the same images with one strength after the other, each beginning where the last ended."""

    def __init__(self, features: np.ndarray, labels: np.ndarray, task: Task, balanced: bool) -> None:
        from sklearn.linear_model import LogisticRegression

        self.features, self.outputs = features, task.outputs
        self.kernel = np.zeros((features.shape[1], task.outputs))
        self.bias = np.zeros(task.outputs)
        columns = [labels] if labels.ndim == 1 else list(labels.T)
        self._parts = [
            (column, LogisticRegression(warm_start=True, max_iter=ITERATIONS, tol=TOLERANCE,
                                        class_weight="balanced" if balanced else None))
            for column in columns
        ]  # fmt: skip

    def fit(self, strength: float) -> None:
        from sklearn.exceptions import ConvergenceWarning

        for number, (labels, model) in enumerate(self._parts):
            there = np.unique(labels)
            if len(there) == 1:  # in multi-label: all images have the class, or none
                self.bias[number] = np.log(len(labels) + 1) * (1 if there[0] else -1)
                continue
            model.C = strength
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # it is good enough, and goes on at the next
                model.fit(self.features, labels)
            kernel, bias = model.coef_.T, model.intercept_
            if labels is not self._parts[0][0] or len(self._parts) > 1:
                self.kernel[:, number], self.bias[number] = kernel[:, 0], bias[0]
            else:
                self._take(there, kernel, bias)

    def _take(self, there: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> None:
        if len(there) == 2:  # scikit-learn has one column then
            kernel, bias = np.hstack([-kernel / 2, kernel / 2]), np.array([-bias[0] / 2, bias[0] / 2])
        self.bias[:] = bias.min() - np.log(len(self.features) + 1)  # classes of which there is no image
        self.kernel[:, there], self.bias[there] = kernel, bias

    def logits(self, features: np.ndarray) -> np.ndarray:
        return (features @ self.kernel + self.bias).astype(np.float32)


def _rows(features: np.ndarray) -> np.ndarray:
    """All views of all images one after the other."""
    return features.reshape(-1, features.shape[-1])


def _turned(standard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The features in the axes that the images span, and these axes: where there are fewer images than features.

    The penalty is the same in any axes that are at right angles, and so is the result.
    """
    count, width = standard.shape
    if count >= width:
        return standard, np.eye(width)
    squares, axes = np.linalg.eigh(standard.astype(np.float64) @ standard.T.astype(np.float64))
    kept = squares > 1e-9 * max(squares.max(), 1e-12)
    lengths = np.sqrt(squares[kept])
    turn = standard.T.astype(np.float64) @ (axes[:, kept] / lengths)
    return (axes[:, kept] * lengths).astype(np.float32), turn


def _folds(labels: np.ndarray, groups: np.ndarray | None, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and held-out positions; none where every class, or group, has too few."""
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    single = labels.ndim == 1
    counts = np.unique(labels, return_counts=True)[1] if single else np.array([len(labels)])
    numerous = int(counts[counts >= 2].min()) if (counts >= 2).sum() > 1 or not single else 0
    if groups is not None:
        numerous = min(len(labels) if not single else max(numerous, 2), len(np.unique(groups)))
    number = min(FOLDS, numerous)
    if number < 2:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer images than folds is in some of them only
        if groups is not None and single:
            split = StratifiedGroupKFold(number, shuffle=True, random_state=seed).split(labels, labels, groups)
        elif groups is not None:
            split = GroupKFold(number, shuffle=True, random_state=seed).split(labels, groups=groups)
        elif single:
            split = StratifiedKFold(number, shuffle=True, random_state=seed).split(labels, labels)
        else:
            split = KFold(number, shuffle=True, random_state=seed).split(labels)
        pairs = list(split)
    return pairs if all(_classes_differ(labels[train]) for train, _ in pairs) else []


def _classes_differ(labels: np.ndarray) -> bool:
    return labels.ndim > 1 or len(np.unique(labels)) > 1


def _loss(logits: np.ndarray, labels: np.ndarray, balanced: bool) -> float:
    wide = logits.astype(np.float64)
    if labels.ndim > 1:
        return float((np.logaddexp(0, wide) - wide * labels).mean())
    losses = -log_softmax(wide)[np.arange(len(labels)), labels]
    if not balanced:
        return float(losses.mean())
    return float(np.mean([losses[labels == one].mean() for one in np.unique(labels)]))
