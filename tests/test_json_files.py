import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import pytest

from keras_resnet.allowed import COUNT, one_of
from keras_resnet.errors import DataError, ModelError
from keras_resnet.json_files import parse_json, parsed, read_json, read_json_lines


class Row(TypedDict):
    val_loss: float
    norms: NotRequired[dict[str, float | None]]


class Figures(TypedDict):
    epochs: Annotated[int, COUNT]
    status: Annotated[str, one_of("unfinished", "finished")]
    metrics: list[Row]
    best: bool
    more: NotRequired[Any]


@dataclass
class Place:
    epoch: int
    name: str


GOOD: dict[str, Any] = {
    "epochs": 3,
    "status": "finished",
    "metrics": [{"val_loss": 0.5, "norms": {"stem": 1, "head": None}}, {"val_loss": 2}],
    "best": True,
    "more": {"anything": [1, "x", None]},
}


def test_a_value_of_its_kind_comes_back_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_text(json.dumps(GOOD))

    assert read_json(tmp_path / "figures.json", Figures) == GOOD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": [{"val_loss": 1.0}, {"val_loss": None}]}, "metrics[1].val_loss must be a number; received null"),
        ({"metrics": [{"val_loss": "0.5"}]}, 'metrics[0].val_loss must be a number; received "0.5"'),
        ({"metrics": [{"val_loss": True}]}, "metrics[0].val_loss must be a number; received true"),
        ({"metrics": [{"val_loss": float("nan")}]}, "metrics[0].val_loss must be a finite number; received NaN"),
        ({"metrics": [{}]}, "metrics[0] lacks 'val_loss'"),
        (
            {"metrics": [{"val_loss": 1, "norms": {"a b": "x"}}]},
            'metrics[0].norms["a b"] must be a number; received "x"',
        ),
        ({"metrics": {}}, "metrics must be a list; received an object"),
        ({"metrics": [[]]}, "metrics[0] must be an object; received a list"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1; received 0"),
        ({"epochs": 1.5}, "epochs must be a whole number of at least 1; received 1.5"),
        ({"epochs": 10**30}, "epochs must be a number of at most 64 bits; received a number that is too large"),
        ({"epochs": 10**4000}, "epochs must be a finite number"),
        ({"status": "done"}, "status must be one of 'unfinished', 'finished'; received \"done\""),
        ({"best": 1}, "best must be true or false; received 1"),
        (
            {"more": [{"deep": float("inf")}]},
            "more[0].deep must be a finite number; received a number that is too large",
        ),
    ],
)
def test_a_field_of_another_kind_is_named_with_its_file(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "figures.json"
    path.write_text(json.dumps({**GOOD, **change}))

    with pytest.raises(ModelError) as caught:
        read_json(path, Figures)

    assert str(caught.value).startswith(f"{path}: {message}")
    assert str(caught.value).endswith("restore it from a copy")


def test_a_missing_field_is_named_and_the_error_is_the_callers(tmp_path: Path) -> None:
    (tmp_path / "figures.json").write_text('{"epochs": 3, "best": false}')

    with pytest.raises(DataError, match=r"figures\.json: it lacks 'status', 'metrics'\. Make it again$"):
        read_json(tmp_path / "figures.json", Figures, error=DataError, remedy="Make it again")


def test_the_fields_of_a_dataclass_are_a_kind_too_and_more_may_follow() -> None:
    value = {"epoch": 1, "name": "a", "later": [1]}

    assert parse_json(json.dumps(value), Place, "x") == value
    with pytest.raises(ModelError, match="x: name must be text; received 1"):
        parse_json('{"epoch": 1, "name": 1}', Place, "x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON: Expecting value"),
        (b"{", "is not JSON: Expecting property name"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', 'is not JSON: the key "c" occurs twice'),
        (b'{"a": "caf\xe9"}', "is not JSON: its byte 10, 0xe9, is not UTF-8"),
        ("{}".encode("utf-16"), "is not JSON: its byte 0, 0xff, is not UTF-8"),
        (b"\xef\xbb\xbf{}", "is not JSON: Expecting value"),
        (b'{"a": 1} {}', "is not JSON: Extra data"),
        (b"[" * 100_000, "is not JSON: lists and objects are nested more than 64 deep, at character 64"),
        (b'{"a":' * 100_000, "nested more than 64 deep"),
    ],
)
def test_what_is_no_json_is_refused_with_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(content)

    with pytest.raises(ModelError, match=message):
        read_json(tmp_path / "a.json", dict[str, Any])


def test_names_of_files_keep_bytes_that_are_no_unicode_where_they_may() -> None:
    assert parse_json(b'{"name": "caf\xe9"}', dict[str, Any], "x", raw_names=True) == {"name": "caf\udce9"}


def test_depth_is_counted_without_brackets_in_texts() -> None:
    many = json.dumps(["[{" * 100, '"[' * 100, "\\[" * 100, [[]]] * 2)

    assert parsed(many) == json.loads(many)
    assert parsed("[" * 64 + "]" * 64)
    assert parsed("[" + ",".join(["[[]]"] * 1000) + "]") == [[[]]] * 1000


def test_hostile_texts_are_refused_in_no_time() -> None:
    began = time.perf_counter()
    for text in ('"' + '\\"' * 10**6 + "[" * 100, "[" * 100 + '"' * 10**6, '{"a": ' + "9" * 10**6 + "}"):
        with pytest.raises(ModelError):
            parse_json(text, Figures, "x")
    twice = "{" + ",".join(f'"{n}": 1' for n in range(100_000)) + ', "99999": 2}'
    with pytest.raises(ModelError, match='"99999" occurs twice'):
        parse_json(twice, dict[str, Any], "x")

    assert time.perf_counter() - began < 10


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "a.json", "wb") as file:
        file.truncate(2**40)  # a file with a hole takes no disk

    with pytest.raises(ModelError, match="cannot read .*a.json: it has more than the 67,108,864 bytes"):
        read_json(tmp_path / "a.json", Figures)


def test_of_lines_the_damaged_one_is_named_and_a_last_one_that_was_cut_off_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"val_loss": 1}\n{"val_loss": 2}\n{"val_lo')

    assert read_json_lines(path, Row) == [{"val_loss": 1}, {"val_loss": 2}]

    path.write_text('{"val_loss": 1}\n{"val_loss": null}\n')
    with pytest.raises(ModelError, match=r"rows\.jsonl, line 2: val_loss must be a number; received null"):
        read_json_lines(path, Row)


def test_whole_numbers_have_64_bits() -> None:
    for number in (2**63 - 1, -(2**63)):
        assert parse_json(str(number), int, "x") == number
    for number in (2**63, -(2**63) - 1):
        with pytest.raises(ModelError, match="x: it must be a number of at most 64 bits; received a number that is"):
            parse_json(str(number), int, "x")
