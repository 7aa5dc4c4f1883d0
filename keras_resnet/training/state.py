"""How far a training has come: all of it that is not in a variable."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from types import UnionType
from typing import Any, get_origin, get_type_hints

from keras_resnet.errors import ModelError
from keras_resnet.runs.run import Row


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

    epoch: int = 0
    step: int = 0
    updates: int = 0
    parts: int = 1
    rate_factor: float = 1.0
    left_out: list[list[int]] = field(default_factory=list)
    tries: int = 0
    setback_epoch: int = -1
    best_value: float | None = None
    best: str = ""
    best_digest: str = ""
    rows: list[Row] = field(default_factory=list)
    log_bytes: int = 0
    losses: list[float] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    window: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def means(self) -> dict[str, float]:
        """Loss and accuracy of the epoch so far."""
        return {"loss": self.sums["loss"] / self.sums["images"], "accuracy": self.sums["right"] / self.sums["images"]}

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it, exactly."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> State:
        """Raises ModelError where a field is missing, unknown or of another kind."""
        hints = get_type_hints(cls)
        if not isinstance(value, dict) or value.keys() != hints.keys():
            raise ModelError("the checkpoint was written by another version of this package")
        wrong = [name for name, hint in hints.items() if not isinstance(value[name], _kind(hint))]
        if wrong:
            raise ModelError(f"the checkpoint's {wrong[0]} is {value[wrong[0]]!r}")
        return cls(**value)


def _kind(hint: Any) -> Any:
    """What `isinstance` takes for a type: `list` for `list[float]`."""
    return hint if isinstance(hint, UnionType) else get_origin(hint) or hint
