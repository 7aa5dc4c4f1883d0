import json
import os
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.data.sources.table import list_table
from keras_resnet.errors import DataError


def written(folder: Path, text: str | bytes, name: str = "images.csv") -> Path:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def lines_of(folder: Path, *rows: dict[str, object]) -> Path:
    return written(folder, "\n".join(map(json.dumps, rows)), "images.jsonl")


FULL = "path,label,split,group,time\na.jpg,cat,train,p2,2024-05-31\nb.jpg,dog,val,p1,2024-06-01T12:00Z\n"


def test_a_csv_gives_paths_labels_splits_groups_and_times(tmp_path: Path) -> None:
    found = list_table(written(tmp_path, FULL + "c/d.jpg,cat,Testing,p2,2024-06-01T14:00+02:00\n"))

    assert found.contents.paths == (tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "c/d.jpg")  # type: ignore[attr-defined]
    assert found.names == ("a.jpg", "b.jpg", "c/d.jpg")
    assert found.class_names == ("cat", "dog")
    assert found.labels.tolist() == [0, 1, 0]
    assert {split: part.tolist() for split, part in found.given.items()} == {
        "train": [0],
        "validation": [1],
        "test": [2],
    }
    assert found.groups is not None
    assert found.groups.tolist() == [1, 0, 1]
    assert found.times is not None
    assert found.times.tolist() == [1717113600.0, 1717243200.0, 1717243200.0]
    assert found.notes == ()


def test_json_lines_give_the_same_as_csv(tmp_path: Path) -> None:
    csv = list_table(written(tmp_path, FULL))
    keys = FULL.split("\n")[0].split(",")
    rows = [dict(zip(keys, line.split(","), strict=True)) for line in FULL.split()[1:]]

    jsonl = list_table(lines_of(tmp_path, *rows))

    for name in ("contents", "names", "class_names"):
        assert getattr(csv, name) == getattr(jsonl, name)
    for name in ("labels", "groups", "times"):
        assert getattr(csv, name).tolist() == getattr(jsonl, name).tolist()
    assert csv.given.keys() == jsonl.given.keys() == {"train", "validation"}


def test_only_path_and_label_are_needed_in_any_order_and_rows_keep_theirs(tmp_path: Path) -> None:
    found = list_table(written(tmp_path, "label,path\r\nz,z.jpg\r\na,b.jpg\r\n\r\nz,a.jpg\r\n"))

    assert found.names == ("z.jpg", "b.jpg", "a.jpg")
    assert found.labels.tolist() == [1, 0, 1]
    assert (found.given, found.groups, found.times) == ({}, None, None)


def test_columns_that_are_not_known_are_noted(tmp_path: Path) -> None:
    found = list_table(written(tmp_path, "id,path,label,width\n1,a.jpg,a,5\n2,b.jpg,b,6\n"))

    assert found.notes == ("the columns 'id', 'width' of images.csv are not used",)
    rows = ({"path": "a", "label": 1, "note": None}, {"path": "b", "label": 2, "id": [1]})
    assert list_table(lines_of(tmp_path, *rows)).notes == ("the columns 'note', 'id' of images.jsonl are not used",)


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_a_spreadsheet_may_divide_as_it_likes_and_begin_with_a_mark(tmp_path: Path, delimiter: str) -> None:
    text = f'\ufeffpath{delimiter} label\n"a{delimiter}""1"".jpg"{delimiter}  cat \nç.jpg{delimiter}dog\n'

    found = list_table(written(tmp_path, text))

    assert found.names == (f'a{delimiter}"1".jpg', "ç.jpg")
    assert found.class_names == ("cat", "dog")


def test_paths_are_seen_from_the_table_or_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    written(tmp_path / "sub", "path,label\n./x//a.jpg,a\n../b.jpg,b\n/data/c.jpg,b\n")
    monkeypatch.chdir(tmp_path)

    found = list_table("sub/images.csv")

    monkeypatch.chdir("/")
    assert [str(path) for path in found.contents.paths] == [  # type: ignore[attr-defined]
        f"{tmp_path}/sub/x/a.jpg",
        f"{tmp_path}/sub/../b.jpg",
        "/data/c.jpg",
    ]
    assert found.names == ("./x//a.jpg", "../b.jpg", "/data/c.jpg")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["10", "9", "-1"], ["-1", "9", "10"]),
        (["10", "9", "x"], ["10", "9", "x"]),
        ([10, 9.0, 1], ["1", "9", "10"]),
        ([0.5, "2"], ["0.5", "2"]),
    ],
)
def test_classes_are_sorted_and_as_numbers_where_all_are(
    tmp_path: Path, labels: list[object], expected: list[str]
) -> None:
    rows = [{"path": f"{number}.jpg", "label": label} for number, label in enumerate(labels)]

    found = list_table(lines_of(tmp_path, *rows))

    assert list(found.class_names) == expected
    assert [found.class_names[label] for label in found.labels] == [str(label).removesuffix(".0") for label in labels]


def test_times_may_be_numbers_and_dates_without_a_zone_are_utc(tmp_path: Path) -> None:
    numbers = list_table(written(tmp_path, "path,label,time\na,x,3\nb,y,-1.5e3\n"))
    naive = list_table(written(tmp_path, "path,label,time\na,x,1970-01-02\nb,y,1970-01-01T00:00:00.25\n"))

    assert numbers.times is not None
    assert numbers.times.tolist() == [3.0, -1500.0]
    assert naive.times is not None
    assert naive.times.tolist() == [86400.0, 0.25]
    assert naive.times.dtype == np.float64


def test_a_column_without_any_entry_is_as_good_as_none(tmp_path: Path) -> None:
    found = list_table(written(tmp_path, "path,label,split,group,time\na,x,,,\nb,y,, ,\n"))

    assert (found.given, found.groups, found.times) == ({}, None, None)


def test_names_that_are_no_unicode_come_through_json(tmp_path: Path) -> None:
    found = list_table(lines_of(tmp_path, {"path": "caf\udce9.jpg", "label": "a"}, {"path": "b.jpg", "label": "b"}))

    assert found.names[0] == "caf\udce9.jpg"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty or begins with an empty line; expected the header path,label"),
        ("\npath,label\n", "is empty or begins with an empty line"),
        ("path,label\n\n", "has no rows"),
        ("path,lable\na,b\n", r"line 1: there is no 'label', only 'path', 'lable'; rename 'lable' if it is that"),
        ("Path;label\na;b\n", r"line 1: there is no 'path', only 'Path', 'label'; rename 'Path' if it is that"),
        (
            "a.jpg,cat\nb.jpg,dog\n",
            r"line 1: there is no 'path', only 'a.jpg', 'cat'\. The first line names the columns",
        ),
        ("path|label\na|b\n", r"there is no 'path', only 'path\|label'.*separated by commas, semicolons or tabs"),
        ("path,label,path\na,b,c\n", "line 1: the column 'path' occurs more than once"),
        ("path,label\n,cat\n", "line 2: the path is empty"),
        ("path,label\na,\n", "line 2: the label is empty"),
        ("path,label\na,cat,dog\n", "line 2: it has 3 cells, but the header has 2"),
        ("path,label\na,b\n\nc\n", "line 4: it has 1 cells, but the header has 2"),
        (
            'path,label\na,"x\ny"\nb\n',
            r"line 2: the label 'x\\ny' cannot be written in one line; line 4: it has 1",
        ),
        ('path,label\na,b\nc,"d\ne,f\n', "line 3: this is not CSV: .*perhaps a quotation mark is not closed"),
        (
            "path,label\na,b\n" + "x" * 200_000 + ",b\n",
            r"line 3: this is not CSV: field larger than field limit \(131072\)",
        ),
        ("path,label\na\0b,c\n", r"line 2: no file can have the path 'a\\x00b'"),
        ("path,label\na,x\nb,y\n./a,x\n", "line 4: './a' is on line 2 already, with the same label; keep one"),
        ("path,label\na,x\nb,y\na,y\n", "line 4: 'a' is on line 2 already, with the label 'x'; keep one"),
        (
            "path,label,split\na,x,train\nb,y,dev\n",
            "line 3: there is no split 'dev'; expected train, validation or test",
        ),
        ("path,label,split\na,x,train\nb,y,\n", "line 3: the split is empty, but other rows have one"),
        ("path,label,group\na,x,\nb,y,p\n", "line 2: the group is empty, but other rows have one"),
        ("path,label,time\na,x,\nb,y,3\n", "line 2: the time is empty, but other rows have one"),
        ("path,label,time\na,x,3\nb,y,2024-05-31\n", "line 3: the time '2024-05-31' is no number; expected ISO 8601"),
        ("path,label,time\na,x,2024-05-31\nb,y,7\n", "line 3: the time '7' is no point in time"),
        (
            "path,label,time\na,x,31.05.2024\nb,y,nan\n",
            "line 2: the time '31.05.2024' is no point in time.*line 3: the time 'nan'",
        ),
        ("path,label\na,é\nb,e\u0301\n", r"line 2: the label '\\xe9' looks like 'e\\u0301'; give both one name"),
        ("path,label\na,x\nb,x\n", "there is only one class, 'x'"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=f"(?s)images.csv.*{message}"):
        list_table(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ('\n{"path": "a"\n', "line 2: this is not JSON: Expecting ',' delimiter; expected one object in each line"),
        (
            '["a", "b"]',
            r"""line 1: expected an object, as {"path": "a.jpg", "label": "cat"}; received '\["a", "b"\]'""",
        ),
        ("[" * 100_000, "line 1: this is not JSON: lists and objects are nested more than 64 deep"),
        ('{"path": "a", "class": "b"}', "line 1: there is no 'label', only 'path', 'class'"),
        ('{"paths": "a", "label": "b"}', "line 1: there is no 'path', only 'paths', 'label'; rename 'paths'"),
        ('{"path": "a", "label": true}', "line 1: the label must be a text or a number; received true"),
        ('{"path": "a", "label": ["b"]}', r'line 1: the label must be a text or a number; received \["b"\]'),
        ('{"path": "a", "label": NaN}', "line 1: the label must be a text or a number; received NaN"),
        ('{"path": "a", "label": null}', "line 1: the label is empty"),
        (r'{"path": "\ud800", "label": "b"}', r"line 1: no file can have the path '\\ud800'"),
        (r'{"path": "a", "label": "\udce9"}', r"line 1: the label '\\udce9' cannot be written in one line"),
        (
            '{"path": "a", "label": 1, "time": Infinity}',
            "line 1: the time must be a text or a number; received Infinity",
        ),
    ],
)
def test_json_lines_that_cannot_be_used_are_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=f"images.jsonl.*{message}"):
        list_table(written(tmp_path, text, "images.jsonl"))


def test_the_first_five_faults_of_all_kinds_are_named_by_line_and_the_rest_counted(tmp_path: Path) -> None:
    text = "path,label,split\na,x,train\nb,,train\nc\na,x,train\nd,y,nowhere\n,y,train\ne,y,\nf,,test\n"

    with pytest.raises(DataError) as caught:
        list_table(written(tmp_path, text))

    message = str(caught.value)
    assert [message.index(f"line {line}: ") for line in range(3, 8)] == sorted(
        message.index(f"line {line}: ") for line in range(3, 8)
    )
    assert message.endswith("; and 2 more. Correct the table and try again")
    assert "line 8" not in message


def test_bytes_that_are_no_utf_8_are_named_by_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="images.csv, line 3: the byte 0xe9 is not UTF-8; save the table as UTF-8"):
        list_table(written(tmp_path, b"path,label\na,b\ncaf\xe9,c\n"))
    with pytest.raises(DataError, match="line 1: the byte 0xff"):
        list_table(written(tmp_path, "path,label\na,b\n".encode("utf-16")))


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for path, message in (
        (tmp_path / "nowhere.csv", "there is no table .*nowhere.csv"),
        (tmp_path / ("long" * 1000 + ".csv"), "cannot read .*: File name too long"),
        ("~no-such-user/images.csv", "there is no table ~no-such-user/images.csv"),
        (tmp_path / "folder.csv", "folder.csv is no file"),
        (
            written(tmp_path, "", "images.xlsx"),
            "not have a table's extension; expected .csv, .tsv, .jsonl, .ndjson",
        ),
    ):
        with pytest.raises(DataError, match=message):
            list_table(path)


def test_one_class_is_enough_where_that_is_asked_for(tmp_path: Path) -> None:
    found = list_table(written(tmp_path, "path,label\na,x\n"), fewest_classes=1)

    assert found.class_names == ("x",)


def test_a_blank_after_the_comma_leaves_marks_of_quotation_what_they_are(tmp_path: Path) -> None:
    text = 'path, label, split\n"a.jpg", "red", "train"\n"b, c.jpg", "blue", "test"\n'

    found = list_table(written(tmp_path, text))

    assert found.class_names == ("blue", "red")
    assert found.names == ("a.jpg", "b, c.jpg")
    assert found.given.keys() == {"train", "test"}


@pytest.mark.skipif(os.sep != "/", reason="such paths are right on Windows")
def test_paths_as_windows_writes_them_are_found_and_a_file_of_such_a_name_is_itself(tmp_path: Path) -> None:
    (tmp_path / "odd\\name.png").touch()

    found = list_table(written(tmp_path, "path,label\nred\\0.png,red\nodd\\name.png,blue\n"))

    assert found.contents.paths == (tmp_path / "red" / "0.png", tmp_path / "odd\\name.png")  # type: ignore[attr-defined]


def test_an_address_in_place_of_a_path_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 3: 'https://host/1.png' is an address, and nothing is fetched"):
        list_table(written(tmp_path, "path,label\n0.png,red\nhttps://host/1.png,blue\n"))


@pytest.mark.parametrize("name", ["images.csv", "images.jsonl"])
def test_a_pipe_is_not_waited_for_and_a_link_is_followed(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)

    with pytest.raises(DataError, match=f"{name} is no file; expected a table"):
        list_table(tmp_path / name)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"path": "a", "path": "b", "label": "c"}', 'line 1: this is not JSON: the key "path" occurs twice'),
        ('{"path": "a", "label": 1e309}', "line 1: the label must be a text or a number"),
    ],
)
def test_what_json_says_twice_or_without_end_is_no_row(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "images.jsonl").write_text(f"{line}\n")

    with pytest.raises(DataError, match=message):
        list_table(tmp_path / "images.jsonl")


def test_long_numbers_of_classes_keep_all_of_their_digits(tmp_path: Path) -> None:
    labels = (17_000_000_000_000_000_001, 17_000_000_000_000_000_002)

    found = list_table(lines_of(tmp_path, *({"path": f"{label}.jpg", "label": label} for label in labels)))

    assert found.class_names == tuple(map(str, labels))
