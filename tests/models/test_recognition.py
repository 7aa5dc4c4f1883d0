from pathlib import Path

import numpy as np
import pytest

from keras_resnet.errors import ModelError
from keras_resnet.models.counting import count
from keras_resnet.models.recognition import networks_of
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.weights.files import Tensors
from keras_resnet.weights.naming import AKAMASTER, HUGGING_FACE, KERAS_APPLICATIONS, OURS, TIMM, TORCHVISION, Naming
from keras_resnet.weights.saving import save_weights


def tensors_of(network: str, naming: Naming, classes: int = 7) -> Tensors:
    """Under the library's names, without building the network."""
    row = spec(network)
    held = count(row, classes, (row.input_size, row.input_size, 3)).weights
    return naming.from_ours({name: np.broadcast_to(np.float32(0), shape) for name, shape in held.items()})


@pytest.mark.parametrize(
    ("network", "naming", "expected"),
    [
        ("resnet50", TORCHVISION, ["resnet50", "resnetblur50"]),
        ("resnet50v1", KERAS_APPLICATIONS, ["resnet50v1"]),
        ("resnet101v2", KERAS_APPLICATIONS, ["resnet101v2"]),
        ("resnet50d", TIMM, ["resnet50d"]),
        ("resnet32", AKAMASTER, ["resnet32"]),
        ("resnext50_32x4d", TORCHVISION, ["resnext50_32x4d"]),
        ("resnet50", HUGGING_FACE, ["resnet50", "resnet50v1", "resnetblur50"]),
    ],
)
def test_a_network_is_told_from_its_names_and_shapes(network: str, naming: Naming, expected: list[str]) -> None:
    assert networks_of(tensors_of(network, naming), naming) == expected


@pytest.mark.parametrize("network", ["resnet18", "seresnet18", "resnet18d"])
def test_a_network_is_told_from_its_tensors_for_small_images_too(network: str) -> None:
    held = count(spec(network), 3, (64, 64, 3)).weights
    tensors = {name: np.broadcast_to(np.float32(0), shape) for name, shape in held.items()}

    assert network in networks_of(tensors, OURS)


def test_biases_before_a_normalisation_and_the_classifier_do_not_matter() -> None:
    tensors = tensors_of("resnet50v1", KERAS_APPLICATIONS, classes=3)
    tensors["conv1_conv/bias"] = np.zeros(64, np.float32)
    del tensors["predictions/kernel"], tensors["predictions/bias"]

    assert networks_of(tensors, KERAS_APPLICATIONS) == ["resnet50v1"]


def test_a_tensor_less_or_of_another_shape_is_no_network_of_the_table() -> None:
    tensors = tensors_of("resnet32", OURS)
    less = {name: tensor for name, tensor in tensors.items() if name != "stem_bn/gamma"}
    other = tensors | {"stage1_block1_conv1/kernel": np.zeros((3, 3, 16, 17), np.float32)}

    assert networks_of(tensors, OURS) == ["resnet32"]
    assert networks_of(less, OURS) == networks_of(other, OURS) == []


def test_weights_of_another_network_are_called_by_its_name(tmp_path: Path) -> None:
    save_weights(build(spec("resnet32"), 10), tmp_path / "net.safetensors", "akamaster")

    with pytest.raises(ModelError, match=r"These are weights of resnet32 \(akamaster's naming\); you build resnet20"):
        build(spec("resnet20"), 10, weights=tmp_path / "net.safetensors")
    with pytest.raises(ModelError, match="Only the classifier differs") as caught:
        build(spec("resnet32"), 3, weights=tmp_path / "net.safetensors")
    assert "These are weights of" not in str(caught.value)
