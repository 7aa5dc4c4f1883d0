"""The charts of a report."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from keras_resnet.evaluation.written import WrittenEvaluation
from keras_resnet.explanation.history import CONTINUED, SETBACK, TURNS, series
from keras_resnet.reporting.charts import Chart, Line, Marks, chart
from keras_resnet.reporting.contents import Contents
from keras_resnet.reporting.words import percent

FEWEST = 5
"""Answers of one probability, of fewer of which a share says nothing."""
NAMES = {"loss": "Loss", "accuracy": "Accuracy"}
SHARES = ("accuracy", "average_precision")
"""What lies between 0 and 1."""
MOST_TURNS_SAID = 5
"""To who hears the page; all are drawn."""
LOOKS = {CONTINUED: 2, SETBACK: 5}
"""How events that may bend a curve look."""


def training_charts(contents: Contents) -> list[Chart]:
    """Loss, accuracy and what chose the epoch by epoch, training beside validation.

    The kept epoch is marked, and where the training was continued or went back to earlier weights.
    """
    epochs = contents.history.epochs
    found = []
    kept = contents.history.kept
    # Epoch 0 is the linear probe, which no line has: it stands before the first.
    names = {**NAMES, **({kept["metric"]: _title(kept["metric"])} if kept else {})}
    weights = f"epoch {kept['epoch']}" if kept and kept["epoch"] else "the linear probe"
    turns = [Marks(TURNS[kind], contents.history.places(kind), look) for kind, look in LOOKS.items()]
    mark = (float(kept["epoch"]), f"kept: {weights}") if kept else None
    for key, title in names.items():
        x = series(epochs, "epoch")
        training, validation = series(epochs, key), series(epochs, f"val_{key}")
        lines = [Line("training", x, training, 0), Line("validation", x, validation, 1)]
        if kept and not kept["epoch"] and kept["metric"] == key and kept["value"] is not None:
            lines[1] = Line("validation", np.append(0.0, x), np.append(kept["value"], validation), 1)
        told = ", ".join(
            _course(name, values, key) for name, values in (("training", training), ("validation", validation))
        )
        description = f"{title} by epoch: {told}."
        if kept:
            description += f" The weights of {weights} were kept."
        for turn in turns:
            if len(turn.x):
                description += f" Training {turn.name} {_when(turn.x)}."
        drawn = chart(
            title, description, lines, ("epoch", title.lower()), percent=key == "accuracy",
            limits=_limits(lines) if key in SHARES else None, mark=mark, on_axis=turns,
        )  # fmt: skip
        found += [drawn] if drawn else []
    return found


def over_one_another(runs: Sequence[tuple[str, Contents]]) -> list[Chart]:
    """Validation loss and accuracy of several runs."""
    found = []
    for key, title in NAMES.items():
        lines = [
            Line(name, series(one.history.epochs, "epoch"), series(one.history.epochs, f"val_{key}"), number)
            for number, (name, one) in enumerate(runs)
        ]
        told = "; ".join(_course(line.name, line.y, key) for line in lines)
        drawn = chart(
            f"{title}, validation images", f"Validation {key} by epoch: {told}.", lines, ("epoch", key),
            percent=key == "accuracy", limits=_limits(lines) if key == "accuracy" else None,
        )  # fmt: skip
        found += [drawn] if drawn else []
    return found


def reliability_chart(found: WrittenEvaluation) -> Chart | None:
    """What came true of what was said."""
    shown = [one for one in found.reliability if one[2] >= FEWEST]
    bins = np.array([(said, true) for said, true, _ in shown]).reshape(-1, 2)
    told = "; ".join(f"of {count:,} answers given {percent(said)}, {percent(true)}" for said, true, count in shown)
    line = Line("this model", bins[:, 0], bins[:, 1], 0)
    return chart(
        "Share of the answers that came true, by the probability that the model gave them",
        f"Came true: {told}.", [line], ("probability that the model gives", "share that came true"),
        percent=True, limits=(0.0, 1.0), across=(0.0, 1.0), diagonal=True,
    )  # fmt: skip


def _when(places: np.ndarray) -> str:
    """Places on an axis of epochs in words."""
    if len(places) > MOST_TURNS_SAID:
        return f"{len(places)} times"
    whole = ", ".join(
        f"after epoch {place:g}" if place.is_integer() else f"in epoch {math.ceil(place)}" for place in places.tolist()
    )
    return " and ".join(whole.rsplit(", ", 1))


def _limits(lines: Sequence[Line]) -> tuple[float, float]:
    """Of an axis of shares: to 1, from the tenth below the lowest, since what lies near 1 would look flat from 0."""
    lowest = min((float(np.nanmin(one.y)) for one in lines if np.isfinite(one.y).any()), default=0.0)
    return max(0.0, min(math.floor(10 * lowest + 1e-9), 9) / 10), 1.0


def _title(key: str) -> str:
    return key.replace("_", " ").capitalize()


def _course(name: str, values: np.ndarray, key: str) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return f"{name} unknown"
    shown = percent if key == "accuracy" else lambda value: "–" if math.isnan(value) else f"{value:.3g}"
    return f"{name} from {shown(float(known[0]))} to {shown(float(known[-1]))}"
