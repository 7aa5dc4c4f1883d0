"""How images are to be divided where their source does not do it."""

from __future__ import annotations

from dataclasses import dataclass

from keras_resnet.allowed import FOLD, SPLIT
from keras_resnet.settings import keep_checked

PARTS = ("train", "validation", "test")


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
        keep_checked(self, method=SPLIT, fold=FOLD.or_none)

    def __str__(self) -> str:
        return f"by {self.method}" + (f", fold {self.fold[0]}/{self.fold[1]}" if self.fold else "")
