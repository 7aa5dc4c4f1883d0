"""The labels that libraries give, as this package has them."""

from __future__ import annotations

import numpy as np

from keras_resnet.errors import DataError


def class_numbers(labels: np.ndarray) -> np.ndarray:
    """The number of each image's class, however it is written.

    Args:
        labels: Whole numbers, (n,) or (n, 1) as `keras.datasets` gives them, of any dtype; or one-hot, (n, classes).

    Returns:
        int64 (n,).

    Raises:
        DataError: They are anything else.
    """
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] > 1:
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise DataError(
                "labels of two axes must be one-hot, one 1 in each row, and these are not: mixed or smoothed labels "
                'have no class; for images of several classes give task="multi-label"'
            )
        return labels.argmax(axis=1).astype(np.int64)
    if labels.ndim == 2:
        labels = labels[:, 0]
    numeric = labels.dtype.kind in "biuf"
    if labels.ndim != 1 or not numeric or not np.isfinite(labels).all() or (labels != np.floor(labels)).any():
        raise DataError(
            f"labels must be whole numbers, (images,) or (images, 1), or one-hot, (images, classes); received "
            f"{labels.dtype} {labels.shape}{_example(labels)}"
        )
    return labels.astype(np.int64)


def _example(labels: np.ndarray) -> str:
    if not labels.size:
        return ""
    return f", such as {labels.flat[0]!r}; numpy.unique(labels, return_inverse=True) numbers names"
