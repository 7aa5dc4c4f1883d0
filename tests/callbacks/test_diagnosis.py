"""The record of a user's fit, and what it says at the end."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from keras_resnet.callbacks import Diagnosis, ExactCheckpoint, Guard, Progress
from keras_resnet.data.images import ImageData
from keras_resnet.errors import UsageError
from keras_resnet.runs.run import Run
from tests.callbacks.test_exact_checkpoint import KillAt, Killed, batches, kill, network

TIMES = {"seconds", "images_per_second"}


class Logs(keras.callbacks.Callback):
    """What Keras reports of each batch: means since the epoch's beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.losses.append((logs or {})["loss"])


def recorded(folder: Path) -> list[dict[str, Any]]:
    rows: list[Any] = Run(folder).log.rows()
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def test_a_fit_is_recorded_and_judged(tiny_data: ImageData, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = keras_resnet.build("oneblock", 10, input_shape=tiny_data.train.images.shape, seed=0)
    optimizer = keras_resnet.optimizers.SGD(0.05)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    train, folder, logs = batches(tiny_data), tmp_path / "run", Logs()
    diagnosis = Diagnosis(folder, tiny_data.validation, every=2)

    history = model.fit(
        train,
        validation_data=tiny_data.validation.batches(16),
        epochs=2,
        callbacks=[ExactCheckpoint(folder, data=train), Guard(), diagnosis, logs],
        verbose=0,
    ).history

    rows = recorded(folder)
    assert [(row["event"], row["epoch"], row["step"]) for row in rows] == [
        *[("step", 1, 2), ("step", 1, 4), ("step", 1, 6), ("epoch", 1, 6)],
        *[("step", 2, 8), ("step", 2, 10), ("step", 2, 12), ("epoch", 2, 12)],
    ]
    means = logs.losses  # of 1, 2, … batches
    assert rows[1]["loss"] == pytest.approx((4 * means[3] - 2 * means[1]) / 2, rel=1e-5)
    assert rows[1]["gradient_norms"]["stem"] > 0
    assert (rows[1]["image_size"], rows[3]["batch_per_normalisation"], rows[3]["images_looked_at"]) == (8, 32, 30)
    assert [rows[3][name] for name in ("loss", "val_loss")] == [history[name][0] for name in ("loss", "val_loss")]
    assert set(rows[7]["batchnorm_drift"]) == {"stem", "stage1"}
    said = json.loads((folder / "evaluation" / "diagnosis.json").read_text())
    assert said["epochs"] == 2
    assert [one["code"] for one in said["symptoms"]] == [one.code for one in diagnosis.symptoms]
    assert "on the training; see" in capsys.readouterr().err
    assert (folder / "plots" / "training.png").is_file()


def test_the_record_of_a_fit_that_was_killed_has_no_gap_and_nothing_twice(tiny_data: ImageData, tmp_path: Path) -> None:
    def train(name: str, *others: keras.callbacks.Callback) -> None:
        data, folder = batches(tiny_data), tmp_path / name
        saving = ExactCheckpoint(folder, data=data, steps=3)
        diagnosis = Diagnosis(folder, tiny_data.validation, every=2, report=False)
        network(tiny_data).fit(data, epochs=2, callbacks=[saving, diagnosis, *others], verbose=0)

    train("whole")
    with pytest.raises(Killed):
        train("run", KillAt(11, kill))
    assert recorded(tmp_path / "run")[-1]["step"] == 10, "beyond the checkpoint after nine"

    train("run")

    assert recorded(tmp_path / "run") == recorded(tmp_path / "whole")


def test_networks_of_others_are_looked_at_as_far_as_they_can_be(tiny_data: ImageData, tmp_path: Path) -> None:
    layers = keras.layers
    inside = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3), layers.BatchNormalization()])
    nested = keras.Sequential([keras.Input((8, 8, 1)), inside, layers.Flatten(), layers.Dense(10, "softmax")])
    for number, model in enumerate((nested, network(tiny_data))):
        model.compile("sgd", "categorical_crossentropy")
        looks = Diagnosis(tmp_path / str(number), tiny_data.validation.batches(16), report=False)
        model.fit(tiny_data.train.batches(64, seed=0), callbacks=[looks], verbose=0)

    plain, own = (recorded(tmp_path / str(number))[-1] for number in range(2))
    assert "batchnorm_gap" not in plain or plain["batchnorm_gap"] == {}
    assert own["images_looked_at"] == 30
    assert next(iter(own["batchnorm_gap"].values())) > 0
    assert np.isfinite(own["input_deviation"])


def test_without_checkpoints_the_record_goes_on_behind_the_epochs_before(tiny_data: ImageData, tmp_path: Path) -> None:
    model, data = network(tiny_data), tiny_data.train.batches(64, seed=0)
    looks = Diagnosis(tmp_path, tiny_data.validation, report=False)
    model.fit(data, epochs=2, callbacks=[looks], verbose=0)
    model.fit(data, initial_epoch=1, epochs=2, callbacks=[looks], verbose=0)

    assert [(row["event"], row["epoch"]) for row in recorded(tmp_path)] == [
        *[("step", 1), ("epoch", 1)],
        *[("step", 2), ("epoch", 2)],
    ]
    model.fit(data, epochs=1, callbacks=[looks], verbose=0)
    assert [row["epoch"] for row in recorded(tmp_path)] == [1, 1]


def test_what_it_cannot_do_is_refused(tiny_data: ImageData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"received ndarray: tf.data.Dataset.from_tensor_slices\(arrays\)"):
        Diagnosis(tmp_path, np.zeros((4, 8, 8, 1)))  # type: ignore[arg-type]

    model, data = network(tiny_data), batches(tiny_data)
    for wrong in (np.zeros((4, 9, 9, 1)), np.zeros((0, 8, 8, 1))):
        shown = Diagnosis(tmp_path / "other", tf.data.Dataset.from_tensor_slices(wrong).batch(4, drop_remainder=False))
        with pytest.raises(UsageError, match=rf"takes images of \(8, 8, 1\), .* with {len(wrong)} of"):
            model.fit(data, callbacks=[shown], verbose=0)
    run, looks = tmp_path / "run", Diagnosis(tmp_path / "run", tiny_data.validation, report=False)
    model.fit(data, callbacks=[ExactCheckpoint(run, data=data), looks], verbose=0)
    before = recorded(run)
    with pytest.raises(UsageError, match="holds a run, whose record this fit would replace"):
        model.fit(data, callbacks=[looks], verbose=0)
    assert recorded(run) == before


def test_several_inputs_and_metrics_of_several_numbers_are_recorded_without_them(
    tiny_data: ImageData, tmp_path: Path
) -> None:
    layers, image, more = keras.layers, keras.Input((8, 8, 1)), keras.Input((10,))
    maps = layers.ReLU()(layers.Conv2D(4, 3)(image))
    joined = layers.Concatenate()([layers.Flatten()(maps), more])
    model = keras.Model([image, more], layers.Dense(10, "softmax")(joined))
    model.compile("sgd", "categorical_crossentropy", metrics=[keras.metrics.F1Score()])
    data = tiny_data.train.batches(64).map(lambda images, labels: ((images, labels), labels))

    callbacks = [ExactCheckpoint(tmp_path), Guard(), Diagnosis(tmp_path, data, report=False), Progress()]
    model.fit(data, callbacks=callbacks, verbose=0)

    row = recorded(tmp_path)[-1]
    assert (row["event"], "f1_score" in row, "dead_units" in row) == ("epoch", False, False)
    assert row["loss"] > 0


def test_progress_shows_a_line_an_epoch_and_refuses_two_bars(
    tiny_data: ImageData, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = network(tiny_data), batches(tiny_data)
    validation = tiny_data.validation.batches(16)

    with pytest.raises(UsageError, match="give fit verbose=0"):
        model.fit(data, callbacks=[Progress()], verbose=1)
    history = model.fit(data, validation_data=validation, epochs=2, callbacks=[Progress()], verbose=0).history

    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch")]
    assert lines[1].startswith(
        f"epoch 2/2  loss {history['loss'][1]:.4f}  accuracy {history['accuracy'][1]:.4f}  "
        f"validation loss {history['val_loss'][1]:.4f}  accuracy {history['val_accuracy'][1]:.4f}  rate 0.01  "
    )
    assert lines[1].endswith(" 0:00 left")
