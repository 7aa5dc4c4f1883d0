import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_resnet.data.splits.split_file import content_fingerprint, read_split, write_split
from keras_resnet.errors import DataError, StorageError

NAMES = ("c", "a", "caf\udce9", "犬/b", "e")
SPLITS = {"train": np.array([0, 2]), "validation": np.array([1]), "test": np.array([3])}


def saved(path: Path, **changes: Any) -> Path:
    settings: dict[str, Any] = {
        "names": NAMES,
        "splits": SPLITS,
        "fingerprint": "f" * 64,
        "method": "by class",
        "seed": 7,
    }
    write_split(path, **{**settings, **changes})
    return path


def edited(path: Path, **changes: Any) -> Path:
    value = json.loads(saved(path, names=("c", "a", "d", "b", "e")).read_text()) | changes
    path.write_text(json.dumps({name: item for name, item in value.items() if item is not None}))
    return path


def test_a_split_is_found_again_in_images_of_another_order(tmp_path: Path) -> None:
    split = read_split(saved(tmp_path / "new" / "split.json"))

    assert {part: where.tolist() for part, where in split.positions(NAMES).items()} == {
        "train": [0, 2],
        "validation": [1],
        "test": [3],
    }
    backwards = split.positions(NAMES[::-1])
    assert {part: where.tolist() for part, where in backwards.items()} == {
        "train": [2, 4],
        "validation": [3],
        "test": [1],
    }
    assert backwards["train"].dtype == np.int64
    assert (split.fingerprint, split.method, split.seed) == ("f" * 64, "by class", 7)


def test_the_same_split_gives_the_same_bytes_whatever_the_order_of_the_images(tmp_path: Path) -> None:
    turned = {part: 4 - where[::-1] for part, where in SPLITS.items()}

    first = saved(tmp_path / "a.json").read_bytes()

    assert saved(tmp_path / "b.json", names=NAMES[::-1], splits=turned).read_bytes() == first
    assert saved(tmp_path / "c.json", splits={**SPLITS, "test": np.array([4])}).read_bytes() != first
    assert b"caf\xe9" in first


def test_images_that_came_or_went_are_named(tmp_path: Path) -> None:
    split = read_split(saved(tmp_path / "split.json"))

    with pytest.raises(DataError, match=r"1 are missing now: 'caf\\udce9'; 2 are new: 'x', 'y'\. Restore"):
        split.positions(("a", "c", "犬/b", "y", "e", "x"))
    with pytest.raises(DataError, match="1 are missing now: 'e'. Restore"):  # unused, and part of the data all the same
        split.positions(NAMES[:4])
    with pytest.raises(DataError, match="12 are new: '0', '1', .* and 2 more"):
        split.positions((*NAMES, *map(str, range(12))))


def test_images_whose_content_changed_are_refused(tmp_path: Path) -> None:
    split = read_split(saved(tmp_path / "split.json"))

    split.check("f" * 64)
    with pytest.raises(
        DataError, match="content or the labels of images have changed.*is eeeeeeeeeeee, was ffffffffffff"
    ):
        split.check("e" * 64)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "not a split of format 1, but of 2; perhaps a newer version wrote it"),
        ({"format": None}, "not a split of format 1, but of None"),
        ({"seed": "7"}, 'seed must be a whole number; received "7". It was damaged'),
        ({"method": None, "fingerprint": None}, "it lacks 'method', 'fingerprint'"),
        ({"splits": ["a"]}, "splits must be an object; received a list"),
        ({"splits": {"train": ["a"], "validation": [], "unused": []}}, "splits lacks 'test'"),
        (
            {"splits": {"train": ["a"], "validation": [], "test": [3], "unused": []}},
            r"splits.test\[0\] must be text; received 3",
        ),
        ({"splits": {"train": ["a"], "validation": [], "test": [], "unused": [], "dev": []}}, "unknown here: 'dev'"),
        (
            {"splits": {"train": ["a", "b"], "validation": [], "test": ["b"], "unused": []}},
            "1 images more than once.*'b'",
        ),
        (
            {"splits": {"train": ["a", "a"], "validation": [], "test": ["b"], "unused": ["b"]}},
            "2 images more.*'a', 'b'",
        ),
    ],
)
def test_a_file_that_was_edited_wrongly_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"split.json.*{message}"):
        read_split(edited(tmp_path / "split.json", **changes))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "split.json").write_bytes(content)

    with pytest.raises(DataError, match="split.json is not JSON"):
        read_split(tmp_path / "split.json")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no split .*nowhere"):
        read_split(tmp_path / "nowhere.json")
    with pytest.raises(DataError, match="cannot read"):
        read_split(tmp_path)
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(DataError, match="list.json: it must be an object; received a list"):
        read_split(tmp_path / "list.json")
    with pytest.raises(StorageError, match="cannot write"):
        saved(tmp_path / "list.json" / "split.json")


def test_a_fingerprint_tells_names_contents_and_labels_and_no_order() -> None:
    labels = np.array([0, 1])
    first = content_fingerprint(("a", "caf\udce9"), ("1", "2"), labels)

    assert len(first) == 64
    assert content_fingerprint(("caf\udce9", "a"), ("2", "1"), labels[::-1]) == first
    others = {
        content_fingerprint(("b", "caf\udce9"), ("1", "2"), labels),
        content_fingerprint(("a", "caf\udce9"), ("3", "2"), labels),
        content_fingerprint(("a", "caf\udce9"), ("2", "1"), labels),
        content_fingerprint(("a", "caf\udce9"), ("1", "2"), np.array([0, 0])),
    }
    assert len(others | {first}) == 5


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "split.json")

    with pytest.raises(DataError, match="cannot read .*split.json: it is a named pipe, not a regular file"):
        read_split(tmp_path / "split.json")
