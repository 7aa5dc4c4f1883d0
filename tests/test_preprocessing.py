import json
from typing import Any

import pytest

from keras_resnet.errors import ModelError, UsageError
from keras_resnet.preprocessing import Preprocessing

GOOD = Preprocessing((32, 24), 3, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), ("cat", "ünïcode, “quoted”"))


def test_it_comes_back_from_json_as_it_was() -> None:
    assert Preprocessing.from_json(GOOD.to_json()) == GOOD


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("image_size", (0, 3), "image_size"),
        ("channels", 0, "channels"),
        ("mean", (1.0,), "mean"),
        ("std", (0.0, 1.0, 1.0), "std"),
        ("class_names", ("cat", "cat"), "class_names"),
        ("class_names", (), "class_names"),
        ("resize", "nearest", "resize"),
        ("crop_fraction", 0.0, "crop_fraction"),
        ("crop_fraction", 1.5, "crop_fraction"),
    ],
)
def test_a_field_out_of_range_is_named(field: str, value: Any, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Preprocessing(**{**vars(GOOD), field: value})


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "not json", json.dumps({"format": 3}), GOOD.to_json().replace('"mean"', '"means"')],
)
def test_json_of_another_version_is_refused(text: str) -> None:
    with pytest.raises(ModelError):
        Preprocessing.from_json(text)
