"""A user's own `fit`, stopped and killed anywhere, ends as if it never had been."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from keras_resnet.callbacks import ExactCheckpoint, MovingAverage
from keras_resnet.data.images import ImageData
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.optimizers.state import optimizer_state
from keras_resnet.runs.run import Run
from keras_resnet.weights.files import variables_by_path

EPOCHS = 4
Make = Callable[..., list[keras.callbacks.Callback]]


class Killed(Exception):
    """Stands for the end of a process, after which nothing of it is left but its files."""


class KillAt(keras.callbacks.Callback):
    """Ends `fit` after so many batches of this process."""

    def __init__(self, batches: int, how: Callable[[], None]) -> None:
        super().__init__()
        self.left, self.how = batches, how

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.left -= 1
        if self.left == 0:
            self.how()


def kill() -> None:
    raise Killed


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def network(data: ImageData, optimizer: Any = None) -> keras.Model:
    keras.backend.clear_session(free_memory=False)
    layers = keras.layers
    keras.utils.set_random_seed(3)
    inputs = keras.Input(data.train.images.shape, name="image")
    x = layers.Rescaling(1 / 255, name="scale")(inputs)
    x = layers.Conv2D(6, 3, strides=2, use_bias=False, name="conv")(x)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="bn", momentum=0.9)(x))
    x = layers.Dropout(0.3, seed=1, name="drop")(layers.Flatten(name="flat")(x))
    model = keras.Model(inputs, layers.Dense(10, activation="softmax", name="dense")(x))
    model.compile(optimizer or adam(), "categorical_crossentropy", metrics=["accuracy"])
    return model


def adam() -> Any:
    return keras.optimizers.Adam(0.01)


_TRACED: dict[Callable[[], Any], tuple[keras.Model, list[tuple[keras.Variable, np.ndarray]]]] = {}


def renewed(data: ImageData, optimizer: Callable[[], Any] = adam) -> keras.Model:
    """The network of a new process, but that its steps are traced once an optimizer: that is most of a fit's time."""
    if optimizer not in _TRACED:
        model = network(data, optimizer())
        model.optimizer.build(model.trainable_variables)
        _TRACED[optimizer] = model, [(one, one.numpy()) for one in (*model.variables, *model.optimizer.variables)]
    model, values = _TRACED[optimizer]
    for variable, value in values:
        variable.assign(value)
    return model


@pytest.fixture(autouse=True, scope="module")
def _forget_traced() -> Iterator[None]:
    yield
    _TRACED.clear()


def batches(data: ImageData, **augmentation: Any) -> Any:
    """In another order each epoch, and augmented only where asked: to trace that takes a third of a fit's time."""
    return data.train.batches(32, seed=7, **augmentation)


def train(
    data: ImageData,
    folder: Path,
    *others: keras.callbacks.Callback,
    optimizer: Callable[[], Any] = adam,
    epochs: int = EPOCHS,
    validated: bool = True,
    augmentation: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[keras.Model, ExactCheckpoint]:
    model, ours = renewed(data, optimizer), batches(data, **augmentation or {})
    saving = ExactCheckpoint(folder, data=ours, minutes=0, **options)
    validation = data.validation.batches(16) if validated else None
    model.fit(ours, validation_data=validation, epochs=epochs, callbacks=[saving, *others], verbose=0)
    return model, saving


def end(model: keras.Model, saving: ExactCheckpoint) -> dict[str, np.ndarray]:
    tensors = {name: one.numpy() for name, one in variables_by_path(model).items()}
    tensors |= {f"optimizer/{name}": one for name, one in optimizer_state(model.optimizer).items()}
    return tensors | {f"log/{n}/{name}": np.array(v) for n, row in enumerate(saving.logs) for name, v in row.items()}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, one in expected.items():
        np.testing.assert_array_equal(found[name], one, err_msg=name)


@pytest.fixture(scope="module")
def whole(tiny_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return end(
        *train(tiny_data, tmp_path_factory.mktemp("whole") / "run", MovingAverage(0.9, every=2), monitor="val_accuracy")
    )


# In the middle of an epoch it is killed below, too.
@pytest.mark.parametrize(
    ("batch", "steps"),
    [
        (7, 0),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in ((1, 0), (4, 2), (6, 2), (14, 2), (24, 2))),
    ],
)
def test_a_fit_that_is_killed_anywhere_ends_the_same(
    batch: int, steps: int, tiny_data: ImageData, whole: dict[str, np.ndarray], tmp_path: Path
) -> None:
    options: dict[str, Any] = {"monitor": "val_accuracy", "steps": steps}
    with pytest.raises(Killed):
        train(tiny_data, tmp_path / "run", MovingAverage(0.9, every=2), KillAt(batch, kill), **options)

    assert_same(end(*train(tiny_data, tmp_path / "run", MovingAverage(0.9, every=2), **options)), whole)


def test_a_fit_that_is_killed_again_and_again_ends_the_same(
    tiny_data: ImageData, whole: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """Also where their errors are kept, and with them the callbacks that had the folder's lock, as notebooks do."""
    options: dict[str, Any] = {"monitor": "val_accuracy", "steps": 1}
    kept = []
    for _ in range(2):
        with pytest.raises(Killed) as error:
            train(tiny_data, tmp_path / "run", MovingAverage(0.9, every=2), KillAt(5, kill), **options)
        kept.append(error)

    assert_same(end(*train(tiny_data, tmp_path / "run", MovingAverage(0.9, every=2), **options)), whole)


def test_a_fit_that_is_asked_to_stop_saves_and_exits_with_75(
    tiny_data: ImageData, whole: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left:
        train(tiny_data, tmp_path / "run", MovingAverage(0.9, every=2), KillAt(9, terminate), monitor="val_accuracy")

    assert left.value.code == 75
    assert "stopped in epoch 2 after batch 3, with a checkpoint in" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before
    again = train(tiny_data, tmp_path / "run", MovingAverage(0.9, every=2), monitor="val_accuracy")
    assert_same(end(*again), whole)


def test_after_a_fit_that_failed_signals_do_what_they_did_before(tiny_data: ImageData, tmp_path: Path) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with pytest.raises(Killed):
            train(tiny_data, tmp_path / "run", KillAt(1, kill), validated=False)

        os.kill(os.getpid(), signal.SIGTERM)

        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_finished_training_trains_nothing_and_gives_its_best_weights(
    tiny_data: ImageData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def averaging() -> Any:  # which gives its average to the model at the end of each fit
        return keras.optimizers.Adam(0.01, use_ema=True)

    first, saving = train(tiny_data, tmp_path / "run", monitor="val_loss", optimizer=averaging)
    expected = {name: one.numpy() for name, one in variables_by_path(first).items()}
    best = int(np.argmin([row["val_loss"] for row in saving.logs])) + 1
    assert saving.place.best_epoch == best

    counted = KillAt(1, kill)
    second, again = train(tiny_data, tmp_path / "run", counted, monitor="val_loss", optimizer=averaging)

    assert "is finished: nothing is trained" in capsys.readouterr().err
    assert counted.left == 1
    assert_same({name: one.numpy() for name, one in variables_by_path(second).items()}, expected)
    assert again.logs == saving.logs
    loss = second.evaluate(tiny_data.validation.batches(16), verbose=0)[0]
    assert loss == pytest.approx(saving.logs[best - 1]["val_loss"], rel=1e-5)
    assert second.fit(batches(tiny_data), epochs=1, verbose=0).epoch == [0], "another fit begins where it is told to"


def test_weights_that_are_no_numbers_finish_no_training(
    tiny_data: ImageData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil() -> None:
        model.get_layer("dense").bias.assign(np.full(10, np.nan, np.float32))

    model, ours = renewed(tiny_data), batches(tiny_data)
    callbacks = [ExactCheckpoint(tmp_path / "run", data=ours), KillAt(8, spoil), keras.callbacks.TerminateOnNaN()]
    model.fit(ours, epochs=3, callbacks=callbacks, verbose=0)
    assert "the weights are no numbers any more" in capsys.readouterr().err
    assert Run(tmp_path / "run").status == "unfinished"

    assert renewed(tiny_data).fit(ours, epochs=3, callbacks=callbacks[:1], verbose=0).epoch == [1, 2]
    assert Run(tmp_path / "run").status == "finished"


def test_the_average_is_what_is_judged_and_kept(tiny_data: ImageData, tmp_path: Path) -> None:
    trained = []

    class Keep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            trained.append(self.model.get_layer("dense").kernel.numpy())

    model, saving = train(tiny_data, tmp_path / "run", MovingAverage(0.9, every=2), Keep(), epochs=2)

    judged = model.evaluate(tiny_data.validation.batches(16), verbose=0)[0]
    assert judged == pytest.approx(saving.logs[-1]["val_loss"], rel=1e-5)
    kernel = model.get_layer("dense").kernel.numpy()
    assert not any(np.array_equal(kernel, one) for one in trained), "none of the weights between updates"


def test_the_latest_epoch_may_be_taken_that_is_no_worse_than_the_beginning(
    tiny_data: ImageData, tmp_path: Path
) -> None:
    """Also where the last epochs are another process's."""
    value, values = keras.Variable(0.0), (0.3, 0.6, 0.5, 0.2)

    def given(labels: Any, outputs: Any) -> Any:
        return keras.ops.zeros(keras.ops.shape(outputs)[:1]) + value

    for until in (1, 4):
        model, data = network(tiny_data), batches(tiny_data)
        model.compile("adam", "categorical_crossentropy", metrics=[given])
        saving = ExactCheckpoint(tmp_path / "run", data=data, monitor="val_given", epochs=4)
        saving.initial, saving.takes_latest = {"val_given": 0.5 if until == 1 else 0.0}, lambda value: value - 0.1
        telling = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: value.assign(values[epoch]))
        validation = tiny_data.validation.batches(16)
        model.fit(data, validation_data=validation, epochs=until, callbacks=[saving, telling], verbose=0)

    assert (saving.place.best_epoch, saving.place.best_value) == (3, pytest.approx(0.5))


def stopping() -> list[keras.callbacks.Callback]:
    early = keras.callbacks.EarlyStopping("val_loss", patience=3, min_delta=0.8, restore_best_weights=True)
    return [early, keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, min_delta=0.8, factor=0.5)]


@pytest.fixture(scope="module")
def stopped(tiny_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    states, folder = stopping(), tmp_path_factory.mktemp("stopped") / "run"
    expected = end(*train(tiny_data, folder, *states, states=states, steps=2, epochs=8))
    assert 2 * 4 < len([row for row in expected if row.startswith("log/")]) < 8 * 4, "it stops early"
    return expected


# Of those that are slow one is killed before the callbacks have done anything, one between two epochs.
@pytest.mark.parametrize("batch", [15, *(pytest.param(batch, marks=pytest.mark.slow) for batch in (7, 13))])
def test_callbacks_with_a_state_go_on_where_they_were(
    batch: int, tiny_data: ImageData, stopped: dict[str, np.ndarray], tmp_path: Path
) -> None:

    states = stopping()
    with pytest.raises(Killed):
        train(tiny_data, tmp_path / "run", *states, KillAt(batch, kill), states=states, steps=2, epochs=8)
    states = stopping()
    found = end(*train(tiny_data, tmp_path / "run", *states, states=states, steps=2, epochs=8))
    assert_same(found, stopped)
    states = stopping()
    once_more = train(tiny_data, tmp_path / "run", *states, states=states, steps=2, epochs=8)
    assert_same(end(*once_more), stopped)


def test_a_rate_that_is_changed_as_an_epoch_begins_is_changed_once(tiny_data: ImageData, tmp_path: Path) -> None:
    def trained(name: str, *others: keras.callbacks.Callback) -> dict[str, np.ndarray]:
        halved = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
        return end(*train(tiny_data, tmp_path / name, halved, *others, steps=2, epochs=2, validated=False))

    expected = trained("whole")
    with pytest.raises(Killed):
        trained("run", KillAt(9, kill))

    assert_same(trained("run"), expected)


def test_a_validation_that_is_interrupted_leaves_no_average_in_the_model(tiny_data: ImageData) -> None:
    model, data, average, weights = renewed(tiny_data), batches(tiny_data), MovingAverage(0.9, every=2), []

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
            weights.append(self.model.get_weights())

        def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
            weights.append(self.model.get_weights())

    class Interrupt(keras.callbacks.Callback):
        def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            raise KeyboardInterrupt

    fitting: dict[str, Any] = {"validation_data": tiny_data.validation.batches(16), "epochs": 1, "verbose": 0}
    with pytest.raises(KeyboardInterrupt):
        model.fit(data, callbacks=[Look(), average, Look(), Interrupt()], **fitting)
    _, _, own, averaged = weights
    assert any((one != other).any() for one, other in zip(own, averaged, strict=True))

    model.fit(data, callbacks=[average, Look()], **fitting)

    for one, other in zip(weights[4], own, strict=True):
        np.testing.assert_array_equal(one, other)


def test_with_other_data_it_goes_on_from_the_end_of_an_epoch(tiny_data: ImageData, tmp_path: Path) -> None:
    images, targets = (np.concatenate(one) for one in zip(*((a, b) for a, b in batches(tiny_data)), strict=True))

    def fitted(folder: Path, *others: keras.callbacks.Callback) -> tuple[keras.Model, ExactCheckpoint]:
        model, saving = renewed(tiny_data), ExactCheckpoint(folder)
        model.fit(images, targets, batch_size=32, shuffle=False, epochs=2, callbacks=[saving, *others], verbose=0)
        return model, saving

    expected = end(*fitted(tmp_path / "whole"))
    with pytest.raises(Killed):
        fitted(tmp_path / "run", KillAt(10, kill))

    assert_same(end(*fitted(tmp_path / "run")), expected)


def test_our_own_optimizer_schedule_and_augmented_batches_go_on_too(tiny_data: ImageData, tmp_path: Path) -> None:
    def optimizer() -> Any:
        rate = keras_resnet.schedules.Cosine(0.1, epochs=2, warmup=1, steps_per_epoch=6)
        return keras_resnet.optimizers.SGD(rate, weight_decay=1e-4)

    def trained(name: str, *others: keras.callbacks.Callback) -> dict[str, np.ndarray]:
        options: dict[str, Any] = {"augmentation": {"augment": "shift", "mixup": 0.2}, "validated": False}
        return end(*train(tiny_data, tmp_path / name, *others, optimizer=optimizer, steps=2, epochs=2, **options))

    expected = trained("whole")
    with pytest.raises(Killed):
        trained("run", KillAt(9, kill))

    assert_same(trained("run"), expected)


def test_between_two_parts_of_an_update_it_goes_on_too(tiny_data: ImageData, tmp_path: Path) -> None:
    def optimizer() -> Any:
        return keras.optimizers.SGD(0.01, 0.9, gradient_accumulation_steps=4)  # six batches an epoch

    def trained(name: str, *others: keras.callbacks.Callback) -> tuple[keras.Model, ExactCheckpoint]:
        return train(tiny_data, tmp_path / name, *others, optimizer=optimizer, epochs=2, steps=1, validated=False)

    average, again = MovingAverage(0.9, every=2), MovingAverage(0.9, every=2)
    expected = end(*trained("whole", average))
    with pytest.raises(Killed):
        trained("run", again, KillAt(7, kill))  # the sixth batch, and with it the epoch, ends within an update

    assert_same(end(*trained("run", again)), expected)
    assert (average.updates, average.batches) == (again.updates, again.batches) == (3, 12)


def test_a_training_in_two_calls_of_fit_goes_on_in_either(tiny_data: ImageData, tmp_path: Path) -> None:
    def trained(name: str, *others: keras.callbacks.Callback) -> dict[str, np.ndarray]:
        model = network(tiny_data)
        data = batches(tiny_data)
        for first, last, frozen in ((0, 1, True), (1, 3, False)):
            model.get_layer("conv").trainable = not frozen
            model.compile(keras.optimizers.SGD(0.01, 0.9), "categorical_crossentropy", metrics=["accuracy"])
            saving = ExactCheckpoint(tmp_path / name, data=data, steps=2, monitor="accuracy", epochs=3)
            model.fit(data, initial_epoch=first, epochs=last, callbacks=[saving, *others], verbose=0)
        return end(model, saving)

    expected = trained("whole")
    killer = KillAt(3, kill)
    with pytest.raises(Killed):
        trained("run", killer)
    killer.left = 4 + 2  # the rest of the first epoch, and the first batches of the second
    with pytest.raises(Killed):
        trained("run", killer)
    killer.left = -1

    assert_same(trained("run", killer), expected)  # begins in the second call


def test_with_other_data_a_wish_to_stop_is_heeded_at_once(
    tiny_data: ImageData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = renewed(tiny_data), tiny_data.train.batches(32)
    fitting = {"epochs": 2, "callbacks": [ExactCheckpoint(tmp_path / "run"), KillAt(9, terminate)], "verbose": 0}

    with pytest.raises(SystemExit) as stopped:
        model.fit(data, **fitting)

    assert stopped.value.code == 75
    assert "stopped in epoch 2 after batch 0, with a checkpoint in" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_passed_over(
    tiny_data: ImageData, whole: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Killed):
        train(
            tiny_data, tmp_path / "run", MovingAverage(0.9, every=2), KillAt(15, kill), monitor="val_accuracy", steps=2
        )
    newest = sorted((tmp_path / "run" / "checkpoints").glob("0*"))[-1]
    (newest / "tensors.safetensors").write_bytes(b"torn")

    again = train(tiny_data, tmp_path / "run", MovingAverage(0.9, every=2), monitor="val_accuracy", steps=2)

    assert "is damaged" in capsys.readouterr().err
    assert_same(end(*again), whole)


class Late(keras.callbacks.Callback):
    pass


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda one: [Late(), one], "ExactCheckpoint must be the first of the callbacks, before Late"),
        (lambda one: [one, keras.callbacks.EarlyStopping("loss")], "would begin anew .* name it in states=, too"),
        (
            lambda one: [one, keras.callbacks.ModelCheckpoint("a.keras", "loss", save_best_only=True)],
            "would begin anew",
        ),
        (lambda one: [one, MovingAverage(), MovingAverage()], "two of one kind among the callbacks, .* keeps one"),
        (lambda one: [one, keras.callbacks.BackupAndRestore("a")], "would undo each other: .* leave it out"),
        (lambda one: [one, MovingAverage(), *one.states], "would give the model other weights .* judges the average"),
    ],
)
def test_an_order_that_would_be_wrong_is_refused(
    make: Callable[[Any], list[Any]], said: str, tiny_data: ImageData, tmp_path: Path
) -> None:
    model, ours = renewed(tiny_data), batches(tiny_data)
    states = [keras.callbacks.EarlyStopping("loss", restore_best_weights=True)] if "other weights" in said else []
    saving = ExactCheckpoint(tmp_path / "run", data=ours, states=states)

    with pytest.raises(UsageError, match=said):
        model.fit(ours, epochs=1, callbacks=make(saving), verbose=0)


def test_what_could_not_go_on_exactly_is_refused(tiny_data: ImageData, tmp_path: Path) -> None:
    ours = batches(tiny_data)
    with pytest.raises(UsageError, match="steps= saves in mid-epoch, which needs data="):
        ExactCheckpoint(tmp_path / "run", steps=10)
    model = network(tiny_data)
    saving = ExactCheckpoint(tmp_path / "run", data=ours)
    with pytest.raises(UsageError, match="leave out steps_per_epoch"):
        model.fit(ours, epochs=2, steps_per_epoch=3, callbacks=[saving], verbose=0)
    with pytest.raises(UsageError, match="data= is another data set than the one that fit gets"):
        model.fit(batches(tiny_data), epochs=2, callbacks=[saving], verbose=0)
    with pytest.raises(UsageError, match="there is a cache: leave it out"):
        model.fit(ours.cache().prefetch(2), epochs=2, callbacks=[ExactCheckpoint(tmp_path / "run")], verbose=0)
    model.compile("sgd", "categorical_crossentropy", steps_per_execution=4)
    with pytest.raises(UsageError, match="an epoch of 6 steps is no .* compile with steps_per_execution=3"):
        model.fit(ours, epochs=2, callbacks=[saving], verbose=0)


def test_a_monitor_that_tells_nothing_is_refused_and_no_epoch_is_lost(tiny_data: ImageData, tmp_path: Path) -> None:
    model, ours = renewed(tiny_data), batches(tiny_data)
    saving = ExactCheckpoint(tmp_path / "run", data=ours, monitor="val_accuracy")
    with pytest.raises(
        UsageError, match="is of a validation, and fit has none: .* monitor the training, as 'accuracy'"
    ):
        model.fit(ours, epochs=2, callbacks=[saving], verbose=0)

    saving = ExactCheckpoint(tmp_path / "run", data=ours, monitor="f1")
    with pytest.raises(UsageError, match="monitor='f1' is not among what fit reports: 'loss', 'accuracy'"):
        model.fit(ours, epochs=2, callbacks=[saving], verbose=0)

    saving = ExactCheckpoint(tmp_path / "run", data=ours, monitor="accuracy")
    assert model.fit(ours, epochs=2, callbacks=[saving], verbose=0).epoch == [1]


@pytest.mark.parametrize("mode", ["auto", pytest.param("max", marks=pytest.mark.slow)])
def test_keras_knows_which_values_of_its_metrics_are_the_better_ones_unless_it_is_told(
    mode: str, tiny_data: ImageData, tmp_path: Path
) -> None:
    model, ours = network(tiny_data), batches(tiny_data)
    model.compile("sgd", "categorical_crossentropy", metrics=["kl_divergence", keras.metrics.F1Score()])
    saving = ExactCheckpoint(tmp_path / "run", data=ours, monitor="val_kl_divergence", mode=mode)

    history = model.fit(
        ours,
        validation_data=tiny_data.validation.batches(16),
        validation_freq=2,
        epochs=4,
        callbacks=[saving],
        verbose=0,
    ).history["val_kl_divergence"]

    assert len(history) == 2
    best = (np.argmin if mode == "auto" else np.argmax)(history)
    assert (saving.place.best_epoch, saving.place.best_value) == (2 * (best + 1), history[best])


@pytest.mark.parametrize("is_told", [True, pytest.param(False, marks=pytest.mark.slow)])  # not told: also above
def test_several_steps_a_call_go_on_too_and_the_data_need_not_be_named(
    is_told: bool, tiny_data: ImageData, tmp_path: Path
) -> None:
    def trained(name: str, *others: keras.callbacks.Callback) -> dict[str, np.ndarray]:
        model, ours = network(tiny_data), batches(tiny_data)
        model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy", steps_per_execution=3)
        told: dict[str, Any] = {"data": ours, "steps": 3} if is_told else {}
        saving = ExactCheckpoint(tmp_path / name, **told)
        model.fit(ours, epochs=2, callbacks=[saving, MovingAverage(0.9, every=2), *others], verbose=0)
        return end(model, saving)

    expected = trained("whole")
    with pytest.raises(Killed):
        trained("run", KillAt(4, kill))  # at the end of the second epoch

    assert_same(trained("run"), expected)


def test_a_second_call_of_fit_may_have_other_callbacks_which_begin_anew(tiny_data: ImageData, tmp_path: Path) -> None:
    model, data = renewed(tiny_data), batches(tiny_data)
    early = keras.callbacks.EarlyStopping("loss", mode="max", patience=1)
    first = ExactCheckpoint(tmp_path / "run", data=data, epochs=5, states=[early])
    assert model.fit(data, epochs=3, callbacks=[first, early], verbose=0).epoch == [0, 1]

    early = keras.callbacks.EarlyStopping("loss", patience=1)
    falling = keras.callbacks.ReduceLROnPlateau("loss", patience=1)
    second = ExactCheckpoint(tmp_path / "run", data=data, epochs=5, states=[early, falling])
    callbacks = [second, MovingAverage(0.9, every=2), early, falling]
    fitted = model.fit(data, initial_epoch=3, epochs=5, callbacks=callbacks, verbose=0)

    assert fitted.epoch == [3, 4]
    assert early.best == pytest.approx(fitted.history["loss"][1])


def test_callbacks_that_were_not_saved_are_told(tiny_data: ImageData, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(tiny_data, tmp_path / "run", KillAt(7, kill), validated=False)
    early = keras.callbacks.EarlyStopping("loss")

    with pytest.raises(UsageError, match="has the state of 0 callbacks, and states= names 1"):
        train(tiny_data, tmp_path / "run", early, states=[early], validated=False)


def test_a_model_that_is_built_with_its_first_batch_is_built_before_where_that_can_be(
    tiny_data: ImageData, tmp_path: Path
) -> None:
    def made() -> keras.Model:
        layers = [keras.layers.RandomFlip(seed=1), keras.layers.RandomRotation(0.1, seed=2)]
        turning = keras.Sequential(layers, name="turning")
        model = keras.Sequential([turning, keras.layers.Flatten(), keras.layers.Dense(10, name="dense")], name="plain")
        model.compile("sgd", "mse")
        return model

    data = tiny_data.train.batches(64).map(lambda images, labels: (tf.cast(images, tf.float32) / 255, labels))
    first = made()
    first.fit(data, epochs=1, callbacks=[ExactCheckpoint(tmp_path / "run", epochs=2), MovingAverage(0.5)], verbose=0)
    known = [name for name in variables_by_path(first) if "seed" in name]
    assert known == ["turning/seed_generator_state", "turning/seed_generator_state#2"]

    second = made()
    fitted = second.fit(data, epochs=2, callbacks=[ExactCheckpoint(tmp_path / "run"), MovingAverage(0.5)], verbose=0)
    assert fitted.epoch == [1]
    arrays = [np.concatenate(list(data.map(lambda *pair, n=n: pair[n]).as_numpy_iterator())) for n in (0, 1)]
    for callback in (ExactCheckpoint(tmp_path / "other"), MovingAverage()):
        with pytest.raises(UsageError, match="the model plain has no weights yet, .* begin it with keras.Input"):
            made().fit(*arrays, epochs=1, callbacks=[callback], verbose=0)


def test_a_model_that_was_built_twice_in_one_process_is_told_from_another_one(
    tiny_data: ImageData, tmp_path: Path
) -> None:
    def fit(name: str | None) -> None:
        inputs = keras.Input((8, 8, 1))
        model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(inputs)), name=name)
        model.compile("sgd", "mse")
        ours = batches(tiny_data)
        callbacks = [ExactCheckpoint(tmp_path / str(name), data=ours), KillAt(7, kill)]
        model.fit(ours, epochs=2, callbacks=callbacks, verbose=0)

    for name, error in ((None, UsageError), ("mine", ModelError)):
        with pytest.raises(Killed):
            fit(name)
        with pytest.raises(error, match="Call keras.utils.clear_session"):
            fit(name)


SCRIPT = """
import sys, keras, numpy as np, keras_resnet
digits = keras_resnet.load_data(keras_resnet.Source("digits", image_size=8, limit=300))
train = digits.train.batches(32, augment="shift", seed=0)
inputs = keras.Input(digits.train.images.shape)
model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(inputs)))
model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
saving = keras_resnet.callbacks.ExactCheckpoint(sys.argv[1], data=train, steps=1)

class Die(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if len(sys.argv) > 2 and saving.place.epoch == 1 and batch == 2:
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)

model.fit(train, epochs=3, callbacks=[saving, Die()], verbose=0)
print(float(np.abs(model.layers[-1].kernel.numpy().astype("float64")).sum()).hex())
"""


@pytest.mark.slow  # four processes, each of which imports TensorFlow
def test_a_script_whose_process_is_killed_ends_the_same(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True)

    # The weights of the day are drawn before the first checkpoint, so that both begin with the same one.
    first = run(str(tmp_path / "run"), "die")
    assert first.returncode == -signal.SIGKILL
    assert run(str(tmp_path / "run")).returncode == 0
