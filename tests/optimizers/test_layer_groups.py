import pytest

from keras_resnet.layer_names import section_of
from keras_resnet.models.lookup import spec
from keras_resnet.models.resnet import build
from keras_resnet.optimizers.layer_groups import groups, rate_multipliers


@pytest.mark.parametrize("name", ["resnet20", "resnet50", "seresnet50"])
def test_every_layer_of_our_networks_lies_somewhere(name: str) -> None:
    narrow = spec(name, width_multiplier=0.125)
    paths = [v.path for v in build(narrow, num_classes=10, input_shape=(32, 32, 3)).trainable_variables]

    assert all(section_of(path) for path in paths)
    assert groups(paths)[0] in (
        ("stem", "stage1", "stage2", "stage3", "head"),
        ("stem", "stage1", "stage2", "stage3", "stage4", "head"),
    )
    # The stem's rate: as many powers as there are blocks, and one.
    blocks = len({section_of(path) for path in paths}) - 2
    assert min(rate_multipliers(paths, 0.9)) == pytest.approx(0.9 ** (blocks + 1))
    assert blocks == {"resnet20": 9, "resnet50": 16, "seresnet50": 16}[name]


def test_blocks_are_counted_as_numbers_and_not_as_letters() -> None:
    paths = [f"stage1_block{number}_conv1/kernel" for number in (10, 9, 2)]

    assert rate_multipliers(paths, 0.5) == [0.5, 0.25, 0.125]
