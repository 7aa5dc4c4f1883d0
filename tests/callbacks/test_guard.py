"""After a loss that is no number, a user's fit goes back and on at half the rate."""

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.callbacks import ExactCheckpoint, Guard, MovingAverage
from keras_resnet.callbacks.guard import LEAST, what_is_wrong
from keras_resnet.data.images import ImageData
from keras_resnet.errors import DivergedError, UsageError
from tests.callbacks.test_exact_checkpoint import batches, network


class Spoil(keras.callbacks.Callback):
    """Makes the weights no numbers after these batches of the training."""

    def __init__(self, *batches: int) -> None:
        super().__init__()
        self.when, self.count = set(batches), 0

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.count += 1
        if self.count in self.when:
            kernel = self.model.get_layer("conv").kernel
            kernel.assign(kernel.value * np.nan)


@pytest.mark.parametrize("kind", ["ours", "number", pytest.param("schedule of Keras", marks=pytest.mark.slow)])
def test_it_goes_back_and_on_at_half_the_rate(
    kind: str, tiny_data: ImageData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    optimizer = {
        "ours": lambda: keras_resnet.optimizers.SGD(0.05),
        "number": lambda: keras.optimizers.SGD(0.05),
        "schedule of Keras": lambda: keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.05, 100)),
    }[kind]()
    model, train = network(tiny_data, optimizer), batches(tiny_data)
    saving = ExactCheckpoint(tmp_path / "run", data=train, steps=1)

    callbacks = [saving, MovingAverage(0.9), Guard(every=2), Spoil(9)]
    history = model.fit(train, epochs=3, callbacks=callbacks, verbose=0).history

    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(one.numpy()).all() for one in model.weights)
    said = capsys.readouterr().err
    assert "the loss became nan in epoch 2, batch 3: back to the weights saved before" in said
    assert ("cannot be changed" in said) == (kind == "schedule of Keras")
    if kind == "ours":
        assert float(optimizer.rate_factor.numpy()) == 0.5
    if kind == "number":
        assert float(optimizer.learning_rate.numpy()) == pytest.approx(0.025)
    assert int(optimizer.iterations.numpy()) == 18, "the schedule goes on"


def test_what_it_gives_back_at_an_epochs_end_is_not_undone_by_the_average(tiny_data: ImageData, tmp_path: Path) -> None:
    model = network(tiny_data, keras.optimizers.SGD(0.05))
    train, validation = batches(tiny_data), tiny_data.validation.batches(16)

    callbacks = [MovingAverage(0.9), Guard(every=100), Spoil(6)]
    found = model.fit(train, validation_data=validation, epochs=2, callbacks=callbacks, verbose=0).history

    assert np.isfinite(found["val_loss"]).all(), "the average was given back before it was judged"
    assert [bool(np.isfinite(one)) for one in found["loss"]] == [False, True]
    assert all(np.isfinite(one.numpy()).all() for one in model.weights)


def test_in_a_second_call_of_fit_it_does_not_go_back_to_the_first_ones_optimizer(
    tiny_data: ImageData, tmp_path: Path
) -> None:
    model, train, spoil = network(tiny_data), batches(tiny_data), Spoil(7, 9)
    for first, last, frozen in ((0, 1, True), (1, 2, False)):
        model.get_layer("conv").trainable = not frozen
        model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy")
        saving = ExactCheckpoint(tmp_path / "run", data=train, epochs=2)
        guard = Guard(every=1)
        model.fit(train, initial_epoch=first, epochs=last, callbacks=[saving, guard, spoil], verbose=0)

    assert guard.tries == 2
    assert all(np.isfinite(one.numpy()).all() for one in model.weights)


def test_without_checkpoints_it_goes_back_to_the_beginning_of_the_epoch(tiny_data: ImageData) -> None:
    model = network(tiny_data, keras.optimizers.SGD(0.05))

    history = model.fit(batches(tiny_data), epochs=2, callbacks=[Guard(every=1), Spoil(8)], verbose=0).history

    assert np.isfinite(history["loss"]).all()


def test_the_fourth_time_in_an_epoch_is_an_error(tiny_data: ImageData) -> None:
    model = network(tiny_data, keras.optimizers.SGD(0.05))

    with pytest.raises(
        DivergedError, match="diverged: the loss became nan in epoch 1, batch 5, after going back 3 times"
    ):
        model.fit(batches(tiny_data), epochs=1, callbacks=[Guard(every=1), Spoil(2, 3, 4, 5)], verbose=0)


def test_it_must_come_after_what_it_needs(tiny_data: ImageData, tmp_path: Path) -> None:
    model, train = network(tiny_data), batches(tiny_data)

    with pytest.raises(UsageError, match="Guard must come after MovingAverage"):
        model.fit(train, callbacks=[Guard(), MovingAverage()], verbose=0)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_wrong_from_the_first_update_on(loss: float) -> None:
    assert what_is_wrong(loss, [], 1.0) == f"the loss became {loss}"


@pytest.mark.parametrize(
    ("loss", "recent", "wrong"),
    [
        (9.3, [2.3] * LEAST, True),
        (9.1, [2.3] * LEAST, False),  # less than four times the usual
        (9.3, [2.3] * (LEAST - 1), False),  # nothing is usual yet
        (3.0, [0.05] * LEAST, False),  # sixty times the usual, and hardly worse than a guess
        (4.7, [0.05] * LEAST, True),  # twice as bad as a guess
        (9.3, [2.3] * (LEAST // 2 + 1) + [100.0] * (LEAST // 2), True),  # spikes before do not make it usual
    ],
)
def test_a_loss_is_a_spike_far_above_the_usual_and_above_a_guess(loss: float, recent: list[float], wrong: bool) -> None:
    assert (what_is_wrong(loss, recent, math.log(10)) is not None) == wrong
