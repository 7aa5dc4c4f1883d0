"""The commands, and the parser over all of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from keras_resnet._version import __version__
from keras_resnet.cli.running import Parser, finish_parser, run_parsed

COMMANDS = (
    "demo",
    "models",
    "recipes",
    "check",
    "find-lr",
    "train",
    "evaluate",
    "compare",
    "baselines",
    "calibrate",
    "predict",
    "explain",
    "failures",
    "report",
    "export",
    "verify",
    "embed",
)
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
    first = (sys.argv[1:] if arguments is None else arguments)[:1]
    return run_parsed(parser([name for name in first if name in COMMANDS] or COMMANDS), arguments)


def parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The command line.

    Args:
        names: Of the commands that it understands; no module of another command is imported.
    """
    top = Parser(prog="keras-resnet", description="Train, evaluate and export ResNets in Keras.", epilog=EXIT_CODES)
    top.add_argument("--version", action="version", version=f"keras-resnet {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in names:
        module = import_module(f"keras_resnet.cli.{name.replace('-', '_')}")
        summary = str(module.__doc__).splitlines()[0]
        command = commands.add_parser(name, help=summary, description=module.__doc__, epilog=EXIT_CODES)
        module.add_arguments(command)
        finish_parser(command, module.run)
    return top
