"""The handwritten digits that ship with scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_resnet.data.sources.listing import Blob, Listing, bitmap
from keras_resnet.tasks.table import task as task_named


def list_digits(task: str = "classification") -> Listing:
    """The 1,797 handwritten digits of 8×8 pixels that ship with scikit-learn (UCI, Alpaydin & Kaynak).

    Args:
        task: The name of one in which each image has one label.
    """
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return Listing(
        contents=Blob.of(bitmap(image) for image in pixels),
        names=tuple(f"{number:06d}" for number in range(len(pixels))),
        labels=bunch.target.astype(np.int64),
        task=task_named(task, tuple(str(digit) for digit in range(10))),
    )
