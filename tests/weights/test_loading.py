import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from keras_resnet.errors import MissingExtraError, ModelError, UsageError
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import spec
from keras_resnet.weights.loading import load_weights
from keras_resnet.weights.saving import save_weights
from tests.shared import shared_data

TINY = ResNetSpec("tiny", "bottleneck", (1, 1), (8, 16), stem="cifar", stem_width=8)
X = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")


def tiny(classes: int = 3, channels: int = 3, **options: Any) -> keras.Model:
    return build(TINY, classes, input_shape=(8, 8, channels), **options)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Random weights, statistics too, in torchvision's naming, and what a network with them makes of `X`."""
    model, path = tiny(), tmp_path_factory.mktemp("saved") / "tiny.safetensors"
    random = np.random.default_rng(1)
    model.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in model.get_weights()])
    save_weights(model, path, "torchvision")
    return path, np.asarray(model(X))


@pytest.fixture
def saved(original: tuple[Path, np.ndarray], tmp_path: Path) -> Path:
    """A file of these weights that may be changed."""
    return Path(shutil.copy(original[0], tmp_path))


@pytest.fixture
def expected(original: tuple[Path, np.ndarray]) -> np.ndarray:
    """What these weights make of `X`."""
    return original[1]


def rewrite(path: Path, **changes: np.ndarray | None) -> None:
    tensors = load_file(path)
    for name, tensor in changes.items():
        if tensor is None:
            del tensors[name]
        else:
            tensors[name] = tensor
    save_file(tensors, path)


@pytest.mark.parametrize("ending", [".safetensors", ".weights.h5"])
def test_weights_that_are_no_numbers_are_refused(ending: str, saved: Path, tmp_path: Path) -> None:
    path = tmp_path / f"broken{ending}"
    model = tiny(weights=saved)
    before = model.get_weights()
    kernel = model.get_layer("stem_conv").kernel
    kernel.assign(np.where(np.arange(3) == 1, np.nan, kernel.numpy().transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2))
    save_weights(model, path) if ending == ".safetensors" else model.save_weights(path)
    model.set_weights(before)

    with pytest.raises(ModelError, match=r"broken\S* holds numbers that are not finite, .* 'stem_conv/kernel'"):
        load_weights(model, path)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_names_are_recognised_under_the_wrappers_of_pytorch(prefix: str, saved: Path, expected: np.ndarray) -> None:
    tensors = {prefix + name: tensor for name, tensor in load_file(saved).items()}
    tensors[prefix + "bn1.num_batches_tracked"] = np.array(7)
    save_file(tensors, saved)

    np.testing.assert_array_equal(tiny(weights=saved)(X), expected)


@pytest.mark.parametrize("key", [None, "state_dict", "model"])
@pytest.mark.parametrize("ending", [".pth", ".th", ".bin"])
def test_pytorch_files_are_read_by_themselves_or_inside_a_checkpoint(
    ending: str, key: str | None, saved: Path, expected: np.ndarray, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    state = {name: torch.from_numpy(tensor) for name, tensor in load_file(saved).items()}
    torch.save(state if key is None else {key: state, "epoch": 3}, tmp_path / f"net{ending}")

    np.testing.assert_array_equal(tiny(weights=tmp_path / f"net{ending}")(X), expected)


def test_a_pytorch_file_cannot_run_code(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"weight": Trap()}, tmp_path / "trap.pth")

    with pytest.raises(ModelError, match=r"trap\.pth cannot be read as a PyTorch state dict"):
        tiny(weights=tmp_path / "trap.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", ["a list", "a whole model", "bfloat16"])
def test_a_pytorch_file_that_is_no_state_dict_is_refused(content: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    kinds = {
        "a list": [torch.zeros(2)],
        "a whole model": torch.nn.Linear(2, 2),
        "bfloat16": {"conv1.weight": torch.zeros(2, dtype=torch.bfloat16)},
    }
    torch.save(kinds[content], tmp_path / "odd.pth")

    with pytest.raises(ModelError, match=r"odd\.pth"):
        tiny(weights=tmp_path / "odd.pth")


def test_without_pytorch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    (tmp_path / "net.pth").write_bytes(b"")

    with pytest.raises(MissingExtraError, match=r"pip install 'keras-resnet-kit\[torch\]'"):
        tiny(weights=tmp_path / "net.pth")


def test_a_keras_file_gives_its_weights(saved: Path, tmp_path: Path) -> None:
    model = tiny(weights=saved)
    model.save(tmp_path / "net.keras")

    np.testing.assert_array_equal(tiny(weights=tmp_path / "net.keras")(X), model(X))


def test_a_damaged_keras_file_is_one_clear_error(tmp_path: Path) -> None:
    for name in ("net.keras", "net.h5", "net.weights.h5"):
        (tmp_path / name).write_bytes(b"not a model")
        with pytest.raises(ModelError, match=name):
            tiny(weights=tmp_path / name)


def test_a_dropout_in_one_of_the_two_models_is_no_mismatch(saved: Path, tmp_path: Path) -> None:
    save_weights(tiny(weights=saved, dropout=0.5), tmp_path / "dropout.safetensors")

    np.testing.assert_array_equal(tiny(weights=tmp_path / "dropout.safetensors")(X), tiny(weights=saved)(X))
    np.testing.assert_array_equal(
        tiny(weights=tmp_path / "dropout.safetensors", dropout=0.1)(X), tiny(weights=saved)(X)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv1.weight": None}, "stem_conv/kernel is missing"),
        ({"layer9.0.conv1.weight": np.zeros(2, "float32")}, "layer9.0.conv1.weight is not part of this model"),
        ({"bn1.weight": np.zeros(8, "float16")}, r"stem_bn/gamma is float16\[8\], expected float32\[8\]"),
        ({"bn1.weight": np.zeros(9, "float32")}, r"stem_bn/gamma is float32\[9\], expected float32\[8\]"),
        ({"layer1.0.conv2.bias": np.zeros(3, "float32")}, "stage1_block1_conv2/bias is not part"),
    ],
)
def test_one_tensor_that_does_not_match_keeps_all_from_loading(
    changes: dict[str, Any], message: str, saved: Path
) -> None:
    rewrite(saved, **changes)
    model = tiny(seed=3)
    before = model.get_weights()

    with pytest.raises(ModelError, match=message):
        load_weights(model, saved)
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_names_that_nobody_uses_are_refused_with_those_that_are_known(tmp_path: Path) -> None:
    save_file({"encoder.wte": np.zeros(2, "float32")}, tmp_path / "gpt.safetensors")

    with pytest.raises(ModelError, match=r"no naming recognises .*'encoder\.wte'; known are .*'torchvision', 'Hugging"):
        tiny(weights=tmp_path / "gpt.safetensors")


def test_a_head_of_another_size_is_refused_with_the_remedy_and_reset_on_request(
    saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ModelError, match=r"Only the classifier differs: head='reset'"):
        tiny(classes=5, weights=saved)

    with caplog.at_level(logging.INFO, "keras_resnet"):
        model = tiny(classes=5, weights=saved, head="reset", seed=4)

    assert "the classifier of the file is left out (head_dense/bias, head_dense/kernel)" in caplog.text
    np.testing.assert_array_equal(model.get_layer("head_dense").kernel, tiny(5, seed=4).get_layer("head_dense").kernel)
    np.testing.assert_array_equal(
        model.get_layer("stage2_block1_conv2").kernel, tiny(weights=saved).get_layer("stage2_block1_conv2").kernel
    )


def test_only_the_head_is_excused_by_reset(saved: Path) -> None:
    rewrite(saved, **{"bn1.weight": None})

    with pytest.raises(ModelError, match="stem_bn/gamma is missing"):
        tiny(classes=5, weights=saved, head="reset")


def test_a_network_without_a_head_takes_the_rest(saved: Path) -> None:
    features = tiny(include_top=False, weights=saved)

    np.testing.assert_array_equal(features(X), keras.Model(*_until(tiny(weights=saved), "stage2_block1_out"))(X))


def _until(model: keras.Model, layer: str) -> tuple[Any, Any]:
    return model.input, model.get_layer(layer).output


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_rgb_weights_fit_other_channels_by_timms_rule(
    channels: int, saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ModelError, match=r"Only the input channels differ: adapt_input=True"):
        tiny(channels=channels, weights=saved)

    with caplog.at_level(logging.INFO, "keras_resnet"):
        model = tiny(channels=channels, weights=saved, adapt_input=True)

    rgb = load_file(saved)["conv1.weight"]  # out, in, height, width
    expected = (
        rgb.sum(1, keepdims=True)
        if channels == 1
        else np.concatenate([rgb] * 3, axis=1)[:, :channels] * np.float32(3 / channels)
    )
    np.testing.assert_allclose(model.get_layer("stem_conv").kernel, expected.transpose(2, 3, 1, 0), rtol=1e-6)
    assert f"adapted from 3 to {channels} input channels" in caplog.text


def test_a_grey_picture_through_adapted_weights_is_the_grey_picture_through_rgb_weights(saved: Path) -> None:
    grey = X[..., :1]

    np.testing.assert_allclose(
        tiny(channels=1, weights=saved, adapt_input=True)(grey), tiny(weights=saved)(np.repeat(grey, 3, -1)), rtol=1e-4
    )


def test_weights_that_are_not_rgb_are_not_adapted(tmp_path: Path) -> None:
    save_weights(tiny(channels=5), tmp_path / "five.safetensors")

    with pytest.raises(ModelError, match="adapt_input starts from RGB weights; stem_conv/kernel in .* has 5 channels"):
        tiny(weights=tmp_path / "five.safetensors", adapt_input=True)


def test_kerass_own_weights_file_loads_whole_or_not_at_all(saved: Path, tmp_path: Path) -> None:
    tiny(weights=saved).save_weights(tmp_path / "net.weights.h5")
    np.testing.assert_array_equal(tiny(weights=tmp_path / "net.weights.h5")(X), tiny(weights=saved)(X))
    other = tiny(classes=4, seed=1)
    before = other.get_weights()

    with pytest.raises(ModelError, match=r"net\.weights\.h5 does not fit tiny"):
        load_weights(other, tmp_path / "net.weights.h5")
    for one, two in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    with pytest.raises(UsageError, match="holds no layer names"):
        load_weights(other, tmp_path / "net.weights.h5", head="reset")


def test_biases_that_a_normalisation_takes_away_again_move_into_its_mean(
    saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = tiny(weights=saved)(X)
    bias = np.random.default_rng(2).normal(size=4).astype("float32")
    tensors = load_file(saved)
    shifted = tensors["layer2.0.bn2.running_mean"] + bias
    rewrite(saved, **{"layer2.0.conv2.bias": bias, "layer2.0.bn2.running_mean": shifted})

    with caplog.at_level(logging.INFO, "keras_resnet"):
        found = tiny(weights=saved)(X)

    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert "1 biases of convolutions became part of the moving means" in caplog.text


def test_the_reference_of_mlperf_tiny_gives_the_logits_that_keras_gives() -> None:
    path = shared_data("mlperf-tiny/pretrainedResnet.h5")
    raw = shared_data("mlperf-tiny/cifar10_raw_half.npz")
    images = np.load(raw)["x"].astype("float32")
    reference = keras.models.load_model(path, compile=False)
    logits_of = keras.Model(reference.input, reference.layers[-1].input)
    dense = reference.layers[-1]

    model = build(spec("resnet8"), 10, weights=path, classifier_activation=None)
    logits = model.predict(images, verbose=0)

    expected = logits_of.predict(images, verbose=0) @ dense.kernel.numpy() + dense.bias.numpy()
    assert np.abs(logits - expected).max() < 1e-4 * np.abs(expected).max()
    assert (logits.argmax(1) == reference.predict(images, verbose=0).argmax(1)).all()
    assert (logits.argmax(1) == np.load(raw)["y"]).mean() > 0.8


@pytest.mark.parametrize(
    ("file", "network"), [("resnet20-12fca82f.th", "resnet20"), ("resnet32-d509ac18.th", "resnet32")]
)
def test_akamasters_files_load_by_their_path(file: str, network: str) -> None:
    pytest.importorskip("torch")
    path = shared_data(f"../weights/{file}")

    model = build(spec(network), 10, weights=path)

    assert float(keras.ops.std(model.get_layer("stage3_block2_bn2").gamma)) > 0.01
    with pytest.raises(ModelError, match="is missing"):
        build(spec("resnet44"), 10, weights=path)


def test_a_pytorch_file_of_parameters_is_read_as_one_of_tensors(saved: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    state = {name: torch.from_numpy(tensor) for name, tensor in load_file(saved).items()}
    torch.save({name: torch.nn.Parameter(tensor) for name, tensor in state.items()}, tmp_path / "net.pth")

    np.testing.assert_array_equal(tiny(weights=tmp_path / "net.pth")(X), tiny(weights=saved)(X))


@pytest.mark.parametrize(
    ("held", "wanted"), [("projection", "avgpool_projection"), ("avgpool_projection", "projection")]
)
def test_weights_of_resnet_c_and_d_are_not_taken_for_each_other(held: Any, wanted: Any, tmp_path: Path) -> None:
    row: dict[str, Any] = {"block": "basic", "depths": (1, 1), "widths": (8, 16), "stem": "deep", "stem_width": 8}
    options: dict[str, Any] = {"num_classes": 2, "input_shape": (32, 32, 3)}
    save_weights(
        build(ResNetSpec("held", shortcut=held, **row), **options), tmp_path / "net.safetensors", "torchvision"
    )

    build(ResNetSpec("same", shortcut=held, **row), **options, weights=tmp_path / "net.safetensors")
    with pytest.raises(ModelError, match="does not fit, nothing was loaded: .*downsample"):
        build(ResNetSpec("other", shortcut=wanted, **row), **options, weights=tmp_path / "net.safetensors")


def test_weights_named_as_torchvisions_for_a_v1_network_are_loaded_with_a_warning(
    saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build(replace(TINY, strided_conv="1x1"), 3, input_shape=(8, 8, 3), weights=saved)
    assert "stride in their 3×3 convolutions; tiny strides in the 1×1" in caplog.text

    caplog.clear()
    tiny(weights=saved)
    assert not caplog.text


def test_a_small_input_with_weights_of_the_large_stem_gets_the_right_remedy(tmp_path: Path) -> None:
    row = ResNetSpec("auto", "basic", (1,), (8,), stem_width=8)
    save_weights(build(row, 2, input_shape=(96, 96, 3)), tmp_path / "net.safetensors", "torchvision")

    with pytest.raises(ModelError, match=r"--image-size 65 or more.*keep the 7×7 at \(32, 32\)"):
        build(row, 2, input_shape=(32, 32, 3), weights=tmp_path / "net.safetensors")
    build(row, 2, input_shape=(32, 32, 3), stem="imagenet", weights=tmp_path / "net.safetensors")
    build(row, 2, input_shape=(65, 65, 3), weights=tmp_path / "net.safetensors")


def test_kerass_own_weights_file_of_a_deeper_network_is_refused(tmp_path: Path) -> None:
    deeper = replace(TINY, depths=(1, 2))
    build(deeper, 3, input_shape=(8, 8, 3)).save_weights(tmp_path / "deeper.weights.h5")

    message = r"nothing was loaded: it holds \d+ arrays, the model \d+.*by model\.save\('net\.keras'\)"
    with pytest.raises(ModelError, match=message):
        tiny(weights=tmp_path / "deeper.weights.h5")


def test_an_h5_without_keras_structure_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        file["x"] = [1, 2]

    with pytest.raises(ModelError, match=r"odd\.h5 cannot be read as weights that Keras 2 wrote"):
        tiny(weights=tmp_path / "odd.h5")


def test_kerass_own_weights_file_reads_no_other_file(tmp_path: Path) -> None:
    tiny().save_weights(tmp_path / "net.weights.h5")
    with h5py.File(tmp_path / "net.weights.h5", "r+") as file:
        del file["layers/dense/vars/1"]
        file.create_dataset("layers/dense/vars/1", (3,), "f4", external=[(__file__, 0, 12)])

    with pytest.raises(ModelError, match="the numbers of /layers/dense/vars/1 are in another file"):
        tiny(weights=tmp_path / "net.weights.h5")
