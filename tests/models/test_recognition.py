import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.errors import ModelError, UsageError, listed
from keras_resnet.models import recognition
from keras_resnet.models.counting import count
from keras_resnet.models.recognition import network_of_file, networks_of
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import VARIANTS, spec, true_name
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.weights.files import Tensors, network_said, read_weights
from keras_resnet.weights.naming import AKAMASTER, HUGGING_FACE, KERAS_APPLICATIONS, OURS, TIMM, TORCHVISION, Naming
from keras_resnet.weights.saving import save_model, save_weights, write_tensors


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
        ("resnet32", AKAMASTER, ["resnet32", "plainnet32"]),
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

    assert networks_of(tensors, OURS) == ["resnet32", "plainnet32"]
    assert networks_of(less, OURS) == networks_of(other, OURS) == []


def test_weights_of_another_network_are_called_by_its_name(tmp_path: Path) -> None:
    save_weights(build(spec("resnet32"), 10), tmp_path / "net.safetensors", "akamaster")

    with pytest.raises(ModelError, match="weights of resnet32 or plainnet32 .akamaster's naming.; you build resnet20"):
        build(spec("resnet20"), 10, weights=tmp_path / "net.safetensors")
    with pytest.raises(ModelError, match="Only the classifier differs") as caught:
        build(spec("resnet32"), 3, weights=tmp_path / "net.safetensors")
    assert "These are weights of" not in str(caught.value)


def alike() -> list[list[str]]:
    """The networks of the table whose tensors are the same, under our names."""
    groups = defaultdict(list)
    for name, row in VARIANTS.items():
        side = row.spec.input_size
        held = count(row.spec, 1, (side, side, 3), include_top=False).weights
        groups[tuple(sorted(held.items()))].append(name)
    return [names for names in groups.values() if len(names) > 1]


def test_plain_networks_have_the_tensors_of_the_residual_ones() -> None:
    assert {(f"resnet{depth}", f"plainnet{depth}") for depth in (20, 32, 44, 56)} <= set(map(tuple, alike()))


@pytest.mark.parametrize("names", alike(), ids=lambda names: names[0])
def test_weights_that_fit_several_networks_are_refused_unless_the_file_tells_which(
    names: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tensors = tensors_of(names[-1], OURS)
    monkeypatch.setattr(recognition, "read_weights", lambda path: tensors)
    for file in ("net.h5", *(f"{name}-best.h5" for name in names)):
        (tmp_path / file).write_bytes(b"")

    with pytest.raises(UsageError, match=re.escape(listed(names)) + ".* by --model"):
        network_of_file(tmp_path / "net.h5")
    assert [network_of_file(tmp_path / f"{name}-best.h5") for name in names] == names


@pytest.mark.parametrize("name", ["resnet20", "plainnet20"])
def test_a_file_of_this_package_tells_which_of_the_networks_it_is_of(name: str, tmp_path: Path) -> None:
    preprocessing = Preprocessing(Fit((32, 32), 3), (0.0,) * 3, (1.0,) * 3, ("a", "b"))
    model = build(spec(name), preprocessing=preprocessing, classifier_activation=None, seed=0)
    save_weights(model, tmp_path / "net.safetensors")
    save_model(model, tmp_path / "net.keras", preprocessing)
    save_weights(build(replace(spec(name), name="mine"), 2), tmp_path / "own.safetensors")
    write_tensors(read_weights(tmp_path / "net.safetensors"), tmp_path / "bare.safetensors", {})

    assert network_of_file(tmp_path / "net.safetensors") == network_of_file(tmp_path / "net.keras") == name
    for file in ("own.safetensors", "bare.safetensors"):
        with pytest.raises(UsageError, match="fit 2 networks alike.*'resnet20', 'plainnet20'. Say which of them"):
            network_of_file(tmp_path / file)


def test_a_file_of_a_changed_network_is_not_called_as_the_tables(tmp_path: Path) -> None:
    changed = replace(spec("resnet20"), shortcut="none")
    other = replace(spec("resnet20"), bias="all", depths=(1, 1, 1))
    for name, one in (("plain", changed), ("other", other)):
        save_weights(build(one, 2, input_shape=(8, 8, 3)), tmp_path / f"{name}.safetensors")

    assert network_of_file(tmp_path / "plain.safetensors") == "plainnet20"
    assert network_said(tmp_path / "other.safetensors") == "resnet20_depths_1_1_1_bias_all"
    with pytest.raises(UsageError, match="holds the weights of no network"):
        network_of_file(tmp_path / "other.safetensors")


def test_every_network_of_the_table_is_called_by_its_name() -> None:
    assert [true_name(row.spec) for row in VARIANTS.values()] == list(VARIANTS)
    assert true_name(spec("wrn-22-3")) == spec("wrn-22-3").name
    assert true_name(replace(spec("wrn-22-3"), attention="eca")).endswith("_attention_eca")
    assert true_name(replace(spec("resnet18"), stem="cifar", input_size=64)) == "resnet18", "the stem is as the input"
    assert true_name(replace(spec("resnet18"), name="mine", stem="deep")) == "mine"
    assert true_name(spec("resnet50", width_multiplier=0.5)) == "resnet50_widths_128_256_512_1024_stem_width_32"
