"""What settings may be, and how what they may not be is refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_resnet.allowed import (
    BACKGROUND,
    BUDGET,
    CHANNELS,
    COUNT,
    CROP_FRACTION,
    FOLD,
    LABEL_SMOOTHING,
    PATH,
    seconds,
)
from keras_resnet.errors import UsageError
from keras_resnet.settings import Values, check_arguments, keep_checked, setting, settings_of


@dataclass(frozen=True)
class Oven:
    name: str
    degrees: float = setting(180.0, "how hot", group="heat", low=0, below=300)
    fan: bool = setting(False, "hot air", group="heat")
    shelves: tuple[int, ...] = setting((2,), "from below", group="use", low=1)
    recipe: str | None = setting(None, "what is baked", group="use", choices=("bread", "cake"))
    minutes: int = setting(30, "how long", COUNT, group="use")

    def __post_init__(self) -> None:
        keep_checked(self, **{name: one.values for name, one in settings_of(Oven).items()})


def test_a_dataclass_declares_its_settings_and_is_checked_by_them() -> None:
    found = settings_of(Oven)

    assert {name: (one.default, one.text, one.group) for name, one in found.items()} == {
        "degrees": (180.0, "how hot", "heat"),
        "fan": (False, "hot air", "heat"),
        "shelves": ((2,), "from below", "use"),
        "recipe": (None, "what is baked", "use"),
        "minutes": (30, "how long", "use"),
    }
    assert found["recipe"].values == Values(str, choices=("bread", "cake"), optional=True)
    assert found["shelves"].values == Values(int, low=1, many=True)
    assert found["minutes"].values is COUNT
    oven = Oven("mine", degrees=200, shelves=[1, 3], recipe="cake")
    assert (oven.degrees, oven.shelves) == (200.0, (1, 3))
    assert isinstance(oven.degrees, float)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"degrees": 300}, "degrees must be a number of at least 0 and less than 300; received 300"),
        ({"degrees": "hot"}, "degrees must be a number of at least 0 and less than 300; received 'hot'"),
        ({"fan": 1}, "fan must be true or false; received 1"),
        ({"shelves": (1, 0)}, r"shelves must be a list, each a whole number of at least 1; received \[1, 0\]"),
        ({"shelves": 1}, "shelves must be a list"),
        ({"recipe": "pie"}, "recipe must be one of 'bread', 'cake'; received 'pie'"),
        ({"minutes": None}, "minutes must be a whole number of at least 1; received None"),
        ({"minutes": True}, "minutes must be a whole number of at least 1; received True"),
    ],
)
def test_a_value_out_of_range_is_refused_with_what_was_expected(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Oven("mine", **options)


def test_numbers_of_numpy_are_numbers() -> None:
    oven = Oven("mine", degrees=np.float32(20.5), minutes=np.int64(3))

    assert (oven.degrees, oven.minutes) == (20.5, 3)
    assert (type(oven.degrees), type(oven.minutes)) == (float, int)


def test_arguments_are_checked_however_they_are_passed_and_defaults_are_left_alone() -> None:
    @check_arguments(smoothing=LABEL_SMOOTHING, fold=FOLD.or_none)
    def call(first: str, smoothing: float = 0.0, *, fold: Any = "no") -> tuple[str, float, Any]:
        return first, smoothing, fold

    assert call("a") == ("a", 0.0, "no")
    assert call("a", 0, fold="2/5") == ("a", 0.0, (2, 5))
    for wrong in (lambda: call("a", 1.0), lambda: call("a", smoothing=1.0)):
        with pytest.raises(UsageError, match="smoothing must be a number of at least 0 and less than 1; received 1.0"):
            wrong()
    with pytest.raises(TypeError, match="missing a required argument: 'first'"):
        call()


def test_a_setting_may_also_be_none_or_zero() -> None:
    assert CROP_FRACTION.or_none.checked(None, "crop") is None
    assert CROP_FRACTION.or_zero.checked(0, "crop") == 0.0
    assert COUNT.or_zero.checked(0, "count") == 0
    for values, wrong in ((CROP_FRACTION.or_none, 0), (CROP_FRACTION.or_zero, -0.1), (COUNT.or_zero, -1)):
        with pytest.raises(UsageError, match=f"it must be .* received {wrong}"):
            values.checked(wrong, "it")


def test_what_has_several_forms_is_kept_in_one(tmp_path: Path) -> None:
    assert FOLD.checked([2, 5], "fold") == FOLD.checked("2/5", "fold") == (2, 5)
    assert PATH.checked(tmp_path, "path") == str(tmp_path)
    assert BACKGROUND.checked("#a0b", "background") == "#a0b"
    with pytest.raises(UsageError, match="channels must be 1 or 3; received 2"):
        CHANNELS.checked(2, "channels")
    with pytest.raises(UsageError, match=r"fold must be one of two or more folds.*received \[None, 5\]"):
        FOLD.checked((None, 5), "fold")
    with pytest.raises(UsageError, match="background must be a colour, as white or #ffffff; received 3"):
        BACKGROUND.checked(3, "background")


def test_a_length_of_time_is_read_as_people_write_it() -> None:
    assert seconds("90s") == 90
    assert seconds("10min") == 600
    assert seconds("2h") == 7200
    assert seconds("1h30min") == 5400
    assert seconds("1.5 h") == 5400


@pytest.mark.parametrize("text", ["10", "", "10 minutes", "-5min", "0s", "h", "5min x", "ten min", "9" * 400 + "h"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="budget must be a time such as 90s"):
        BUDGET.checked(text, "budget")
