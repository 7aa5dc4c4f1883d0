import math
import shutil
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.callbacks.checkpoint import CheckpointStore
from keras_resnet.callbacks.setbacks import LEAST, Setback, diagnosis, what_is_wrong
from keras_resnet.callbacks.state import State
from keras_resnet.data.images import ImageData
from keras_resnet.errors import DivergedError, StorageError
from keras_resnet.runs.run import Run
from keras_resnet.training import loop
from keras_resnet.training.checkpointer import Saving
from keras_resnet.training.fit import fit
from keras_resnet.weights.files import read_tensors
from keras_resnet.weights.first_normalisation import FirstStatistics
from tests.conftest import TINY
from tests.training.test_resume import assert_same_end, copying

FROZEN = TINY.but(epochs=1, freeze_batchnorm=True)


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


def spoiling_after(monkeypatch: pytest.MonkeyPatch, updates: int) -> None:
    """Let an update ruin the weights, once. Its loss is that of the weights before it, and fine."""
    count = loop.PhaseCallback._count
    spoilt: list[int] = []

    def counted(self: loop.PhaseCallback, state: State) -> float:
        loss = count(self, state)
        if state.updates + 1 == updates and not spoilt:
            spoilt.append(1)
            kernel = self.model.get_layer("stem_conv").kernel
            kernel.assign(kernel.value * np.nan)
        return loss

    monkeypatch.setattr(loop.PhaseCallback, "_count", counted)


def assert_finite_checkpoints(run: Run) -> None:
    for folder in run.checkpoints.glob("0*"):
        tensors, _ = read_tensors(folder / "tensors.safetensors")
        assert all(np.isfinite(tensor).all() for name, tensor in tensors.items() if name.startswith("model/")), folder


@pytest.fixture(scope="module")
def went_back(tiny_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    """A run that went back after its ninth loss, and what it said; beside it, `killed`, as it was soon after."""
    path = tmp_path_factory.mktemp("went_back") / "run"
    # The tenth update is made once, after going back to the sixth.
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(StringIO()) as shown:
        spoiling_after(patch, 8)
        with copying(path, {10: path.with_name("killed")}):
            return fit(TINY, tiny_data, path), " ".join(shown.getvalue().split())


def test_after_a_bad_loss_it_goes_back_leaves_the_batch_out_and_halves_the_rate(went_back: tuple[Run, str]) -> None:
    run, shown = went_back

    assert run.status == "finished"
    assert_finite_checkpoints(run)
    checkpoint = CheckpointStore(run.checkpoints).load(pytest.fail)
    assert checkpoint is not None
    assert checkpoint.state.left_out == [[1, 2]]
    assert checkpoint.state.rate_factor == 0.5
    assert checkpoint.tensors["optimizer/rate_factor"] == np.float32(0.5)
    assert checkpoint.state.updates == 17, "one batch of eighteen is left out"
    assert [row["step"] for row in run.metrics()] == [6, 11, 17]
    assert "the loss became nan in epoch 2, batch 3: back to epoch 2, batch 1, leaving that batch out, at 0.5 " in shown
    assert [event["event"] for event in run.events.rows()] == ["setback"]


def test_a_run_that_went_back_is_resumed_bit_by_bit_as_well(
    went_back: tuple[Run, str], tiny_data: ImageData, tmp_path: Path
) -> None:
    killed = shutil.copytree(went_back[0].path.with_name("killed"), tmp_path / "run")

    assert_same_end(fit(TINY, tiny_data, killed, verbose=False), went_back[0])


def test_the_fourth_setback_in_an_epoch_ends_it_with_a_diagnosis(tiny_data: ImageData, tmp_path: Path) -> None:
    recipe = TINY.but(learning_rate=1e30, epochs=5, warmup_epochs=3.0)

    with pytest.raises(DivergedError) as caught:
        fit(recipe, tiny_data, tmp_path / "run", verbose=False)

    text = str(caught.value)
    assert "training diverged: the loss became" in text
    assert "3 times after going back, leaving out the batch and lowering the rate" in text
    assert "gradients are not finite in" in text or "the largest gradients are in" in text
    assert "The batch began with 0" in text, "the digits are called by number"
    assert "Lower --learning-rate" in text
    run = Run.at(tmp_path / "run")
    assert run.status == "unfinished"
    assert [event["event"] for event in run.events.rows()] == ["setback"] * 3
    checkpoint = CheckpointStore(run.checkpoints).load(pytest.fail)
    assert checkpoint is not None
    assert all(np.isfinite(tensor).all() for tensor in checkpoint.tensors.values())


def test_weights_ruined_by_an_epochs_last_update_are_not_kept(tiny_data: ImageData, tmp_path: Path) -> None:
    # One batch an epoch: its loss is still fine when its update ruins the weights.
    ruinous = TINY.but(learning_rate=1e30, warmup_epochs=0.0, batch_size=1000, epochs=2)

    with pytest.raises(DivergedError, match="the validation loss became"):
        fit(ruinous, tiny_data, tmp_path / "run", verbose=False)

    assert not list((tmp_path / "run" / "checkpoints").glob("best-*"))


def test_a_network_spoilt_by_an_update_is_not_saved_and_the_training_recovers(
    tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiling_after(monkeypatch, 8)

    run = fit(TINY.but(epochs=2), tiny_data, tmp_path / "run", verbose=False, saving=Saving(steps=1))

    assert run.status == "finished"
    assert_finite_checkpoints(run)
    [event] = run.events.rows()
    assert event["event"] == "setback"
    assert event["text"].startswith("weights are not finite any more in epoch 2, batch 2"), "before the next loss"


def test_each_time_it_goes_back_further_and_good_checkpoints_stay(
    tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = loop.PhaseCallback._count

    def bad_in_the_second_epoch(self: loop.PhaseCallback, state: State) -> float:
        loss = count(self, state)
        return math.nan if state.epoch == 1 else loss

    monkeypatch.setattr(loop.PhaseCallback, "_count", bad_in_the_second_epoch)

    with pytest.raises(DivergedError):
        fit(TINY, tiny_data, tmp_path / "run", verbose=False, saving=Saving(steps=1))

    run = Run.at(tmp_path / "run")
    updates = [CheckpointStore(run.checkpoints).load(pytest.fail, back=number) for number in range(3)]
    assert [one.state.updates for one in updates if one] == sorted(
        [one.state.updates for one in updates if one], reverse=True
    )
    assert [one is not None for one in updates] == [True] * 3
    assert updates[0] is not None
    assert len(updates[0].state.left_out) == 3
    assert updates[0].state.rate_factor == 0.125


@pytest.fixture(scope="module")
def frozen(tiny_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An epoch with batch normalisation as it is (its statistics would be those of the parts of a batch)."""
    return fit(FROZEN, tiny_data, tmp_path_factory.mktemp("frozen") / "run", verbose=False)


def test_memory_that_does_not_suffice_for_validating_is_not_taken_from_training(
    frozen: Run, tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "EVALUATION_BATCH", 16)
    evaluate = keras.Model.evaluate

    def exhausted(self: keras.Model, data: tf.data.Dataset, **options: Any) -> Any:
        if len(next(iter(data))[0]) > 5:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return evaluate(self, data, **options)

    monkeypatch.setattr(keras.Model, "evaluate", exhausted)
    run = fit(FROZEN, tiny_data, tmp_path / "run", verbose=False)

    assert [event["text"] for event in run.events.rows()] == [
        "out of memory: validating 8 images at a time",
        "out of memory: validating 4 images at a time",
    ]
    assert run.metrics()[0]["loss"] == frozen.metrics()[0]["loss"], "training is as it was"
    assert run.metrics()[0]["val_loss"] == pytest.approx(frozen.metrics()[0]["val_loss"], rel=1e-4)


def exhausting(monkeypatch: pytest.MonkeyPatch, above: int, batch_size: int) -> None:
    """Let memory not suffice for more than so many images at a time."""
    counted = loop.PhaseCallback.on_train_batch_end

    def exhausted(self: loop.PhaseCallback, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch_size // self.checkpointer.state.parts > above:
            reason = "Status: 1, message: could not create a primitive, in file mkl.cc:1"  # oneDNN's lack of memory
            raise tf.errors.AbortedError(None, None, f"Operation received an exception:{reason}")
        counted(self, batch, logs)

    monkeypatch.setattr(loop.PhaseCallback, "on_train_batch_end", exhausted)


def test_out_of_memory_the_batch_is_computed_in_parts_and_stays_as_large(
    tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = TINY.but(epochs=1)
    with monkeypatch.context() as patch:
        exhausting(patch, 16, recipe.batch_size)
        run = fit(recipe, tiny_data, tmp_path / "run")
    asked_for = fit(recipe.but(accumulate=2), tiny_data, tmp_path / "asked", verbose=False)

    assert "each batch of 32 images is computed in 2 parts of 16" in " ".join(capsys.readouterr().err.split())
    assert [event["parts"] for event in run.events.rows()] == [2]
    assert_same_end(run, asked_for)


def test_memory_that_does_not_suffice_for_two_images_is_an_error_with_advice(
    tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exhausting(monkeypatch, 1, batch_size=8)

    with pytest.raises(StorageError, match="out of memory, even with 2 images at a time: lower --image-size"):
        fit(TINY.but(batch_size=8), tiny_data, tmp_path / "run", verbose=False)

    assert [event["parts"] for event in Run.at(tmp_path / "run").events.rows()] == [2, 4]


def test_a_part_of_a_batch_gives_the_gradient_of_the_whole(frozen: Run, tiny_data: ImageData, tmp_path: Path) -> None:
    parts = fit(FROZEN.but(accumulate=4), tiny_data, tmp_path / "parts", verbose=False)

    a, b = (CheckpointStore(run.checkpoints).load(pytest.fail) for run in (frozen, parts))
    assert a is not None
    assert b is not None
    for name, tensor in a.tensors.items():
        np.testing.assert_allclose(b.tensors[name], tensor, rtol=2e-4, atol=1e-6, err_msg=name)


def test_no_rate_is_advised_where_pixels_are_probably_wrong() -> None:
    def said(first: FirstStatistics | None) -> str:
        setback = Setback("the loss became nan", 0, 3)
        return str(diagnosis(setback, rate=0.1, gradient_norms={"stem": 1.0}, images=(), first=first, kept="run"))

    unlike, like = FirstStatistics(1 / 60, 0.1, 32), FirstStatistics(0.5, 0.1, 32)
    assert "say the weights' own normalisation by --weights-preprocessing, and begin anew" in said(unlike)
    assert "--learning-rate" not in said(unlike)
    assert "Lower --learning-rate" in said(like)
    assert said(like) == said(None)
