"""How far a training has come: all of it that is not in a variable."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any

from keras_resnet.allowed import COUNT
from keras_resnet.errors import ModelError, listed
from keras_resnet.json_files import check_json
from keras_resnet.runs.run import Row
from keras_resnet.settings import Values

NUMBER = Annotated[int, Values(int, low=0)]
NONNEGATIVE = Annotated[float, Values(float, low=0)]


def _best(name: str) -> str:
    if re.search(r"[/\\]", name):  # it could lead anywhere
        raise ValueError
    return name


BEST = Values(str, canonical=_best, noun="the name of a file, as best-0007.safetensors")


@dataclass
class State:
    """What a checkpoint holds besides tensors; the rest of the training follows from both.

    Args:
        epoch: Epochs that are complete.
        step: Batches of the next one that are done, those left out included.
        updates: Of the weights, in all.
        parts: Micro-batches a batch is computed in.
        rate_factor: On the recipe's learning rate; below 1 after a setback.
        left_out: (epoch, step) of batches that are not trained on any more.
        tries: How often it has gone back to a checkpoint without completing the epoch that went wrong.
        setback_epoch: The last epoch that went wrong; -1: none.
        best_value: The best monitored value of a validation so far; None before the first.
        best: Name of the file with the weights that reached it.
        best_digest: Its SHA-256.
        rows: Of `metrics.csv`.
        log_bytes: Size of `metrics.jsonl`.
        losses: Of the last updates, the latest last.
        sums: Over the epoch so far: of losses, of right answers, of images.
        window: The same since the last row of `metrics.jsonl`, and seconds.
        seconds: Spent on the epoch so far.
    """

    epoch: NUMBER = 0
    step: NUMBER = 0
    updates: NUMBER = 0
    parts: Annotated[int, COUNT] = 1
    rate_factor: NONNEGATIVE = 1.0
    left_out: list[list[NUMBER]] = field(default_factory=list)
    tries: NUMBER = 0
    setback_epoch: Annotated[int, Values(int, low=-1)] = -1
    best_value: float | None = None
    best: Annotated[str, BEST] = ""
    best_digest: str = ""
    rows: Annotated[list[Row], list[dict[str, float | None]]] = field(default_factory=list)
    log_bytes: NUMBER = 0
    losses: list[float] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    window: dict[str, float] = field(default_factory=dict)
    seconds: NONNEGATIVE = 0.0

    @property
    def means(self) -> dict[str, float]:
        """Loss and accuracy of the epoch so far."""
        return {"loss": self.sums["loss"] / self.sums["images"], "accuracy": self.sums["right"] / self.sums["images"]}

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it, exactly. A metric that is not a number, which JSON lacks, becomes null."""
        rows = [{name: value if math.isfinite(value) else None for name, value in row.items()} for row in self.rows]
        return {**asdict(self), "rows": rows}

    @classmethod
    def from_json(cls, value: Any, called: str = "the checkpoint's state") -> State:
        """Read what `to_json` gave.

        Args:
            value: As JSON has it.
            called: What messages call it.

        Raises:
            ModelError: A field is missing, unknown or of another kind; the message names it.
        """
        own = {one.name for one in fields(cls)}
        if isinstance(value, dict) and value.keys() != own:
            other = listed(sorted(value.keys() ^ own))
            raise ModelError(
                f"the checkpoint was written by another version of this package: {called} differs in {other}"
            )
        check_json(value, cls, called)
        if any(len(place) != 2 for place in value["left_out"]):
            raise ModelError(f"{called}: left_out must be a list of epochs and steps; received {value['left_out']}")
        if any(row.keys() != value["rows"][0].keys() for row in value["rows"]):
            raise ModelError(f"{called}: all rows must have the same fields, since they are the rows of a table")
        rows = [{name: math.nan if one is None else one for name, one in row.items()} for row in value["rows"]]
        return cls(**{**value, "rows": rows})
