"""Command-line options for settings, generated from the declarations of these."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from keras_resnet.allowed import CACHE
from keras_resnet.settings import NOUNS, Setting, Values
from keras_resnet.training.configuration import (
    KNOWN,
    RECIPE,
    RUN_SETTINGS,
    SOURCE_SETTINGS,
    Configuration,
    configure,
)
from keras_resnet.training.recipe import SETTINGS

SOURCE_HELP = "digits, folder:PATH, csv:PATH, jsonl:PATH, tfds:NAME, or a path that exists"
METAVARS = {int: "N", float: "X", str: "WORD"}


def add_training_options(command: argparse.ArgumentParser) -> None:
    """Add the options that describe a training, except its source: recipe, settings file and every setting."""
    command.add_argument("--recipe", metavar="NAME", help="recipe to start from, of `keras-resnet recipes` "
                         "(default: one for the kind of source)")  # fmt: skip
    command.add_argument("--config", type=Path, metavar="FILE", help="YAML file of settings; options override it")
    recipe = [one for one in SETTINGS.values() if one.group != "description"]
    add_settings(command, [*recipe, *SOURCE_SETTINGS.values(), *RUN_SETTINGS.values()])


def add_settings(command: argparse.ArgumentParser, settings: Iterable[Setting]) -> None:
    """Add an option for each setting, under the heading of its group; an option that is not given is None."""
    headings: dict[str, Any] = {}
    for one in settings:
        if one.group not in headings:
            headings[one.group] = command.add_argument_group(one.group)
        values = one.values
        words = f" ({', '.join(values.choices)})" if values.choices and values.kind is str else ""
        text = f"{one.text}{words}".replace("%", "%%")
        option = f"--{one.name.replace('_', '-')}"
        if values.kind is bool:
            headings[one.group].add_argument(option, action=argparse.BooleanOptionalAction, help=text)
        else:
            metavar = f"{METAVARS[values.kind]},…" if values.many else METAVARS[values.kind]
            headings[one.group].add_argument(option, type=_parser(values), metavar=metavar, help=text)


def add_cache_option(command: argparse.ArgumentParser) -> None:
    """Add the option `--cache`."""
    command.add_argument("--cache", choices=CACHE.choices, default="auto",
                         help="where decoded pixels are kept (default: in memory, if a quarter "
                         "of it holds them)")  # fmt: skip


def configuration_of(options: argparse.Namespace, *, look: bool = True) -> Configuration:
    """The configuration that a parsed command line gives, with its settings file and recipe.

    Args:
        options: The command line.
        look: Whether images are looked at to choose what is not said.

    Raises:
        UsageError: A setting does not fit.
    """
    from keras_resnet.tuning.first_choice import first_choice

    said = vars(options)
    names = [name for name in KNOWN if name in said and KNOWN[name] is not RECIPE and name not in ("data", "source")]
    return configure(
        recipe=said.get("recipe"),
        config=said.get("config"),
        said_by="command line",
        choose=first_choice if look else None,
        data=options.source,
        **{name: said[name] for name in names},
    )


def training_command(options: argparse.Namespace, **changes: str) -> str:
    """The `train` command with the options of another command, some of them changed."""
    said = {name: value for name, value in vars(options).items() if name in KNOWN and value is not None}
    words = ["keras-resnet", "train"]
    for name, value in {**said, "config": getattr(options, "config", None), **changes}.items():
        option = f"--{name.replace('_', '-')}"
        if name == "source":
            words.append(str(value))
        elif isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        elif value is not None:
            words += [option, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return shlex.join(words)


def _parser(values: Values) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return values.parsed(text)
        except ValueError:
            noun = NOUNS[values.kind]
            wanted = f"{noun.removeprefix('a ')}s, as 1,2,3" if values.many else noun
            raise argparse.ArgumentTypeError(f"expected {wanted}; "
                                             f"received {text!r}") from None  # fmt: skip

    return parse
