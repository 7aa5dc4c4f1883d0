import pytest

from keras_resnet.training.phases import Phase, phase_at, total_epochs
from keras_resnet.training.recipe import Recipe


def phases(recipe: Recipe) -> list[Phase]:
    found, epoch = [], 0
    while epoch < total_epochs(recipe):
        found.append(phase_at(recipe, epoch))
        epoch = found[-1].end
    return found


def test_a_plain_training_is_one_phase() -> None:
    assert phases(Recipe(epochs=5)) == [Phase(5, head=False, size=0)]


def test_the_classifiers_epochs_come_first() -> None:
    found = phases(Recipe(epochs=3, head_epochs=2))

    assert [(one.end, one.head) for one in found] == [(2, True), (5, False)]


def test_past_the_end_it_is_still_the_last_one() -> None:
    recipe = Recipe(epochs=3, head_epochs=2)

    assert phase_at(recipe, 5) == phase_at(recipe, 4) == Phase(5, head=False, size=0)
    assert phase_at(recipe, 1) == phase_at(recipe, 0)


@pytest.mark.parametrize(
    ("epochs", "sizes", "expected"),
    [
        (6, (8, 12, 16), [(2, 8), (4, 12), (6, 16)]),
        (5, (8, 12), [(3, 8), (5, 12)]),
        (4, (12,), [(4, 12)]),
    ],
)
def test_training_sizes_share_the_epochs_out(
    epochs: int, sizes: tuple[int, ...], expected: list[tuple[int, int]]
) -> None:
    found = phases(Recipe(epochs=epochs, train_sizes=sizes))

    assert [(one.end, one.size) for one in found] == expected
