"""Phases: the epochs that one call of `fit` trains."""

from __future__ import annotations

from dataclasses import dataclass

from keras_resnet.training.recipe import Recipe


@dataclass(frozen=True)
class Phase:
    """Epochs that are alike in what is trained and in the size of the images. One call of `fit`.

    Args:
        end: The epoch, counted from 0, before which it ends.
        head: Whether only the classifier is trained.
        size: Side of the training images; 0: as evaluation has them.
    """

    end: int
    head: bool
    size: int


def total_epochs(recipe: Recipe) -> int:
    """All epochs: those of the classifier alone and those of the whole network; none with a linear probe only."""
    if recipe.probe == "only":
        return 0
    return recipe.head_epochs + recipe.epochs


def phase_at(recipe: Recipe, epoch: int) -> Phase:
    """The phase of an epoch, counted from 0; past the end, the last one."""
    total = total_epochs(recipe)

    def kind(number: int) -> tuple[bool, int]:
        return number < recipe.head_epochs, _size(recipe, number)

    epoch = min(epoch, total - 1)
    head, size = kind(epoch)
    end = next((number for number in range(epoch + 1, total) if kind(number) != (head, size)), total)
    return Phase(end, head, size)


def _size(recipe: Recipe, epoch: int) -> int:
    if not recipe.train_sizes:
        return 0
    return recipe.train_sizes[epoch * len(recipe.train_sizes) // total_epochs(recipe)]
