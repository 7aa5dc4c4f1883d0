"""Train simpler methods and other networks on the images and splits of `train`, to see whether a ResNet is worth it.

Takes what `train` takes of images, so that the splits are the same; with --run, a finished run becomes a row, and
SOURCE may be left out. Networks are trained by the recipe of that run, or the one that `train` would take, each in a
run folder of its own, and go on if they were stopped. Writes baselines.json and, with the plots extra, baselines.png.
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

OF_TRAINING = ("image_size", "crop_fraction", "seed", "epochs")
"""Settings that a source and a recipe share, and how long networks are trained."""
METHODS = "majority, random, logistic, hog-svm, sift-svm (extra sift)"
NETWORKS = "lenet5, alexnet, vgg16, inception, densenet, efficientnet, mobilenet, vit"


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.usage = "%(prog)s [SOURCE] [options]"
    command.add_argument("source", metavar="SOURCE", nargs="?", help=SOURCE_HELP)
    command.add_argument("--run", dest="finished", type=Path, metavar="RUN", help="a finished run on the same split")
    command.add_argument(
        "--methods", metavar="WORD,…", help=f"{METHODS}; networks, which take long on a CPU but for the first: "
        f"{NETWORKS}, and those of `keras-resnet models`, as plainnet20. usual: majority, random, "
        "logistic, hog-svm, lenet5 (the default); all: all that are named here")  # fmt: skip
    command.add_argument("--out", type=Path, metavar="DIR", help="of results and networks; default: the run's folder "
                         "evaluation/, or else saved_models/baselines-<data>")  # fmt: skip
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument(
        "--recipe", metavar="NAME", help="by which networks are trained (default: the run's, or as `train`)"
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="YAML file of settings, as `train` takes it")
    add_cache_option(command)
    add_settings(command, [*(SETTINGS[name] for name in OF_TRAINING), *SOURCE_SETTINGS.values()])


def run(options: argparse.Namespace) -> int:
    if not (options.source or options.config or options.finished):
        raise UsageError("baselines need images: name a SOURCE, or a run by --run")
    configuration = configuration_of(options) if options.source or options.config else None

    from keras_resnet.atomic import json_text
    from keras_resnet.cli.terminal import say
    from keras_resnet.experiments.baselines import baselines
    from keras_resnet.runs.run import Run, is_run

    finished = Run.at(options.finished, finished=True) if options.finished else None
    if options.out and is_run(options.out):
        raise UsageError(f"{options.out} holds a run, which is left as it is: give --out another folder")
    found = baselines(
        configuration.source if configuration else None,
        _names(options.methods or "usual"),
        run=finished,
        recipe=options.recipe if configuration is None or (finished and not options.recipe) else configuration.recipe,
        epochs=options.epochs,
        out=options.out,
        seed=configuration.recipe.seed if configuration else 0,
        cache=options.cache,
    )
    files = found.write()
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
        costs = row.costs
        cells = (f"{row.accuracy:.2%}", f"{low:.2%} to {high:.2%}", f"{row.parameters:,}")
        of_network = ("", "", "", "") if costs is None else (
            _or_dash(costs.macs, ","), _or_dash(costs.latency_ms, ".3g"), _or_dash(costs.int8_latency_ms, ".3g"),
            _or_dash(costs.int8_bytes, ","),
        )  # fmt: skip
        said = "; ".join(text for text in (row.setting, costs.reason if costs else "") if text)
        rows.append((row.title, *cells, *of_network, f"{row.seconds:,.1f}", said))
    heads = ("method", "accuracy", "95 % interval", "parameters", "MACs", "ms", "ms, INT8", "bytes, INT8", "seconds")
    last = "chosen by validation images; what is not known"
    title = f"{found.data_name}: {found.rows[0].images:,} test images; ms an image: LiteRT on one thread"
    table(title, (*heads, last), rows, left=(last,))


def _or_dash(value: float | None, how: str) -> str:
    return "–" if value is None else format(value, how)


def _names(said: str) -> list[str]:
    """What is to be trained, each once."""
    from keras_resnet.experiments.baselines import BASELINES, USUAL
    from keras_resnet.experiments.networks import FAMILIES

    words = {"usual": USUAL, "all": (*BASELINES, *FAMILIES)}
    names = [name.strip() for name in said.split(",")]
    return list(dict.fromkeys(name for one in names for name in words.get(one, (one,))))
