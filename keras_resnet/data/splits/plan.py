"""How to divide images into training, validation and test if their source has no splits of its own.

Nothing here imports NumPy: a `Source` has a plan.
"""

from __future__ import annotations

from dataclasses import dataclass

from keras_resnet.allowed import FOLD, SPLIT
from keras_resnet.settings import keep_checked

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class SplitPlan:
    """How to divide images into training, validation and test.

    Args:
        method: `class`: each split has every class in its proportion. `group`: the same as far as possible without
            putting a group into two splits. `time`: the earliest images are for training, the latest for the test.
        fold: `(2, 5)` is the second of five folds. By `class` and `group`, each image is in the test of one fold; by
            `time`, each fold is tested on the images that follow those it is trained on. The other images are divided
            between training and validation as without folds.

    Raises:
        UsageError: A field is out of range; the message names it.
    """

    method: str = "class"
    fold: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        keep_checked(self, method=SPLIT, fold=FOLD.or_none)

    def __str__(self) -> str:
        return f"by {self.method}" + (f", fold {self.fold[0]}/{self.fold[1]}" if self.fold else "")
