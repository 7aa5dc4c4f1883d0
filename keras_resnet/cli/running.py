"""Parse a command line and run its command; whatever goes wrong becomes one line and an exit code."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from keras_resnet.cli.quiet import quiet
from keras_resnet.cli.terminal import lossy_terminal, say
from keras_resnet.errors import KerasResNetError, StorageError, UsageError, nearest
from keras_resnet.shortage import shortage
from keras_resnet.visible import visible


class Parser(argparse.ArgumentParser):
    """argparse without abbreviations, so that a new option changes no old command; it names the nearest option."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        super().error(visible(message))

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        found, unknown = super().parse_known_args(args, namespace)
        # Here: only the command's own parser knows its options.
        for word in unknown:
            if word.startswith("--"):
                name = word.split("=")[0]
                near = nearest(name.strip("-"), [option[2:] for option in self._option_string_actions if option[2:]])
                self.error(f"there is no option {name}{f'; did you mean --{near}?' if near else ''}")
        return found, unknown


def finish_parser(command: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    """Add what every command has."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument("--native-log", action="store_true", help="also show what TensorFlow itself reports")
    # A command whose output is in a run as well says so by setting `kept`: losing the output then is no failure.
    command.set_defaults(run=run, kept=False)


def run_parsed(top: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> int:
    """Parse and run; the exit code."""
    # TensorFlow uses oneDNN by itself only on processors with AVX-512 for neural networks, or newer. On those with AVX2
    # a training takes several times as long without (docs/results.md). It reads this when a command imports it.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with lossy_terminal() as output:
        code, kept = _run(top, arguments)
        output.flush()
        if output.lost is None or isinstance(output.lost, BrokenPipeError):  # `| head` has seen enough
            return code
        problem = f"cannot write to standard output: {output.lost.strerror or output.lost}"
        if kept:
            return _fail(f"{problem}; the run holds what was to be shown", code)
        return _fail(problem, code or StorageError.exit_code)


def _run(top: argparse.ArgumentParser, arguments: Sequence[str] | None) -> tuple[int, bool]:
    """The exit code, and whether all that was printed is kept in a run as well."""
    try:
        options = top.parse_args(arguments)
    except SystemExit as stop:  # --help, --version, or a usage error argparse has already reported
        return int(stop.code or 0), False
    with quiet(not options.native_log):
        return _result(options), bool(options.kept)


def _result(options: argparse.Namespace) -> int:
    try:
        return int(options.run(options))
    except KerasResNetError as error:
        return _fail(error, error.exit_code)
    except KeyboardInterrupt:
        return _fail(
            "interrupted; what was finished is kept, and the same command, without --overwrite, continues an "
            "unfinished run",
            130,
        )
    except Exception as error:
        short = shortage(error)
        if short is None and isinstance(error, OSError) and error.filename is not None:
            # A path that the system refuses to look at: too long a name, a folder without permission, a ring of links.
            return _fail(f"{os.fsdecode(error.filename)}: {error.strerror}", UsageError.exit_code)
        if short is None:
            raise
        problem = {
            "memory": "out of memory: lower --batch-size or --image-size, or use a smaller --model",
            "disk": f"the disk is full: {error}",
        }
        return _fail(problem[short], StorageError.exit_code)


def _fail(problem: object, code: int) -> int:
    # In one line, even if the message has several.
    say(f"keras-resnet: {' '.join(str(problem).split())}", error=True)
    return code


def script_main(
    command: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], int],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a script that is one command.

    Args:
        command: Its parser.
        run: What it does with the parsed options; returns the exit code.
        arguments: Without the program's name; None: those of the process.

    Returns:
        The exit code.
    """
    finish_parser(command, run)
    return run_parsed(command, arguments)
