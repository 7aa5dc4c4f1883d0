import math
from types import SimpleNamespace

import pytest

from keras_resnet.callbacks.state import State
from keras_resnet.training.checkpointer import Checkpointer


@pytest.mark.parametrize(
    ("values", "best"),
    [([0.2, 0.1, 0.3, 0.3], 4), ([-20.0, -5.0, -7.0], 2), ([math.nan, 0.1, math.nan], 2), ([math.nan], None)],
)
def test_the_best_value_is_the_highest_number_and_of_equal_ones_the_latest(
    values: list[float], best: int | None
) -> None:
    saved: list[int] = []
    store = SimpleNamespace(save_best=lambda weights, epoch: saved.append(epoch) or ("best", "digest"))
    made = SimpleNamespace(
        state=State(), place=SimpleNamespace(is_chief=True), store=store,
        compiled=SimpleNamespace(network=SimpleNamespace(weights=[], layers=[], variables=[])),
    )  # fmt: skip

    for number, value in enumerate(values):
        made.state.epoch = number
        Checkpointer.keep_best(made, value)  # type: ignore[arg-type]

    assert (saved[-1] if saved else None) == best
    assert made.state.best_value == (values[best - 1] if best else None)
    assert State.from_json(made.state.to_json()) == made.state
