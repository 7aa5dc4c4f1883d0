"""Run a parsed command, and turn whatever goes wrong into one line and an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from keras_resnet.cli.quiet import quiet
from keras_resnet.errors import KerasResNetError, StorageError


def finish_parser(command: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    """Add what every command has."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument("--native-log", action="store_true", help="also show what TensorFlow itself reports")
    command.set_defaults(run=run)


def run_parsed(top: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> int:
    """Parse and run; the exit code."""
    try:
        options = top.parse_args(arguments)
    except SystemExit as stop:  # --help, --version, or a usage error argparse has already reported
        return int(stop.code or 0)
    with quiet(not options.native_log):
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
        except BrokenPipeError:
            return 0
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
            return _fail(
                "out of memory: lower --batch-size or --image-size, or use a smaller --model", StorageError.exit_code
            )


def _fail(problem: object, code: int) -> int:
    # One line, whatever line breaks a message from below may have brought along.
    print(f"keras-resnet: {' '.join(str(problem).split())}", file=sys.stderr)
    return code


def _is_out_of_memory(error: Exception) -> bool:
    tensorflow = sys.modules.get("tensorflow")  # its own error is known only if it was imported at all
    return isinstance(error, MemoryError) or (
        tensorflow is not None and isinstance(error, tensorflow.errors.ResourceExhaustedError)
    )


def script_main(
    command: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], int],
    arguments: Sequence[str] | None = None,
) -> int:
    """A script that is one command; the exit code."""
    finish_parser(command, run)
    return run_parsed(command, arguments)
