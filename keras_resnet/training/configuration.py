"""A training's settings from everywhere: defaults < recipe < YAML file < command line, each with its origin.

A file has one setting a line, under the names of the options with `_` for `-`: every field of a
recipe, `recipe` (the one it starts from), `data` (what is trained on), the settings of its source, `num_classes` and
`budget`. Paths in it are relative to the working folder, as on the command line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_resnet.allowed import BUDGET, COUNT
from keras_resnet.data.sources.source import SETTINGS as ALL_SOURCE_SETTINGS
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import UsageError
from keras_resnet.settings import Setting, Values, refuse_unknown
from keras_resnet.training.recipe import SETTINGS as RECIPE_SETTINGS
from keras_resnet.training.recipe import Recipe, in_epochs
from keras_resnet.training.recipes import DEFAULTS, recipe, source_for
from keras_resnet.training.settings_file import Value, read_settings, written
from keras_resnet.training.usual import usual_instead


def _recipe_name(name: str) -> str:
    recipe(name)
    return name


RECIPE_NAME = Values(str, optional=True, canonical=_recipe_name)
RECIPE = Setting("recipe", RECIPE_NAME, None, "the one that the other settings change", "training")
SOURCE_SETTINGS = {name: one for name, one in ALL_SOURCE_SETTINGS.items() if name not in RECIPE_SETTINGS}
"""What files and options say of a source beside what a recipe has of it: image size, crop and seed."""
RUN_SETTINGS = {
    one.name: one
    for one in (
        Setting("num_classes", COUNT.or_none, None, "refuse data with another number of classes", "run"),
        Setting(
            "budget", BUDGET.or_none, None, "a time, as 90s, 10min or 2h, for which model and epochs are chosen", "run"
        ),
    )
}
KNOWN = {
    "recipe": RECIPE,
    "data": RECIPE_SETTINGS["data"],
    **SOURCE_SETTINGS,
    **{name: one for name, one in RECIPE_SETTINGS.items() if name != "data"},
    **RUN_SETTINGS,
}


@dataclass(frozen=True)
class Configuration:
    """What is trained, on what, and who said so.

    Args:
        recipe: With every setting resolved.
        values: Each setting's value and origin, in the order in which they are shown.
    """

    recipe: Recipe
    values: Mapping[str, Value]

    @property
    def source(self) -> Source:
        """Where the images come from, at the recipe's size.

        Raises:
            UsageError: Nobody said it, or one of its settings is out of range.
        """
        if not self["data"]:
            raise UsageError("what is to be trained on? Name a SOURCE, or a recipe that names its data by --recipe")
        own = {name: self[name] for name in SOURCE_SETTINGS}
        return source_for(self.recipe, Source(self["data"], seed=self.recipe.seed, **own))

    def __getitem__(self, name: str) -> Any:
        return self.values[name].value

    def is_said(self, name: str) -> bool:
        """Whether a file or the command line sets it."""
        return self.values[name].said

    def __str__(self) -> str:
        """A YAML file that gives this configuration again, with every value's origin behind it."""
        lines = [(f"{name}: {written(one.value)}", one.origin) for name, one in self.values.items()]
        width = min(40, max(len(line) for line, _ in lines))
        return "\n".join(f"{line:<{width}}  # {_visible(origin)}" for line, origin in lines)


def configure(
    *,
    recipe: str | None = None,
    config: str | os.PathLike[str] | None = None,
    said_by: str = "argument",
    **settings: Any,
) -> Configuration:
    """Settle a training's settings: defaults < recipe < file < `settings`.

    Where a layer sets `epochs`, what the layers below it count in epochs is stretched along. Where one sets
    another optimizer than the recipe's, rate and decay that no file or argument sets are those usual for it.

    Args:
        recipe: The recipe to start from; None: the file's, or else the default for the kind of data.
        config: A YAML file of settings.
        said_by: Who says `settings`, for the origins.
        **settings: `data` and all that a file may hold; None leaves one alone.

    Returns:
        The configuration: `fit(c.recipe, c.source)` trains it.

    Raises:
        UsageError: A setting does not exist, or a value does not fit; the message names it.
    """
    for name in settings:
        refuse_unknown(name, KNOWN)
    said = {**settings, "recipe": recipe}
    given = {
        name: Value(KNOWN[name].checked(value), said_by, said=True) for name, value in said.items() if value is not None
    }
    layers = [read_settings(config, KNOWN) if config is not None else {}, given]
    named, base = _base(layers)
    start = f"recipe {named.value}"
    values = {"recipe": named} | {
        name: Value(one.default, "default") for name, one in KNOWN.items() if name != "recipe"
    }
    for name, one in RECIPE_SETTINGS.items():
        if getattr(base, name) != one.default:
            values[name] = Value(getattr(base, name), start)
    for layer in layers:
        if "epochs" in layer:
            before = {name: values[name].value for name in RECIPE_SETTINGS}
            for name, value in in_epochs(before, layer["epochs"].value).items():
                if value != before[name]:
                    values[name] = Value(value, f"{values[name].origin}, in {layer['epochs'].value} epochs")
        values |= layer
    for name, value in usual_instead(values["optimizer"].value, base.optimizer).items():
        if not values[name].said:
            values[name] = Value(value, f"usual for {values['optimizer'].value}")
    # The recipe's own `data` stays its description, so that one run is one configuration however its data were named.
    fields = {name: values[name].value for name in RECIPE_SETTINGS} | {"data": base.data}
    return Configuration(Recipe(**fields), values)


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """The recipe in a YAML file of settings; `configure` also gives its source.

    Raises:
        UsageError: The file cannot be read, or a setting in it does not fit; the message gives the line.
    """
    found = configure(config=path)
    return found.recipe.but(data=found["data"])


def _base(layers: list[dict[str, Value]]) -> tuple[Value, Recipe]:
    """The recipe that the layers change, and who chose it."""
    merged = {**layers[0], **layers[1]}
    named = merged.get("recipe", Value(None, "default"))
    if named.value is not None:
        return named, recipe(named.value)
    if "data" not in merged:
        return named, Recipe()
    kind = Source(merged["data"].value).kind
    return Value(DEFAULTS[kind], f"default for {kind}"), recipe(DEFAULTS[kind])


def _visible(origin: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in origin)
