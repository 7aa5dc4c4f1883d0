"""The recipes there are, each with where it comes from and what to expect of it."""

from __future__ import annotations

from keras_resnet.errors import UsageError, listed
from keras_resnet.training.recipe import Recipe

RECIPES = {
    "digits": Recipe(model="resnet8", epochs=30, batch_size=64, label_smoothing=0.1, augment="shift"),
    "cifar10-resnet20": Recipe(model="resnet20", epochs=200, batch_size=128),
    "folder": Recipe(model="resnet20", epochs=30, batch_size=32, learning_rate=0.05, label_smoothing=0.1),
}


def recipe(name: str) -> Recipe:
    """A recipe by name.

    Raises:
        UsageError: There is none of this name.
    """
    if name not in RECIPES:
        raise UsageError(f"there is no recipe {name!r}; known are {listed(RECIPES)}")
    return RECIPES[name]


def recipe_for(kind: str) -> Recipe:
    """The default recipe for a kind of data source: `digits`, `folder`, `csv`, `jsonl` or `tfds`."""
    return RECIPES[{"tfds": "cifar10-resnet20", "csv": "folder", "jsonl": "folder"}.get(kind, kind)]
