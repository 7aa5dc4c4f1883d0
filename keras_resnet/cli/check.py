"""Check labelled images for what would spoil a training; nothing in them is changed.

Finds images that cannot be read, odd ones, copies (the same file, or the same picture saved again)
under other labels or in other splits, classes that are too small, and labels that may be wrong. Writes
check.json, check.html, a page that needs no network, and, if a training could begin, batch.png, what
the network will get. Exits with 0 if a training could begin, whatever else was found, and with 3 if
not: images cannot be read, or cannot be split.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.cli.options import SOURCE_HELP, add_settings, configuration_of
from keras_resnet.cli.terminal import say
from keras_resnet.training.configuration import SOURCE_SETTINGS
from keras_resnet.training.recipe import SETTINGS

if TYPE_CHECKING:
    from rich.progress import Progress

    from keras_resnet.data.mosaic import Batch
    from keras_resnet.data.sources.source import Source
    from keras_resnet.inspection.check import Seeing
    from keras_resnet.inspection.inspection import Inspection
    from keras_resnet.training.recipe import Recipe


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", metavar="SOURCE", help=SOURCE_HELP)
    command.add_argument("--out", type=Path, metavar="DIR", help="default: saved_models/check-<data>")
    command.add_argument("--show-batch", action=argparse.BooleanOptionalAction, default=True,
                         help="show a training batch as the network gets it: page and batch.png (default: yes; "
                         "it loads TensorFlow)")  # fmt: skip
    eyes = command.add_argument_group("a trained network", "doubts labels better than edges and colours do")
    eyes.add_argument("--weights", metavar="FILE", dest="eyes",
                      help="a run's folder, a .keras file, or weights by file or name")  # fmt: skip
    eyes.add_argument("--model", metavar="NETWORK", dest="eyes_of", help="of the weights (default: the file's own)")
    eyes.add_argument("--weights-preprocessing", metavar="WORD", dest="eyes_get", default="",
                      help="what pixels a weights file needs, as in `train`")  # fmt: skip
    add_settings(command, [SETTINGS["seed"], SETTINGS["image_size"], SETTINGS["crop_fraction"]])
    add_settings(command, [one for one in SETTINGS.values() if one.group == "augmentation"])
    add_settings(command, SOURCE_SETTINGS.values())


def run(options: argparse.Namespace) -> int:
    from keras_resnet import pictures
    from keras_resnet.errors import DataError, KerasResNetError
    from keras_resnet.inspection.inspection import check_outside, holder_of, inspect_data

    source = configuration_of(options, look=False).source
    out = options.out or Path("saved_models") / f"check-{source.short_name}"
    check_outside(holder_of(source), out)  # before images are read
    with _bar() as bar:
        seeing = _seeing(options, bar) if options.eyes else None
        task = bar.add_task("reading images", total=None)
        found = inspect_data(source, lambda done, total: bar.update(task, completed=done, total=total), seeing=seeing)
    files = [found.write_findings(out)]  # whatever happens to the batch
    _show(found)
    batch = None
    if options.show_batch and found.trainable:
        try:
            batch = _batch(source, configuration_of(options).recipe)
        except KerasResNetError as error:
            say(f"note: no training batch is shown: {error}", error=True)
    files.append(found.write_page(out / "check.html", batch))
    if batch and pictures.available():
        from keras_resnet.data.mosaic import draw

        files.append(draw(batch, out / "batch.png"))
    for file in files:
        say(f"wrote {file}")
    return 0 if found.trainable else DataError.exit_code


def _seeing(options: argparse.Namespace, bar: Progress) -> Seeing:
    from keras_resnet.transfer.networks import seeing, trained_network

    network, fit = trained_network(options.eyes, options.eyes_of, weights_preprocessing=options.eyes_get)
    task = bar.add_task("looking by the trained network", total=None)
    return seeing(network, fit, lambda done, total: bar.update(task, completed=done, total=total))


def _batch(source: Source, recipe: Recipe) -> Batch:
    from keras_resnet.data.loading import load_data
    from keras_resnet.data.mosaic import training_batch

    return training_batch(load_data(source, cache="none"), recipe.policy, seed=recipe.seed)


def _show(found: Inspection) -> None:
    from keras_resnet.cli.tables import table

    rows = [(f.severity, f"{f.images:,}" if f.images else "–", f.title, f.code) for f in found.findings]
    if rows:
        columns = ("severity", "images", "what", "code")
        table(found.name, columns, rows, left=("what", "code"), whole=("code",), compact=True)
    say(found)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
