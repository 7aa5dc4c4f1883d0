"""The commands, and the parser over all of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from keras_resnet._version import __version__
from keras_resnet.cli import check, demo, evaluate, export, find_lr, models, predict, recipes, train
from keras_resnet.cli.running import Parser, finish_parser, run_parsed

COMMANDS = {
    "demo": demo,
    "models": models,
    "recipes": recipes,
    "check": check,
    "find-lr": find_lr,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "export": export,
}
EXIT_CODES = (
    "exit codes: 0 fine, 1 internal error, 2 usage, 3 data, 4 training diverged, 5 bad model file, "
    "6 disk or memory, 75 stopped with a checkpoint, 130 interrupted (after both the same command continues)"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Without the program's name; default: those of the process.

    Returns:
        The exit code.
    """
    return run_parsed(parser(), arguments)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = Parser(prog="keras-resnet", description="Train, evaluate and export ResNets in Keras.", epilog=EXIT_CODES)
    top.add_argument("--version", action="version", version=f"keras-resnet {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        summary = str(module.__doc__).splitlines()[0]
        command = commands.add_parser(name, help=summary, description=module.__doc__, epilog=EXIT_CODES)
        module.add_arguments(command)
        finish_parser(command, module.run)
    return top
