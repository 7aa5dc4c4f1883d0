from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from keras_resnet.errors import StorageError, UsageError
from keras_resnet.models.lookup import spec
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.weights.files import read_tensors
from keras_resnet.weights.saving import save_weights
from tests.golden.cases import CASES, CLASSES, FILE

GOLDEN = load_file(FILE)


@pytest.mark.parametrize(
    ("case", "naming"),
    [
        ("bottleneck", "torchvision"),
        ("resnet_d", "torchvision"),
        ("se", "torchvision"),
        ("eca", "torchvision"),
        ("rs", "torchvision"),
        ("resnext", "torchvision"),
        ("hugging_face_v1", "huggingface"),
        ("cifar_projection", "akamaster"),
    ],
)
def test_a_saved_file_holds_what_pytorchs_network_held(case: str, naming: str, tmp_path: Path) -> None:
    held = {key.removeprefix(f"{case}/"): tensor for key, tensor in GOLDEN.items() if key.startswith(f"{case}/")}
    held = {name: tensor.astype("float32") for name, tensor in held.items()}
    from safetensors.numpy import save_file

    save_file(held, tmp_path / "in.safetensors")
    model = build(
        ResNetSpec("net", **CASES[case].row),
        CLASSES,
        input_shape=(40, 40, 3),
        weights=tmp_path / "in.safetensors",
        dropout=0.5,
        stochastic_depth=0.5,
    )

    save_weights(model, tmp_path / "out.safetensors", naming)

    found = load_file(tmp_path / "out.safetensors")
    assert found.keys() == held.keys()
    for name, tensor in held.items():
        np.testing.assert_array_equal(found[name], tensor)
    assert read_tensors(tmp_path / "out.safetensors")[1]["format"] == "pt"


def test_pytorch_loads_what_was_saved_strictly(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file as load_torch

    save_weights(build(spec("resnet20"), 10), tmp_path / "net.safetensors", "torchvision")
    state = load_torch(tmp_path / "net.safetensors")

    norm = torch.nn.BatchNorm2d(16)
    norm.load_state_dict({"weight": state["bn1.weight"], **{
        name: state[f"bn1.{name}"] for name in ("bias", "running_mean", "running_var")
    }})  # fmt: skip
    assert state["conv1.weight"].shape == (16, 3, 3, 3)
    assert state["fc.weight"].shape == (10, 64)


def test_our_own_naming_comes_back(tmp_path: Path) -> None:
    model = build(spec("resnet8"), 10, seed=1)
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")

    save_weights(model, tmp_path / "net.safetensors")

    np.testing.assert_array_equal(build(spec("resnet8"), 10, weights=tmp_path / "net.safetensors")(x), model(x))


def test_what_cannot_be_saved_is_said(tmp_path: Path) -> None:
    model = build(ResNetSpec("net", "basic", (1,), (8,), attention="se"), 2, input_shape=(8, 8, 3))

    with pytest.raises(UsageError, match="Hugging Face transformers's naming has no word for 'stage1_block1_se_reduce"):
        save_weights(model, tmp_path / "net.safetensors", "huggingface")
    with pytest.raises(UsageError, match="naming must be one of"):
        save_weights(model, tmp_path / "net.safetensors", "caffe")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"must end in \.safetensors"):
        save_weights(model, tmp_path / "net.pth")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        save_weights(model, tmp_path / "file" / "net.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
