"""How images are to be divided where their source does not do it."""

from __future__ import annotations

from dataclasses import dataclass

from keras_resnet.errors import UsageError

PARTS = ("train", "validation", "test")
METHODS = ("class", "group", "time")


@dataclass(frozen=True)
class SplitPlan:
    """How images are divided that their source does not separate itself.

    Args:
        method: `class`: every class in its proportion. `group`: likewise as far as no group is on two
            sides. `time`: the earliest images train, the latest test.
        fold: `(2, 5)` is the second of five folds: of `class` and `group`, each image is in the test of
            one fold; of `time`, each fold is tested on the images that follow those it knows. What is
            left is divided between training and validation as without folds.

    Raises:
        UsageError: A field is out of range; the message names it.
    """

    method: str = "class"
    fold: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"a split is made by {', '.join(METHODS)}; received {self.method!r}")
        if self.fold is None:
            return
        object.__setattr__(self, "fold", tuple(self.fold))  # config files know lists only
        if len(self.fold) != 2 or self.fold[1] < 2 or not 1 <= self.fold[0] <= self.fold[1]:
            raise UsageError(f"a fold is one of two or more, counted from 1, as 2/5; received {_written(self.fold)}")

    def __str__(self) -> str:
        return f"by {self.method}" + (f", fold {_written(self.fold)}" if self.fold else "")


def parse_fold(text: str) -> tuple[int, int]:
    """`2/5` as numbers, for `SplitPlan`.

    Raises:
        UsageError: It is not written so.
    """
    number, slash, count = text.partition("/")
    if not slash or not (number.strip().isdecimal() and count.strip().isdecimal()):
        raise UsageError(f"a fold is written as 2/5, the second of five; received {text!r}")
    return int(number), int(count)


def _written(fold: tuple[int, ...]) -> str:
    return "/".join(map(str, fold))
