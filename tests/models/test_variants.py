import inspect
import math
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.errors import UsageError
from keras_resnet.models import builders
from keras_resnet.models.builders import BUILDERS
from keras_resnet.models.counting import count
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import VARIANTS
from keras_resnet.weights.files import variables_by_path
from tests.shared import ONE_BLOCK


def trainable_parameters(model: keras.Model) -> int:
    """How many numbers training changes: all weights but batch normalisation's moving statistics."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


@pytest.mark.parametrize(
    ("depth", "imagenet", "cifar"),
    [
        (18, 11_689_512, 11_173_962),
        (34, 21_797_672, 21_282_122),
        (50, 25_557_032, 23_520_842),
        (101, 44_549_160, 42_512_970),
        (152, 60_192_808, 58_156_618),
    ],
)
def test_imagenet_networks_have_the_published_parameter_counts(depth: int, imagenet: int, cifar: int) -> None:
    builder = getattr(keras_resnet, f"ResNet{depth}")

    assert keras_resnet.cost(builder.spec, 1000).parameters == imagenet
    assert keras_resnet.cost(builder.spec, 10, input_shape=(32, 32, 3)).parameters == cifar
    if depth in (18, 50):  # of either kind of block; the others are built, and compared with the count, where asked for
        model = builder()
        assert trainable_parameters(model) == imagenet
        if depth == 50:
            assert model.count_params() == 25_636_712 - 26_560, "keras.applications' without its redundant biases"
        assert trainable_parameters(builder(num_classes=10, input_shape=(32, 32, 3))) == cifar


@pytest.mark.parametrize(
    ("depth", "identity", "projection"),
    [
        (20, 269_722, 272_474),
        (32, 464_154, 466_906),
        (44, 658_586, 661_338),
        (56, 853_018, 855_770),
        (110, 1_727_962, 1_730_714),
    ],
)
def test_cifar_networks_have_the_published_parameter_counts(depth: int, identity: int, projection: int) -> None:
    builder = getattr(keras_resnet, f"ResNet{depth}")

    assert keras_resnet.cost(builder.spec, 10).parameters == identity
    assert keras_resnet.cost(replace(builder.spec, shortcut="projection"), 10).parameters == projection
    if depth == 20:
        assert trainable_parameters(builder(num_classes=10)) == identity
        assert trainable_parameters(builder(num_classes=10, shortcut="projection")) == projection


@pytest.mark.parametrize("depth", [20, 56])
def test_plain_networks_are_the_residual_ones_without_their_shortcuts(depth: int) -> None:
    plain, residual = (getattr(keras_resnet, f"{kind}{depth}") for kind in ("PlainNet", "ResNet"))

    assert keras_resnet.cost(plain.spec, 10) == keras_resnet.cost(residual.spec, 10), "option A costs nothing"


def test_no_way_leads_past_a_plain_networks_convolutions_and_no_channel_begins_dead() -> None:
    network = keras_resnet.build(keras_resnet.spec("plainnet20", depths=(1, 1, 1)), 3, input_shape=(16, 16, 3), seed=0)
    images = np.random.default_rng(0).normal(size=(4, 16, 16, 3)).astype(np.float32)

    assert not [
        layer.name for layer in network.layers if isinstance(layer, keras.layers.Add) or "shortcut" in layer.name
    ]
    assert all(np.any(gamma.numpy()) for gamma in network.trainable_variables if gamma.path.endswith("gamma"))
    before = network(images).numpy()
    network.get_layer("stage2_block1_conv1").kernel.assign(np.zeros((3, 3, 16, 32)))
    after = network(images).numpy()
    assert not np.allclose(before[0], before[1], atol=1e-3)
    np.testing.assert_allclose(after, after[:1].repeat(4, 0), atol=1e-6)


def test_what_needs_a_shortcut_is_refused_without_one() -> None:
    with pytest.raises(UsageError, match="post-activation blocks"):
        keras_resnet.spec("resnet50v2", shortcut="none")
    with pytest.raises(UsageError, match="leaves a block's branch out"):
        keras_resnet.PlainNet20(10, stochastic_depth=0.1)


def test_resnet8_is_mlperf_tinys_to_the_parameter() -> None:
    kernels = 9 * (3 * 16 + 16 * 16 * 2 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64) + 16 * 32 + 32 * 64
    biases = 16 * 3 + 32 * 3 + 64 * 3  # the shortcuts' too
    normalisations = 2 * (16 * 3 + 32 * 2 + 64 * 2)
    model = keras_resnet.ResNet8(num_classes=10)

    assert trainable_parameters(model) == kernels + biases + normalisations + 65 * 10
    assert model.count_params() == 78_666
    assert keras_resnet.cost(keras_resnet.spec("resnet8"), 10).folded_macs == pytest.approx(12.50e6, rel=1e-3)


def test_the_larger_mlperf_network_has_two_and_a_half_times_the_channels() -> None:
    assert keras_resnet.spec("resnet8large").widths == (40, 80, 160)


def test_a_builder_looks_like_a_function_someone_wrote() -> None:
    builder = keras_resnet.ResNet50
    parameters = inspect.signature(builder).parameters

    assert builder.__name__ == "ResNet50"
    assert list(parameters)[:2] == ["num_classes", "input_shape"]
    assert parameters["classifier_activation"].default == "softmax"
    assert "arxiv.org/abs/1512.03385" in inspect.getdoc(builder)
    assert "num_classes: Outputs of the classifier" in inspect.getdoc(builder)
    assert "spec:" not in inspect.getdoc(builder)


def test_a_name_that_is_no_networks_is_no_builder() -> None:
    with pytest.raises(AttributeError, match="no attribute 'ResNet51'"):
        builders.ResNet51  # noqa: B018


PUBLIC = {name: one for name, one in VARIANTS.items() if name != ONE_BLOCK.name}


def smallest_of_each_kind() -> set[str]:
    """Of networks that differ in depth and width alone, the one with the fewest blocks."""
    found: dict[object, str] = {}
    for name, one in sorted(PUBLIC.items(), key=lambda item: (sum(item[1].spec.depths), item[1].spec.widths)):
        kind = replace(one.spec, name="", depths=(1,), widths=(64,), stem_width=16, input_size=32, paper="")
        found.setdefault((kind, len(one.spec.depths)), name)
    return set(found.values())


def shortened(name: str) -> ResNetSpec:
    """A public network with two blocks in its first stage and one in each other."""
    row = PUBLIC[name].spec
    return replace(row, depths=(min(2, row.depths[0]), *[1] * (len(row.depths) - 1)))


FIELDS = ("block", "stem", "shortcut", "attention", "strided_conv", "strided_block", "antialias", "bias")


def few_of_every_sort() -> list[str]:
    """Of the kinds, so many that every value of every field is among them."""
    has = {name: {(field, getattr(one.spec, field)) for field in FIELDS} for name, one in PUBLIC.items()}
    kinds, left, found = sorted(smallest_of_each_kind()), set().union(*has.values()), []
    while left:
        found.append(max(kinds, key=lambda name: len(has[name] & left)))
        left -= has[found[-1]]
    return found


QUICK = few_of_every_sort()


def test_networks_of_every_kind_are_built_in_the_default_suite() -> None:
    chosen = smallest_of_each_kind()

    assert {"resnet8", "resnet18", "resnet26", "resnet18v2", "resnetrs50", "seresnet50", "resnext50_32x4d"} <= chosen
    assert len(QUICK) < len(chosen) / 2
    for field in FIELDS:
        assert {getattr(PUBLIC[name].spec, field) for name in QUICK} == {
            getattr(one.spec, field) for one in PUBLIC.values()
        }, field


def assert_counted(model: keras.Model, row: ResNetSpec, side: int) -> None:
    outputs = model(np.ones((2, side, side, 3), "float32"))

    np.testing.assert_allclose(keras.ops.sum(outputs, axis=1), np.ones(2), rtol=1e-5)
    counted = count(row, 4, (side, side, 3)).weights
    assert {path: tuple(variable.shape) for path, variable in variables_by_path(model).items()} == counted


# Networks of a kind differ by the number of like blocks and their widths, which are counted.
@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in sorted(smallest_of_each_kind())],
)
def test_every_kind_builds_at_its_smallest_input_and_is_what_the_counter_counted(name: str) -> None:
    row = shortened(name)
    side = row.smallest_side(row.resolve_stem(8, 8))

    assert_counted(keras_resnet.build(row, 4, input_shape=(side, side, 3)), row, side)


@pytest.mark.slow  # minutes; of each kind of block, one is built above
@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("name", PUBLIC)
def test_every_variant_builds_at_its_smallest_input_and_is_what_the_counter_counted(name: str) -> None:
    row = VARIANTS[name].spec
    side = row.smallest_side(row.resolve_stem(8, 8))

    model = BUILDERS[VARIANTS[name].public_name](num_classes=4, input_shape=(side, side, 3))

    assert model.name == name
    assert_counted(model, row, side)


def test_every_row_is_public_and_documented() -> None:
    for name, variant in PUBLIC.items():
        builder = getattr(keras_resnet, variant.public_name)
        assert builder is BUILDERS[variant.public_name]
        assert builder.spec is variant.spec
        assert builder.__name__.lower() == name == variant.spec.name
        assert "https://arxiv.org/abs/" in str(builder.__doc__)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # timm 1.0.31 and torchvision 0.29 count these
        ("resnext50_32x4d", 25_028_904),
        ("resnext101_32x8d", 88_791_336),
        ("resnext101_64x4d", 83_455_272),
        ("wideresnet50_2", 68_883_240),
        ("wideresnet101_2", 126_886_696),
        ("seresnet50", 28_088_024),
        ("resnet50d", 25_576_264),
        ("resnetrs50", 35_691_912),
        ("resnetrs420", 191_891_656),
        # keras.applications: 25,613,800 with 45,440 moving statistics
        ("resnet50v2", 25_613_800 - 45_440),
        # FACTS of the field
        ("wrn28_10", 36_479_194),
        ("resnet1202", 19_421_274),
    ],
)
def test_parameter_counts_are_those_published(name: str, parameters: int) -> None:
    row = VARIANTS[name].spec

    assert keras_resnet.cost(row, 10 if row.input_size == 32 else 1000).parameters == parameters


@pytest.mark.parametrize(
    ("depth", "words"),
    [(9, "6n"), (12, "6n"), (4, "6n"), (2.5, "6n")],
)
def test_a_wide_network_has_a_depth_of_6n_plus_4(depth: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        keras_resnet.wrn(depth, 2)
    with pytest.raises(UsageError, match="width"):
        keras_resnet.wrn(16, 0)


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
        ("resnet51", {}, "did you mean 'resnet50' or 'resnet101'"),
        ("ResNet-100-D", {}, "did you mean 'resnet101d' or 'resnet50d'"),
        ("se_resnet51", {}, "did you mean 'seresnet50' or 'seresnet101'"),
        ("resnet57", {}, "did you mean 'resnet56' or 'resnet110'"),
        ("resnet500d", {}, "did you mean 'resnet200d' or 'resnet152d'"),
        ("ResNeXt-50", {}, r"did you mean 'resnext50_32x4d'\?"),
        ("resnext101", {}, "did you mean 'resnext101_32x8d' or 'resnext101_64x4d'"),
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
