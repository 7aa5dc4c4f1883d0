"""The tasks there are: a row each. Importing this imports none of them, so that settings may name them at no cost."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from keras_resnet.errors import UsageError, listed

if TYPE_CHECKING:
    from keras_resnet.tasks.task import Task

TASKS = {
    "classification": "keras_resnet.tasks.classification.Classification",
    "multi-label": "keras_resnet.tasks.multi_label.MultiLabel",
}
"""Each task's name, and its class."""


def task(name: str, class_names: Sequence[str]) -> Task:
    """A task by its name.

    Args:
        name: A key of `TASKS`.
        class_names: The classes, in the order of the network's outputs.

    Raises:
        UsageError: There is no such task.
    """
    if name not in TASKS:
        raise UsageError(f"the task must be one of {listed(TASKS)}; received {name!r}")
    module, _, kind = TASKS[name].rpartition(".")
    made: Task = getattr(import_module(module), kind)(tuple(class_names))
    return made
