"""Train a network by a recipe on a data set into a run folder, or continue the training that the folder holds."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_resnet.allowed import COUNT
from keras_resnet.atomic import remove_leftovers, storage_errors
from keras_resnet.augment.keras_layers import described
from keras_resnet.augment.policies import Policy
from keras_resnet.callbacks.checkpoint import CheckpointStore
from keras_resnet.callbacks.interruption import Interruption
from keras_resnet.callbacks.notes import notes_to
from keras_resnet.callbacks.tensorboard import require_tensorboard
from keras_resnet.data.balance import shown_classes
from keras_resnet.data.images import DataSource, ImageData
from keras_resnet.data.leakage import leak
from keras_resnet.data.loading import Data, in_memory, load_data
from keras_resnet.data.remarks import Remark, of_counts
from keras_resnet.display import Display
from keras_resnet.errors import DataError
from keras_resnet.json_files import parsed
from keras_resnet.models.resnet import check_input
from keras_resnet.models.variants import spec
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.runs.run import Run, free_run_folder, is_run, locked
from keras_resnet.settings import check_arguments
from keras_resnet.training.configuration import source_for
from keras_resnet.training.distribution import Distribution, distribution
from keras_resnet.training.loop import AT_FIRST, RecipeRun, Saving, TrainingLoop
from keras_resnet.training.network import CompiledNetwork, check_frozen, look_at_weights, preprocessing_for
from keras_resnet.training.processor import slowed_by
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.recipes import recipe as recipe_named
from keras_resnet.training.start import OtherNetwork, digest_of, start_in, start_of, teacher_of

RUNS = Path("saved_models")


@dataclass(frozen=True)
class Plan:
    """What a training needs before images are read: recipe, source, folder, and the settings that it records."""

    recipe: Recipe
    source: DataSource | ImageData
    path: Path
    config: dict[str, Any]
    overwrite: bool
    num_classes: int | None
    policy: Policy
    network: OtherNetwork | None = None


@check_arguments(num_classes=COUNT.or_none)
def plan(
    recipe: Recipe | str,
    source: DataSource | ImageData,
    out: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    num_classes: int | None = None,
    budget: dict[str, Any] | None = None,
    layers: Sequence[keras.Layer] = (),
    network: OtherNetwork | None = None,
) -> Plan:
    """Choose the folder and check the settings before any image is read.

    Args:
        recipe: As `fit`.
        source: Where the images come from, at the recipe's size (see `source_for`), or arrays.
        out, overwrite, num_classes: As `fit`.
        budget: What a run within a budget records, see `budget_record`.
        layers: As `fit`.
        network: What is trained in place of the recipe's network; the run records its name. None: that is.

    Raises:
        UsageError: As `fit`.
    """
    recipe = recipe_named(recipe) if isinstance(recipe, str) else recipe
    name = source.name if isinstance(source, ImageData) else source.short_name
    if network is not None:
        network.check(recipe)
    elif isinstance(source, ImageData):
        check_input(spec(recipe.model), source.train.images.shape)
    elif side := source.settings.get("image_size"):
        check_input(spec(recipe.model), (side, side, 3))
    check_frozen(recipe)
    policy = recipe.policy.then(layers)
    config = configuration(recipe, source, num_classes, network) | ({"budget": budget} if budget else {})
    config |= {"layers": described(layers)} if layers else {}
    config |= {"teacher": digest_of(recipe.teacher)} if recipe.teacher else {}
    called = network.name if network is not None else recipe.model
    if out is not None:
        path = Path(out)
    elif overwrite:
        path = RUNS / f"{called}-{name}"
    else:
        path = free_run_folder(RUNS, f"{called}-{name}", config)
    Run.check_free(path, config, overwrite=overwrite)
    return Plan(recipe, source, path, config, overwrite, num_classes, policy, network)


def configuration(
    recipe: Recipe,
    source: DataSource | ImageData,
    num_classes: int | None = None,
    network: OtherNetwork | None = None,
) -> dict[str, Any]:
    """What a run folder records of the settings; a run continues only with the same ones.

    Args:
        recipe: How the network is trained.
        source: Where the images come from, or the images.
        num_classes: What the number of classes must be; None: any.
        network: What is trained in place of the recipe's network; None: that is.
    """
    arrays = isinstance(source, ImageData)
    settings = {"arrays": source.fingerprint, "name": source.name} if arrays else source.settings  # type: ignore[union-attr]
    config = {"recipe": recipe.settings, "data": settings, "num_classes": num_classes}
    config |= {"network": network.name} if network is not None else {}
    return dict(parsed(json.dumps(config)))  # as it is read back: lists for tuples


def fit(
    recipe: Recipe | str,
    data: Data,
    out: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    num_classes: int | None = None,
    layers: Sequence[keras.Layer] = (),
    saving: Saving | None = None,
    tensorboard: bool = False,
    distribute: str = "none",
    verbose: bool = True,
) -> Run:
    """Train by a recipe. The same call on an unfinished run continues it and ends with the same bits.

    SIGTERM, SIGHUP and the first Ctrl-C write a checkpoint and stop; a second Ctrl-C ends the process at once, with 130
    and without `finally` (where there is a prompt, it raises KeyboardInterrupt). After a loss that is no number or
    jumps far up, weights, optimizer and average become those of the last checkpoint, and the rate is halved, up to
    three times; out of memory, it computes batches in parts.

    Args:
        recipe: A `Recipe`, or the name of one.
        data: A data set, a `Source`, a source's name (`digits`, `folder:PATH`, `tfds:NAME`), a `tf.data.Dataset` of
            (image, label), or a pair of arrays, (images, labels). The last two are divided as `from_arrays` does.
        out: The run folder. Default: `saved_models/<model>-<data>`, numbered while others hold it.
        overwrite: Replace a run that `out` holds.
        num_classes: What the number of classes in the data must be; None takes it from the data.
        layers: Keras or KerasCV preprocessing layers that training images pass after the recipe's own augmentation,
            on the 0–255 scale. The run records how they are configured; their seeds play no part.
        saving: When checkpoints are written; default: every epoch and every ten minutes.
        tensorboard: Also write the record as TensorBoard's event files, to `tensorboard/` in the folder.
        distribute: `none`; `mirrored`: over all GPUs of this machine; `multiworker`: over the processes
            that TF_CONFIG names, each of which makes this call and sees the same folder.
        verbose: Show progress: on standard error, or in the output of a notebook's cell.

    Returns:
        The finished run.

    Raises:
        UsageError: A setting is out of range, `out` holds a finished or different run, or another
            process trains into it.
        MissingExtraError: `tensorboard` is wanted and TensorBoard is not installed.
        DataError: The data cannot be read, or are not those the run began with.
        DivergedError: The loss became infinite, not a number, or jumped, and did so again.
        ModelError: Every checkpoint is damaged, or the recipe's weights do not fit.
        StorageError: The run folder cannot be written, or memory does not suffice.
        StoppedError: It was asked to stop and has; call again to go on.
    """
    if tensorboard:
        require_tensorboard()
    place = distribution(distribute)  # before anything uses TensorFlow
    recipe = recipe_named(recipe) if isinstance(recipe, str) else recipe
    data = in_memory(data, seed=recipe.seed)
    source = (data.source or data) if isinstance(data, ImageData) else source_for(recipe, data)
    planned = plan(recipe, source, out, overwrite=overwrite, num_classes=num_classes, layers=layers)
    with Display(verbose and place.is_chief) as display:
        images = data if isinstance(data, ImageData) else load_data(source, display.reading)  # type: ignore[arg-type]
        return fit_planned(planned, images, display, saving=saving, tensorboard=tensorboard, place=place)


def fit_planned(
    plan: Plan,
    data: ImageData,
    display: Display,
    *,
    saving: Saving | None = None,
    tensorboard: bool = False,
    place: Distribution | None = None,
) -> Run:
    """Train as planned.

    Args:
        plan: What `plan` settled.
        data: The images that the plan is for.
        display: Shows the training.
        saving: When checkpoints are written; None: every epoch and every ten minutes.
        tensorboard: Whether TensorBoard's event files are written, too.
        place: The devices; None: one.

    Raises: as `fit`.
    """
    if plan.num_classes not in (None, len(data.class_names)):
        raise DataError(
            f"the labels of {data.name} do not fit the model: {len(data.class_names)} classes in the data, "
            f"num_classes={plan.num_classes}"
        )
    if not len(data.train) or not len(data.validation):
        raise DataError(f"{data.name} lacks training or validation images")
    recipe = plan.recipe
    if recipe.sampling == "balanced" or recipe.class_weights != "none":
        shown_classes(data.train)  # refuse before an old run is replaced
    plan.policy.check((recipe.batch_size, *data.train.images.shape))
    if has_checkpoints(plan):
        # The checkpoint holds the weights. Their first file may have changed since, or be gone.
        recipe, preprocessing = recipe.without_weights(), Run(plan.path).preprocessing
        start = start_in(plan.path, preprocessing) if recipe.start or plan.network else None
    elif plan.network is not None:
        preprocessing = preprocessing_for(recipe, data)
        start = plan.network.start(preprocessing, recipe.seed)
    else:
        start = start_of(recipe, data)
        preprocessing = preprocessing_for(recipe, data) if start is None else start.preprocessing
    teacher = teacher_of(recipe, data)
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()  # or a continued run would not end with the same bits
    place = place or distribution("none")
    with place.scope():
        compiled = CompiledNetwork(recipe, preprocessing, data.task, place, start=start, teacher=teacher)
    said, first = look_at_weights(recipe, data, compiled.network)
    seen = asdict(first) if first else {}
    notes: list[tuple[str, str, str, dict[str, Any]]] = [("weights", "note", text, seen) for text in said]
    slow = "" if tf.config.list_physical_devices("GPU") else slowed_by(recipe.precision)
    notes += [("precision", "note", slow, {})] if slow else []
    remarks = unheeded_imbalance(recipe, data)
    if not has_checkpoints(plan):  # else it is on record
        remarks += filter(None, [leak(data)])
    notes += [(one.code, one.severity, str(one), {}) for one in remarks]
    with (
        Interruption(display.note, close=display.close) as interruption,
        notes_to(display.note),
        locked(plan.path) if place.is_chief else nullcontext(),
    ):
        run = begin(plan, data, preprocessing) if place.is_chief else Run(plan.path)
        if start is not None and place.is_chief:
            start.keep(run.path)
        place.anywhere(True)  # the others wait until the folder is there
        for note in data.notes if place.is_chief else ():
            run.record_event("data", AT_FIRST, text=note)  # the loop shows it
        for code, severity, text, figures in notes:
            display.note(f"{severity}: {text}")
            if place.is_chief:
                run.record_event(code, AT_FIRST, text=text, **figures)
        with place.scope(), interruption.deferred():
            folder = RecipeRun(run, compiled, preprocessing, data)
            saving = saving or Saving()
            TrainingLoop(folder, plan.policy, interruption, display, saving, tensorboard=tensorboard).run_to_end()
        place.anywhere(True)  # all wait until the run is finished
    return run


def unheeded_imbalance(recipe: Recipe, data: ImageData) -> list[Remark]:
    """That training images are of uneven classes, unless the recipe balances them."""
    if recipe.sampling == "balanced" or recipe.class_weights != "none":
        return []
    counts = data.task.images_of_classes(data.train.labels)
    return of_counts(counts, data.class_names, several=data.task.several)


def has_checkpoints(plan: Plan) -> bool:
    """Whether the plan's folder holds an unfinished run with a checkpoint to continue from."""
    run = Run(plan.path)
    continues = not plan.overwrite and is_run(plan.path) and run.status == "unfinished"
    return continues and not CheckpointStore(run.checkpoints).is_empty


def begin(plan: Plan, data: ImageData, preprocessing: Preprocessing) -> Run:
    """Make the run's folder, or open the one to continue, and record the data.

    Args:
        plan: Where, and with which settings.
        data: The images.
        preprocessing: How they are prepared.

    Raises:
        DataError: The run began with other data.
    """
    if is_run(plan.path):
        with storage_errors(plan.path):
            for folder in (plan.path, Run(plan.path).checkpoints):
                remove_leftovers(folder)
    run, continues = Run.start(plan.path, plan.config, overwrite=plan.overwrite)
    if continues and run.has_data and run.fingerprint != data.fingerprint:
        raise DataError(
            f"the data of {run.path} have changed since it began: their fingerprint is {data.fingerprint[:12]}, "
            f"was {run.fingerprint[:12]}. Restore them, or begin anew by --overwrite"
        )
    if CheckpointStore(run.checkpoints).is_empty:
        run.record_data(data, preprocessing)
    return run
