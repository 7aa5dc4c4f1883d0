"""One network after the other trained by one recipe on the same images, each in a run folder of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from keras_resnet.data.images import ImageData
from keras_resnet.display import Display
from keras_resnet.errors import DataError
from keras_resnet.experiments.networks import FAMILIES
from keras_resnet.experiments.repetition import finished_run
from keras_resnet.models.variants import VARIANTS
from keras_resnet.runs.run import Run
from keras_resnet.training.fit import configuration, fit_planned, plan
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.recipes import recipe as recipe_named
from keras_resnet.training.start import OF_RESIDUAL_NETWORKS


def is_network(name: str) -> bool:
    """Whether a network is called so: another family's, or one of `keras-resnet models`."""
    return name in FAMILIES or name in VARIANTS


def title_of(name: str) -> str:
    """What people call a network."""
    return FAMILIES[name].title if name in FAMILIES else VARIANTS[name].public_name


def from_scratch(recipe: Recipe) -> Recipe:
    """What all networks have of a recipe: augmentation, epochs, schedule, and what it says of the optimizer.

    Of a recipe that trains a network on, nothing of that fits a beginning; `folder` takes its place.

    Args:
        recipe: Any.
    """
    if recipe.weights or recipe.start:
        kept = {name: getattr(recipe, name) for name in ("seed", "image_size", "crop_fraction")}
        recipe = replace(recipe_named("folder"), **kept)
    usual = Recipe()
    parts = (*OF_RESIDUAL_NETWORKS, "weights_preprocessing", "keep", "sparsity", "sparsity_pattern")
    return replace(recipe, freeze_batchnorm=False, **{name: getattr(usual, name) for name in parts})


def trained(name: str, recipe: Recipe, images: ImageData, folder: Path, display: Display) -> Run:
    """Train a network; if the folder holds it finished, leave it, and if unfinished, go on.

    Args:
        name: See `is_network`.
        recipe: Of `from_scratch`; a network of another family changes what it needs otherwise.
        images: Of which the folder's run must be.
        folder: Of the run.
        display: Shows the training.

    Raises:
        UsageError: The folder holds another training.
        DataError: The finished run there was trained on other images.
        As `fit` else.
    """
    source = images.source or images
    family = FAMILIES.get(name)
    network = family.network(name) if family else None
    recipe = recipe.but(**family.settings) if family else recipe.but(model=name)
    run = finished_run(folder, configuration(recipe, source, network=network))
    if run is None:
        return fit_planned(plan(recipe, source, folder, network=network), images, display)
    if run.fingerprint != images.fingerprint:
        raise DataError(f"the data have changed since {folder} was trained: restore them, or choose another folder")
    return run
