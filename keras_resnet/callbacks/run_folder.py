"""The run folder of a user's own `model.fit`: what `evaluate`, `export` and `predict` need of a training."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_resnet.atomic import remove_leftovers, storage_errors, write_with
from keras_resnet.callbacks.place import Place
from keras_resnet.data.images import ImageData, Split
from keras_resnet.errors import UsageError
from keras_resnet.inference.activation import logits_model
from keras_resnet.inference.unstamped import with_raw_pixels
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.runs.contents import KeptEpoch
from keras_resnet.runs.run import KEPT_IMAGES, Run, differences, is_run
from keras_resnet.weights.saving import save_model

UNKNOWN = "data of a script"
MOST_CHANGES = 3
"""Of a configuration that a message tells of."""
BUILT_ANEW = (
    "Keras numbers the models and layers of a process. Call keras.utils.clear_session() before you build the model "
    "anew in the same process, as in a notebook, or give the model and its layers names"
)


class RunFolder:
    """A run folder that a `fit` fills.

    Args:
        folder: The folder; made if it is missing.
        model: That is trained; a classifier of images is saved so that it can be evaluated, exported and asked.
        images: Its data, where they are known.
        epochs: As `fit` was told.
        names: Of the classes, where the images are not known; None: numbers.
        preprocessing: How images become what the model takes, where it does not do it itself; None: it does.

    Raises:
        UsageError: The folder holds another training, or something else.
    """

    def __init__(
        self,
        folder: Path,
        model: keras.Model,
        images: ImageData | None,
        epochs: int,
        names: tuple[str, ...] | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> None:
        self._images, self._names, self._preprocessing = images, names, preprocessing
        config = {
            "recipe": {"model": model.name, "epochs": epochs, "tta": "none"},
            "data": _source_of(images),
            "num_classes": None,
            "by": "keras_resnet.callbacks",
        }
        self.run = Run(folder)
        if is_run(folder) and self.run.status == "finished" and {**self.run.config} == config:
            return
        if is_run(folder):
            with storage_errors(folder):
                remove_leftovers(folder)
                remove_leftovers(self.run.checkpoints)
            _check_continues(self.run, config)
        self.run, continues = Run.start(folder, config)
        if continues and self.run.has_data and images is not None and self.run.fingerprint != images.fingerprint:
            raise UsageError(
                f"the data of {folder} have changed since the training began: restore them, or train into another "
                "folder"
            )
        if not self.run.has_data:
            found = self._classifier(model)
            self.run.record_data(images, found[1] if found else None)

    def finish(self, model: keras.Model, place: Place, monitored: str | None) -> None:
        """Save the model, with the weights that it has, and mark the run as finished.

        Args:
            model: The one that was trained.
            place: The end of its training.
            monitored: What chose the weights; None: they are the last.
        """
        found = self._classifier(model)
        if found is None:
            write_with(self.run.model, lambda temporary: _without_training(model).save(temporary))
        else:
            write_with(self.run.model, lambda temporary: save_model(found[0], temporary, found[1]))
            if self._images is not None:
                self.run.keep_images(few(self._images.train))
        images = len(self._images.validation) if self._images is not None else 0
        self.run.finish(kept_epoch(place, monitored, images))

    def _classifier(self, model: keras.Model) -> tuple[keras.Model, Preprocessing] | None:
        """The model for pixels of 0–255 and its preprocessing; None: it is no classifier of images."""
        try:
            raw, preprocessing = with_raw_pixels(model, self._preprocessing, logits_model(model))
        except UsageError:
            if self._preprocessing is not None:
                raise
            return None
        images, count = self._images, len(preprocessing.class_names)
        if images is not None and len(images.class_names) == count:
            preprocessing = replace(preprocessing, class_names=images.class_names, task=images.task.name)
        elif self._preprocessing is None and self._names is not None and len(self._names) == count:
            preprocessing = replace(preprocessing, class_names=self._names)
        return raw, preprocessing


def _without_training(model: keras.Model) -> keras.Model:
    """A model without its optimizer, where that is not a part of its class."""
    ends = getattr(model, "inputs", None), getattr(model, "outputs", None)
    return keras.Model(*ends) if all(ends) else model


def without_number(name: str) -> str:
    """A name without the numbers by which Keras tells the models and layers of a process apart: `dense_1/kernel`."""
    return re.sub(r"_\d+(?=/|$)", "", name)


def _check_continues(run: Run, config: dict[str, Any]) -> None:
    """Refuse a folder that holds another training than this one."""
    found: dict[str, Any] = {**run.config}
    changed = differences(found, config)
    if run.status not in ("finished", "unfinished") or (run.status == "unfinished" and not changed):
        return
    before, now = (str(one.get("recipe", {}).get("model", "")) for one in (found, config))
    if before != now and without_number(before) == without_number(now):
        raise UsageError(f"{run.path} holds the training of the model {before}, and this one is {now}: {BUILT_ANEW}")
    more = f"; and {len(changed) - MOST_CHANGES} more" if len(changed) > MOST_CHANGES else ""
    raise UsageError(
        f"{run.path} holds {'a finished' if run.status == 'finished' else 'an unfinished'} run of another "
        f"configuration ({'; '.join(changed[:MOST_CHANGES])}{more}). Train into another folder, or remove this one"
    )


def few(train: Split) -> np.ndarray:
    """The training images that a run keeps, from all over the split, uint8 (n, height, width, channels)."""
    return train.read(np.unique(np.linspace(0, len(train) - 1, KEPT_IMAGES).astype(np.int64)))


def kept_epoch(place: Place, metric: str | None, images: int) -> KeptEpoch | None:
    """The epoch whose weights the finished model has.

    Args:
        place: The end of the training.
        metric: What chose it; None: it is the last.
        images: Validation images, by which it was chosen.
    """
    if metric is None or place.best_value is None:
        return None
    return {
        "epoch": place.best_epoch,
        "metric": metric.removeprefix("val_"),
        "value": place.best_value,
        "split": "validation",
        "images": images,
    }


def _source_of(images: ImageData | None) -> dict[str, Any]:
    if images is None:
        return {"arrays": "", "name": UNKNOWN}
    if images.source is None:
        return {"arrays": images.fingerprint, "name": images.name}
    return dict(images.source.settings)


def is_finite(model: keras.Model) -> bool:
    """Whether a model's weights are numbers."""
    return all(math.isfinite(float(np.sum(one.numpy(), dtype=np.float64))) for one in model.weights)
