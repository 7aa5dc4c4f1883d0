"""Train a network on a source of images, evaluate it, and draw its curves.

The source is `digits`, `tfds:NAME` (TensorFlow Datasets) or `folder:PATH` (one sub-folder a class).
The same command on an unfinished run continues it after its last complete epoch.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from keras_resnet.cli.running import script_main

RECIPE_OPTIONS: dict[str, tuple[type, str]] = {
    "model": (str, "network: resnet8, resnet18, resnet20 … resnet152"),
    "epochs": (int, "times every training image is seen"),
    "batch-size": (int, "images a step"),
    "learning-rate": (float, "the highest; it warms up and falls by a cosine"),
    "warmup-epochs": (float, "over which the rate climbs"),
    "weight-decay": (float, "as PyTorch counts it; kernels only"),
    "label-smoothing": (float, "in [0, 1)"),
    "dropout": (float, "before the classifier, in [0, 1)"),
    "augment": (str, "none, shift or crop-flip"),
}


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", metavar="SOURCE", help="digits, tfds:NAME or folder:PATH")
    add_options(command)


def add_options(command: argparse.ArgumentParser) -> None:
    """All but the source; an option left out keeps the value of the source's recipe."""
    for name, (kind, text) in RECIPE_OPTIONS.items():
        command.add_argument(f"--{name}", type=kind, help=text)
    command.add_argument("--seed", type=int, default=0, help="of split, weights, order and augmentation (default: 0)")
    command.add_argument("--image-size", type=int, metavar="SIDE", help="side in pixels that images are brought to")
    command.add_argument("--channels", type=int, choices=(1, 3), help="1 for grey, 3 for RGB")
    command.add_argument("--num-classes", type=int, help="refuse data with another number of classes")
    command.add_argument("--limit", type=int, metavar="N", help="use at most N images of each split, by class")
    command.add_argument("--data-dir", type=Path, help="for tfds: a prepared folder, read with no network")
    command.add_argument("--out", type=Path, help="run folder (default: saved_models/<model>-<data>)")
    command.add_argument("--overwrite", action="store_true", help="replace the run that the folder holds")


def run(options: argparse.Namespace) -> int:
    from keras_resnet.cli.show import show_evaluation
    from keras_resnet.data.source import Source, load_data
    from keras_resnet.evaluation.report import report_run
    from keras_resnet.training.fit import fit_planned, plan
    from keras_resnet.training.progress import Progress
    from keras_resnet.training.recipe import recipe_for

    source = Source(
        options.source,
        image_size=options.image_size,
        channels=options.channels,
        data_dir=str(options.data_dir) if options.data_dir else None,
        limit=options.limit,
        seed=options.seed,
    )
    changes = {name.replace("-", "_"): getattr(options, name.replace("-", "_")) for name in RECIPE_OPTIONS}
    recipe = recipe_for(source.kind).but(seed=options.seed, **changes)
    planned = plan(recipe, source, options.out, overwrite=options.overwrite, num_classes=options.num_classes)
    with Progress() as progress:
        data = load_data(source, progress.reading)
        finished = fit_planned(planned, data, progress)
    report = report_run(finished, data)
    show_evaluation(report.evaluation, report.files)
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
