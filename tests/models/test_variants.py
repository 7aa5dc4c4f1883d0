import inspect

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.models.variants import VARIANTS, trainable_parameters


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

    assert trainable_parameters(builder()) == imagenet
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

    assert trainable_parameters(builder(num_classes=10)) == identity
    assert trainable_parameters(builder(num_classes=10, shortcut="projection")) == projection


def test_resnet8_counts_by_hand() -> None:
    convolutions = 9 * (3 * 16 + 16 * 16 * 2 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64) + 16 * 32 + 32 * 64
    normalisations = 2 * (16 * 3 + 32 * 3 + 64 * 3)

    assert trainable_parameters(keras_resnet.ResNet8(num_classes=10)) == convolutions + normalisations + 65 * 10


def test_the_total_of_a_resnet50_is_keras_applications_without_its_redundant_biases() -> None:
    assert keras_resnet.ResNet50().count_params() == 25_636_712 - 26_560


def test_a_builder_looks_like_a_function_someone_wrote() -> None:
    builder = keras_resnet.ResNet50
    parameters = inspect.signature(builder).parameters

    assert builder.__name__ == "ResNet50"
    assert list(parameters)[:2] == ["num_classes", "input_shape"]
    assert parameters["classifier_activation"].default == "softmax"
    assert "arxiv.org/abs/1512.03385" in inspect.getdoc(builder)
    assert "num_classes: Outputs of the classifier" in inspect.getdoc(builder)
    assert "spec:" not in inspect.getdoc(builder)


def test_models_are_listed_by_pattern() -> None:
    assert keras_resnet.list_models("resnet1*") == ["resnet18", "resnet101", "resnet152", "resnet110"]
    assert keras_resnet.list_models() == list(VARIANTS)


@pytest.mark.parametrize("name", ["ResNet-50", "resnet50", "RESNET_50"])
def test_a_spec_is_found_however_it_is_spelled(name: str) -> None:
    assert keras_resnet.spec(name).depths == (3, 4, 6, 3)


def test_an_unknown_network_gets_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="did you mean 'resnet50'"):
        keras_resnet.spec("resnt50")


@pytest.mark.parametrize("name", list(VARIANTS))
def test_every_variant_builds_at_its_smallest_input_and_gives_probabilities(name: str) -> None:
    row = VARIANTS[name].spec
    side = row.smallest_side("cifar")

    model = VARIANTS[name](num_classes=4, input_shape=(side, side, 3))
    outputs = model(np.ones((2, side, side, 3), "float32"))

    assert model.name == name
    assert outputs.shape == (2, 4)
    np.testing.assert_allclose(keras.ops.sum(outputs, axis=1), 1, rtol=1e-5)
