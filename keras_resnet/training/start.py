"""Networks that no recipe builds: trained ones to go on with, for integers or with less in it; others; teachers."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_resnet.atomic import write_with
from keras_resnet.compression.channel_pruning import prune_channels
from keras_resnet.data.images import ImageData
from keras_resnet.errors import DataError, ModelError, UsageError, listed
from keras_resnet.inference.predictors import KerasPredictor, open_predictor
from keras_resnet.models.quantization_aware import quantization_aware
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.regular_files import read_bytes
from keras_resnet.runs.run import Run, is_run
from keras_resnet.training.recipe import Recipe
from keras_resnet.weights.keras_archive import load_archive
from keras_resnet.weights.saving import save_model

FILE = "start.keras"
"""In the folder of a run that is not finished: what it began with, which other files may not hold any more."""
IMAGES = 256
"""Of the training, on which ranges are found and channels weighed."""
MOST_BYTES = 2**31


@dataclass(frozen=True)
class Start:
    """What a training goes on with.

    Args:
        content: Of its `.keras` file.
        preprocessing: How images are prepared for it.
    """

    content: bytes
    preprocessing: Preprocessing

    def keep(self, folder: Path) -> None:
        """Leave it in a run's folder, unless it is there."""
        if not (folder / FILE).exists():
            write_with(folder / FILE, lambda temporary: temporary.write_bytes(self.content))

    def network(self) -> keras.Model:
        """The network, read from its file: a continued training has its layers in the same order."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / FILE
            path.write_bytes(self.content)
            return load_archive(path)


def start_of(recipe: Recipe, data: ImageData) -> Start | None:
    """What a training goes on with, made as its recipe says; None: it begins anew.

    Args:
        recipe: Names it.
        data: Of the training.

    Raises:
        UsageError: It is not finished, no Keras model, or cannot be trained on so.
        ModelError: It is missing or damaged.
        DataError: It has other classes or takes other images than the data have.
    """
    if not recipe.start:
        return None
    found = trained(recipe.start)
    _check_fits(found, data, recipe.start)
    images = data.train.read(np.unique(np.linspace(0, len(data.train) - 1, IMAGES).astype(np.int64)))
    network = found.model
    if recipe.keep < 1:
        network = prune_channels(network, recipe.keep, calibration=images.astype(np.float32), seed=recipe.seed)
    if recipe.qat:
        network = quantization_aware(network, images, learning=recipe.qat_ranges)
    return _kept(network, found.preprocessing)


def _kept(network: keras.Model, preprocessing: Preprocessing) -> Start:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        save_model(network, path, preprocessing)
        return Start(read_bytes(path, MOST_BYTES), preprocessing)


@dataclass(frozen=True)
class OtherNetwork:
    """A network to be trained that is no residual network of the table.

    Args:
        name: What the run and its report call it.
        build: preprocessing, seed → the network with its initial weights, of Keras's own layers: raw pixels (0–255) in,
            one logit a class out. The same seed gives the same weights.
    """

    name: str
    build: Callable[[Preprocessing, int], keras.Model]

    def check(self, recipe: Recipe) -> None:
        """Refuse what a recipe says of residual networks alone, before any image is read.

        Raises:
            UsageError: It names weights, a trained network or parts of one, or says how a residual network is built.
        """
        plain = Recipe(model=recipe.model)
        wrong = [name for name in OF_RESIDUAL_NETWORKS if getattr(recipe, name) != getattr(plain, name)]
        if wrong:
            raise UsageError(f"{self.name} is built and trained without {listed(wrong)}: leave it out of its recipe")

    def start(self, preprocessing: Preprocessing, seed: int) -> Start:
        """It with its initial weights.

        Args:
            preprocessing: Of the data.
            seed: Of the weights.
        """
        return _kept(self.build(preprocessing, seed), preprocessing)


OF_RESIDUAL_NETWORKS = (
    "weights", "probe", "head_epochs", "frozen", "layer_decay", "train_sizes", "precision", "recompute",
    "stochastic_depth", "dropout", "qat", "prune", "teacher",
)  # fmt: skip
"""Settings that say how a network of the table is built or begun."""


def start_in(folder: Path, preprocessing: Preprocessing) -> Start:
    """What the training in a run's folder began with, where that was no network built by its recipe.

    Args:
        folder: The run's.
        preprocessing: Of the run.

    Raises:
        ModelError: It cannot be read.
    """
    try:
        return Start(read_bytes(folder / FILE, MOST_BYTES), preprocessing)
    except OSError as error:
        raise ModelError(f"cannot read {folder / FILE}, which the training began with: {error.strerror}") from None


def teacher_of(recipe: Recipe, data: ImageData) -> keras.Model | None:
    """The teacher of a training: raw pixels in, logits out; None: it has none.

    Raises: as `start_of`.
    """
    if not recipe.teacher:
        return None
    found = trained(recipe.teacher)
    if found.preprocessing.class_names != data.class_names and not found.is_nameless:
        raise DataError(
            f"the teacher {recipe.teacher} tells other classes than {data.name} has: "
            f"{', '.join(found.preprocessing.class_names[:5])} …"
        )
    return found.model


def digest_of(path: str) -> str:
    """Of the file of a trained network: a training with another teacher is another training."""
    file = Run.at(path, finished=True).model if is_run(Path(path)) else Path(path)
    return hashlib.sha256(read_bytes(file, MOST_BYTES)).hexdigest()


def trained(path: str) -> KerasPredictor:
    """A finished run, or a `.keras` file.

    Raises:
        UsageError: It is another kind of file, or not finished.
        ModelError: It is missing or damaged.
    """
    found = open_predictor(path)
    if not isinstance(found, KerasPredictor):
        raise UsageError(f"{path} is an exported file, which cannot be trained or learned from: give a run or a .keras")
    return found


def _check_fits(found: KerasPredictor, data: ImageData, path: str) -> None:
    own, fit = found.preprocessing, data.fit
    if own.class_names != data.class_names and not found.is_nameless:
        raise DataError(f"{path} tells other classes than {data.name} has: {', '.join(own.class_names[:5])} …")
    if found.task.outputs != data.task.outputs:
        raise DataError(f"{path} tells {found.task.outputs} classes; {data.name} has {data.task.outputs}")
    if own.input_shape != data.train.images.shape or (fit is not None and not found.is_assumed and fit != own.fit):
        raise DataError(
            f"{path} takes images of {own.input_shape}, fitted in its own way; those of {data.name} are "
            f"{data.train.images.shape}: give the same source and image size that it was trained with"
        )
