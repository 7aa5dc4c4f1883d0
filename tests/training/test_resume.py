"""A training stopped at any moment and continued must end with the bits of one that was never stopped."""

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from keras_resnet.callbacks import ExactCheckpoint, Progress
from keras_resnet.callbacks.checkpoint import CheckpointStore
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import DataError, ModelError, StoppedError, StorageError, UsageError
from keras_resnet.runs.run import Run, locked
from keras_resnet.stamp import read_stamp
from keras_resnet.training import loop
from keras_resnet.training.fit import fit
from keras_resnet.training.loop import Saving
from keras_resnet.training.network import network_for
from keras_resnet.weights.saving import save_model
from tests.shared import TINY
from tests.training.moments import after_updates, copying, stopping_after

# Everything that has a state: dropout and stochastic depth draw numbers, the average follows.
EVERYTHING = TINY.but(epochs=2, dropout=0.3, stochastic_depth=0.2, ema=0.9, accumulate=2, augment="shift", mixup=0.2)
Shown = pytest.CaptureFixture[str]
TIMES = {"seconds", "images_per_second"}


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(one) for key, one in value.items() if key not in TIMES}
    return [without_times(one) for one in value] if isinstance(value, list) else value


def assert_same_end(run: Run, whole: Run) -> None:
    """Weights, optimizer, average, statistics, random state and metrics of two finished runs are equal, bit by bit."""
    found, expected = (CheckpointStore(one.checkpoints).load(pytest.fail) for one in (run, whole))
    assert found is not None
    assert expected is not None
    assert found.tensors.keys() == expected.tensors.keys()
    assert {name.split("/")[0] for name in expected.tensors} >= {"model", "optimizer"}
    for name, tensor in expected.tensors.items():
        if name.split("/")[-1] not in {"clocks", "log_bytes"}:
            np.testing.assert_array_equal(found.tensors[name], tensor, err_msg=name)
    assert without_times(found.state.to_json()) == without_times(expected.state.to_json())
    assert without_times(run.log.rows()) == without_times(whole.log.rows())
    # As text, in which a number that is none is itself.
    assert str([without_times(row) for row in run.metrics()]) == str([without_times(row) for row in whole.metrics()])
    assert run.model.is_file()  # of the best weights, whose digest the state has; Keras writes the date into it
    assert run.status == whole.status == "finished"


@pytest.fixture(scope="module")
def whole(tiny_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was never stopped; beside it, `killed`, as it was in the middle of its second epoch."""
    path = tmp_path_factory.mktemp("whole") / "run"
    with copying(path, {9: path.with_name("killed")}):
        return fit(EVERYTHING, tiny_data, path, verbose=False, saving=Saving(steps=2, keep=2))


@pytest.fixture
def killed(whole: Run, tmp_path: Path) -> Path:
    """The same run, killed in the middle of its second epoch: its newest checkpoint is of the eighth update."""
    return shutil.copytree(whole.path.with_name("killed"), tmp_path / "killed")


# After some updates; None: while the first epoch is validated.
STOPS = {1: "1 after batch 1", 4: "1 after batch 4", None: "2 after batch 0", 11: "2 after batch 5"}


@pytest.mark.parametrize("stops", [(4, None), pytest.param(tuple(STOPS), marks=pytest.mark.slow)])
def test_a_run_stopped_again_and_again_ends_bit_identical(
    stops: tuple[int | None, ...],
    whole: Run,
    tiny_data: ImageData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tested = keras.Model.evaluate

    def validating(*arguments: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return tested(*arguments, **options)

    for updates in stops:
        with monkeypatch.context() as patch, stopping_after(updates or -1):
            if updates is None:
                patch.setattr(keras.Model, "evaluate", validating)
            with pytest.raises(StoppedError, match=f"in epoch {STOPS[updates]}, .*without --overwrite, continues"):
                fit(EVERYTHING, tiny_data, tmp_path / "run", verbose=False)
        assert Run.at(tmp_path / "run").status == "unfinished"

    again = fit(EVERYTHING, tiny_data, tmp_path / "run", verbose=False)

    assert_same_end(again, whole)


@pytest.mark.parametrize("of", ["keras", pytest.param("keras_cv", marks=pytest.mark.slow)])
def test_a_training_with_layers_of_others_ends_bit_identical_from_an_epochs_end_and_from_its_middle(
    of: str, tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = TINY.but(epochs=2)

    def trained(name: str, factor: float = 0.1, saving: Saving | None = None) -> Run:
        layers = [keras.layers.RandomTranslation(factor, 0.1)]
        if of == "keras_cv":
            keras_cv = pytest.importorskip("keras_cv")
            layers += [keras_cv.layers.RandomZoom(0.2), keras_cv.layers.GridMask()]
        return fit(recipe, tiny_data, tmp_path / name, layers=layers, saving=saving, verbose=False)

    copies = {7: tmp_path / "end", 9: tmp_path / "middle"}  # the newest checkpoint is of there
    with copying(tmp_path / "whole", copies):
        whole = trained("whole", saving=Saving(steps=2))
    with monkeypatch.context() as patch:
        patch.setattr(loop.TrainingLoop, "run_to_end", lambda _: pytest.fail("it trains"))
        with pytest.raises(UsageError, match=r"another configuration \(layers\.1\.config\.height_factor .*0\.1.*, now"):
            trained("end", factor=0.2)
        with pytest.raises(UsageError, match=r"another configuration \(layers \{.*RandomTranslation.*, now None"):
            fit(recipe, tiny_data, tmp_path / "end", verbose=False)

    for place in ("middle",) if of == "keras" else ("end", "middle"):
        assert_same_end(trained(place), whole)
    plain = fit(recipe, tiny_data, tmp_path / "plain", verbose=False)
    assert plain.metrics()[0]["loss"] != whole.metrics()[0]["loss"], "of the same images and weights"


@pytest.mark.parametrize("stops", [(3,), pytest.param((3, 4), marks=pytest.mark.slow)])
def test_a_run_that_trains_its_classifier_alone_first_goes_on_whatever_became_of_the_weights_it_began_with(
    stops: tuple[int, ...], whole: Run, tiny_data: ImageData, tmp_path: Path
) -> None:
    weights = tmp_path / "weights.keras"
    first, other = (replace(whole.preprocessing, mean=(mean,), std=(50.0,)) for mean in (90.0, 0.0))
    save_model(network_for(TINY, first), weights, first)
    recipe = TINY.but(epochs=1, batch_size=64, weights=str(weights), head_epochs=1)  # three updates a phase
    # Killed while the classifier is trained, stopped between the phases, and while all is trained.
    with copying(tmp_path / "whole", {2: tmp_path / "run"}):
        unstopped = fit(recipe, tiny_data, tmp_path / "whole", verbose=False, saving=Saving(steps=1))
    weights.unlink()
    for updates in stops:
        with stopping_after(updates), pytest.raises(StoppedError):
            fit(recipe, tiny_data, tmp_path / "run", verbose=False)
        save_model(network_for(TINY, other), weights, other)

    again = fit(recipe, tiny_data, tmp_path / "run", verbose=False)

    assert_same_end(again, unstopped)
    assert read_stamp(again.model) == read_stamp(unstopped.model) == again.preprocessing == first


def test_before_the_first_checkpoint_the_weights_of_the_day_count(
    whole: Run, tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "weights.keras"
    first, other = (replace(whole.preprocessing, mean=(mean,), std=(50.0,)) for mean in (90.0, 0.0))
    save_model(network_for(TINY, first), weights, first)
    recipe = TINY.but(epochs=1, weights=str(weights))
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "save", lambda *_, **__: pytest.fail("the disk is full"))
        with pytest.raises(pytest.fail.Exception):
            fit(recipe, tiny_data, tmp_path / "run", verbose=False)
    save_model(network_for(TINY, other), weights, other)

    again = fit(recipe, tiny_data, tmp_path / "run", verbose=False)

    assert read_stamp(again.model) == again.preprocessing == other


@pytest.mark.slow  # as a user's own fit does
def test_the_damaged_newest_checkpoint_is_passed_over_and_the_end_is_the_same(
    whole: Run, killed: Path, tiny_data: ImageData, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = sorted((killed / "checkpoints").glob("0*"))[-1]
    content = bytearray((newest / "tensors.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (newest / "tensors.safetensors").write_bytes(content)

    again = fit(EVERYTHING, tiny_data, killed)

    assert f"the checkpoint {newest} is damaged: its files do not match SHA256SUMS" in " ".join(
        capsys.readouterr().err.split()
    )
    assert any("is damaged" in event.get("text", "") for event in again.events.rows())
    assert_same_end(again, whole)


def test_a_run_whose_checkpoints_are_all_damaged_says_so_and_changes_nothing(
    killed: Path, tiny_data: ImageData
) -> None:
    for path in (killed / "checkpoints").rglob("state.json"):
        path.write_text("{}")
    before = {path: path.read_bytes() for path in killed.rglob("*") if path.is_file()}

    with pytest.raises(ModelError, match="all of the 2 checkpoints in .* are damaged"):
        fit(EVERYTHING, tiny_data, killed, verbose=False)

    after = {path: path.read_bytes() for path in killed.rglob("*") if path.is_file()}
    assert [path.name for path in after if after[path] != before.get(path)] == ["events.jsonl"]
    assert before.keys() <= after.keys()


def test_in_an_interactive_session_the_second_ctrl_c_raises_at_once(
    tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(_: ExactCheckpoint) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    before = signal.getsignal(signal.SIGINT)

    with after_updates({1: twice}), pytest.raises(KeyboardInterrupt):
        fit(TINY, tiny_data, tmp_path / "run", verbose=False)

    assert signal.getsignal(signal.SIGINT) is before
    assert len(list((tmp_path / "run" / "checkpoints").glob("0*"))) == 1, "only the one it began with"


def test_a_full_disk_leaves_the_checkpoint_before_and_the_run_goes_on_from_it(
    whole: Run, killed: Path, tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "tensors.safetensors":
            write_bytes(path, content[: len(content) // 2])
            raise OSError(28, "No space left on device")
        return write_bytes(path, content)

    before = sorted(path.name for path in (killed / "checkpoints").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(StorageError, match=r"cannot write .*checkpoints.*: No space left on device; what was"):
            fit(EVERYTHING, tiny_data, killed, verbose=False, saving=Saving(steps=2))
    assert sorted(path.name for path in (killed / "checkpoints").iterdir()) == before, "nothing half written stays"

    assert_same_end(fit(EVERYTHING, tiny_data, killed, verbose=False), whole)


def test_what_a_kill_left_half_written_is_removed(whole: Run, killed: Path, tiny_data: ImageData) -> None:
    left = killed / "checkpoints" / ".unfinished-ab12_xyz"
    left.mkdir()
    (left / "tensors.safetensors").write_bytes(b"half")
    shutil.copytree(left, killed / ".unfinished-q1w2e3r4")
    (killed / ".vscode-insiders").mkdir()  # of no training

    run = fit(EVERYTHING, tiny_data, killed, verbose=False)

    assert sorted(path.name for path in run.path.iterdir() if path.name[0] == ".") == [".lock", ".vscode-insiders"]
    assert not list(run.checkpoints.glob(".*"))
    assert_same_end(run, whole)


def test_a_second_process_on_the_folder_is_refused(tiny_data: ImageData, tmp_path: Path) -> None:
    with (
        locked(tmp_path / "run"),
        pytest.raises(UsageError, match=rf"is being trained into by another process \({os.getpid()}\)"),
    ):
        fit(TINY, tiny_data, tmp_path / "run", verbose=False)

    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock"]


def test_checkpoints_are_written_every_so_many_steps_and_the_last_few_kept(whole: Run) -> None:
    names = [path.name for path in sorted(whole.checkpoints.glob("0*"))]
    # One to begin with, at updates 2, 4, 8, 10, and at the end of both epochs.
    assert names == ["000006", "000007"]
    places = [json.loads((whole.checkpoints / name / "state.json").read_text()) for name in names]
    assert [(place["epoch"], place["step"]) for place in places] == [(1, 4), (2, 0)]
    assert len(list(whole.checkpoints.glob("best-*"))) <= 2


@pytest.mark.parametrize("options", [{"steps": -1}, {"minutes": float("nan")}, {"keep": 0}])
def test_numbers_of_checkpoints_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="checkpoints are written every so many"):
        Saving(**options)


def test_training_sizes_that_grow_are_resumed_too(tiny_data: ImageData, tmp_path: Path) -> None:
    recipe = TINY.but(epochs=2, batch_size=64, train_sizes=(8, 12))
    with copying(tmp_path / "whole", {5: tmp_path / "run"}):
        whole = fit(recipe, tiny_data, tmp_path / "whole", verbose=False, saving=Saving(steps=4))

    again = fit(recipe, tiny_data, tmp_path / "run", verbose=False)

    assert_same_end(again, whole)
    assert again.preprocessing.fit.size == (8, 8)


def test_sigterm_outside_the_training_itself_is_exit_code_seventy_five(
    tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras_resnet.training.fit.begin", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(StoppedError, match="stopped: the same command") as caught:
        fit(TINY, tiny_data, tmp_path / "run", verbose=False)

    assert caught.value.exit_code == 75
    assert signal.getsignal(signal.SIGTERM) is before


def test_images_that_are_edited_during_a_training_stop_it_until_they_are_restored(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, source = TINY.but(batch_size=8, epochs=3), Source(f"folder:{image_folder}", image_size=8)

    def trained(name: str) -> Run:
        return fit(recipe, load_data(source, cache="none"), tmp_path / name, verbose=False)

    whole = trained("whole")
    kept = {path: path.read_bytes() for path in image_folder.rglob("*.png")}
    really = Progress.on_epoch_end

    def edit(self: Progress, epoch: int, logs: dict[str, Any] | None = None) -> None:
        really(self, epoch, logs)
        for path in kept:
            Image.new("RGB", (12, 10)).save(path)

    monkeypatch.setattr(Progress, "on_epoch_end", edit)
    with pytest.raises(DataError, match=r"\.png has changed since the images were read"):
        trained("run")
    monkeypatch.undo()
    with pytest.raises(DataError, match="have changed since it began"):
        trained("run")
    for path, content in kept.items():
        path.write_bytes(content)

    assert Run(tmp_path / "run").status == "unfinished"
    assert_same_end(trained("run"), whole)
