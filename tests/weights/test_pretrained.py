import hashlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.preprocessing import Fit
from keras_resnet.weights import pretrained as module
from keras_resnet.weights.pretrained import fetch, imagenet_classes, list_weights, pretrained, verify
from keras_resnet.weights.saving import save_weights

pytestmark = pytest.mark.usefixtures("alone")
DEPTHS = (18, 34, 50, 101, 152, "26d", "50d")
NETWORKS = [*(f"resnet{depth}" for depth in DEPTHS), "resnext50_32x4d", "resnext101_32x8d"]


@pytest.mark.parametrize("name", [*NETWORKS, "wideresnet50_2", "wideresnet101_2", "seresnet50"])
def test_imagenet_names_weights_of_timm(name: str) -> None:
    found = pretrained(name)

    assert found.model == name
    assert found.name.startswith("timm/")
    assert found.url.startswith("https://huggingface.co/timm/")
    assert found.url.endswith("/resolve/main/model.safetensors")


def test_imagenet_is_a1_where_timm_has_it() -> None:
    for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet50d", "seresnet50"):
        assert pretrained(name).name == "timm/a1_in1k"


def test_the_preprocessing_is_the_one_of_the_training() -> None:
    timm = pretrained("resnet50", "timm/a1_in1k").preprocessing
    torchvision = pretrained("resnet50", "timm/tv_in1k").preprocessing
    caffe = pretrained("resnet50v1", "keras").preprocessing
    slim = pretrained("resnet50v2", "keras").preprocessing

    assert timm.mean == pytest.approx((123.675, 116.28, 103.53))
    assert timm.std == pytest.approx((58.395, 57.12, 57.375))
    assert timm.fit == Fit((224, 224), 3, "bicubic", 0.95)
    assert torchvision.fit == Fit((224, 224), 3, "bilinear", 0.875)
    assert caffe.mean == (123.68, 116.779, 103.939)  # red first: the kernel is turned
    assert caffe.std == (1, 1, 1)
    assert (slim.mean, slim.std) == ((127.5,) * 3, (127.5,) * 3)


def test_there_are_a_thousand_different_classes_in_imagenets_order() -> None:
    classes = imagenet_classes()

    assert len(set(classes)) == 1000
    assert (classes[0], classes[207], classes[999]) == ("tench", "golden retriever", "toilet tissue")


@pytest.mark.parametrize("name", ["timm/a1_in1k", "timm/resnet50.a1_in1k"])
def test_a_tag_is_known_by_itself_or_with_its_network(name: str) -> None:
    assert pretrained("resnet50", name).name == "timm/a1_in1k"


@pytest.mark.parametrize(
    ("network", "weights", "message"),
    [
        ("resnet50", "timm/resnet101.a1_in1k", "no weights 'timm/resnet101.a1_in1k' for resnet50"),
        ("resnet50", "timm/nonsense.a1_in1k", "no weights 'timm/nonsense.a1_in1k' for resnet50"),
        ("resnet50", "timm/a9", r"no weights 'timm/a9' for resnet50: there are 'timm/a1_in1k'"),
        ("resnet50", "keras", "keras.applications' are for resnet50v1"),
        ("resnet110", "imagenet", "there are none for this network"),
    ],
)
def test_weights_that_there_are_not_are_answered_with_those_there_are(network: str, weights: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(spec(network), weights=weights)
    assert "timm/tv2_in1k" in list_weights("resnet50")


def test_without_a_network_the_file_to_fetch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(url: str) -> Path:
        raise ConnectionError("Network is unreachable\nand a long story")

    monkeypatch.setattr(module, "_from_hub", unreachable)
    monkeypatch.setattr(keras, "Input", lambda *_, **__: pytest.fail("a network is built, which takes seconds"))

    with pytest.raises(ModelError) as caught:
        keras_resnet.ResNet18(weights="imagenet", input_shape=(64, 64, 3))

    assert "(Network is unreachable)" in str(caught.value)
    assert "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors" in str(caught.value)
    assert "pass its path: weights='PATH'" in str(caught.value)


@pytest.mark.parametrize(
    ("network", "change"),
    [
        ("resnet50", {"strided_conv": "1x1"}),
        ("resnet50", {"antialias": True}),
        ("resnet50", {"padding": "same"}),
        ("resnet50", {"shortcut": "avgpool_projection"}),
        ("resnet50v2", {"strided_block": "first"}),
    ],
)
def test_a_change_that_named_weights_would_fit_and_mispredict_with_is_refused(
    network: str, change: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match=f"are for {network} with {next(iter(change))}="):
        build(spec(network, **change), weights="keras" if network.endswith("v2") else "imagenet")


@pytest.mark.parametrize("name", ["ResNet50V1", "ResNet-50-v1", "resnet50v1"])
def test_a_network_is_found_however_it_is_spelled(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(module, "_from_keras", lambda url: tmp_path / "file")

    assert pretrained(name, "keras").model == "resnet50v1"
    assert list_weights(name) == ["keras"]
    with pytest.raises(ModelError, match="is not the published file"):
        fetch(name, "keras")
    with pytest.raises(UsageError, match="are for resnet50v1, which strides"):
        pretrained("ResNet50", "keras")


@pytest.fixture(scope="module")
def file_of_timm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random ResNet-18 in timm's naming."""
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    save_weights(build(spec("resnet18"), seed=1, input_shape=(64, 64, 3), stem="imagenet"), path, "torchvision")
    return path


@pytest.fixture
def hub(file_of_timm: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub that holds this file alone."""
    asked: list[tuple[str, str]] = []

    def download(repository: str, file: str) -> str:
        asked.append((repository, file))
        assert asked == [("timm/resnet18.a1_in1k", "model.safetensors")]
        return str(file_of_timm)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr(module, "answers", lambda url: True)
    return file_of_timm


def test_named_weights_come_from_the_hub_with_their_preprocessing(hub: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3)).astype("float32")
    model = keras_resnet.ResNet18(weights="imagenet", preprocessing="weights", input_shape=(96, 96, 3))

    plain = keras_resnet.ResNet18(weights=hub, input_shape=(96, 96, 3))
    normalised = (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)

    np.testing.assert_allclose(model(pixels), plain(normalised.astype("float32")), rtol=1e-3, atol=1e-6)


def test_named_weights_and_a_preprocessing_of_ones_own_fine_tune(hub: Path) -> None:
    published = pretrained("resnet18").preprocessing
    mine = keras_resnet.Preprocessing(Fit((96, 96), 3), published.mean, published.std, ("cat", "dog"))

    model = keras_resnet.ResNet18(weights="imagenet", head="reset", preprocessing=mine)

    assert model.output_shape == (None, 2)


def test_named_weights_for_grey_images_normalise_them_as_red_green_and_blue_on_average(hub: Path) -> None:
    options = {"weights": "imagenet", "input_shape": (96, 96, 1), "adapt_input": True}

    model = keras_resnet.ResNet18(preprocessing="weights", **options)

    first = keras.Model(model.input, model.get_layer("normalization").output)
    expected = (200 - 255 * (0.485 + 0.456 + 0.406) / 3) / (255 * (0.229 + 0.224 + 0.225) / 3)
    np.testing.assert_allclose(first(np.full((1, 96, 96, 1), 200.0)), expected, rtol=1e-5)
    assert model.input_shape == (None, 96, 96, 1)


def test_a_file_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")

    verify(tmp_path / "file", None)
    verify(tmp_path / "file", "sha256:" + hashlib.sha256(b"content").hexdigest())
    with pytest.raises(ModelError, match="is not the published file: its sha256 is .* Delete it and fetch it again"):
        verify(tmp_path / "file", "sha256:" + hashlib.sha256(b"other").hexdigest())


def test_every_row_of_the_catalogue_is_of_a_network_and_has_a_preprocessing() -> None:
    known = set(keras_resnet.list_models())

    for name in sorted(module._catalogue()):
        assert name in known
        for row in list_weights(name):
            found = pretrained(name, row)
            assert len(found.preprocessing.class_names) == 1000
            assert found.license
            assert found.preprocessing.fit.size[0] in range(128, 321)
    with pytest.raises(UsageError):
        fetch("resnet20", "imagenet")


def test_where_the_hub_is_switched_off_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(module.threading, "Thread", lambda **_: pytest.fail("it was asked"))

    assert not module.answers("https://huggingface.co")
