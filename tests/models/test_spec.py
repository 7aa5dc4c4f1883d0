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
        ("shortcut", "identity"),
        ("depths", (1, 0)),
        ("depths", ()),
        ("widths", (16, 2.5)),
        ("widths", (16, 30)),
        ("stem_width", 0),
        ("input_size", 0),
        ("depths", [1, 1]),
        ("depths", (1, True)),
        ("bottleneck_ratio", 0),
        ("groups", 3),
        ("groups", 0),
        ("attention", "cbam"),
        ("bias", "some"),
        ("padding", "valid"),
        ("strided_conv", "7x7"),
        ("strided_block", "middle"),
        ("dropout_at", "stem"),
        ("se_ratio", 0),
        ("se_ratio", "x"),
        ("bottleneck_ratio", "a"),
        ("bottleneck_ratio", float("inf")),
        ("bottleneck_ratio", 0.3),
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


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"block": "basic", "groups": 2}, "groups is for bottleneck blocks"),
        ({"block": "basic", "bottleneck_ratio": 0.5}, "bottleneck_ratio is for bottleneck blocks"),
        ({"block": "basic", "strided_conv": "1x1"}, "strided_conv is for bottleneck blocks"),
        ({"block": "preact_bottleneck", "antialias": True}, "antialias is for post-activation blocks"),
        ({"stem": "deep", "stem_width": 15}, "stem_width must be even"),
        ({"widths": (32, 16), "shortcut": "identity_pad", "stem_width": 8}, "widths must not shrink with identity_pad"),
        ({"shortcut": "identity_pad", "stem_width": 64}, "widths must not shrink with identity_pad"),
    ],
)
def test_words_that_do_not_go_together_are_refused(row: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ResNetSpec(**{**GOOD, **row})


def test_a_scaled_network_keeps_widths_its_blocks_can_divide() -> None:
    resnext = ResNetSpec("next", "bottleneck", (1, 1), (256, 512), bottleneck_ratio=0.5, groups=32)
    basic = ResNetSpec("small", "basic", (1, 1), (16, 32), stem_width=16)

    assert resnext.scaled(0.6).widths == (128, 320)  # inner widths 64 and 160: multiples of 32
    assert resnext.scaled(0.6).stem_width == 40
    assert ResNetSpec("odd", "bottleneck", (1,), (20,), bottleneck_ratio=0.3).scaled(4).widths == (80,)
    assert basic.scaled(0.5).widths == (8, 16)
    assert basic.scaled(0.01).widths == (8, 8)
    assert basic.scaled(1.5).stem_width == 24


@pytest.mark.parametrize("multiplier", [0, -1, float("inf"), "2"])
def test_a_multiplier_that_is_no_positive_number_is_refused(multiplier: Any) -> None:
    with pytest.raises(UsageError, match="width_multiplier must be a positive number"):
        ResNetSpec(**GOOD).scaled(multiplier)
