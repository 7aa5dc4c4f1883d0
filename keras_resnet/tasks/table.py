"""The tasks there are: a row each. Importing this imports none of them, so that settings may name them at no cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from keras_resnet.errors import UsageError, listed

if TYPE_CHECKING:
    from keras_resnet.tasks.task import Task


@dataclass(frozen=True)
class TaskRow:
    """A task.

    Args:
        made_by: Its class, a `Task`.
        several: Whether an image may have any number of classes. This decides which of two forms labels have: 0 and 1
            (n, classes), or whole numbers (n,).
    """

    made_by: str
    several: bool = False


TASKS = {
    "classification": TaskRow("keras_resnet.tasks.classification.Classification"),
    "multi-label": TaskRow("keras_resnet.tasks.multi_label.MultiLabel", several=True),
}
"""Each task by its name. The first of a form of labels is the one that sources take where none is asked for."""


def task_row(name: str) -> TaskRow:
    """A task's row.

    Raises:
        UsageError: There is no such task.
    """
    if name not in TASKS:
        raise UsageError(f"the task must be one of {listed(TASKS)}; received {name!r}")
    return TASKS[name]


def task(name: str, class_names: Sequence[str]) -> Task:
    """A task by its name.

    Args:
        name: A key of `TASKS`.
        class_names: The classes, in the order of the network's outputs.

    Raises:
        UsageError: There is no such task.
    """
    row = task_row(name)
    module, _, kind = row.made_by.rpartition(".")
    made: Task = getattr(import_module(module), kind)(tuple(class_names))
    assert (made.name, made.several) == (name, row.several), "what a task's row says, its class says, too"
    return made


def usual_task(*, several: bool) -> str:
    """The name of the task for labels of a form where none is asked for.

    Args:
        several: See `TaskRow`.
    """
    return next(name for name, one in TASKS.items() if one.several == several)
