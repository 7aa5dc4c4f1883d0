from pathlib import Path
from typing import Any

import pytest

from keras_resnet.data.sources.source import Source
from keras_resnet.errors import UsageError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "imagenet"}, "a data source is digits, .* or a path that exists; received 'imagenet'"),
        ({"name": "folder:"}, "a data source is"),
        ({"name": "digits:8"}, "a data source is"),
        ({"name": "digits", "image_size": 0}, "image_size"),
        ({"name": "digits", "channels": 4}, "channels"),
        ({"name": "digits", "limit": 0}, "limit"),
        ({"name": "digits", "data_dir": "/tmp"}, "data_dir is for tfds"),
    ],
)
def test_a_source_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Source(**options)


def test_a_fold_may_be_written_and_a_path_be_an_object(tmp_path: Path) -> None:
    found = Source("tfds:mnist", fold="2/5", data_dir=tmp_path)

    assert found == Source("tfds:mnist", fold=(2, 5), data_dir=str(tmp_path))
    assert found.fold == (2, 5)


def test_a_run_folder_records_every_field_as_json_gives_it_back() -> None:
    assert Source("digits", fold=(2, 5), limit=9, crop_fraction=1).settings == {
        "name": "digits",
        "image_size": None,
        "channels": None,
        "data_dir": None,
        "limit": 9,
        "seed": 0,
        "split": "class",
        "group_by": None,
        "fold": [2, 5],
        "split_file": None,
        "resize": "bilinear",
        "crop_fraction": 1.0,
        "background": "white",
        "on_error": "fail",
        "task": None,
    }


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("digits", "digits"),
        ("folder:/data/My Photos (2024)", "My-Photos--2024-"[:-1]),
        ("tfds:imagenet_resized/32x32", "imagenet_resized-32x32"),
        ("folder:/", "data"),
    ],
)
def test_a_short_name_is_fit_for_a_file_name(name: str, short: str) -> None:
    assert Source(name).short_name == short


def test_a_long_name_is_cut_to_a_part_of_a_files_name_and_stays_its_own() -> None:
    one, other = (Source(f"folder:{'ü' * 120}{end}").short_name for end in "ab")

    assert one[:45] == other[:45] == "ü" * 45
    assert len(one.encode()) <= 100
    assert one != other
