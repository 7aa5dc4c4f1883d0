"""Train simpler methods on the same images and splits as `train`, to see whether a network is worth it.

Majority class, random class, logistic regression on pixels, HOG with a linear support vector machine, and LeNet-5.
Takes what `train` takes of images, so that the splits are the same; with --run, a finished run becomes the last row,
and SOURCE may be left out. Writes baselines.json and, with the plots extra, baselines.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.cli.options import SOURCE_HELP, add_cache_option, add_settings, configuration_of
from keras_resnet.errors import UsageError
from keras_resnet.training.configuration import SOURCE_SETTINGS
from keras_resnet.training.recipe import SETTINGS

if TYPE_CHECKING:
    from keras_resnet.experiments.baselines import Baselines

OF_IMAGES = ("image_size", "crop_fraction", "seed")
"""Settings that a source and a recipe share."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.usage = "%(prog)s [SOURCE] [options]"
    command.add_argument("source", metavar="SOURCE", nargs="?", help=SOURCE_HELP)
    command.add_argument("--run", dest="finished", type=Path, metavar="RUN", help="a finished run on the same split")
    command.add_argument(
        "--methods", metavar="WORD,…", help="majority, random, logistic, hog-svm, lenet5; default: all"
    )
    command.add_argument("--out", type=Path, metavar="DIR", help="default: the run's folder evaluation/, or else "
                         "saved_models/baselines-<data>")  # fmt: skip
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--recipe", metavar="NAME", help="whose image size is meant (default: as `train`)")
    command.add_argument("--config", type=Path, metavar="FILE", help="YAML file of settings, as `train` takes it")
    add_cache_option(command)
    add_settings(command, [*(SETTINGS[name] for name in OF_IMAGES), *SOURCE_SETTINGS.values()])


def run(options: argparse.Namespace) -> int:
    if not (options.source or options.config or options.finished):
        raise UsageError("baselines need images: name a SOURCE, or a run by --run")
    configuration = configuration_of(options) if options.source or options.config else None

    from keras_resnet.atomic import json_text
    from keras_resnet.cli.terminal import say
    from keras_resnet.data.loading import load_data
    from keras_resnet.display import Display
    from keras_resnet.evaluation.evaluate import load_run_data
    from keras_resnet.experiments.baselines import BASELINES, baselines
    from keras_resnet.runs.run import Run, is_run

    finished = Run.at(options.finished, finished=True) if options.finished else None
    names = [name.strip() for name in options.methods.split(",")] if options.methods else list(BASELINES)
    if options.out and is_run(options.out):
        raise UsageError(f"{options.out} holds a run, which is left as it is: give --out another folder")
    with Display() as progress:
        if configuration:
            data = load_data(configuration.source, progress.reading, cache=options.cache)
        else:
            assert finished is not None
            data = load_run_data(finished, progress.reading)
        seed = configuration.recipe.seed if configuration else 0
        found = baselines(data, names, run=finished, seed=seed, show=progress.show)
    beside = finished.folder("evaluation") if finished else Path("saved_models") / f"baselines-{data.name}"
    files = found.write(options.out or beside)
    if options.json:
        say(json_text(found.to_dict()))
        return 0
    show(found)
    for file in files:
        say(f"wrote {file}")
    return 0


def show(found: Baselines) -> None:
    """Print the table.

    Args:
        found: What `baselines` gives.
    """
    from keras_resnet.cli.tables import table

    rows = []
    for row in found.rows:
        low, high = row.interval
        cells = (f"{row.accuracy:.2%}", f"{low:.2%} to {high:.2%}", f"{row.parameters:,}", f"{row.seconds:,.1f}")
        rows.append((row.title, *cells, row.setting))
    heads = ("method", "accuracy", "95 % interval", "parameters", "seconds", "chosen by validation images")
    title = f"{found.data_name}: {found.rows[0].images:,} test images, {found.trained_on:,} to learn from"
    table(title, heads, rows, left=heads[-1:])
