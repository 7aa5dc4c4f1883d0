"""Train a network by a recipe on a data set, into a run folder, going on where an earlier try stopped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.atomic import write_with
from keras_resnet.data.balance import class_weights, effective_number_weights, images_of_classes
from keras_resnet.data.images import DataSource, EncodedImages, ImageData
from keras_resnet.data.pipeline import evaluation_batches, pixel_statistics, steps_per_epoch, training_batches
from keras_resnet.data.source import Source, load_data
from keras_resnet.errors import DataError, UsageError
from keras_resnet.models.lookup import spec
from keras_resnet.models.resnet import build, check_input
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.runs.run import Run, free_run_folder
from keras_resnet.runs.stamp import write_stamp
from keras_resnet.training.callbacks import Checkpoints, StopOnNonFinite
from keras_resnet.training.checkpoint import load_checkpoint
from keras_resnet.training.optimizer import CoupledSGD, warmup_cosine
from keras_resnet.training.progress import Progress
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.recipes import recipe as recipe_named
from keras_resnet.weights.loading import load_weights

RUNS = Path("saved_models")


@dataclass(frozen=True)
class Plan:
    """A training that can begin: its recipe, its folder, and the configuration the folder records."""

    recipe: Recipe
    path: Path
    config: dict[str, Any]
    overwrite: bool
    num_classes: int | None


def plan(
    recipe: Recipe | str,
    source: DataSource | ImageData,
    out: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    num_classes: int | None = None,
    budget: dict[str, Any] | None = None,
) -> Plan:
    """Settle where and how to train, and refuse what cannot work before any image is read.

    Args and Raises: as `fit`; `budget` is recorded (see `budget_record`).
    """
    recipe = recipe_named(recipe) if isinstance(recipe, str) else recipe
    if num_classes is not None and num_classes < 1:
        raise UsageError(f"num_classes must be a whole number of at least 1; received {num_classes}")
    if isinstance(source, ImageData):
        name = source.name
        check_input(spec(recipe.model), source.train.images.shape)
    else:
        name, side = source.short_name, source.settings.get("image_size")
        if side:
            check_input(spec(recipe.model), (side, side, 3))
    config = configuration(recipe, source, num_classes) | ({"budget": budget} if budget else {})
    if out is not None:
        path = Path(out)
    elif overwrite:
        path = RUNS / f"{recipe.model}-{name}"
    else:
        path = free_run_folder(RUNS, f"{recipe.model}-{name}", config)
    Run.check_free(path, config, overwrite=overwrite)
    return Plan(recipe, path, config, overwrite, num_classes)


def configuration(recipe: Recipe, source: DataSource | ImageData, num_classes: int | None = None) -> dict[str, Any]:
    """What a run folder records of what was asked for, and a continued run is compared by."""
    arrays = isinstance(source, ImageData)
    settings = {"arrays": source.fingerprint, "name": source.name} if arrays else source.settings  # type: ignore[union-attr]
    return {"recipe": recipe.settings, "data": settings, "num_classes": num_classes}


def fit(
    recipe: Recipe | str,
    data: ImageData | Source | str,
    out: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    num_classes: int | None = None,
    verbose: bool = True,
) -> Run:
    """Train by a recipe. The same call on an unfinished run continues it after its last complete epoch.

    Args:
        recipe: A `Recipe`, or the name of one.
        data: A data set, a `Source`, or a source's name (`digits`, `folder:PATH`, `tfds:NAME`).
        out: The run folder. Default: `saved_models/<model>-<data>`, numbered while others hold it.
        overwrite: Replace a run that `out` holds.
        num_classes: What the number of classes in the data must be; None takes it from the data.
        verbose: Show progress on standard error.

    Returns:
        The finished run.

    Raises:
        UsageError: A setting is out of range, or `out` holds a finished or different run.
        DataError: The data cannot be read, or are not those the run began with.
        DivergedError: The loss became infinite or not a number.
        StorageError: The run folder cannot be written.
    """
    source = Source(data) if isinstance(data, str) else data
    origin = (source.source or source) if isinstance(source, ImageData) else source
    planned = plan(recipe, origin, out, overwrite=overwrite, num_classes=num_classes)
    with Progress(verbose) as progress:
        images = source if isinstance(source, ImageData) else load_data(source, progress.reading)
        return fit_planned(planned, images, progress)


def fit_planned(plan: Plan, data: ImageData, progress: Progress) -> Run:
    """Carry out a plan on the data it was made for. Raises: as `fit`."""
    if plan.num_classes not in (None, len(data.class_names)):
        raise DataError(
            f"the labels of {data.name} do not fit the model: {len(data.class_names)} classes in the data, "
            f"num_classes={plan.num_classes}"
        )
    if not len(data.train) or not len(data.validation):
        raise DataError(f"{data.name} lacks training or validation images")
    recipe, preprocessing = plan.recipe, preprocessing_for(data)
    if recipe.sampling == "balanced" or recipe.class_weights != "none":
        images_of_classes(data.train.labels, len(data.class_names))  # refuse before an old run is replaced
    model = build(
        spec(recipe.model),
        preprocessing=preprocessing,
        classifier_activation=None,
        dropout=recipe.dropout,
        seed=recipe.seed,
    )
    run, continues = Run.start(plan.path, plan.config, overwrite=plan.overwrite)
    if not continues or not run.has_data:
        run.record_data(data, preprocessing)
    elif run.fingerprint != data.fingerprint:
        raise DataError(
            f"the data of {run.path} have changed since it began: their fingerprint is {data.fingerprint[:12]}, "
            f"was {run.fingerprint[:12]}. Restore them, or begin anew by --overwrite"
        )
    train(model, recipe, data, run, progress)
    return run


def preprocessing_for(data: ImageData) -> Preprocessing:
    """Normalisation by the training images' own mean and standard deviation."""
    mean, std = pixel_statistics(data.train)
    height, width, channels = data.train.images.shape
    bare = Preprocessing((height, width), channels, (mean,) * channels, (std,) * channels, data.class_names)
    fit = data.fit
    if fit is None:
        return bare
    return replace(bare, resize=fit.resize, crop_fraction=fit.crop_fraction, background=fit.background)


def train(model: keras.Model, recipe: Recipe, data: ImageData, run: Run, progress: Progress) -> None:
    """Train into a run folder from its last checkpoint on, and leave the best weights in the model."""
    steps = steps_per_epoch(data.train, recipe.batch_size)
    compile_for(model, recipe, steps)
    checkpoints = Checkpoints(run, model.optimizer)
    if run.last.exists():
        checkpoints.restore(model, *load_checkpoint(model, run.last))
    first = checkpoints.epochs_done
    progress.begin(recipe, data, run, first, steps)
    classes = len(data.class_names)
    batches = training_batches(
        data.train,
        classes,
        recipe.batch_size,
        recipe.policy,
        seed=recipe.seed,
        first_epoch=first,
        epochs=recipe.epochs,
        sampling=recipe.sampling,
        class_weights=weights_of_classes(recipe, data),
    )
    if first < recipe.epochs:
        with data_errors(data):
            model.fit(
                batches,
                initial_epoch=first,
                epochs=recipe.epochs,
                steps_per_epoch=steps,
                validation_data=evaluation_batches(data.validation, classes, 256),
                callbacks=[StopOnNonFinite(run), checkpoints, progress],
                shuffle=False,  # the order is the pipeline's
                verbose=0,
            )
    load_weights(model, run.best)
    write_with(run.model, lambda temporary: save_model(model, temporary, run.preprocessing))
    run.finish()


def weights_of_classes(recipe: Recipe, data: ImageData) -> np.ndarray | None:
    """What the recipe lets each class count in the loss; None: the same."""
    if recipe.class_weights == "none":
        return None
    labels, classes = data.train.labels, len(data.class_names)
    if recipe.class_weights == "balanced":
        return class_weights(labels, classes)
    return effective_number_weights(labels, classes, beta=0.999)


@contextmanager
def data_errors(data: ImageData) -> Iterator[None]:
    """An image that can be read no longer in the middle of a training, in its own words instead of tf.data's."""
    try:
        yield
    except tf.errors.OpError:
        for split in data.splits.values():
            if isinstance(split.images, EncodedImages) and split.images.failures:
                raise split.images.failures[0] from None
        raise


def compile_for(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Give a model the recipe's optimizer, loss and metric."""
    schedule = warmup_cosine(recipe.learning_rate, recipe.epochs * steps, round(recipe.warmup_epochs * steps))
    optimizer = CoupledSGD(
        schedule, momentum=recipe.momentum, nesterov=recipe.momentum > 0, coupled_weight_decay=recipe.weight_decay
    )
    optimizer.build(model.trainable_variables)
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        jit_compile=False,  # on a CPU it costs seconds of compiling and gains nothing at these sizes
    )


def save_model(model: keras.Model, path: str | os.PathLike[str], preprocessing: Preprocessing) -> None:
    """Save a model as a `.keras` file with its preprocessing inside; `keras.models.load_model` reads it too.

    Args:
        model: Raw pixels in, logits out.
        path: Ends in `.keras`.
        preprocessing: Put into the file.
    """
    # Without the training state, which needs this package's optimizer to load and triples the size.
    bare = keras.Model(model.inputs, model.outputs, name=model.name)
    bare.save(path)
    write_stamp(Path(path), preprocessing)
