import pytest

from keras_resnet.layer_names import CLASSIFIER, HEAD, STEM, LayerName, Section, is_classifier, part_of, read_name
from keras_resnet.models.counting import count
from keras_resnet.models.variants import spec

CONV = LayerName(Section(2, 1), "conv1")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stem_conv", LayerName(STEM, "conv")),
        ("stage2_block1_conv1", CONV),
        ("stage2_block1_conv1/kernel", CONV),
        ("stage12_block104_shortcut_bn/moving_mean", LayerName(Section(12, 104), "shortcut_bn")),
        ("head_dense", LayerName(HEAD, "dense")),
        ("conv1_conv", None),
        ("stage1_conv", None),
        ("stage0_block1_conv1", None),
        ("stem", None),
        ("header_dense", None),
    ],
)
def test_a_name_says_where_a_layer_stands_and_what_it_does(name: str, expected: LayerName | None) -> None:
    assert read_name(name) == expected


@pytest.mark.parametrize("model", ["resnet20", "resnet50v2", "seresnet50", "ecaresnet50d", "resnetrs50", "wrn-16-4"])
def test_every_variable_of_a_network_has_a_name_that_is_written_as_it_was_read(model: str) -> None:
    paths = list(count(spec(model), 10, (64, 64, 3)).weights)

    names = [read_name(path) for path in paths]

    assert [str(name) for name in names] == [path.split("/")[0] for path in paths]
    assert {part_of(path) for path in paths} == {
        "stem",
        "head",
        *(f"stage{n + 1}" for n in range(len(spec(model).depths))),
    }


@pytest.mark.parametrize(
    ("role", "kind", "number", "in_shortcut"),
    [
        ("conv1", "conv", 1, False),
        ("bn12", "bn", 12, False),
        ("shortcut_conv", "conv", None, True),
        ("se_reduce", "reduce", None, False),
        ("conv1_pad", "pad", None, False),
        ("down_bn", "bn", None, False),
    ],
)
def test_a_role_has_a_kind_and_where_there_are_several_a_number(
    role: str, kind: str, number: int | None, in_shortcut: bool
) -> None:
    name = LayerName(Section(1, 1), role)

    assert (name.kind, name.number, name.in_shortcut) == (kind, number, in_shortcut)


@pytest.mark.parametrize(
    ("name", "sibling"),
    [
        ("stem_conv", "stem_bn"),
        ("stem_down_conv", "stem_down_bn"),
        ("stage1_block2_conv3", "stage1_block2_bn3"),
        ("stage1_block2_shortcut_conv", "stage1_block2_shortcut_bn"),
    ],
)
def test_the_normalisation_behind_a_convolution_is_its_sibling(name: str, sibling: str) -> None:
    found = read_name(name)

    assert found is not None
    assert str(found.sibling("bn")) == sibling


def test_sections_are_ordered_from_input_to_output_by_numbers_and_not_by_letters() -> None:
    names = ["head_dense", "stage10_block1_bn1", "stage2_block10_bn1", "stage2_block9_bn1", "stem_conv"]

    order = sorted(name.section for one in names if (name := read_name(one)))

    assert [str(section) for section in order] == ["stem", "stage2_block9", "stage2_block10", "stage10_block1", "head"]


def test_the_classifier_is_known_by_its_whole_name() -> None:
    assert is_classifier(CLASSIFIER)
    assert is_classifier("head_dense/kernel")
    assert not is_classifier("head_dense2/kernel")
    assert part_of("batch_normalization_3") == "other"
