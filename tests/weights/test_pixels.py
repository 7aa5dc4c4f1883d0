"""What the pixels of weights must be: typed from what each library's own preprocessing does."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_resnet.errors import ModelError, UsageError
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import spec
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.runs.run import Run
from keras_resnet.stamp import write_stamp
from keras_resnet.weights import pretrained as catalogue
from keras_resnet.weights.files import read_weights
from keras_resnet.weights.pixels import CONVENTIONS, order_of_caffe, pixels_of
from keras_resnet.weights.pretrained import pretrained
from keras_resnet.weights.saving import save_weights
from tests.shared import shared_data

OWN = Preprocessing(Fit((16, 16), 3), (10.0, 20.0, 30.0), (4.0, 5.0, 6.0), ("a", "b"))
NET = ResNetSpec("little", "basic", (1,), (64,), "imagenet", stem_width=64)
CAFFE = ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0))


def network(**options: object) -> keras.Model:
    return build(NET, 2, input_shape=(16, 16, 3), seed=1, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "pixel", "expected"),
    [
        ("caffe", (200, 100, 50), (76.32, -16.779, -53.939)),
        ("imagenet", (255, 0, 127.5), ((1 - 0.485) / 0.229, -0.456 / 0.224, (0.5 - 0.406) / 0.225)),
        ("tf", (255, 0, 127.5), (1, -1, 0)),
        ("raw", (255, 0, 127.5), (255, 0, 127.5)),
    ],
)
def test_each_convention_gives_what_its_library_gives(
    word: str, pixel: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    one = CONVENTIONS[word]

    np.testing.assert_allclose((np.array(pixel) - one.mean) / one.std, expected, rtol=1e-6)


def test_caffes_is_what_keras_applications_does() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3)).astype(np.float32)
    one = CONVENTIONS["caffe"]

    found = ((pixels - np.array(one.mean)) / np.array(one.std))[..., ::-1]  # its first kernel reads blue first

    np.testing.assert_allclose(found, keras.applications.resnet.preprocess_input(pixels.copy()), rtol=1e-5)


def test_the_caffe_weights_are_known_by_their_first_kernel_in_both_orders_and_trained_further(tmp_path: Path) -> None:
    path = shared_data("../weights/resnet50v1_imagenet_caffe.h5")
    tensors = read_weights(path)
    kernel = tensors["conv1_conv/kernel"]
    random = np.random.default_rng(0)

    found = pixels_of("resnet50v1", path)

    assert found is not None
    assert (found.mean, found.std, found.bgr) == (*CAFFE, True)
    assert "Caffe" in found.known_by
    further = kernel + random.normal(0, 0.05 * kernel.std(), kernel.shape)
    assert order_of_caffe({"stem_conv/kernel": further}) == "bgr"
    assert order_of_caffe({"stem_conv/kernel": further[:, :, ::-1]}) == "rgb"
    assert order_of_caffe({"stem_conv/kernel": random.normal(0, 0.1, kernel.shape)}) is None
    # Under another library's names they are still Caffe's.
    torch = {"conv1.weight": kernel.transpose(3, 2, 0, 1).copy(), "bn1.weight": np.ones(64, np.float32)}
    save_file(torch, tmp_path / "caffe.safetensors")
    again = pixels_of("resnet50v1", tmp_path / "caffe.safetensors")
    assert again is not None
    assert (again.mean, again.bgr) == (CAFFE[0], True)


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (["conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "fc.weight"], "imagenet"),
        (["module.conv1.weight", "module.bn1.weight", "module.linear.weight"], "imagenet"),
        (["resnet.embedder.embedder.convolution.weight", "resnet.embedder.embedder.normalization.weight"], "imagenet"),
        (["embedder.embedder.convolution.weight", "embedder.embedder.normalization.weight"], "imagenet"),
        (["conv1_conv/kernel", "conv2_block1_preact_bn/gamma", "post_bn/gamma"], "tf"),
        (["conv2d/kernel", "batch_normalization/gamma", "dense/kernel"], "raw"),
        (["conv1_conv/kernel", "conv1_bn/gamma", "predictions/kernel"], None),  # keras.applications v1: Caffe's, or any
        (["stem_conv/kernel", "stem_bn/gamma", "head_dense/kernel"], None),  # ours: any
        (["backbone.thing", "neck.thing"], None),
    ],
)  # fmt: skip
def test_the_names_of_a_librarys_tensors_say_what_its_own_weights_read(
    names: list[str], word: str | None, tmp_path: Path
) -> None:
    save_file({name: np.ones((1, 1, 1, 1), np.float32) for name in names}, tmp_path / "net.safetensors")

    found = pixels_of("resnet50", tmp_path / "net.safetensors")

    if word is None:
        assert found is None
    else:
        assert found is not None
        assert (found.mean, found.std) == (CONVENTIONS[word].mean, CONVENTIONS[word].std)
        assert not found.bgr


@pytest.mark.parametrize("naming", ["keras_resnet", "torchvision"])
def test_weights_saved_from_a_network_that_normalises_say_what_it_reads(naming: str, tmp_path: Path) -> None:
    save_weights(network(preprocessing=OWN), tmp_path / "net.safetensors", naming)  # type: ignore[arg-type]
    save_weights(network(), tmp_path / "bare.safetensors", naming)  # type: ignore[arg-type]

    found, bare = (pixels_of("little", tmp_path / f"{name}.safetensors") for name in ("net", "bare"))

    assert found is not None
    assert found.mean == pytest.approx(OWN.mean)
    assert found.std == pytest.approx(OWN.std)
    assert bare is None or bare.std == CONVENTIONS["imagenet"].std


@pytest.mark.parametrize(
    ("layers", "mean", "std"),
    [
        ([keras.layers.Rescaling(1 / 255)], 0, 255),
        ([keras.layers.Rescaling(1 / 127.5, offset=-1)], 127.5, 127.5),
        ([keras.layers.Rescaling(1 / 255), keras.layers.Normalization(mean=0.5, variance=0.25)], 127.5, 127.5),
        ([keras.layers.Normalization(mean=[10, 20, 30], variance=[16, 25, 36])], (10, 20, 30), (4, 5, 6)),
        ([keras.Sequential([keras.layers.RandomFlip(), keras.layers.Rescaling(1 / 127.5, offset=-1)])], 127.5, 127.5),
        (
            [
                keras.Sequential([keras.layers.Rescaling(1 / 255)]),
                keras.layers.Normalization(mean=0.5, variance=0.25),
            ],
            127.5,
            127.5,
        ),
    ],
    ids=["unit", "minus one to one", "unit, then a deviation", "by channel", "in a model inside", "inside and outside"],
)
def test_a_keras_file_says_by_its_first_layers_what_it_reads(
    layers: list[keras.Layer], mean: float, std: float, tmp_path: Path
) -> None:
    inputs = x = keras.Input((16, 16, 3))
    for layer in layers:
        x = layer(x)
    keras.Model(inputs, keras.layers.Conv2D(4, 3)(x)).save(tmp_path / "net.keras")

    found = pixels_of("resnet50", tmp_path / "net.keras")

    assert found is not None
    np.testing.assert_allclose(found.mean, np.broadcast_to(mean, 3), atol=1e-5)
    np.testing.assert_allclose(found.std, np.broadcast_to(std, 3), rtol=1e-6)


def test_what_a_normalisation_saw_of_data_is_not_told_by_a_files_layers(tmp_path: Path) -> None:
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Normalization(), keras.layers.Conv2D(4, 3)]
    keras.Sequential([keras.Input((16, 16, 3)), *layers]).save(tmp_path / "net.keras")

    assert pixels_of("resnet50", tmp_path / "net.keras") is None


def test_a_network_that_keras_saved_and_that_does_not_normalise_does_not_say_it(tmp_path: Path) -> None:
    network().save(tmp_path / "net.keras")

    assert pixels_of("little", tmp_path / "net.keras") is None


def test_what_the_user_says_counts_more_than_what_a_file_says(finished_run: Run, tmp_path: Path) -> None:
    network().save(tmp_path / "net.keras")
    write_stamp(tmp_path / "net.keras", OWN)
    (tmp_path / "preprocessing.json").write_text(finished_run.preprocessing.to_json())

    assert pixels_of("little", tmp_path / "net.keras").mean == OWN.mean  # type: ignore[union-attr]
    assert pixels_of("little", tmp_path / "net.keras", "tf").std == (127.5,) * 3  # type: ignore[union-attr]
    for file in (finished_run.path, finished_run.model, tmp_path / "preprocessing.json"):
        found = pixels_of("little", tmp_path / "net.keras", str(file))
        assert found is not None
        assert (found.mean, found.std) == (finished_run.preprocessing.mean, finished_run.preprocessing.std)
    with pytest.raises(UsageError, match="one of 'caffe', 'imagenet', 'tf', 'raw', or a file that says .* 'caffee'"):
        pixels_of("little", tmp_path / "net.keras", "caffee")


def test_the_kernel_of_weights_that_are_said_to_be_caffes_is_turned(tmp_path: Path) -> None:
    plain = network()
    save_weights(plain, tmp_path / "net.safetensors")
    three = {"preprocessing": OWN, "weights": tmp_path / "net.safetensors"}

    turned, kept = network(**three, weights_preprocessing="caffe"), network(**three, weights_preprocessing="raw")

    kernel = np.asarray(plain.get_layer("stem_conv").kernel)
    np.testing.assert_array_equal(turned.get_layer("stem_conv").kernel, kernel[:, :, ::-1])
    np.testing.assert_array_equal(kept.get_layer("stem_conv").kernel, kernel)


@pytest.mark.slow  # two ResNet-50; that the kernel is turned is shown above
def test_the_caffe_weights_predict_alike_in_a_network_that_normalises_red_first() -> None:
    path = shared_data("../weights/resnet50v1_imagenet_caffe.h5")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.float32)
    options = {"input_shape": (64, 64, 3), "weights": path, "include_top": False, "pooling": "avg", "stem": "imagenet"}

    ours = build(spec("resnet50v1"), preprocessing="weights", **options)  # type: ignore[arg-type]
    bare = build(spec("resnet50v1"), **options)  # type: ignore[arg-type]

    expected = bare(keras.applications.resnet.preprocess_input(pixels.copy()))
    np.testing.assert_allclose(ours(pixels), expected, rtol=1e-3, atol=1e-4)


def test_weights_that_do_not_say_it_cannot_normalise_as_they_were_trained(tmp_path: Path) -> None:
    save_weights(network(), tmp_path / "net.safetensors")

    with pytest.raises(UsageError, match="does not say what pixels it needs: give weights_preprocessing, one"):
        network(preprocessing="weights", weights=tmp_path / "net.safetensors")
    with pytest.raises(UsageError, match="weights_preprocessing says what pixels weights need"):
        network(weights_preprocessing="tf")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", " is not JSON"),
        ("[]", ": it must be an object; received a list"),
        ('{"mean": [1, 2, 3], "std": [1, 2]}', ": mean and std must be as many numbers"),
        ('{"mean": [1], "std": [0]}', r": std\[0\] must be a positive number; received 0"),
        ('{"mean": [NaN], "std": [1]}', r": mean\[0\] must be a finite number; received NaN"),
        ('{"mean": [1]}', ": it lacks 'std'"),
    ],
)
def test_metadata_that_cannot_be_read_are_refused(text: str, message: str, tmp_path: Path) -> None:
    save_file({"stem_conv/kernel": np.ones((1, 1, 1, 1), np.float32)}, tmp_path / "net.safetensors", {"pixels": text})

    with pytest.raises(ModelError, match=f"what its metadata say of the pixels it needs{message}"):
        pixels_of("resnet50", tmp_path / "net.safetensors")


def test_a_published_file_is_known_by_its_content_and_by_its_folder_in_the_hubs_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tagged = pretrained("resnet34", "timm/ra4_e3600_r224_in1k")
    assert tagged.preprocessing.std == (127.5,) * 3, "other than its names would say"
    path = tmp_path / "models--timm--resnet34.ra4_e3600_r224_in1k" / "snapshots" / "model.safetensors"
    path.parent.mkdir(parents=True)
    save_file({"conv1.weight": np.ones((1, 1, 1, 1), np.float32)}, path)
    shutil.copy(path, tmp_path / "anything.safetensors")

    assert pixels_of("resnet34", path).std == (127.5,) * 3  # type: ignore[union-attr]
    assert pixels_of("resnet34", tmp_path / "anything.safetensors").std == CONVENTIONS["imagenet"].std  # type: ignore[union-attr]

    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    monkeypatch.setattr(catalogue, "_catalogue", lambda: {"resnet34": {tagged.name: replace(tagged, digest=digest)}})
    assert pixels_of("resnet34", tmp_path / "anything.safetensors").std == (127.5,) * 3  # type: ignore[union-attr]
