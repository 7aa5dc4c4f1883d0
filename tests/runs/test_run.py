import csv
import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_resnet.data.images import Skipped
from keras_resnet.data.loading import from_arrays
from keras_resnet.errors import ModelError, StorageError, UsageError
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.runs import run as run_module
from keras_resnet.runs.run import Run, free_run_folder, locked

CONFIG: dict[str, Any] = {
    "recipe": {"model": "resnet8", "epochs": 3, "tta": "none"},
    "data": {"name": "digits"},
}


def test_a_run_records_its_configuration_and_environment(tmp_path: Path) -> None:
    run, continues = Run.start(tmp_path / "run", CONFIG)

    assert not continues
    assert run.status == "unfinished"
    assert run.config == CONFIG
    assert Run(str(tmp_path / "run")) == run  # type: ignore[arg-type]
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["tensorflow"].startswith("2.")
    assert {"keras-resnet-kit", "keras", "python", "machine"} <= environment.keys()


def test_the_same_configuration_continues_and_another_is_refused_by_the_difference(tmp_path: Path) -> None:
    Run.start(tmp_path, CONFIG)

    assert Run.start(tmp_path, CONFIG)[1]
    with pytest.raises(UsageError, match=r"another configuration \(recipe\.epochs 3, now 5\)"):
        Run.start(tmp_path, {**CONFIG, "recipe": {**CONFIG["recipe"], "epochs": 5}})


def test_a_finished_run_is_kept_unless_it_is_to_be_overwritten(tmp_path: Path) -> None:
    run, _ = Run.start(tmp_path / "run", CONFIG)
    run.finish()
    (run.path / "model.keras").write_text("weeks of work")

    with pytest.raises(UsageError, match=r"finished run.*--overwrite"):
        Run.start(run.path, CONFIG)
    assert (run.path / "model.keras").exists()

    again, continues = Run.start(run.path, CONFIG, overwrite=True)
    assert not continues
    assert again.status == "unfinished"
    assert not (run.path / "model.keras").exists()


def test_a_folder_with_other_files_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")

    for overwrite in (False, True):
        with pytest.raises(UsageError, match="holds other files and no run"):
            Run.start(tmp_path, CONFIG, overwrite=overwrite)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_killed_as_it_began_can_begin_again(tmp_path: Path) -> None:
    run, _ = Run.start(tmp_path / "run", CONFIG)
    (run.path / "run.json").unlink()

    assert Run.start(run.path, CONFIG)[0].status == "unfinished"


def test_what_is_no_finished_run_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no run folder"):
        Run.at(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is not a run folder"):
        Run.at(tmp_path)
    run, _ = Run.start(tmp_path / "run", CONFIG)
    run.record_metrics([{"epoch": 1, "loss": 2.5}])
    with pytest.raises(UsageError, match="is not finished: 1 of 3 epochs are done"):
        Run.at(run.path, finished=True)


def test_a_damaged_run_is_one_clear_error(tmp_path: Path) -> None:
    run, _ = Run.start(tmp_path / "run", CONFIG)
    (run.path / "run.json").write_text("{")

    with pytest.raises(ModelError, match=r"run\.json is not JSON"):
        Run.at(run.path, finished=True)


def test_runs_without_a_folder_are_numbered_and_unfinished_ones_continued(tmp_path: Path) -> None:
    def folder(config: dict[str, Any] = CONFIG) -> str:
        return free_run_folder(tmp_path, "resnet8-digits", config).name

    assert folder() == "resnet8-digits"
    first, _ = Run.start(tmp_path / folder(), CONFIG)
    assert folder() == "resnet8-digits", "unfinished, the same configuration"
    assert folder({**CONFIG, "data": {"name": "other"}}) == "resnet8-digits-002"
    first.finish()
    assert folder() == "resnet8-digits-002"
    Run.start(tmp_path / folder(), CONFIG)[0].finish()
    assert folder() == "resnet8-digits-003"


def test_metrics_come_back_as_they_were(tmp_path: Path) -> None:
    run, _ = Run.start(tmp_path / "run", CONFIG)
    rows = [{"epoch": 1.0, "loss": 2.25}, {"epoch": 2.0, "loss": 1.125}]

    assert run.metrics() == []
    run.record_metrics(rows)

    assert run.metrics() == rows


def test_the_split_is_written_down_and_no_cell_is_a_formula(tmp_path: Path) -> None:
    run, _ = Run.start(tmp_path / "run", CONFIG)
    names = ["=HYPERLINK(1)", "b", "\t=1", "\r@a", "  +1", " b", "-1", "a=1"]
    data = from_arrays(np.zeros((80, 4, 4), np.uint8), np.arange(80) % 8, names)

    run.record_data(data, Preprocessing(Fit((4, 4), 1), (0.0,), (1.0,), data.class_names))

    with open(run.path / "split.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 80
    kept, marked = {"b", " b", "a=1"}, {"'=HYPERLINK(1)", "'\t=1", r"\r@a", "'  +1", "'-1"}
    assert {row["class"] for row in rows} == kept | marked
    assert [row["split"] for row in rows].count("test") == len(data.test)
    recorded = json.loads((run.path / "data.json").read_text())
    assert recorded["fingerprint"] == data.fingerprint
    assert recorded["images_per_class"]["test"] == [2] * 8
    assert run.preprocessing.class_names == data.class_names


def test_no_terminal_obeys_what_is_in_a_table_of_the_run_and_other_files_are_exact(tmp_path: Path) -> None:
    run, _ = Run.start(tmp_path / "run", CONFIG)
    data = from_arrays(np.zeros((20, 4, 4), np.uint8), np.arange(20) % 2, ["a\x1b[31mred", "\u202egnp"])
    data = replace(data, skipped=(Skipped("b\x9b2J.png", "damaged", "why\u200b"),))

    run.record_data(data, Preprocessing(Fit((4, 4), 1), (0.0,), (1.0,), data.class_names))

    with open(run.path / "split.csv", newline="", encoding="utf-8") as file:
        assert {row["class"] for row in csv.DictReader(file)} == {r"a\x1b[31mred", r"\u202egnp"}
    assert (run.path / "skipped.csv").read_text().splitlines()[1] == r"b\x9b2J.png,damaged,why\u200b"
    assert run.preprocessing.class_names == data.class_names


def test_a_run_killed_while_it_was_overwritten_is_begun_anew(tmp_path: Path) -> None:
    run, _ = Run.start(tmp_path / "run", CONFIG)
    run.finish()
    (run.path / "run.json").write_text('{"format": 1, "status": "overwritten"}')  # as a kill leaves it
    (run.path / "config.json").unlink()
    (run.path / "model.keras").write_text("old")

    Run.check_free(run.path, CONFIG)
    assert free_run_folder(tmp_path, "run", CONFIG) == run.path
    again, continues = Run.start(run.path, CONFIG)

    assert not continues
    assert again.status == "unfinished"
    assert not (run.path / "model.keras").exists()


def test_a_damaged_folder_is_passed_over_and_named_when_it_is_meant(tmp_path: Path) -> None:
    run, _ = Run.start(tmp_path / "run", CONFIG)
    (run.path / "config.json").unlink()

    assert free_run_folder(tmp_path, "run", CONFIG) == tmp_path / "run-002"
    with pytest.raises(ModelError, match=r"cannot read .*run/config\.json: No such file or directory$"):
        Run.check_free(run.path, CONFIG)


def test_somebody_elses_run_json_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"name": "marathon"}')

    with pytest.raises(UsageError, match=r"holds a run\.json that this version of the package did not write"):
        Run.start(tmp_path, CONFIG, overwrite=True)
    assert (tmp_path / "run.json").read_text() == '{"name": "marathon"}'


def test_a_folder_with_nothing_but_a_lock_is_still_free(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").write_text("1")

    assert free_run_folder(tmp_path, "run", CONFIG) == tmp_path / "run"


def test_a_folder_is_one_process_alone_until_that_ends_even_by_a_kill(tmp_path: Path) -> None:
    hold = (
        "import filelock, sys, time\n"
        "file = open(sys.argv[1], 'a+b', buffering=0)\n"
        "filelock.lock_descriptor(file.fileno(), blocking=False)\n"
        "file.write(b' 4242\\n')\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / ".lock")], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for _ in range(2):  # who was refused does not take the lock, nor the owner's number, away
            with (
                pytest.raises(UsageError, match=r"being trained into by another process \(4242\): wait .*--out"),
                locked(tmp_path),
            ):
                pass
        holder.kill()

    with locked(tmp_path):
        assert (tmp_path / ".lock").read_text() == f" {os.getpid()}\n"
    with locked(tmp_path):  # and again
        pass


def test_a_file_system_without_locks_stops_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(run_module, "lock_descriptor", lacking)

    with locked(tmp_path / "run"):
        assert (tmp_path / "run" / ".lock").exists()


def test_a_full_disk_under_the_lock_is_a_storage_error(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="this system limits no file's size")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*run: File too large"), locked(tmp_path / "run"):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("known", [True, False], ids=["images", "a script's data"])
def test_what_is_recorded_of_the_data_counts_only_once_all_of_it_is_there(
    known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before any of the writes: `has_data` still says whether everything can be read."""
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8)
    data = from_arrays(images, np.arange(40) % 2) if known else None
    preprocessing = Preprocessing(Fit((4, 4), 1), (0.0,), (1.0,), ("0", "1"))
    replace_file, writes = os.replace, 0

    for killed_at in range(1, 20):
        run, _ = Run.start(tmp_path / str(killed_at), CONFIG)
        writes = 0

        def counted(*arguments: Any, at: int = killed_at) -> None:
            nonlocal writes
            writes += 1
            if writes == at:
                raise KeyboardInterrupt
            replace_file(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", counted)
            try:
                run.record_data(data, preprocessing)
            except KeyboardInterrupt:
                assert not run.has_data
                continue
        assert run.has_data
        assert run.fingerprint == (data.fingerprint if data else "")
        break
    assert killed_at == (5 if known else 3), "data, split twice, preprocessing, and then none is left"
