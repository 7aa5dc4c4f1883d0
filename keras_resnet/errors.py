"""What can go wrong by a user's doing, each with the exit code the command line returns for it.

A message says what happened, what was received and expected, and what to do next. The exceptions
also derive from the built-in a Python caller would expect, so that library code can be used
without knowing this module.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class KerasResNetError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 1


class UsageError(KerasResNetError, ValueError):
    """An argument, option or the state of a run folder does not allow what was asked."""

    exit_code = 2


class DataError(KerasResNetError, ValueError):
    """Images, labels or a data source are missing, unreadable or do not fit."""

    exit_code = 3


class DivergedError(KerasResNetError, ArithmeticError):
    """Training produced a loss that is not a number."""

    exit_code = 4


class ModelError(KerasResNetError, ValueError):
    """A model file is missing, damaged or is not what it was taken for."""

    exit_code = 5


class StorageError(KerasResNetError, OSError):
    """A disk or memory would not take what had to be written."""

    exit_code = 6


class StoppedError(KerasResNetError):
    """Training was asked to stop and has; the same call goes on where it stopped."""

    exit_code = 75


class MissingExtraError(KerasResNetError, ImportError):
    """An optional dependency is not installed."""

    exit_code = 2

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(f"{purpose} needs the optional dependency '{extra}': pip install 'keras-resnet-kit[{extra}]'")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that was probably meant: the one with these initials (`lr`: `learning_rate`), or spelled most alike."""
    names = list(known)
    for one in names:
        if name == "".join(word[:1] for word in re.split("[-_]", one)):
            return one
    return next(iter(alike(name, names, most=1)), None)


def alike(name: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """The names that are spelled most like one that there is not, the nearest first.

    Args:
        name: That was given.
        known: All that there are.
        most: How many to return.
    """
    return difflib.get_close_matches(name, list(known), n=most)


def listed(names: object, most: int = 10) -> str:
    """The names for a message: quoted, comma separated, and cut after `most` with a count."""
    items = [repr(str(name)) for name in names]  # type: ignore[attr-defined]
    rest = len(items) - most
    return ", ".join(items[:most]) + (f" and {rest} more" if rest > 0 else "")
