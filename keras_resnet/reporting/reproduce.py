"""The command that makes a run once more."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from keras_resnet.data.sources.source import Source
from keras_resnet.errors import UsageError
from keras_resnet.training.configuration import SOURCE_SETTINGS, configure
from keras_resnet.training.recipe import SETTINGS, Recipe
from keras_resnet.training.recipes import RECIPES

LEADING = ("epochs", "optimizer", "weights")
"""Settings that change others which are not said: what is counted in epochs, the rate that is usual."""


def command(config: Mapping[str, Any]) -> str:
    """The shortest `train` command that resolves to a run's settings.

    Args:
        config: The run's configuration.

    Returns:
        The command; empty where none does, as for a script's own `fit`.
    """
    try:
        wanted = Recipe(**{name: _tuple(value) for name, value in config["recipe"].items()})
        source = Source(**{name: _tuple(value) for name, value in config["data"].items()})
    except (TypeError, UsageError):
        return ""
    found = [one for name in RECIPES if (one := _by_recipe(name, wanted, source)) is not None]
    return min(map(shlex.join, found), key=len) if found else ""


def _by_recipe(name: str, wanted: Recipe, source: Source) -> list[str] | None:
    own = {key: value for key, value in vars(source).items() if key in SOURCE_SETTINGS and value is not None}
    usual = Source(source.name)
    said = {key: value for key, value in own.items() if value != getattr(usual, key)}
    try:
        for leading in (True, False, False):
            reached = configure(recipe=name, data=source.name, **said)
            apart = {
                key: value
                for key, value in vars(wanted).items()
                if SETTINGS[key].group != "description" and value != getattr(reached.recipe, key)
            }
            said |= {key: value for key, value in apart.items() if not leading or key in LEADING}
    except UsageError:
        return None
    if apart or reached.source != source:
        return None
    words = ["keras-resnet", "train", source.name, "--recipe", name]
    for key, value in said.items():
        option = f"--{key.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        else:
            parts = "/" if key == "fold" else ","
            words += [option, parts.join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return words


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
