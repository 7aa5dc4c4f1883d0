from pathlib import Path
from typing import Any

import keras
import pytest

import keras_resnet
from keras_resnet.errors import UsageError
from keras_resnet.layer_names import Section
from keras_resnet.models.feature_info import SectionInfo, feature_info, read_feature_info
from keras_resnet.models.features import feature_extractor
from keras_resnet.models.fusion import fuse_batchnorm
from keras_resnet.models.precision import float32_copy
from keras_resnet.models.recompute import recompute_activations
from keras_resnet.models.spec import ResNetSpec

TINY: dict[str, Any] = {"depths": (1, 2, 1, 1), "widths": (16, 16, 32, 32), "stem": "imagenet", "stem_width": 8}
FAMILIES = {
    "basic": ResNetSpec("net", "basic", **TINY),
    "basic, option A, small images": ResNetSpec("net", "basic", (2, 1), (8, 16), "cifar", 8, "identity_pad"),
    "bottleneck v1, SE": ResNetSpec("net", "bottleneck", **TINY, strided_conv="1x1", attention="se"),
    "ResNet-D, ECA, blurred": ResNetSpec(
        "net", "bottleneck", **TINY | {"stem": "deep"}, shortcut="avgpool_projection", attention="eca", antialias=True
    ),
    "ResNet-RS": ResNetSpec("net", "bottleneck", **TINY | {"stem": "deep_strided"}, shortcut="avgpool_projection"),
    "ResNet-RS, blurred": ResNetSpec("net", "basic", **TINY | {"stem": "deep_strided"}, antialias=True),
    "MLPerf Tiny": ResNetSpec(
        "net", "basic", (1, 1), (8, 16), "cifar", 8, "plain_projection", bias="all", padding="same"
    ),
    "v2, strided in last blocks": ResNetSpec(
        "net", "preact_bottleneck", **TINY, strided_block="last", bias="unnormalised"
    ),
    "wide, small images": ResNetSpec("net", "preact_basic", (1, 2), (16, 32), "cifar", 8, dropout_at="block"),
    "post-activation, strided in last blocks": ResNetSpec("net", "basic", **TINY, strided_block="last"),
}
SIDE = 64


def network(family: str, **options: Any) -> keras.Model:
    return keras_resnet.build(FAMILIES[family], 3, input_shape=(SIDE, SIDE, 3), **options)


@pytest.mark.parametrize("output_stride", [None, 8, pytest.param(16, marks=pytest.mark.slow)])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_recorded_is_what_layers_say_and_divides_the_image_by_its_strides(
    family: str, output_stride: Any
) -> None:
    model = network(family, output_stride=output_stride, dropout=0.1, stochastic_depth=0.1)

    recorded = model.feature_info

    assert read_feature_info(model) == recorded
    assert [str(one.section) for one in recorded.sections] == [
        "stem",
        *(f"stage{s}_block{b}" for s, depth in enumerate(FAMILIES[family].depths, 1) for b in range(1, depth + 1)),
    ]
    for one in recorded.sections:
        for name in (one.output, one.activated):
            assert model.get_layer(name).output.shape[1] == SIDE // one.stride, name
    activations = (keras.layers.ReLU, keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)
    assert all(isinstance(model.get_layer(one.activated), activations) for one in recorded.sections)


@pytest.mark.parametrize(
    "family",
    [
        *("v2, strided in last blocks", "wide, small images"),
        *(pytest.param(family, marks=pytest.mark.slow) for family in ("basic", "ResNet-D, ECA, blurred")),
    ],
)
def test_copies_keep_the_record_and_a_file_is_read_to_the_same(family: str, tmp_path: Path) -> None:
    model = network(family, include_top=False)
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")

    assert not hasattr(loaded, "feature_info")
    assert feature_info(loaded) == model.feature_info
    for copy in (float32_copy(model), recompute_activations(model), fuse_batchnorm(model)):
        assert read_feature_info(copy) == copy.feature_info
    again = float32_copy(loaded)
    assert again is not loaded
    assert feature_info(again) == model.feature_info


def test_a_convolution_that_does_a_relus_work_gives_the_activated_map() -> None:
    fused = fuse_batchnorm(network("v2, strided in last blocks"))

    stem, first, *_ = fused.feature_info.sections

    # In stage 1, whose only block strides, the stem's map is the last of its stride.
    assert (stem.output, stem.activated, stem.stride) == ("stem_pool", "stage1_block1_relu1", 4)
    assert (first.output, first.activated, first.stride) == ("stage1_block1_add", "stage2_block1_relu1", 8)
    wide = fuse_batchnorm(network("wide, small images")).feature_info.sections[0]
    assert (wide.output, wide.activated, wide.stride) == ("stem_conv", "stem_conv", 1)


def test_a_part_of_a_network_is_known_as_far_as_it_goes() -> None:
    model = network("wide, small images")
    part = keras.Model(model.input, model.get_layer("stage2_block2_relu1").output)

    last = feature_info(part).sections[-1]

    assert str(last.section) == "stage2_block1"
    assert (last.activated, last.stride) == ("stage2_block2_relu1", 2)
    unread = keras.Model(model.input, model.get_layer("stage2_block2_add").output, name="unread")
    assert feature_info(unread).sections[-1] == SectionInfo(Section(2, 2), "stage2_block2_add", None, 2)
    with pytest.raises(UsageError, match="strides must be some of 1 for unread"):
        feature_extractor(keras.Model(model.input, model.get_layer("stage2_block1_add").output, name="unread"), (2,))


def test_the_stem_gives_the_map_of_its_stride_where_no_block_has_it() -> None:
    maps = feature_extractor(network("post-activation, strided in last blocks"), (4, 8, 16, 32)).output

    assert maps["C2"].shape[1:] == (16, 16, 8)
    assert maps["C5"].shape[1:] == (2, 2, 32)
