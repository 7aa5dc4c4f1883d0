"""What the outer loop of a recipe's training sees to: setbacks, memory, the order of its callbacks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.callbacks import ExactCheckpoint
from keras_resnet.callbacks.checkpoint import CheckpointStore
from keras_resnet.data.images import ImageData
from keras_resnet.errors import DivergedError, StorageError
from keras_resnet.runs.run import Run
from keras_resnet.training import loop
from keras_resnet.training.fit import fit
from keras_resnet.training.loop import Saving, TrainingLoop
from keras_resnet.weights.files import read_tensors
from keras_resnet.weights.first_normalisation import FirstStatistics
from tests.shared import TINY, TRAINED
from tests.training.moments import after_updates, copying
from tests.training.test_resume import assert_same_end

FROZEN = TINY.but(epochs=1, freeze_batchnorm=True)


def spoil(saving: ExactCheckpoint) -> None:
    """Ruin the weights; the losses so far are fine."""
    kernel = saving.model.get_layer("stem_conv").kernel
    kernel.assign(kernel.value * np.nan)


def assert_finite_checkpoints(run: Run) -> None:
    for folder in run.checkpoints.glob("0*"):
        tensors, _ = read_tensors(folder / "tensors.safetensors")
        assert all(np.isfinite(tensor).all() for name, tensor in tensors.items() if name.startswith("model/")), folder


@pytest.fixture(scope="module")
def went_back(tiny_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose weights were ruined after eight updates; beside it, `killed`, as it was soon after going back."""
    path = tmp_path_factory.mktemp("went_back") / "run"
    with copying(path, {13: path.with_name("killed")}), after_updates({8: spoil}):
        return fit(TINY, tiny_data, path, verbose=False)


def test_after_a_bad_loss_it_goes_back_and_on_at_half_the_rate(went_back: Run) -> None:
    assert went_back.status == "finished"
    assert_finite_checkpoints(went_back)
    checkpoint = CheckpointStore(went_back.checkpoints).load(pytest.fail)
    assert checkpoint is not None
    assert checkpoint.tensors["optimizer/rate_factor"] == np.float32(0.5)
    assert checkpoint.tensors["optimizer/iterations"] == 18, "data and schedule go on"
    [event] = went_back.events.rows()
    assert event["event"] == "setback"
    assert event["text"] == (
        "the loss became nan in epoch 2, batch 6: back to the weights saved before, at half the rate (try 1 of 3)"
    )
    assert [bool(np.isfinite(row["loss"])) for row in went_back.metrics()] == [True, False, True]
    assert all(np.isfinite(row["val_loss"]) for row in went_back.metrics())


def test_a_run_that_went_back_is_resumed_bit_by_bit_as_well(went_back: Run, tiny_data: ImageData) -> None:
    assert_same_end(fit(TINY, tiny_data, went_back.path.with_name("killed"), verbose=False), went_back)


@pytest.mark.parametrize(("fewest", "latest"), [(1, False), (1000, True)])
def test_few_validation_images_do_not_choose_the_epoch(
    tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fewest: int, latest: bool
) -> None:
    monkeypatch.setattr(loop, "FEWEST_TO_CHOOSE", fewest)
    recipe = TRAINED.but(epochs=6)

    def worse(saving: ExactCheckpoint) -> None:
        kernel = saving.model.layers[-1].kernel
        kernel.assign(-kernel.value)

    steps = -(-len(tiny_data.train) // recipe.batch_size)
    with after_updates({6 * steps - 1: worse}):
        run = fit(recipe, tiny_data, tmp_path / "run", verbose=False)

    values = [row["val_accuracy"] for row in run.metrics()]
    assert max(values) > values[-1]
    assert run.kept is not None
    kept = 6 if latest else max(place for place, value in enumerate(values, 1) if value == max(values))
    assert run.kept["epoch"] == kept
    assert run.kept["value"] == pytest.approx(values[kept - 1], abs=1e-5)


def test_the_fourth_setback_ends_it_with_what_is_known(tiny_data: ImageData, tmp_path: Path) -> None:
    recipe = TINY.but(learning_rate=1e30, epochs=5, warmup_epochs=0.0)

    with pytest.raises(DivergedError) as caught:
        fit(recipe, tiny_data, tmp_path / "run", verbose=False)

    text = str(caught.value)
    assert "training diverged: the loss became" in text
    assert "after going back 3 times and lowering the rate" in text
    assert "gradients are not finite in" in text or "the largest gradients are in" in text
    assert "Lower --learning-rate" in text
    run = Run.at(tmp_path / "run")
    assert run.status == "unfinished"
    assert [event["event"] for event in run.events.rows() if event["event"] != "note"] == ["setback"] * 3
    assert_finite_checkpoints(run)


def test_weights_ruined_by_an_epochs_last_update_are_not_kept(tiny_data: ImageData, tmp_path: Path) -> None:
    # One batch an epoch: its loss is still fine when its update ruins the weights.
    ruinous = TINY.but(learning_rate=1e30, warmup_epochs=0.0, batch_size=1000, epochs=2)

    with pytest.raises(DivergedError, match="the validation loss became"):
        fit(ruinous, tiny_data, tmp_path / "run", verbose=False)

    assert not list((tmp_path / "run" / "checkpoints").glob("best-*"))


def test_before_every_checkpoint_the_loss_is_looked_at(tiny_data: ImageData, tmp_path: Path) -> None:
    with after_updates({8: spoil}):
        run = fit(TINY.but(epochs=2), tiny_data, tmp_path / "run", verbose=False, saving=Saving(steps=1))

    assert run.status == "finished"
    assert_finite_checkpoints(run)
    [event] = [one for one in run.events.rows() if one["event"] == "setback"]
    assert event["text"].startswith("the loss became nan in epoch 2, batch 3: back")


@pytest.fixture(scope="module")
def frozen(tiny_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An epoch with batch normalisation as it is (its statistics would be those of the parts of a batch)."""
    return fit(FROZEN, tiny_data, tmp_path_factory.mktemp("frozen") / "run", verbose=False)


@contextmanager
def exhausting(above: int, batch_size: int) -> Iterator[None]:
    """Let memory not suffice for more than so many images at a time."""
    began = loop.Replicas.on_train_batch_begin

    def exhausted(self: loop.Replicas, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch_size // self.compiled.parts > above:
            reason = "Status: 1, message: could not create a primitive, in file mkl.cc:1"  # oneDNN's lack of memory
            raise tf.errors.AbortedError(None, None, f"Operation received an exception:{reason}")
        began(self, batch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Replicas, "on_train_batch_begin", exhausted)
        yield


def test_out_of_memory_the_batch_is_computed_in_parts_and_stays_as_large(
    tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, evaluated = TINY.but(epochs=1), []
    batches = loop.evaluation_batches

    def noted(split: Any, size: int, **options: Any) -> Any:
        evaluated.append(size)
        return batches(split, size, **options)

    monkeypatch.setattr(loop, "evaluation_batches", noted)
    with exhausting(16, recipe.batch_size):
        run = fit(recipe, tiny_data, tmp_path / "run")
    asked_for = fit(recipe.but(accumulate=2), tiny_data, tmp_path / "asked", verbose=False)

    assert "each batch of 32 images is computed in 2 parts of 16" in " ".join(capsys.readouterr().err.split())
    assert [event["parts"] for event in run.events.rows() if "parts" in event] == [2]
    assert evaluated == [32, 16, 16], "no more are evaluated at once than trained on"
    assert_same_end(run, asked_for)


def test_memory_that_does_not_suffice_for_two_images_is_an_error_with_advice(
    tiny_data: ImageData, tmp_path: Path
) -> None:
    with exhausting(1, batch_size=8), pytest.raises(StorageError, match="even with 2 images at a time: lower --image"):
        fit(TINY.but(batch_size=8), tiny_data, tmp_path / "run", verbose=False)

    events = Run.at(tmp_path / "run").events.rows()
    assert [event["parts"] for event in events if "parts" in event] == [2, 4]


def test_a_part_of_a_batch_gives_the_gradient_of_the_whole(frozen: Run, tiny_data: ImageData, tmp_path: Path) -> None:
    parts = fit(FROZEN.but(accumulate=4), tiny_data, tmp_path / "parts", verbose=False)

    a, b = (CheckpointStore(run.checkpoints).load(pytest.fail) for run in (frozen, parts))
    assert a is not None
    assert b is not None
    for name, tensor in a.tensors.items():
        if name.startswith(("model/", "optimizer/")):
            np.testing.assert_allclose(b.tensors[name], tensor, rtol=2e-4, atol=1e-6, err_msg=name)


def test_no_rate_is_advised_where_pixels_are_probably_wrong() -> None:
    def said(first: FirstStatistics | None) -> str:
        asked: Any = SimpleNamespace(run=SimpleNamespace(first_statistics=first))
        return TrainingLoop._remedy(asked)

    unlike, like = FirstStatistics(1 / 60, 0.1, 32), FirstStatistics(0.5, 0.1, 32)
    assert "say the weights' own normalisation by --weights-preprocessing, and begin anew" in said(unlike)
    assert "--learning-rate" not in said(unlike)
    assert "Lower --learning-rate" in said(like)
    assert said(like) == said(None)
