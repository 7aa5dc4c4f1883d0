"""Models as they are named to a comparison: one training, or several, such as seeds and folds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.runs.run import Run, is_run

PREDICTIONS = "predictions.csv"
"""The table that `evaluate` writes."""


def trainings_of(model: Any) -> list[Any]:
    """One model as a list of one; several in order of their names.

    Args:
        model: Anything that `compare` takes.

    Returns:
        Runs for a run or a folder of runs, a table's path for a folder with one, all else as it is.

    Raises:
        ModelError: A run is not finished or damaged.
    """
    if isinstance(model, list | tuple):
        return [trainings_of(one)[0] for one in model]
    if not isinstance(model, str | os.PathLike):
        return [model]
    path = Path(model)
    if is_run(path):
        return [Run.at(path, finished=True)]
    if path.is_dir() and not (path / "saved_model.pb").is_file():
        if (path / PREDICTIONS).is_file():
            return [path / PREDICTIONS]
        runs = sorted(one for one in path.iterdir() if one.is_dir() and is_run(one))
        if runs:
            return [Run.at(one, finished=True) for one in runs]
    return [path]


def called_by(models: Sequence[Any]) -> list[str]:
    """Short names, as far as they differ."""
    names = []
    for number, model in enumerate(models, 1):
        one = model[0] if isinstance(model, list | tuple) and model else model
        path = one.path if isinstance(one, Run) else one
        names.append(os.fspath(path) if isinstance(path, str | os.PathLike) else f"model {number}")
    short = [Path(name).stem if Path(name).suffix == ".csv" else Path(name).name for name in names]
    if len(set(short)) == len(short):
        return short
    return names if len(set(names)) == len(names) else [f"{name} ({number})" for number, name in enumerate(names, 1)]


def test_by_train(trainings: Sequence[Any]) -> float:
    """Test images divided by training images, if trainings are of several splits; else 0."""
    runs = [one for one in trainings if isinstance(one, Run)]
    if len({run.fingerprint for run in runs}) < 2:
        return 0.0
    ratios = []
    for run in runs:
        counts = run.data_file["images_per_class"]
        tested = sum(counts.get("test", [])) or sum(counts["validation"])
        ratios.append(tested / max(1, sum(counts["train"])))
    return float(np.mean(ratios))
