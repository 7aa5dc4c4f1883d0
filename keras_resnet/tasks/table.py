"""The tasks there are: a row each."""

from __future__ import annotations

from collections.abc import Sequence

from keras_resnet.errors import UsageError, listed
from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.multi_label import MultiLabel
from keras_resnet.tasks.task import Task

TASKS: dict[str, type[Task]] = {task.name: task for task in (Classification, MultiLabel)}


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
    return TASKS[name](tuple(class_names))
