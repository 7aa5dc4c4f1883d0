"""What a training recorded of itself, as series of numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_resnet.errors import ModelError
from keras_resnet.runs.run import Run

LogRow = Mapping[str, Any]

FEWEST_STEP_ROWS = 5
"""Rows of steps without which nothing is said of them."""
FEWEST_EPOCHS = 3
"""Epochs without which nothing is said of their course: before, it may still be warming up."""


@dataclass(frozen=True)
class History:
    """The rows of a run's `metrics.jsonl`, in their order.

    Args:
        steps: Those of kind `step`, some updates each.
        epochs: Those of kind `epoch`.
        validation_images: How many there are; None: not known.
    """

    steps: tuple[LogRow, ...]
    epochs: tuple[LogRow, ...]
    validation_images: int | None = None

    @classmethod
    def of(cls, rows: Iterable[LogRow], validation_images: int | None = None) -> History:
        """Sort rows by their `event`; other kinds are left out."""
        rows = list(rows)
        kinds = [tuple(row for row in rows if row["event"] == kind) for kind in ("step", "epoch")]
        return cls(kinds[0], kinds[1], validation_images)

    @classmethod
    def of_run(cls, run: Run) -> History:
        """Read a run's. One that has only `metrics.csv` has epochs without health.

        Raises:
            ModelError: The file is damaged.
        """
        path = run.path / "metrics.jsonl"
        if path.exists():
            lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last break, a kill cut off
            try:
                rows: list[LogRow] = [json.loads(line) for line in lines]
            except ValueError as error:
                raise ModelError(f"{path} is damaged: a line is not JSON ({error})") from None
        else:
            rows = [{"event": "epoch", **row} for row in run.metrics()]
        return cls.of(rows, _validation_images(run) if rows else None)

    @property
    def last_phase(self) -> tuple[LogRow, ...]:
        """The rows of steps since it last changed what is trained, or the images' size.

        Norms and rates of the rows before meant another thing.
        """
        rows = self.steps
        start = len(rows)
        while start and _phase(rows[start - 1]) == _phase(rows[-1]):
            start -= 1
        return rows[start:]


def series(rows: Iterable[LogRow], key: str) -> np.ndarray:
    """One number of every row, float64; NaN where it is missing, null or not finite."""
    return np.array([_number(row.get(key)) for row in rows])


def stage_series(rows: Iterable[LogRow], key: str) -> dict[str, np.ndarray]:
    """A mapping of every row, such as `gradient_norms`, as a series for each stage, in the network's order."""
    rows = list(rows)
    stages = sorted({stage for row in rows for stage in row.get(key) or ()}, key=depth)
    return {stage: np.array([_number((row.get(key) or {}).get(stage)) for row in rows]) for stage in stages}


def depth(stage: str) -> tuple[int, str]:
    """By which stages are sorted from the image to the prediction: stem, stage1, …, head."""
    return ({"stem": 0, "head": 2}.get(stage, 1), f"{len(stage):03d}{stage}")


def median(values: np.ndarray) -> float:
    """Of those that are numbers; NaN if none is."""
    return float(np.nanmedian(values)) if np.isfinite(values).any() else math.nan


def end(values: np.ndarray) -> np.ndarray:
    """The last fifth of a series, at least one value."""
    return values[-max(1, len(values) // 5) :]


def _validation_images(run: Run) -> int:
    counts = json.loads((run.path / "data.json").read_text(encoding="utf-8"))["images_per_class"]
    return sum(counts["validation"])


def _phase(row: LogRow) -> tuple[object, ...]:
    norms = row.get("gradient_norms") or {}
    return tuple(stage for stage, norm in norms.items() if norm != 0), row.get("image_size")


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else math.nan
