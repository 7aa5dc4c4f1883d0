import pytest

from keras_resnet.callbacks.state import State
from keras_resnet.training.phases import Phase, next_phase, total_epochs
from keras_resnet.training.recipe import Recipe


def phases(recipe: Recipe, state: State, steps: int) -> list[Phase]:
    found = []
    while state.epoch < total_epochs(recipe):
        found.append(next_phase(recipe, state, steps))
        state.epoch, state.step = found[-1].end, 0
    return found


def test_a_plain_training_is_one_phase() -> None:
    assert phases(Recipe(epochs=5), State(), 3) == [Phase(0, 5, (0, 1, 2), head=False, size=0)]


def test_from_the_middle_of_an_epoch_the_rest_of_it_is_a_phase_of_its_own() -> None:
    found = phases(Recipe(epochs=5), State(epoch=1, step=2), 4)

    assert [(one.first, one.end, one.steps) for one in found] == [(1, 2, (2, 3)), (2, 5, (0, 1, 2, 3))]


def test_at_the_end_of_an_epochs_batches_a_phase_without_any_is_left() -> None:
    assert next_phase(Recipe(epochs=2), State(step=3), 3).steps == ()


def test_batches_that_are_left_out_are_in_no_phase() -> None:
    found = phases(Recipe(epochs=4), State(left_out=[[1, 0], [1, 2]]), 3)

    assert [(one.first, one.end, one.steps) for one in found] == [(0, 1, (0, 1, 2)), (1, 2, (1,)), (2, 4, (0, 1, 2))]


def test_the_classifiers_epochs_come_first() -> None:
    found = phases(Recipe(epochs=3, head_epochs=2), State(), 1)

    assert [(one.first, one.end, one.head) for one in found] == [(0, 2, True), (2, 5, False)]


@pytest.mark.parametrize(
    ("epochs", "sizes", "expected"),
    [
        (6, (8, 12, 16), [(0, 2, 8), (2, 4, 12), (4, 6, 16)]),
        (5, (8, 12), [(0, 3, 8), (3, 5, 12)]),
        (4, (12,), [(0, 4, 12)]),
    ],
)
def test_training_sizes_share_the_epochs_out(
    epochs: int, sizes: tuple[int, ...], expected: list[tuple[int, int, int]]
) -> None:
    found = phases(Recipe(epochs=epochs, train_sizes=sizes), State(), 1)

    assert [(one.first, one.end, one.size) for one in found] == expected
