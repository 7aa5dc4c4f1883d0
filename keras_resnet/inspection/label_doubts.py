"""Find labels that may be wrong: those that a simple model, trained on the other images, confidently contradicts."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from keras_resnet.data.splits.divide import stratified_subset
from keras_resnet.inspection.confident_learning import contradicted

MOST_IMAGES = 10_000
FOLDS = 5
SURE = 0.8
"""The least probability of another class, however unsure the model is of that class elsewhere."""
COMPONENTS = 100
PENALTY = 10.0
CELLS, DIRECTIONS = 4, 8


@dataclass(frozen=True)
class Doubts:
    """The labels that the model doubts.

    Args:
        positions: int64 (k,): images with doubted labels, the most doubtful first.
        suggested: int64 (k,): the label that the model suggests instead.
        probability: float (k,): the model's probability of that label.
        looked_at: The number of images that the model was asked about.
        accuracy: The share of labels that the model agrees with.
        sure: The number of images of whose class, whichever it is, the model is sure.
        reason: Why labels could not be checked; empty if they were.
    """

    positions: np.ndarray
    suggested: np.ndarray
    probability: np.ndarray
    looked_at: int
    accuracy: float = 0.0
    sure: int = 0
    reason: str = ""


def label_agreement(thumbnails: np.ndarray, labels: np.ndarray, seed: int = 0) -> tuple[float, float, int]:
    """How far a simple model agrees with labels, and how far it would if they had nothing to do with the images.

    Args:
        thumbnails, labels, seed: As `doubt_labels`.

    Returns:
        The share of labels that it agrees with on images that it was not trained on, that of the most frequent label,
        and the number of images; 0 images if two classes with `FOLDS` images or more are lacking.
    """
    kept, given, _ = _numerous(labels, seed)
    if not len(kept):
        return 0.0, 0.0, 0
    found = _out_of_fold(_features(thumbnails[kept]), given, seed).argmax(axis=1)
    return float((found == given).mean()), float(np.bincount(given).max() / len(given)), len(given)


def doubt_labels(
    thumbnails: np.ndarray, labels: np.ndarray, seed: int = 0, vectors: np.ndarray | None = None
) -> Doubts:
    """Find labels that a simple model doubts.

    Args:
        thumbnails: uint8 (n, 32, 32, 3).
        labels: int64 (n,).
        seed: Of the folds, and of the random choice among more than `MOST_IMAGES`.
        vectors: float (n, features): what a trained network sees in the images, which the model goes by then; None: it
            goes by the edges and colours of the thumbnails.
    """
    kept, given, classes = _numerous(labels, seed)
    if not len(kept):
        return _nothing(0, f"at least two classes with {FOLDS} images or more are needed")
    features = _features(thumbnails[kept]) if vectors is None else vectors[kept]
    probabilities = _out_of_fold(features, given, seed)
    accuracy = float((probabilities.argmax(axis=1) == given).mean())
    guessing = float(np.bincount(given).max() / len(given))
    if 1 - accuracy > (1 - guessing) / 2:  # it must make at most half of the mistakes of guessing
        reason = f"a simple model agrees with only {accuracy:.0%} of the labels, and guessing with {guessing:.0%}"
        return _nothing(len(kept), reason, accuracy)
    found = contradicted(probabilities, given, SURE)
    return Doubts(
        positions=kept[found.positions],
        suggested=classes[found.suggested],
        probability=found.probability,
        looked_at=len(kept),
        accuracy=accuracy,
        sure=found.sure,
    )


def _numerous(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The images whose class has one for each fold, at most `MOST_IMAGES`; none if there are not two such classes.

    Returns:
        Their positions; their labels, counted anew from 0; and which labels these were.
    """
    counts = np.bincount(labels)
    kept = np.flatnonzero(counts[labels] >= FOLDS)
    if len(np.unique(labels[kept])) < 2:
        kept = kept[:0]
    if len(kept) > MOST_IMAGES:
        kept = kept[stratified_subset(labels[kept], MOST_IMAGES, len(counts), seed)]
        kept = kept[np.bincount(labels[kept])[labels[kept]] >= FOLDS]
    classes, given = np.unique(labels[kept], return_inverse=True)
    return kept, given, classes


def _nothing(looked_at: int, reason: str, accuracy: float = 0.0) -> Doubts:
    none = np.arange(0)
    return Doubts(none, none, np.zeros(0), looked_at, accuracy, reason=reason)


def _out_of_fold(features: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """For each image, the probabilities by a model that was trained without it."""
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    components = min(COMPONENTS, features.shape[1], len(labels) - len(labels) // FOLDS - 1)
    model = make_pipeline(
        StandardScaler(), PCA(components, random_state=seed), LogisticRegression(C=1 / PENALTY, max_iter=200)
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    # One thread multiplies such small matrices fastest: beside other programs, two threads took forty times as long.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a nearly optimal fit is good enough here
        return cross_val_predict(model, features, labels, cv=folds, method="predict_proba")


def _features(thumbnails: np.ndarray) -> np.ndarray:
    """float32 (n, 320): the strength of edges in each direction and cell, and the colours of 8×8 pixels."""
    parts = [thumbnails[start : start + 1024] for start in range(0, len(thumbnails), 1024)]
    return np.concatenate([np.concatenate([_edges(part), _pooled(part / 64.0, 8)], axis=1) for part in parts])


def _edges(thumbnails: np.ndarray) -> np.ndarray:
    grey = np.pad(thumbnails @ np.array([0.299, 0.587, 0.114]), ((0, 0), (1, 1), (1, 1)), mode="edge")
    across, down = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2], grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    direction = np.floor(np.arctan2(down, across) / (2 * np.pi) * DIRECTIONS).astype(np.int64) % DIRECTIONS
    strength = np.hypot(across, down)[..., None] * (direction[..., None] == np.arange(DIRECTIONS))
    cells = _pooled(strength, CELLS)
    return np.sqrt(cells / (cells.mean(axis=1, keepdims=True) + 1))  # independent of the contrast


def _pooled(images: np.ndarray, side: int) -> np.ndarray:
    """Average images (n, height, width, channels) to `side`×`side` pixels, one row for each image."""
    count, height, width, channels = images.shape
    cells = images.reshape(count, side, height // side, side, width // side, channels).mean(axis=(2, 4))
    return cells.reshape(count, -1).astype(np.float32)
