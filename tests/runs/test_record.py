import math
from pathlib import Path
from typing import Any

import pytest

from keras_resnet.errors import ModelError, StorageError
from keras_resnet.runs.record import Record


def test_rows_come_back_as_they_were_but_for_numbers_that_json_lacks(tmp_path: Path) -> None:
    record = Record(tmp_path / "log.jsonl", dict[str, Any])
    record.add({"step": 1, "loss": 0.1, "norms": {"stem": math.inf, "é": [1, math.nan]}})
    record.add({"step": 2})

    assert record.rows() == [{"step": 1, "loss": 0.1, "norms": {"stem": None, "é": [1, None]}}, {"step": 2}]


def test_it_is_cut_back_to_where_it_was_and_goes_on_from_there(tmp_path: Path) -> None:
    record = Record(tmp_path / "log.jsonl", dict[str, Any])
    assert record.size() == 0
    record.add({"step": 1})
    size = record.size()
    record.add({"step": 2})

    record.cut(size)
    record.add({"step": 3})

    assert record.rows() == [{"step": 1}, {"step": 3}]


def test_a_last_line_that_a_kill_left_half_written_is_passed_over_and_mended(tmp_path: Path) -> None:
    record = Record(tmp_path / "log.jsonl", dict[str, Any])
    record.add({"step": 1})
    with open(record.path, "ab") as file:
        file.write(b'{"step": 2, "lo')
    assert record.rows() == [{"step": 1}]

    record.mend()
    record.add({"step": 2})

    assert record.rows() == [{"step": 1}, {"step": 2}]


def test_damage_elsewhere_is_said(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("{}\nrubbish\n{}\n")

    with pytest.raises(ModelError, match=r"log\.jsonl, line 2 is not JSON: Expecting value"):
        Record(tmp_path / "log.jsonl", dict[str, Any]).rows()


def test_without_a_file_there_are_no_rows_and_nothing_to_cut(tmp_path: Path) -> None:
    record = Record(tmp_path / "log.jsonl", dict[str, Any])
    record.cut(0)
    record.mend()

    assert record.rows() == []
    assert not record.path.exists()


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        Record(tmp_path / "nowhere" / "log.jsonl", dict[str, Any]).add({})
