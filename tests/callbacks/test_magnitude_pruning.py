"""Weights that became zero stay so, whatever else acts on them, and a killed training ends with the same bits."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.callbacks import ExactCheckpoint, Guard, MagnitudePruning, MovingAverage
from keras_resnet.callbacks.between_batches import BetweenBatches
from keras_resnet.data.images import ImageData
from keras_resnet.errors import UsageError
from keras_resnet.models.resnet import build
from tests.callbacks.test_exact_checkpoint import KillAt, Killed, assert_same, batches, end, kill, network, train
from tests.shared import ONE_BLOCK

NAMES = ("conv", "dense")  # the tiny network has no others


def pruning(**options: Any) -> MagnitudePruning:
    return MagnitudePruning(**{"sparsity": 0.6, "every": 2, "layers": NAMES, **options})


class Zeros(BetweenBatches):
    """Notes the share of zeros in the classifier after each batch, and in what a validation judges."""

    def __init__(self) -> None:
        super().__init__()
        self.after: list[float] = []
        self.judged: list[float] = []

    def between_batches(self, before: int, done: int) -> None:
        self.after.append(keras_resnet.sparsity(self.model).layers["dense"])

    def on_test_begin(self, logs: object = None) -> None:
        super().on_test_begin()
        self.judged.append(keras_resnet.sparsity(self.model).layers["dense"])


def momentum() -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(0.05, 0.9, weight_decay=0.01)


def test_the_share_of_zeros_grows_by_a_cubic_and_stays_in_what_is_judged_and_averaged(tiny_data: ImageData) -> None:
    model, zeros, average = network(tiny_data, momentum()), Zeros(), MovingAverage(0.9, every=1)

    model.fit(
        batches(tiny_data),
        validation_data=tiny_data.validation.batches(16),
        epochs=3,
        callbacks=[pruning(begin=2, end=11), average, zeros],
        verbose=0,
    )

    size, expected, share = model.get_layer("dense").kernel.shape, [], 0.0
    for batch in range(1, 19):
        if batch in (2, 4, 6, 8, 10, 11):
            share = 0.6 * (1 - (1 - (batch - 2) / 9) ** 3)
        expected.append(round(share * np.prod(size)) / np.prod(size))
    np.testing.assert_allclose(zeros.after, expected)
    np.testing.assert_allclose(zeros.judged, [expected[5], expected[11], expected[17]])
    assert keras_resnet.sparsity(model).layers["dense"] == pytest.approx(0.6, abs=0.01), "the average has them, too"
    assert (np.asarray(model.get_layer("dense").bias) != 0).all()


def test_the_first_layer_the_classifier_and_normalisations_are_left_alone(tiny_data: ImageData) -> None:
    model = build(ONE_BLOCK, 10, input_shape=tiny_data.train.images.shape, seed=0)
    model.compile("adam", "categorical_crossentropy")

    model.fit(batches(tiny_data), epochs=1, callbacks=[MagnitudePruning(0.5, end=1, every=1)], verbose=0)

    shares = keras_resnet.sparsity(model).layers
    assert {name for name, share in shares.items() if share == 0} == {"stem_conv", "head_dense"}
    assert {share for name, share in shares.items() if name not in ("stem_conv", "head_dense")} == {0.5}


def test_a_pattern_is_met_at_the_end(tiny_data: ImageData) -> None:
    model = network(tiny_data)

    callbacks = [MagnitudePruning(pattern="1:3", every=2, layers=NAMES)]  # the convolution reads one channel

    model.fit(batches(tiny_data), epochs=1, callbacks=callbacks, verbose=0)

    rows = np.asarray(model.get_layer("dense").kernel).T.reshape(-1, 3)
    np.testing.assert_array_equal((rows != 0).sum(axis=1), 1)
    assert keras_resnet.sparsity(model).layers["conv"] == 0
    with pytest.raises(UsageError, match="multiple of 4, as the pattern 2:4 needs"):
        model.fit(batches(tiny_data), callbacks=[MagnitudePruning(pattern="2:4", layers=NAMES)], verbose=0)


@pytest.mark.parametrize("batch", [9, pytest.param(15, marks=pytest.mark.slow)])
def test_a_killed_training_ends_with_the_same_bits(tiny_data: ImageData, tmp_path: Path, batch: int) -> None:
    def trained(name: str, *others: keras.callbacks.Callback) -> dict[str, np.ndarray]:
        callbacks = [pruning(end=16), MovingAverage(0.9, every=2), *others]
        return end(*train(tiny_data, tmp_path / name, *callbacks, optimizer=momentum, epochs=3, steps=2))

    expected = trained("whole")
    with pytest.raises(Killed):
        trained("run", KillAt(batch, kill))

    assert_same(trained("run"), expected)
    assert (expected["dense/kernel"] == 0).mean() == pytest.approx(0.6, abs=0.01)


def test_the_best_weights_are_those_of_an_epoch_that_ends_with_all_zeros(tiny_data: ImageData, tmp_path: Path) -> None:
    model, saving = train(tiny_data, tmp_path / "run", pruning(end=8), monitor="val_loss", mode="max", epochs=3)

    assert saving.logs[0]["val_loss"] > saving.logs[1]["val_loss"] > saving.logs[2]["val_loss"]
    assert saving.place.best_epoch == 2, "not the first one, which would be taken for the best"
    assert keras_resnet.sparsity(model).layers["dense"] == pytest.approx(0.6, abs=0.01)
    read = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert keras_resnet.sparsity(read).layers["dense"] == pytest.approx(0.6, abs=0.01)


def test_a_guard_that_goes_back_brings_no_weights_back(tiny_data: ImageData) -> None:
    model, average = network(tiny_data), MovingAverage(0.9, every=1)
    guard = Guard(every=2)

    class Spoil(BetweenBatches):
        def between_batches(self, before: int, done: int) -> None:
            if done == 5 and not guard.tries:
                self.model.get_layer("dense").bias.assign(np.full(10, np.nan, np.float32))

    callbacks = [pruning(end=4), average, Spoil(), guard]
    model.fit(batches(tiny_data), epochs=1, callbacks=callbacks, verbose=0)

    assert guard.tries == 1
    assert keras_resnet.sparsity(model).layers["dense"] == pytest.approx(0.6, abs=0.01)


def test_a_pruned_model_is_trained_on_with_its_zeros(tiny_data: ImageData) -> None:
    model = network(tiny_data)
    model.fit(batches(tiny_data), epochs=1, callbacks=[pruning(end=1)], verbose=0)
    zeros = np.asarray(model.get_layer("dense").kernel) == 0
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.compile("adam", "categorical_crossentropy")

    copy.fit(batches(tiny_data), epochs=1, callbacks=[pruning(sparsity=0.0)], verbose=0)

    np.testing.assert_array_equal(np.asarray(copy.get_layer("dense").kernel) == 0, zeros)
    assert zeros.mean() == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MagnitudePruning(1.5), "sparsity must be"),
        (lambda: MagnitudePruning(pattern="4:2"), "pattern must be a pattern N:M"),
        (lambda: MagnitudePruning(0.5, pattern="2:4"), "leave out sparsity"),
        (lambda: MagnitudePruning(begin=1.5), "begin must be a number of batches"),
        (lambda: MagnitudePruning(end=-1), "end must be a number of batches"),
    ],
)
def test_arguments_that_are_none_are_refused(make: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: [MovingAverage(0.9), pruning()], "must come before MovingAverage"),
        (lambda folder: [keras.callbacks.EarlyStopping("loss", restore_best_weights=True), pruning()], "fewer zeros"),
        (lambda folder: [pruning(begin=0.9, end=0.1)], "would end before it begins"),
        (lambda folder: [pruning(layers=["other"])], "no such convolution"),
        (lambda folder: [MagnitudePruning()], "between its first and its last"),
        (lambda folder: [pruning(), ExactCheckpoint(folder)], "must be the first"),
    ],
)
def test_a_fit_that_would_prune_wrongly_is_refused(tiny_data: ImageData, tmp_path: Path, make: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        network(tiny_data).fit(batches(tiny_data), callbacks=make(tmp_path / "run"), verbose=0)


def test_an_optimizers_own_average_has_the_zeros_at_the_end(tiny_data: ImageData, tmp_path: Path) -> None:
    model = network(tiny_data, keras.optimizers.SGD(0.05, use_ema=True))

    model.fit(batches(tiny_data), epochs=1, callbacks=[pruning(end=4)], verbose=0)

    assert keras_resnet.sparsity(model).layers["dense"] == pytest.approx(0.6, abs=0.01)
    with pytest.raises(UsageError, match="use_ema"):
        train(tiny_data, tmp_path / "run", pruning(), optimizer=lambda: keras.optimizers.SGD(0.05, use_ema=True))


def test_a_share_of_a_training_of_unknown_length_is_refused(tiny_data: ImageData) -> None:
    unknown = batches(tiny_data).filter(lambda *batch: True)

    with pytest.raises(UsageError, match="end=0.75 is a share of the training, whose length is not known"):
        network(tiny_data).fit(unknown, callbacks=[pruning()], verbose=0)
    model = network(tiny_data)
    model.fit(unknown, epochs=2, callbacks=[pruning(end=8)], verbose=0)
    assert keras_resnet.sparsity(model).layers["dense"] == pytest.approx(0.6, abs=0.01)
