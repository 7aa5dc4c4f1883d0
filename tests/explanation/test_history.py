import json
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.errors import ModelError
from keras_resnet.explanation.history import History, end, median, series, stage_series
from keras_resnet.runs.run import Run
from keras_resnet.weights.first_normalisation import FirstStatistics

STEP = {
    "event": "step",
    "epoch": 1,
    "step": 10,
    "loss": 2.0,
    "gradient_norms": {"head": 1.0, "stage1": None, "stem": 3},
}
EPOCH = {"event": "epoch", "epoch": 1, "step": 12, "loss": None}


def run_with(folder: Path, text: str) -> Run:
    folder.joinpath("data.json").write_text(
        json.dumps({"fingerprint": "f", "images_per_class": {"validation": [3, 4], "train": [9, 9]}})
    )
    folder.joinpath("metrics.jsonl").write_text(text)
    return Run(folder)


def test_rows_are_sorted_by_their_kind() -> None:
    history = History.of([STEP, EPOCH, {"event": "note"}, STEP])

    assert history.steps == (STEP, STEP)
    assert history.epochs == (EPOCH,)


def test_a_runs_record_is_read_without_the_line_that_a_kill_cut_off(tmp_path: Path) -> None:
    history = History.of_run(run_with(tmp_path, f'{json.dumps(STEP)}\n{json.dumps(EPOCH)}\n{{"event": "st'))

    assert (len(history.steps), len(history.epochs)) == (1, 1)
    assert history.validation_images == 7
    assert history.guesses == (9 / 18, 4 / 7)
    assert history.first is None


def test_what_the_first_normalisation_saw_is_read_from_the_events(tmp_path: Path) -> None:
    run = run_with(tmp_path, f"{json.dumps(EPOCH)}\n")
    place = {"time": "2026", "epoch": 1, "step": 0, "updates": 0}
    run.events.add({"event": "continued", **place})
    run.events.add({"event": "weights", "text": "doubt", "variance": 0.01, "shift": 0.5, "images": 32, **place})

    assert History.of_run(run).first == FirstStatistics(0.01, 0.5, 32)


def test_events_lie_between_the_ends_of_epochs(tmp_path: Path) -> None:
    run = run_with(tmp_path, "".join(json.dumps({**EPOCH, "epoch": n, "step": 12 * n}) + "\n" for n in (1, 2, 3)))
    for kind, updates in (("continued", 0), ("setback", 18), ("continued", 24), ("note", 30), ("continued", 24)):
        run.events.add({"time": "2026", "event": kind, "epoch": 9, "step": 9, "updates": updates})

    history = History.of_run(run)

    np.testing.assert_array_equal(history.places("continued"), [0, 2])
    np.testing.assert_array_equal(history.places("setback"), [1.5])
    later = History.of([{**EPOCH, "epoch": 5, "step": 12}], events=run.events.rows())  # a record that began there
    np.testing.assert_array_equal(later.places("setback"), [5])
    assert not len(History.of([STEP], events=run.events.rows()).places("continued"))


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"metrics\.jsonl, line 1 is not JSON"):
        History.of_run(run_with(tmp_path, "torn\n"))


def test_a_run_without_a_record_of_its_own_has_the_epochs_of_its_table(finished_run: Run, tmp_path: Path) -> None:
    copied = run_with(tmp_path, "")
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "metrics.csv").write_text((finished_run.path / "metrics.csv").read_text())

    history = History.of_run(copied)

    assert [row["epoch"] for row in history.epochs] == list(range(1, 13))
    assert history.steps == ()


def test_a_run_that_has_not_begun_is_empty(tmp_path: Path) -> None:
    assert History.of_run(Run(tmp_path)) == History((), ())


def test_series_have_a_gap_where_a_number_is_missing() -> None:
    values = series([{"a": 1}, {"a": None}, {}, {"a": float("inf")}, {"a": "x"}, {"a": 2.5}], "a")

    np.testing.assert_array_equal(values, [1, np.nan, np.nan, np.nan, np.nan, 2.5])


def test_stages_come_in_the_networks_order() -> None:
    late = {"gradient_norms": {"stage10": 1.0, "stage2": 1.0}}

    found = stage_series([STEP, late, {}], "gradient_norms")

    assert list(found) == ["stem", "stage1", "stage2", "stage10", "head"]
    np.testing.assert_array_equal(found["stem"], [3, np.nan, np.nan])


def test_the_last_phase_begins_where_other_stages_were_trained_or_images_became_larger() -> None:
    alone = {**STEP, "gradient_norms": {"stem": 0.0, "head": 1.0}}
    large = {**STEP, "image_size": 224}

    assert History.of([alone, alone, STEP, STEP]).last_phase == (STEP, STEP)
    assert History.of([alone, STEP, large]).last_phase == (large,)
    assert History.of([STEP, STEP]).last_phase == (STEP, STEP)
    assert History.of([]).last_phase == ()


def test_medians_and_ends_are_of_what_there_is() -> None:
    assert median(np.array([1.0, np.nan, 5.0, 3.0])) == 3
    assert np.isnan(median(np.array([np.nan])))
    assert np.isnan(median(np.array([])))
    np.testing.assert_array_equal(end(np.arange(10)), [8, 9])
    np.testing.assert_array_equal(end(np.arange(2)), [1])
