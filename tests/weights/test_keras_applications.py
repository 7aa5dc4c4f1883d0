"""Networks of keras.applications, random weights, through our maps into ours: the same logits."""

import hashlib
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.applications import resnet as of_keras  # the parts of its networks are not public

from keras_resnet.errors import ModelError
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import VARIANTS, spec
from keras_resnet.weights import keras_applications
from keras_resnet.weights.pretrained import fetch

pytestmark = pytest.mark.usefixtures("alone")
NAMES = ("resnet50v1", "resnet101v1", "resnet152v1", "resnet50v2", "resnet101v2", "resnet152v2")
OPTIONS = {"weights": None, "input_shape": (65, 65, 3), "classes": 10, "classifier_activation": None}
FEW = {"depths": (2,) * 4, "widths": (32, 64, 128, 256)}
X = np.random.default_rng(0).uniform(-1, 1, (2, 65, 65, 3)).astype("float32")


def of_few_blocks(name: str) -> keras.Model:
    """As Keras builds its networks, with two narrow blocks in each stage."""
    preact = name.endswith("v2")
    stack = of_keras.stack_residual_blocks_v2 if preact else of_keras.stack_residual_blocks_v1
    strides = (2, 2, 2, 1) if preact else (1, 2, 2, 2)

    def stacks(x: keras.KerasTensor) -> keras.KerasTensor:
        for number, (width, stride) in enumerate(zip(FEW["widths"], strides, strict=True), 2):
            x = stack(x, width // 4, 2, stride, name=f"conv{number}")
        return x

    return of_keras.ResNet(stacks, preact, use_bias=True, **OPTIONS)


def lively(model: keras.Model) -> keras.Model:
    """Random weights, biases and statistics too, scaled so that the signal stays of a size."""
    random = np.random.default_rng(1)
    model.set_weights(
        [
            random.normal(0, (2 / weight[..., 0].size) ** 0.5, weight.shape)
            if weight.ndim > 1
            else random.uniform(0.2, 0.6, weight.shape)
            for weight in model.get_weights()
        ]
    )
    return model


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, Path]:
    """Theirs, and its file."""
    model, path = lively(of_few_blocks("resnet50v1")), tmp_path_factory.mktemp("theirs") / "theirs.h5"
    model.save(path)
    return model, path


def test_logits_are_those_of_keras_applications(few: tuple[keras.Model, Path]) -> None:
    assert_same_logits(spec("resnet50v1", **FEW), *few)


def test_logits_of_pre_activation_networks_are_those_of_keras_applications(tmp_path: Path) -> None:
    model = lively(of_few_blocks("resnet50v2"))
    model.save(tmp_path / "theirs.h5")

    assert_same_logits(spec("resnet50v2", **FEW), model, tmp_path / "theirs.h5")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_keras_applications_in_every_network(name: str, tmp_path: Path) -> None:
    model = lively(getattr(keras.applications, keras_applications.FILES[name][0].builder)(**OPTIONS))
    model.save(tmp_path / "theirs.h5")

    assert_same_logits(spec(name), model, tmp_path / "theirs.h5")


def assert_same_logits(row: ResNetSpec, theirs: keras.Model, path: Path) -> None:
    ours = build(row, 10, input_shape=(65, 65, 3), weights=path, classifier_activation=None)

    expected = np.asarray(theirs(X))
    assert np.abs(expected).max() > 0.1
    assert np.abs(np.asarray(ours(X)) - expected).max() < 1e-4 * max(1, np.abs(expected).max())


def test_a_published_file_is_known_by_its_content_and_turned_to_rgb(
    few: tuple[keras.Model, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = VARIANTS["resnet50v1"]
    monkeypatch.setitem(VARIANTS, "resnet50v1", replace(whole, spec=replace(whole.spec, **FEW)))
    theirs = keras.Model(few[0].input, few[0].get_layer("conv5_block2_out").output)
    path = tmp_path / "published.h5"
    theirs.save(path)
    row = keras_applications.FILES["resnet50v1"]
    known = replace(row[1], md5=hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setitem(keras_applications.FILES, "resnet50v1", (row[0], known))
    # Keras builds the network that it fills from the file; here it is filled already.
    monkeypatch.setattr(keras.applications, "ResNet50", lambda weights, include_top: theirs)
    monkeypatch.setattr("keras_resnet.weights.pretrained._from_keras", lambda url: path)

    ours = build(spec("resnet50v1"), input_shape=(65, 65, 3), weights="keras", include_top=False)

    expected = np.asarray(theirs(X[..., ::-1]))
    np.testing.assert_allclose(ours(X), expected, atol=1e-4 * max(1, np.abs(expected).max()))
    assert np.abs(expected - theirs(X)).max() > 1e-2 * np.abs(expected).max(), "the order counts"
    assert fetch("resnet50v1", "keras", include_top=False) == path
    with pytest.raises(ModelError, match="is not the published file: its md5 is"):
        fetch("resnet50v1", "keras", include_top=True)


def test_weights_for_the_other_striding_are_refused(few: tuple[keras.Model, Path]) -> None:
    changed = "resnet50_depths_2_2_2_2_widths_32_64_128_256"
    with pytest.raises(ModelError, match=f"{changed} strides in the 3×3 and would predict wrongly: use ResNet50V1"):
        build(spec("resnet50", **FEW), 10, input_shape=(65, 65, 3), weights=few[1])
