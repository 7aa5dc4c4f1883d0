import json
import time
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.util.event_pb2 import Event

from keras_resnet.callbacks import tensorboard
from keras_resnet.callbacks.tensorboard import SUFFIX, TensorBoardWriter, require_tensorboard, scalars
from keras_resnet.errors import MissingExtraError, StorageError
from keras_resnet.training.fit import fit

STEP = {
    "event": "step",
    "epoch": 1,
    "step": 10,
    "loss": 2.5,
    "accuracy": 0.125,
    "learning_rate": None,
    "gradient_norms": {"stem": 0.5, "head": float("inf")},
}
EPOCH = {"event": "epoch", "epoch": 1, "step": 22, "val_loss": 2.25, "batchnorm_drift": {"stem": 0.25}, "note": "text"}


def read(folder: Path) -> list[tuple[int, dict[str, float]]]:
    (path,) = folder.glob(f"*{SUFFIX}")
    events = [Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
    assert events[0].file_version == "brain.Event:2"
    return [
        (event.step, {value.tag: value.simple_value for value in event.summary.value})
        for event in events
        if event.summary.value
    ]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_figures_become_scalars_and_what_is_no_number_is_left_out() -> None:
    assert scalars(STEP) == {"step/loss": 2.5, "step/accuracy": 0.125, "step/gradient_norms/stem": 0.5}
    assert scalars(EPOCH) == {"epoch/val_loss": 2.25, "epoch/batchnorm_drift/stem": 0.25}


def test_rows_are_written_by_the_number_of_updates(tmp_path: Path) -> None:
    TensorBoardWriter(tmp_path / "[a] *?" / "tensorboard", [STEP, EPOCH]).close()

    assert read(tmp_path / "[a] *?" / "tensorboard") == [(10, scalars(STEP)), (22, scalars(EPOCH))]


def test_a_row_can_be_read_as_soon_as_it_was_added(tmp_path: Path) -> None:
    writer = TensorBoardWriter(tmp_path)
    writer.add(STEP)

    assert read(tmp_path) == [(10, scalars(STEP))]


def test_after_a_resume_nothing_is_there_twice_and_nothing_that_was_cut_off(tmp_path: Path) -> None:
    first = TensorBoardWriter(tmp_path)
    for row in (STEP, EPOCH, {**STEP, "step": 30, "loss": 9.0}):
        first.add(row)

    second = TensorBoardWriter(tmp_path, [STEP, EPOCH])  # the checkpoint stood here
    second.add({**STEP, "step": 30, "loss": 1.0})
    second.close()

    assert [(step, one.get("step/loss")) for step, one in read(tmp_path)] == [(10, 2.5), (22, None), (30, 1.0)]


def test_other_files_of_the_folder_are_left_alone(tmp_path: Path) -> None:
    others = ["notes.txt", "events.out.tfevents.1700000000.host", f"notes{SUFFIX}"]
    for name in others:
        (tmp_path / name).write_text("mine")

    for _ in range(2):
        TensorBoardWriter(tmp_path, [STEP]).close()

    assert {*others} < {*files(tmp_path)}
    assert len(files(tmp_path)) == 4


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("a file")

    with pytest.raises(StorageError, match="cannot write"):
        TensorBoardWriter(tmp_path / "tensorboard")


def test_where_nobody_could_look_at_it_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)

    with pytest.raises(MissingExtraError, match=r"pip install 'keras-resnet-kit\[tensorboard\]'"):
        require_tensorboard()


def test_tensorboard_itself_reads_it_and_forgets_what_a_resume_cut_off(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing import event_accumulator

    rows: list[dict[str, Any]] = [
        json.loads(json.dumps({**STEP, "step": step, "gradient_norms": {}})) for step in (10, 20)
    ]
    watching = event_accumulator.EventAccumulator(str(tmp_path))
    writer = TensorBoardWriter(tmp_path)
    for row in rows:
        writer.add(row)
    assert [one.step for one in watching.Reload().Scalars("step/loss")] == [10, 20]

    time.sleep(1 - time.time() % 1)  # TensorBoard goes on to files of later names, and names begin with the second
    again = TensorBoardWriter(tmp_path, rows[:1])
    again.add({**rows[1], "loss": 1.5})

    found = watching.Reload().Scalars("step/loss")
    assert [(one.step, one.value) for one in found] == [(10, 2.5), (20, 1.5)]
    fresh = event_accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert [(one.step, one.value) for one in fresh.Scalars("step/loss")] == [(10, 2.5), (20, 1.5)]


@pytest.mark.parametrize("act", ["write", "flush"])
def test_a_full_disk_is_a_storage_error_and_not_taken_for_lack_of_memory(
    act: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:  # as TensorFlow reports it
        place = "{{function_node __wrapped__FlushSummaryWriter}} /run/events.out.tfevents.1"
        message = f"{place}; No space left on device\n\tCould not flush events file. [Op:FlushSummaryWriter]"
        raise tf.errors.ResourceExhaustedError(None, None, message)

    writer = TensorBoardWriter(tmp_path / "tensorboard")
    owner, name = {"write": (tf.summary.experimental, "write_raw_pb"), "flush": (writer._writer, "flush")}[act]
    monkeypatch.setattr(owner, name, full)

    with pytest.raises(StorageError, match=r"cannot write .*/tensorboard: No space left on device; what was there"):
        writer.add({"event": "step", "step": 1, "loss": 1.0})


def test_a_training_with_event_files_is_refused_before_it_reads_anything_where_tensorboard_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda name: None)

    with pytest.raises(MissingExtraError, match="tensorboard"):
        fit("digits", f"folder:{tmp_path}", tmp_path / "run", tensorboard=True, verbose=False)
