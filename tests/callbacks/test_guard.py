"""After a loss that is no number, a user's fit goes back and on at half the rate."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.callbacks import ExactCheckpoint, Guard, MovingAverage
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


@pytest.mark.parametrize("kind", ["ours", "number", "schedule of Keras"])
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
    assert "the loss became nan in batch 4: back to the weights saved before" in said
    assert ("cannot be changed" in said) == (kind == "schedule of Keras")
    if kind == "ours":
        assert float(optimizer.rate_factor.numpy()) == 0.5
    if kind == "number":
        assert float(optimizer.learning_rate.numpy()) == pytest.approx(0.025)
    assert int(optimizer.iterations.numpy()) == 18, "the schedule goes on"


def test_without_checkpoints_it_goes_back_to_the_beginning_of_the_epoch(tiny_data: ImageData) -> None:
    model = network(tiny_data, keras.optimizers.SGD(0.05))

    history = model.fit(batches(tiny_data), epochs=2, callbacks=[Guard(every=1), Spoil(8)], verbose=0).history

    assert np.isfinite(history["loss"]).all()


def test_the_fourth_time_in_an_epoch_is_an_error(tiny_data: ImageData) -> None:
    model = network(tiny_data, keras.optimizers.SGD(0.05))

    with pytest.raises(DivergedError, match="training diverged: the loss became nan in batch 5, 3 times after going"):
        model.fit(batches(tiny_data), epochs=1, callbacks=[Guard(every=1), Spoil(2, 3, 4, 5)], verbose=0)


def test_it_must_come_after_what_it_needs(tiny_data: ImageData, tmp_path: Path) -> None:
    model, train = network(tiny_data), batches(tiny_data)

    with pytest.raises(UsageError, match="Guard must come after MovingAverage"):
        model.fit(train, callbacks=[Guard(), MovingAverage()], verbose=0)
