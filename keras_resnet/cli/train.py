"""Train a network on a source of images, evaluate it, and draw its curves.

The source is `digits`, `folder:PATH` (one sub-folder a class), `csv:PATH` or `jsonl:PATH` (path, label or labels, and
perhaps split, group, time of each image), or `tfds:NAME` (TensorFlow Datasets); a path that exists will do.
It may be left out where the recipe names its data. The same command on an unfinished run continues it.

Settings: defaults < recipe < YAML file < options. A setting left out keeps its value; --print-config shows
each and where it comes from, as a YAML file that --config takes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.callbacks.interruption import Interruption
from keras_resnet.cli.budget import plan_within_budget
from keras_resnet.cli.options import SOURCE_HELP, add_cache_option, add_training_options, configuration_of
from keras_resnet.cli.running import Parser, script_main
from keras_resnet.cli.terminal import say
from keras_resnet.errors import StoppedError, StorageError, UsageError
from keras_resnet.shortage import shortage
from keras_resnet.training.configuration import Configuration

if TYPE_CHECKING:
    from keras_resnet.training.loop import Saving


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.usage = "%(prog)s [SOURCE] [options]"  # a list of all options would hide the error message
    command.add_argument("source", metavar="SOURCE", nargs="?", help=SOURCE_HELP)
    add_options(command)


def add_options(command: argparse.ArgumentParser) -> None:
    """Add all options but the source."""
    command.add_argument("--out", type=Path, help="run folder (default: saved_models/<model>-<data>)")
    command.add_argument("--overwrite", action="store_true", help="replace the run that the folder holds")
    command.add_argument("--print-config", action="store_true", help="print the settings, and train nothing")
    command.add_argument("--linear-probe", action="store_const", const="only", dest="probe",
                         help="train nothing but a classifier of what --weights see: --probe only")  # fmt: skip
    add_cache_option(command)
    repeated = command.add_argument_group("repetition", "a run each, in the folder --out; one mean, one interval")
    repeated.add_argument("--seeds", type=int, metavar="N", help="train N times, with --seed and those that follow")
    repeated.add_argument(
        "--folds", type=int, metavar="N", help="train N times, each time with another fold as the test"
    )
    saving = command.add_argument_group("checkpoints", "besides those at every epoch's end; they change no result")
    saving.add_argument("--checkpoint-steps", type=int, default=0, metavar="N", help="every N updates (default: not)")
    saving.add_argument("--checkpoint-minutes", type=float, default=10.0, metavar="X",
                        help="every X minutes (default: 10; 0: not)")  # fmt: skip
    saving.add_argument("--keep-checkpoints", type=int, default=3, metavar="N", help="the last N (default: 3)")
    command.add_argument("--distribute", choices=("none", "mirrored", "multiworker"), default="none",
                         help="over all GPUs of this machine, or over the processes that TF_CONFIG names, each of "
                         "which runs this command (default: none)")  # fmt: skip
    command.add_argument("--tensorboard", action="store_true",
                         help="also write event files to the run's tensorboard/ folder")  # fmt: skip
    add_training_options(command)


def run(options: argparse.Namespace) -> int:
    with Interruption():
        return train(options)


def train(options: argparse.Namespace) -> int:
    """Run the command."""
    configuration = configuration_of(options)
    source = configuration.source
    if configuration["budget"] and options.distribute == "multiworker":
        raise UsageError(
            "budget chooses by what one machine can do, and each of the workers would choose for itself: leave it out "
            "with --distribute multiworker, and give --model and --epochs"
        )
    if options.print_config:
        say(configuration)
        return 0
    options.kept = True

    from keras_resnet.callbacks.tensorboard import require_tensorboard
    from keras_resnet.cli.show import show_report
    from keras_resnet.data.loading import load_data
    from keras_resnet.display import Display
    from keras_resnet.evaluation.report import report_run
    from keras_resnet.explanation.history import History
    from keras_resnet.explanation.summary import headline
    from keras_resnet.training.distribution import distribution
    from keras_resnet.training.fit import fit_planned, plan
    from keras_resnet.training.loop import Saving

    saving = Saving(options.checkpoint_steps, options.checkpoint_minutes, options.keep_checkpoints)
    if options.tensorboard:
        require_tensorboard()
    if options.seeds is not None or options.folds is not None:
        return _repeated(options, configuration, saving)
    place = distribution(options.distribute)  # before anything uses TensorFlow
    num_classes, overwrite = configuration["num_classes"], options.overwrite
    with Display(place.is_chief) as progress:
        for reason in configuration.reasons:
            progress.note(reason)
        if configuration["budget"]:
            planned, data = plan_within_budget(configuration, source, options, progress)
        else:
            planned = plan(configuration.recipe, source, options.out, overwrite=overwrite, num_classes=num_classes)
            data = load_data(source, progress.reading, cache=options.cache)
        finished = fit_planned(planned, data, progress, saving=saving, tensorboard=options.tensorboard, place=place)
    if not place.is_chief:
        return 0
    advice = f"the training is finished; `keras-resnet evaluate {finished.path}` makes its report"
    with Interruption(advice=advice):
        try:
            report = report_run(finished, data)
        except KeyboardInterrupt:
            raise StoppedError(f"interrupted: {advice}") from None
        except Exception as error:
            if shortage(error) != "memory":
                raise
            raise StorageError(f"out of memory: {advice}") from error
    show_report(report)
    say(f"\n{headline(History.of_run(finished))}")
    say(f"The model is {finished.model}. Next:")
    say(f"  keras-resnet report {finished.path}")
    say(f"  keras-resnet export {finished.path} --format tflite-int8")
    say(f"  keras-resnet predict {finished.path} IMAGE ...")
    return 0


def _repeated(options: argparse.Namespace, configuration: Configuration, saving: Saving) -> int:
    """Train several times."""
    if configuration["budget"] or options.distribute != "none" or options.tensorboard:
        raise UsageError("--seeds and --folds go without --budget, --distribute and --tensorboard")
    from keras_resnet.experiments.repetition import repeat

    for reason in configuration.reasons:
        say(reason)
    found = repeat(
        configuration.recipe,
        configuration.source,
        options.out,
        seeds=options.seeds,
        folds=options.folds,
        overwrite=options.overwrite,
        num_classes=configuration["num_classes"],
        saving=saving,
        cache=options.cache,
        finished=lambda run, evaluation: say(f"{run.path}: {evaluation.headline}"),
    )
    say(f"\n{found}")
    for file in found.write():
        say(f"wrote {file}")
    return 0


def script(description: str | None, kind: str, arguments: Sequence[str] | None = None) -> int:
    """The whole of a `scripts/fit_*.py`: this command with its source given.

    Args:
        description: For --help.
        kind: A source's name, or `folder:` to take the path as an argument.
        arguments: Default: those of the process.
    """
    path = "PATH " * kind.endswith(":")
    command = Parser(description=description, usage=f"%(prog)s {path}[options]")
    if kind.endswith(":"):
        command.add_argument("path", metavar="PATH", help="folder with one sub-folder of images a class")
    add_options(command)

    def with_source(options: argparse.Namespace) -> int:
        options.source = f"{kind}{options.path}" if kind.endswith(":") else kind
        return run(options)

    return script_main(command, with_source, arguments)
