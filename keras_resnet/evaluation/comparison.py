"""One model in several formats, side by side on the same images: how good, how large, how fast."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from keras_resnet.atomic import write_json
from keras_resnet.data.images import Split
from keras_resnet.evaluation.evaluate import split_logits
from keras_resnet.inference.predictor import Predictor
from keras_resnet.json_files import read_json
from keras_resnet.runs.contents import NUMBER
from keras_resnet.tasks.task import Task

ROUNDS = 9
CALLS = 20


@dataclass(frozen=True)
class ComparedFormat:
    """One row of a comparison.

    Args:
        name: The format.
        metric: The name of the task's headline metric.
        value: What it is; None where it means nothing.
        shown: The same as people read it.
        correct: How many images were answered wholly right.
        images: Of how many.
        agreement: How far it decides as the first of the row's comparison does, in [0, 1].
        size_in_bytes: On disk; None for a model in memory.
        latency_ms: Milliseconds for one image.
    """

    name: str
    metric: str
    value: float | None
    shown: str
    correct: int
    images: int
    agreement: float
    size_in_bytes: int | None
    latency_ms: float

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of `columns`."""
        size = "–" if self.size_in_bytes is None else f"{self.size_in_bytes / 1000:,.1f} kB"
        return (self.name, self.shown, f"{self.agreement:.2%}", size, f"{self.latency_ms:.3f} ms")

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file; the value under the metric's name."""
        fields = {key: value for key, value in vars(self).items() if key not in ("metric", "shown")}
        return {self.metric if key == "value" else key: value for key, value in fields.items()}


def columns(task: Task) -> tuple[str, ...]:
    """The heads of a table of `ComparedFormat.cells`."""
    return ("format", task.metrics[task.headline].title, "agreement with Keras", "size on disk", "median latency")


def compare(predictors: Sequence[Predictor], split: Split) -> list[ComparedFormat]:
    """Run every format over a whole split; the first one is the reference.

    Args:
        predictors: The model, then the files made from it.
        split: Not empty.
    """
    logits = [split_logits(predictor, split) for predictor in predictors]
    latencies = median_latency(predictors, split.read(slice(0, 1))[0])
    rows = []
    for predictor, found, latency in zip(predictors, logits, latencies, strict=True):
        task = predictor.task
        metrics = task.evaluate(found, split.labels)
        agreed = task.agreement(logits[0], found)
        rows.append(
            ComparedFormat(
                predictor.name,
                task.headline,
                metrics.figures[task.headline],
                task.shown(metrics, task.headline),
                metrics.correct,
                metrics.images,
                agreed,
                predictor.size_in_bytes,
                latency,
            )
        )
    return rows


def write_comparison(rows: Sequence[ComparedFormat], path: Path) -> None:
    """Write the rows as JSON."""
    write_json(path, [row.to_dict() for row in rows])


class WrittenFormat(TypedDict):
    """A row of a written comparison; the metric's value stands beside these."""

    name: str
    correct: NUMBER
    images: NUMBER
    agreement: float
    size_in_bytes: NUMBER | None
    latency_ms: float


def read_comparison(path: Path) -> list[WrittenFormat]:
    """Read what `write_comparison` has written.

    Raises:
        ModelError: The file is damaged.
    """
    return read_json(path, list[WrittenFormat])


def median_latency(predictors: Sequence[Predictor], image: np.ndarray) -> list[float]:
    """Milliseconds for one image, batch 1: the median of `ROUNDS` interleaved rounds' medians of `CALLS` calls.

    Args:
        predictors: What to measure, A B A B.
        image: uint8 (height, width, channels), already of the right size; decoding is not measured.
    """
    calls = [predictor.one(image) for predictor in predictors]
    for call in calls:  # the first call traces and allocates
        call(), call()
    rounds = np.empty((ROUNDS, len(calls)))
    for turn in range(ROUNDS):
        for index, call in enumerate(calls):
            times = np.empty(CALLS)
            for repetition in range(CALLS):
                began = time.perf_counter()
                call()
                times[repetition] = time.perf_counter() - began
            rounds[turn, index] = np.median(times)
    return [float(value) * 1000 for value in np.median(rounds, axis=0)]
