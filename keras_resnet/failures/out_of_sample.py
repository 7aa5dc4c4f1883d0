"""Images judged by networks that were not trained on them, for in-sample confidence hides errors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.data.images import OnRead, Split
from keras_resnet.data.loading import load_data, merge
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.evaluation.evaluate import load_run_data, split_logits
from keras_resnet.inference.predictors import KerasPredictor, open_predictor
from keras_resnet.runs.run import Run, is_run
from keras_resnet.tasks.task import Answers
from keras_resnet.transfer.features import image_features

FOLD = re.compile(r"fold-(\d+)of(\d+)")
"""The name of a fold's run, as `repeat` gives it."""


@dataclass(frozen=True)
class Judged:
    """Images that one network judges, which was not trained on them.

    Args:
        split: The images.
        names: Their names.
        logits: float32 (n, classes), what the network says.
        features: float32 (n, features), what its classifier reads; None: it has no classifier.
    """

    split: Split
    names: tuple[str, ...]
    logits: np.ndarray
    features: np.ndarray | None


@dataclass(frozen=True)
class OutOfSample:
    """Images that are judged by networks that were not trained on them; positions count through all parts.

    Args:
        name: What was judged.
        source: From where the images can be read again; None: not known.
        parts: By each network.
        remarks: How far this judgement is to be trusted.
    """

    name: str
    source: Source | None
    parts: tuple[Judged, ...]
    remarks: tuple[str, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the images."""
        return tuple(name for part in self.parts for name in part.names)

    @cached_property
    def answers(self) -> Answers:
        """The networks' answers beside the given labels."""
        labels = np.concatenate([part.split.labels for part in self.parts])
        return Answers(self.parts[0].split.task, np.concatenate([part.logits for part in self.parts]), labels)

    def pixels(self, positions: np.ndarray) -> Iterator[np.ndarray]:
        """Some of the images, one after the other, uint8 (height, width, channels)."""
        starts = np.cumsum([0, *(len(part.split) for part in self.parts)])
        for position in positions.tolist():
            part = int(np.searchsorted(starts, position, side="right")) - 1
            yield self.parts[part].split.read(np.array([position - starts[part]]))[0]


def out_of_sample(
    model: Run | str | os.PathLike[str], data: Source | str | None = None, progress: OnRead | None = None
) -> OutOfSample:
    """Judge images by networks that were not trained on them.

    Args:
        model: A finished run, a model file, or the folder of a training by folds.
        data: Images that the network was not trained on; None: of a run its validation and test images, of folds
            all images, each by the network that was not trained on it.
        progress: Called while images are read.

    Raises:
        UsageError: A fold is missing, data are those that a run was trained on or are given with folds, a model file
            has none, or its images may have several labels.
        DataError, ModelError: As `evaluate`.
    """
    path = model.path if isinstance(model, Run) else Path(model)
    if not is_run(path) and (folds := _folds(path)):
        if data is not None:
            raise UsageError(f"{path} is a training by folds, which judge their own images: leave --data out")
        return _of_folds(path, folds, progress)
    if data is not None:
        return _of_others(path, Source(data) if isinstance(data, str) else data, progress)
    if path.is_file():
        raise UsageError(f"{path} is a model file: it needs --data SOURCE, as it does not know its images")
    return _of_run(Run.at(path, finished=True), progress)


def source_of(model: Run | str | os.PathLike[str]) -> Source | None:
    """The source of the images that a run, or a training by folds, was trained on; None: its script alone knows them.

    Args:
        model: As `out_of_sample`.
    """
    path = model.path if isinstance(model, Run) else Path(model)
    folds = [] if is_run(path) else _folds(path)
    settings: dict[str, Any] = {**Run.at(folds[0].path if folds else path).config["data"]}
    return None if "arrays" in settings else Source(**settings)


def _folds(path: Path) -> list[Run]:
    """The finished runs of all folds in a folder; none if it holds no folds.

    Raises:
        UsageError: One is missing or not finished, or there are those of several divisions.
    """
    found = sorted(one.name for one in path.iterdir() if FOLD.fullmatch(one.name)) if path.is_dir() else []
    counts = {int(name.rpartition("of")[2]) for name in found}
    if len(counts) > 1:
        raise UsageError(f"{path} holds folds of several divisions, in {sorted(counts)} parts: keep those of one")
    return [Run.at(path / f"fold-{fold}of{count}", finished=True) for count in counts for fold in range(1, count + 1)]


def _of_folds(path: Path, folds: list[Run], progress: OnRead | None) -> OutOfSample:
    parts, sources = [], []
    for run in folds:
        data = load_run_data(run, progress)
        sources.append(data.source)
        parts.append(_judged(run, data.test, data.names))
    if any(part.split.task != parts[0].split.task for part in parts):
        raise UsageError(f"the folds of {path} have different classes: train them again, together")
    source = sources[0] if isinstance(sources[0], Source) else None
    remark = f"Each image is judged by a network that was not trained on it, one of {len(folds)} by folds."
    return OutOfSample(path.name, source, tuple(parts), (remark, *_agreement(parts)))


def _of_run(run: Run, progress: OnRead | None) -> OutOfSample:
    data = load_run_data(run, progress)
    parts = [_judged(run, split, data.names) for split in (data.test, data.validation) if len(split)]
    if not parts:
        raise UsageError(f"{run.path} has no images that it was not trained on: train by folds (`train --folds 5`)")
    kinds = " and ".join(kind for kind in ("test", "validation") if len(data.splits[kind]))
    remark = (
        f"Only the {sum(len(part.split) for part in parts):,} {kinds} images are judged. The network was trained on "
        f"the other {len(data.train):,}, and is too sure of their labels, wrong ones too, to tell which are wrong. "
        "`keras-resnet train --folds 5` makes a folder that judges all images."
    )
    chose = "The validation images chose the epoch, so that errors among them may be hidden a little."
    source = data.source if isinstance(data.source, Source) else None
    remarks = (remark, *([chose] if len(data.validation) else ()), *_agreement(parts))
    return OutOfSample(run.path.name, source, tuple(parts), remarks)


def _of_others(path: Path, source: Source, progress: OnRead | None) -> OutOfSample:
    if is_run(path) and Run(path).config["data"].get("name") == source.name:
        raise UsageError(
            f"{path} was trained on {source.name}, and in-sample confidence hides errors: leave --data out, and its "
            "validation and test images are judged, or train by folds (`train --folds 5`), which judge all images"
        )
    predictor = open_predictor(path)
    data = load_data(source, progress, whole=True, fit=predictor.preprocessing.fit).relabelled(predictor.task)
    part = _judged(path, merge(data), data.names)
    remark = (
        f"The network must not have been trained on the images of {data.name}: of those that it was trained on, "
        "errors would be hidden."
    )
    return OutOfSample(data.name, source, (part,), (remark, *_agreement([part])))


def _judged(model: Run | Path, split: Split, names: tuple[str, ...]) -> Judged:
    if split.task.several:
        raise UsageError("failures are of images that have one label each; these may have several")
    predictor = open_predictor(model)
    logits = split_logits(predictor, split)
    if not np.isfinite(logits).all():
        raise ModelError(f"{model}: the model's outputs are not all finite numbers")
    try:
        features = image_features(predictor.model, split) if isinstance(predictor, KerasPredictor) else None
    except UsageError:  # no classifier, before which features would be
        features = None
    return Judged(split, tuple(names[index] for index in split.indices), logits, features)


def _agreement(parts: list[Judged]) -> Iterator[str]:
    """What is to be said where the networks know too little to doubt a label."""
    right = np.concatenate([part.logits.argmax(axis=1) == part.split.labels for part in parts])
    if right.mean() < 0.5:
        yield f"The network agrees with only {right.mean():.0%} of the labels: most of its doubts are its own errors."
