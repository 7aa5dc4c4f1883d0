"""Train a network on a source of images, evaluate it, and draw its curves.

The source is `digits`, `folder:PATH` (one sub-folder a class), `csv:PATH` or `jsonl:PATH` (path, label and
perhaps split, group, time of each image), or `tfds:NAME` (TensorFlow Datasets); a path that exists will do.
The same command on an unfinished run continues it after its last complete epoch.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from keras_resnet.cli.augmentation import AUGMENTATION, add_options_of, changes_of
from keras_resnet.cli.running import script_main
from keras_resnet.cli.sources import SOURCE_HELP, add_cache_option, add_source_options, source_of

RECIPE_OPTIONS: dict[str, tuple[type, str]] = {
    "model": (str, "network: resnet8, resnet18, resnet20 … resnet152"),
    "epochs": (int, "times every training image is seen"),
    "batch-size": (int, "images a step"),
    "learning-rate": (float, "the highest; it warms up and falls by a cosine"),
    "warmup-epochs": (float, "over which the rate climbs"),
    "weight-decay": (float, "as PyTorch counts it; kernels only"),
    "label-smoothing": (float, "in [0, 1)"),
    "dropout": (float, "before the classifier, in [0, 1)"),
    "sampling": (str, "uniform, or balanced to show every class as often"),
    "class-weights": (str, "none, balanced or effective: what rare classes count more in the loss"),
}


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", metavar="SOURCE", help=SOURCE_HELP)
    add_options(command)


def add_options(command: argparse.ArgumentParser) -> None:
    """All but the source; an option left out keeps the value of the source's recipe."""
    command.add_argument("--out", type=Path, help="run folder (default: saved_models/<model>-<data>)")
    command.add_argument("--overwrite", action="store_true", help="replace the run that the folder holds")
    command.add_argument("--seed", type=int, default=0, help="of split, weights, order and augmentation (default: 0)")
    command.add_argument("--num-classes", type=int, help="refuse data with another number of classes")
    add_cache_option(command)
    add_options_of(command, "training", RECIPE_OPTIONS)
    add_options_of(command, "augmentation", AUGMENTATION)
    add_source_options(command)


def run(options: argparse.Namespace) -> int:
    from keras_resnet.cli.show import show_report
    from keras_resnet.data.source import load_data
    from keras_resnet.evaluation.report import report_run
    from keras_resnet.training.fit import fit_planned, plan
    from keras_resnet.training.progress import Progress
    from keras_resnet.training.recipes import recipe_for

    source = source_of(options)
    recipe = recipe_for(source.kind).but(seed=options.seed, **changes_of(options, RECIPE_OPTIONS, AUGMENTATION))
    planned = plan(recipe, source, options.out, overwrite=options.overwrite, num_classes=options.num_classes)
    with Progress() as progress:
        data = load_data(source, progress.reading, cache=options.cache)
        finished = fit_planned(planned, data, progress)
    report = report_run(finished, data)
    show_report(report)
    print(f"\nThe model is {finished.model}. Next:")
    print(f"  keras-resnet export {finished.path} --format tflite-int8")
    print(f"  keras-resnet predict {finished.path} IMAGE ...")
    return 0


def script(description: str | None, kind: str, arguments: Sequence[str] | None = None) -> int:
    """The whole of a `scripts/fit_*.py`: this command with its source given.

    Args:
        description: For --help.
        kind: A source's name, or `folder:` to take the path as an argument.
        arguments: Default: those of the process.
    """
    command = argparse.ArgumentParser(description=description)
    if kind.endswith(":"):
        command.add_argument("path", metavar="PATH", help="folder with one sub-folder of images a class")
    add_options(command)

    def with_source(options: argparse.Namespace) -> int:
        options.source = f"{kind}{options.path}" if kind.endswith(":") else kind
        return run(options)

    return script_main(command, with_source, arguments)
