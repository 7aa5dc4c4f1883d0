import json
import math
from typing import Any

import pytest

import keras_resnet
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.preprocessing import Fit, Preprocessing

FIT = Fit((32, 24), 3, "bicubic", 0.9, "#102030")
GOOD = Preprocessing(FIT, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), ("cat", "ünïcode, “quoted”"), "multi-label")


def test_it_comes_back_from_json_as_it_was() -> None:
    assert Preprocessing.from_json(GOOD.to_json()) == GOOD


def test_its_json_is_flat() -> None:
    assert json.loads(GOOD.to_json()) == {
        "format": 4,
        "image_size": [32, 24],
        "channels": 3,
        "resize": "bicubic",
        "crop_fraction": 0.9,
        "background": "#102030",
        "mean": [1.0, 2.0, 3.0],
        "std": [4.0, 5.0, 6.0],
        "class_names": ["cat", "ünïcode, “quoted”"],
        "task": "multi-label",
    }


def test_files_of_earlier_versions_are_read() -> None:
    values = json.loads(GOOD.to_json())
    third = {key: value for key, value in values.items() if key != "task"} | {"format": 3}
    second = {key: value for key, value in third.items() if key != "background"} | {"format": 2}

    one, other = (Preprocessing.from_json(json.dumps(each)) for each in (third, second))

    assert (one.task, one.fit) == ("classification", FIT)
    assert (other.task, other.fit) == ("classification", Fit((32, 24), 3, "bicubic", 0.9, "white"))


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("size", (0, 3), "size must be a height and a width, whole numbers of at least 1 and at most 65,535; received"),
        ("size", (3,), "size must be a height and a width"),
        ("channels", 0, "channels"),
        ("resize", "nearest", "resize"),
        ("crop_fraction", 0.0, "crop_fraction"),
        ("crop_fraction", 1.5, "crop_fraction"),
        ("background", "whit", "background must be a colour, as white or #ffffff; received 'whit'"),
    ],
)
def test_a_field_of_a_fit_that_is_out_of_range_is_named(field: str, value: Any, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Fit(**{**vars(FIT), field: value})


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("mean", (1.0,), "mean"),
        ("std", (0.0, 1.0, 1.0), "std"),
        ("class_names", ("cat", "cat"), "class_names"),
        ("class_names", (), "class_names"),
        ("class_names", ("a", "\udce9"), "class_names must be a list of names in valid Unicode"),
        ("class_names", None, "class_names must be a list"),
        ("mean", (1.0, 2.0, math.nan), "mean must be a list of numbers, one for each channel; received"),
        ("std", (1.0, 2.0, math.inf), "std must be a list of positive numbers"),
        ("task", None, "task must be text"),
    ],
)
def test_a_field_out_of_range_is_named(field: str, value: Any, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Preprocessing(**{**vars(GOOD), field: value})


def test_size_and_channels_where_the_fit_should_be_are_told_what_to_write() -> None:
    message = r"write Preprocessing\(Fit\(\(height, width\), channels\), mean, std, class_names\)"

    with pytest.raises(UsageError, match=message):
        keras_resnet.Preprocessing((224, 224), 3, (1.0,) * 3, (2.0,) * 3, ("cat", "dog"))

    assert keras_resnet.Preprocessing(keras_resnet.Fit((8, 6), 1), (1.0,), (2.0,), ("a",)).input_shape == (8, 6, 1)


def test_another_size_cuts_nothing_of_the_shorter_side_and_the_same_size_changes_nothing() -> None:
    assert FIT.at((32, 24)) is FIT
    assert FIT.at((40, 30)) == Fit((40, 30), 3, "bicubic", 1.0, "#102030")
    assert Fit((8, 8), 1).at((16, 16)) == Fit((16, 16), 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "not json",
        json.dumps({"format": 3}),
        json.dumps({"format": [4]}),
        GOOD.to_json().replace('"mean"', '"means"'),
        GOOD.to_json().replace("4", "5", 1),
        GOOD.to_json().replace('"format": 4', '"format": 4, "more": 1'),
    ],
)
def test_json_of_another_version_is_refused(text: str) -> None:
    with pytest.raises(ModelError):
        Preprocessing.from_json(text)


def test_an_image_that_would_fill_the_memory_is_refused() -> None:
    assert Fit((16_384, 16_384), 3).size == (16_384, 16_384)
    with pytest.raises(UsageError, match="size must be .* at most 65,535"):
        Fit((100_000, 8), 3)
    with pytest.raises(UsageError, match="at most 1,073,741,824 values; received 16384×16384 pixels of 5 channels"):
        Fit((16_384, 16_384), 5)


def test_what_comes_from_a_file_is_refused_by_the_files_name() -> None:
    text = GOOD.to_json().replace('"cat"', '"\\ud800"')

    with pytest.raises(ModelError, match=r"^some\.keras: class_names\[0\] must be a name in valid Unicode; received"):
        Preprocessing.from_json(text, "some.keras")
    with pytest.raises(ModelError, match=r"^some\.keras: class_names must be one or more different names"):
        Preprocessing.from_json(text.replace('"\\ud800"', '"ünïcode, “quoted”"'), "some.keras")
