from typing import Any

import pytest

from keras_resnet.errors import UsageError
from keras_resnet.models.spec import ResNetSpec

GOOD: dict[str, Any] = {"name": "net", "block": "bottleneck", "depths": (1, 1), "widths": (16, 32)}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("block", "bottlenek"),
        ("stem", "tiny"),
        ("shortcut", "none"),
        ("depths", (1, 0)),
        ("depths", ()),
        ("widths", (16, 2.5)),
        ("widths", (16, 30)),
        ("stem_width", 0),
        ("input_size", 0),
    ],
)
def test_a_field_out_of_range_is_named(field: str, value: Any) -> None:
    with pytest.raises(UsageError, match=field):
        ResNetSpec(**{**GOOD, field: value})


def test_depths_and_widths_must_be_as_many() -> None:
    with pytest.raises(UsageError, match=r"depths and widths.*\(1, 1, 1\)"):
        ResNetSpec(**{**GOOD, "depths": (1, 1, 1)})


@pytest.mark.parametrize(
    ("height", "width", "stem"),
    [(64, 64, "cifar"), (65, 65, "imagenet"), (224, 32, "cifar"), (None, None, "imagenet"), (None, 48, "cifar")],
)
def test_the_automatic_stem_goes_by_the_shorter_side(height: int | None, width: int | None, stem: str) -> None:
    assert ResNetSpec(**GOOD).resolve_stem(height, width) == stem


def test_a_stem_that_is_set_is_kept() -> None:
    assert ResNetSpec(**GOOD, stem="imagenet").resolve_stem(32, 32) == "imagenet"
