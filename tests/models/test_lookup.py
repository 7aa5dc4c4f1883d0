from typing import Any

import pytest

import keras_resnet
from keras_resnet.errors import UsageError
from keras_resnet.models.builder import VARIANTS


def test_models_are_listed_by_pattern() -> None:
    assert keras_resnet.list_models("resnet1?2*") == [
        "resnet152",
        "resnet152v1",
        "resnet152v2",
        "resnet152c",
        "resnet152d",
    ]
    assert keras_resnet.list_models("ResNet50*")[:2] == ["resnet50", "resnet50v1"]
    assert keras_resnet.list_models() == list(VARIANTS)


@pytest.mark.parametrize("name", ["ResNet-50", "resnet50", "RESNET_50", "ResNet-50 v1.5"])
def test_a_spec_is_found_however_it_is_spelled(name: str) -> None:
    assert keras_resnet.spec(name).depths == (3, 4, 6, 3)


@pytest.mark.parametrize("name", ["wrn-22-3", "WRN22_3", "wrn_22_3"])
def test_wide_networks_are_found_by_rule(name: str) -> None:
    found = keras_resnet.spec(name)

    assert (found.name, found.depths, found.widths) == ("wrn22_3", (3, 3, 3), (48, 96, 192))


def test_wide_networks_by_rule_and_by_row_are_the_same() -> None:
    assert keras_resnet.spec("wrn-28-10") == keras_resnet.WRN28_10.spec == keras_resnet.wrn(28, 10)


def test_a_changed_network_is_made_in_a_line() -> None:
    changed = keras_resnet.spec("resnet50", depths=(2, 2, 2, 2), width_multiplier=0.5)

    assert changed.depths == (2, 2, 2, 2)
    assert changed.widths == (128, 256, 512, 1024)
    assert changed.stem_width == 32
    model = keras_resnet.build(changed, num_classes=7, input_shape=(64, 64, 3))
    assert model.output_shape == (None, 7)
    assert keras_resnet.spec("resnet50").depths == (3, 4, 6, 3), "the table is as it was"


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("resnt50", {}, "did you mean 'resnet50'"),
        ("resnet50", {"depth": (1, 1)}, "no field 'depth'; did you mean 'depths'"),
        ("resnet50", {"with_multiplier": 2}, "did you mean 'width_multiplier'"),
        ("resnet50", {"zzz": 2}, "its fields are 'name', 'block'"),
        ("resnet50", {"depths": (1, 1)}, "depths and widths must have one entry a stage each"),
        ("resnet50", {"width_multiplier": 0}, "width_multiplier must be a positive number"),
        ("resnet50", {"attention": "se2"}, "attention must be one of"),
        ("wrn-11-2", {}, "6n"),
        (50, {}, "a network's name is a text"),
    ],
)
def test_what_cannot_be_is_named(name: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        keras_resnet.spec(name, **changes)
