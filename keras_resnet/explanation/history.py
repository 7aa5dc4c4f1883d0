"""A training's record as series of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.errors import ModelError
from keras_resnet.runs.contents import EventRow, KeptEpoch
from keras_resnet.runs.run import Run, is_run
from keras_resnet.weights.first_normalisation import FirstStatistics

LogRow = Mapping[str, Any]

ONE_CLASS = "classification"
"""The task in which an image has one class."""
CONTINUED, SETBACK = "continued", "setback"
TURNS = {CONTINUED: "continued", SETBACK: "went back to earlier weights"}
"""Events after which the curves may jump, in words: another process went on, or the loss was no number or jumped."""
FEWEST_STEP_ROWS = 5
"""With fewer rows of steps, the checks say nothing about them."""
FEWEST_EPOCHS = 3
"""With fewer epochs, the checks say nothing about them: the training may still be warming up."""


@dataclass(frozen=True)
class History:
    """The rows of a run's `metrics.jsonl`, in order.

    Args:
        steps: The rows of kind `step`, each of some updates.
        epochs: The rows of kind `epoch`.
        validation_images: The number of validation images; None: unknown.
        first: What the first batch normalisation of trained weights saw before the first update; None: the weights
            began at random, or it is unknown.
        guesses: The accuracy of always naming the most frequent class, of training and of validation images; None:
            unknown, or an image may have several classes.
        kept: The epoch whose weights the model has; None: unknown, or the training is not at its end.
        turns: The events of the kinds `continued` and `setback`.
    """

    steps: tuple[LogRow, ...]
    epochs: tuple[LogRow, ...]
    validation_images: int | None = None
    first: FirstStatistics | None = None
    guesses: tuple[float, float] | None = None
    kept: KeptEpoch | None = None
    turns: tuple[EventRow, ...] = ()

    @classmethod
    def of(
        cls,
        rows: Iterable[LogRow],
        validation_images: int | None = None,
        *,
        first: FirstStatistics | None = None,
        guesses: tuple[float, float] | None = None,
        kept: KeptEpoch | None = None,
        events: Iterable[EventRow] = (),
    ) -> History:
        """Sort rows into steps and epochs; other kinds are left out.

        Args:
            rows: As in `metrics.jsonl`.
            validation_images, first, guesses, kept: As `History`.
            events: As in `events.jsonl`.
        """
        rows = list(rows)
        kinds = [tuple(row for row in rows if row["event"] == kind) for kind in ("step", "epoch")]
        turns = tuple(event for event in events if event["event"] in TURNS)
        return cls(kinds[0], kinds[1], validation_images, first, guesses, kept, turns)

    @classmethod
    def of_run(cls, run: Run) -> History:
        """Read the record of a run. If the run has only `metrics.csv`, there are epochs but nothing on the network.

        Raises:
            ModelError: The file is damaged; the message names the line and the field.
        """
        if run.log.path.exists():
            rows: list[LogRow] = [{**row} for row in run.log.rows()]
        else:
            rows = [{"event": "epoch", **row} for row in run.metrics()]
            if rows and "epoch" not in rows[0]:
                raise ModelError(f"{run.path / 'metrics.csv'} is damaged: it has no column 'epoch'")
        kept = run.kept if is_run(run.path) else None
        if not rows:
            return cls.of(rows, kept=kept)
        counts = run.data_file["images_per_class"]
        train: list[int] = counts["train"]
        validation: list[int] = counts["validation"]
        guesses = None
        if run.data_file.get("task", ONE_CLASS) == ONE_CLASS and any(train) and any(validation):
            guesses = (max(train) / sum(train), max(validation) / sum(validation))
        events = run.events.rows()
        return cls.of(rows, sum(validation), first=run.first_statistics, guesses=guesses, kept=kept, events=events)

    def places(self, kind: str) -> np.ndarray:
        """Where events of a kind lie on an axis of epochs, on which a row of an epoch lies at its end.

        Args:
            kind: `continued` or `setback`.

        Returns:
            float64 (events,), rising, each place once.
        """
        ends, updates = series(self.epochs, "epoch"), series(self.epochs, "step")
        known = np.isfinite(ends) & np.isfinite(updates)
        if not known.any():
            return np.empty(0)
        found = [event["updates"] for event in self.turns if event["event"] == kind]
        return np.unique(np.interp(found, np.append(0, updates[known]), np.append(ends[known][0] - 1, ends[known])))

    @property
    def last_phase(self) -> tuple[LogRow, ...]:
        """The rows of steps since the trained layers or the image size last changed.

        Gradient norms and rates before that are not comparable.
        """
        rows = self.steps
        start = len(rows)
        while start and _phase(rows[start - 1]) == _phase(rows[-1]):
            start -= 1
        return rows[start:]


def series(rows: Iterable[LogRow], key: str) -> np.ndarray:
    """One number of every row, float64 (rows,); NaN where it is missing, null or not finite."""
    return np.array([_number(row.get(key)) for row in rows])


def stage_series(rows: Iterable[LogRow], key: str) -> dict[str, np.ndarray]:
    """An entry of every row that has a number for each stage, such as `gradient_norms`, as one series a stage.

    Returns:
        By stage, in the network's order, float64 (rows,).
    """
    rows = list(rows)
    stages = sorted({stage for row in rows for stage in row.get(key) or ()}, key=depth)
    return {stage: np.array([_number((row.get(key) or {}).get(stage)) for row in rows]) for stage in stages}


def depth(stage: str) -> tuple[int, str]:
    """The key that sorts stages in the network's order: stem, stage1, …, head."""
    return ({"stem": 0, "head": 2}.get(stage, 1), f"{len(stage):03d}{stage}")


def median(values: np.ndarray) -> float:
    """The median of the values that are numbers; NaN if there are none."""
    return float(np.nanmedian(values)) if np.isfinite(values).any() else math.nan


def end(values: np.ndarray) -> np.ndarray:
    """The last fifth of a series, at least one value."""
    return values[-max(1, len(values) // 5) :]


def _phase(row: LogRow) -> tuple[object, ...]:
    norms = row.get("gradient_norms") or {}
    return tuple(stage for stage, norm in norms.items() if norm != 0), row.get("image_size")


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else math.nan
