"""How far a training has come."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any

from keras_resnet.allowed import COUNT
from keras_resnet.errors import ModelError, listed
from keras_resnet.json_files import check_json
from keras_resnet.settings import Values

NUMBER = Annotated[int, Values(int, low=0)]


def _best(name: str) -> str:
    if re.search(r"[/\\]", name):  # it could lead anywhere
        raise ValueError
    return name


def _hexadecimal(text: str) -> str:
    float.fromhex(text)
    return text


BEST = Values(str, canonical=_best, noun="the name of a file, as best-0007.safetensors")
HEXADECIMAL = Annotated[str, Values(str, canonical=_hexadecimal, noun="a number in hexadecimal, as 0x1.8p+1")]


@dataclass
class Place:
    """How far a training has come: all of it that is not in a variable.

    Args:
        epoch: Epochs that are complete.
        step: Batches of the next one that are done.
        until: The epoch until which the optimizer serves; a `fit` after it begins with a new one.
        ended: The epoch that the last `fit` was to end with which has ended; it may have ended before.
        finished: Whether the training is at its end.
        parts: The parts in which a batch is computed.
        first_value: The monitored value of the weights that it began with; None: not known.
        best_value: The best monitored value so far; None before the first.
        best_epoch: Of that value, counted from 1; 0: none.
        best: Name of the file with the weights that reached it.
        best_digest: Its SHA-256.
        rows: What `fit` reported of each epoch, with `step`, the updates so far, `learning_rate` and `seconds`; as
            hexadecimal floats, which JSON keeps exactly.
        seconds: Spent on the epoch so far.
        states: Of the callbacks that are kept, in the user's order: their attributes.
    """

    epoch: NUMBER = 0
    step: NUMBER = 0
    until: NUMBER = 0
    ended: NUMBER = 0
    finished: bool = False
    parts: Annotated[int, COUNT] = 1
    first_value: float | None = None
    best_value: float | None = None
    best_epoch: NUMBER = 0
    best: Annotated[str, BEST] = ""
    best_digest: str = ""
    rows: list[dict[str, HEXADECIMAL]] = field(default_factory=list)
    seconds: Annotated[float, Values(float, low=0)] = 0.0
    states: list[dict[str, Any]] = field(default_factory=list)

    @property
    def figures(self) -> list[dict[str, float]]:
        """The rows as numbers, each with its `epoch`, counted from 1."""
        numbers = [{name: float.fromhex(value) for name, value in row.items()} for row in self.rows]
        return [{"epoch": float(epoch), **row} for epoch, row in enumerate(numbers, 1)]

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, value: Any, called: str = "the checkpoint's state") -> Place:
        """Read what `to_json` gave.

        Args:
            value: As JSON has it.
            called: What messages call it.

        Raises:
            ModelError: It is another's, or of another version.
        """
        if isinstance(value, dict) and value.keys() != vars(cls()).keys():
            other = listed(sorted(value.keys() ^ vars(cls()).keys()))
            raise ModelError(
                f"the checkpoint was written by another version of this package: {called} differs in {other}"
            )
        check_json(value, cls, called)
        return cls(**value)
