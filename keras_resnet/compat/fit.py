"""What `model.fit` keeps to itself: where it begins, and the callbacks that it calls."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf


def begin_at(model: keras.Model, epoch: int | None) -> None:
    """Let the `fit` that has just called `on_train_begin` begin with a later epoch.

    Keras's own `BackupAndRestore` does it this way. Nobody clears it, so that a later `fit` would begin there, too.

    Args:
        model: That is being trained.
        epoch: Counted from 0; None: where `fit` was told to.
    """
    model._initial_epoch = epoch


def build_for(model: keras.Model, dataset: tf.data.Dataset) -> None:
    """Make the variables of a compiled model's metrics, which `fit` makes with the first batch.

    Args:
        model: Compiled.
        dataset: Whose batches have the shapes and dtypes; none is read.
    """
    batch = keras.tree.map_structure(lambda spec: tf.TensorSpec(spec.shape, spec.dtype), dataset.element_spec)
    model._symbolic_build(data_batch=batch)


def callbacks_of_this_fit() -> Sequence[keras.callbacks.Callback]:
    """The callbacks of the `fit` that is calling one of them now, in their order; none if it cannot be told.

    Keras shows callbacks the model and not each other.
    """
    frame = sys._getframe(1)
    while frame is not None:
        owner: Any = frame.f_locals.get("self")
        if isinstance(owner, keras.callbacks.CallbackList):
            return tuple(owner.callbacks)
        frame = frame.f_back  # type: ignore[assignment]
    return ()


def arguments_of_this_fit(model: keras.Model) -> Mapping[str, Any]:
    """What the `fit` that is calling a callback was told, by the names of its arguments; none if it cannot be seen.

    A callback is told `epochs` and `steps`, and neither the data nor whether there is a validation, without which what
    it was asked for may be impossible.
    """
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is model:
            return {**frame.f_locals}
        frame = frame.f_back  # type: ignore[assignment]
    return {}


def is_lower_better(metric: keras.metrics.Metric) -> bool | None:
    """Whether a metric falls as a model gets better, which Keras knows of its own metrics; None: nobody knows."""
    direction = getattr(metric, "_direction", None)
    return None if direction is None else direction == "down"
