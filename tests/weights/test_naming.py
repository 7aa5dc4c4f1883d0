"""Names and shapes of whole networks against those of torchvision and timm, by digests of all of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_resnet.models.counting import count
from keras_resnet.models.variants import spec
from keras_resnet.weights.naming import (
    AKAMASTER,
    HUGGING_FACE,
    KERAS_APPLICATIONS,
    MLPERF_TINY,
    OURS,
    TIMM,
    TORCHVISION,
    Naming,
)
from tests.golden.digest import digest

NAMES = json.loads((Path(__file__).parents[1] / "golden" / "names.json").read_text())


def weights_of(name: str, **changes: Any) -> dict[str, tuple[int, ...]]:
    row = spec(name, **changes)
    return count(row, 1000, (row.input_size, row.input_size, 3)).weights


def layers_of(name: str, **changes: Any) -> list[str]:
    return list(dict.fromkeys(path.split("/")[0] for path in weights_of(name, **changes)))


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_of_a_whole_network_is_named_and_shaped_as_in_pytorch(name: str) -> None:
    naming = TIMM if spec(name).shortcut == "avgpool_projection" else TORCHVISION
    empty = {path: np.broadcast_to(np.float32(0), shape) for path, shape in weights_of(name).items()}
    names = naming.names(layers_of(name))
    order = {4: (3, 2, 0, 1), 3: (2, 1, 0), 2: (1, 0), 1: (0,)}

    shapes = {names[path]: [tensor.shape[axis] for axis in order[tensor.ndim]] for path, tensor in empty.items()}

    assert digest(shapes) == NAMES[name]["digest"]


@pytest.mark.parametrize(
    ("naming", "name", "path", "expected"),
    [
        (OURS, "resnet50", "stage4_block3_bn3/beta", "stage4_block3_bn3/beta"),
        (TORCHVISION, "resnet50", "stage4_block3_bn3/beta", "layer4.2.bn3.bias"),
        (TORCHVISION, "resnet50", "stage2_block1_shortcut_bn/moving_variance", "layer2.0.downsample.1.running_var"),
        (TIMM, "resnet50d", "stage1_block1_shortcut_conv/kernel", "layer1.0.downsample.1.weight"),
        (TIMM, "resnet50d", "stem_conv2/kernel", "conv1.3.weight"),
        (TIMM, "resnetrs50", "stem_down_bn/gamma", "maxpool.1.weight"),
        (TORCHVISION, "seresnet50", "stage1_block1_se_reduce/bias", "layer1.0.se.fc1.bias"),
        (HUGGING_FACE, "resnet50", "stem_bn/gamma", "resnet.embedder.embedder.normalization.weight"),
        (
            HUGGING_FACE,
            "resnet50",
            "stage2_block3_conv2/kernel",
            "resnet.encoder.stages.1.layers.2.layer.1.convolution.weight",
        ),
        (AKAMASTER, "resnet20", "head_dense/bias", "linear.bias"),
        (KERAS_APPLICATIONS, "resnet50v1", "stage1_block2_conv3/kernel", "conv2_block2_3_conv/kernel"),
        (KERAS_APPLICATIONS, "resnet50v1", "stage1_block1_shortcut_bn/gamma", "conv2_block1_0_bn/gamma"),
        (KERAS_APPLICATIONS, "resnet50v2", "stage1_block2_bn1/gamma", "conv2_block2_preact_bn/gamma"),
        (KERAS_APPLICATIONS, "resnet50v2", "stage1_block2_bn3/gamma", "conv2_block2_2_bn/gamma"),
        (KERAS_APPLICATIONS, "resnet50v2", "head_bn/gamma", "post_bn/gamma"),
        (MLPERF_TINY, "resnet50d", "stem_bn/gamma", "batch_normalization_2/gamma"),
        (MLPERF_TINY, "resnet8", "stem_conv/bias", "conv2d/bias"),
        (MLPERF_TINY, "resnet8", "stage2_block1_conv1/kernel", "conv2d_3/kernel"),
        (MLPERF_TINY, "resnet8", "stage2_block1_shortcut_conv/kernel", "conv2d_5/kernel"),
        (MLPERF_TINY, "resnet8", "stage3_block1_bn2/gamma", "batch_normalization_6/gamma"),
        (MLPERF_TINY, "resnet8", "head_dense/kernel", "dense/kernel"),
    ],
)
def test_a_tensor_is_called_what_the_library_calls_it(naming: Naming, name: str, path: str, expected: str) -> None:
    assert naming.names(layers_of(name))[path] == expected


NAMINGS = (OURS, TORCHVISION, TIMM, HUGGING_FACE, AKAMASTER, KERAS_APPLICATIONS, MLPERF_TINY)


@pytest.mark.parametrize("naming", NAMINGS, ids=lambda naming: naming.title)
def test_what_goes_out_under_a_naming_comes_back_the_same(naming: Naming) -> None:
    name = "resnet8" if naming is MLPERF_TINY else "resnet50v1"
    random, narrow = np.random.default_rng(0), {"width_multiplier": 0.125}
    shapes = weights_of(name, **narrow)
    tensors = {path: random.normal(size=shape).astype("float32") for path, shape in shapes.items()}

    back = naming.to_ours(naming.from_ours(tensors), layers_of(name, **narrow))

    assert back.keys() == tensors.keys()
    for path, tensor in tensors.items():
        np.testing.assert_allclose(back[path], tensor, rtol=1e-6, atol=1e-7)


def test_another_librarys_epsilon_moves_into_the_variance() -> None:
    tensors = {"batch_normalization/moving_variance": np.array([0.0, 2.0], "float32")}

    found = MLPERF_TINY.to_ours(tensors, ["stem_conv", "stem_bn"])["stem_bn/moving_variance"]

    np.testing.assert_allclose(found + 1e-5, np.array([0.0, 2.0]) + 1e-3, rtol=1e-6)
