"""List the recipes: network, data, epochs, optimizer, the accuracy to expect, and where it comes from.

With a NAME, every setting of that recipe and what it means. `keras-resnet train --recipe NAME` trains by one.
"""

from __future__ import annotations

import argparse

from keras_resnet.cli.terminal import say


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", nargs="?", metavar="NAME", help="show all of this recipe")


def run(options: argparse.Namespace) -> int:
    _show(options.name) if options.name else _list()
    return 0


def _list() -> None:
    from keras_resnet.cli.tables import table
    from keras_resnet.training.recipes import RECIPES

    sources: dict[str, int] = {}
    rows = [
        (
            name,
            one.model,
            one.data or "your own",
            str(one.epochs),
            str(one.batch_size),
            one.optimizer,
            one.expected,
            f"[{sources.setdefault(one.source, len(sources) + 1)}]",
        )
        for name, one in RECIPES.items()
    ]
    columns = ("name", "network", "data", "epochs", "batch", "optimizer", "expected accuracy", "source")
    left = ("network", "data", "optimizer", "expected accuracy")
    table(None, columns, rows, left=left, whole=("name", "network"), compact=True)
    for text, number in sources.items():
        say(f"[{number}] {text}")
    say("\n`keras-resnet recipes NAME` shows every setting of one.")


def _show(name: str) -> None:
    from keras_resnet.cli.tables import table
    from keras_resnet.training.recipe import SETTINGS
    from keras_resnet.training.recipes import recipe

    shown = recipe(name)
    for group in dict.fromkeys(one.group for one in SETTINGS.values() if one.group != "description"):
        settings = [one for one in SETTINGS.values() if one.group == group]
        rows = [(one.name, _words(getattr(shown, one.name)), one.text) for one in settings]
        table(group, ("setting", "value", "meaning"), rows, left=("meaning",), whole=("setting",), compact=True)
    say(f"made for: {shown.data or 'images of your own'}\nexpected: {shown.expected}\nsource: {shown.source}")
    say(f"\nkeras-resnet train{'' if shown.data else ' SOURCE'} --recipe {name}")


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(f"{one:g}" for one in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (f"{value:g}" if isinstance(value, float) else str(value)) or "none"
