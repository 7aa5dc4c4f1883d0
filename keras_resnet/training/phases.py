"""Phases: the epochs and batches that one call of `fit` trains."""

from __future__ import annotations

from dataclasses import dataclass

from keras_resnet.callbacks.state import State
from keras_resnet.training.recipe import Recipe


@dataclass(frozen=True)
class Phase:
    """Epochs that are alike: in what is trained, in the size of the images, and in their batches. One call of `fit`.

    Args:
        first, end: Epochs `first` … `end` - 1, counted from 0.
        steps: The batches of each, by number; of the first epoch perhaps only those that are left.
        head: Whether only the classifier is trained.
        size: Side of the training images; 0: as evaluation has them.
    """

    first: int
    end: int
    steps: tuple[int, ...]
    head: bool
    size: int


def total_epochs(recipe: Recipe) -> int:
    """All epochs: those of the classifier alone and those of the whole network."""
    return recipe.head_epochs + recipe.epochs


def next_phase(recipe: Recipe, state: State, steps: int) -> Phase:
    """The longest phase that begins where a training stands; it must not be at its end.

    Args:
        recipe: The training's.
        state: Where it stands.
        steps: Batches in an epoch.
    """
    first = state.epoch
    left_out = {(epoch, step) for epoch, step in state.left_out}

    def kind(epoch: int) -> tuple[bool, int, frozenset[int]]:
        absent = {step for number, step in left_out if number == epoch}
        absent |= set(range(state.step)) if epoch == first else set()
        return epoch < recipe.head_epochs, _size(recipe, epoch), frozenset(absent)

    head, size, absent = kind(first)
    end = first + 1
    while end < total_epochs(recipe) and kind(end) == (head, size, absent):
        end += 1
    return Phase(first, end, tuple(step for step in range(steps) if step not in absent), head, size)


def _size(recipe: Recipe, epoch: int) -> int:
    if not recipe.train_sizes:
        return 0
    return recipe.train_sizes[epoch * len(recipe.train_sizes) // total_epochs(recipe)]
