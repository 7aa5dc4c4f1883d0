import runpy
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from keras_resnet.errors import StorageError, UsageError
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import spec
from keras_resnet.weights.files import read_tensors
from keras_resnet.weights.saving import save_weights
from tests.golden.cases import CASES, CLASSES, FILE

GOLDEN = load_file(FILE)
SCRIPTS = Path(__file__).parents[2] / "scripts"


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


def test_pytorch_loads_what_was_saved_strictly_and_gives_the_same_logits(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file as load_torch

    model = build(spec("resnet18"), 10, input_shape=(65, 65, 3), classifier_activation=None, seed=1)
    random = np.random.default_rng(1)
    model.set_weights([random.uniform(0.5, 1.5, w.shape) if w.ndim == 1 else w for w in model.get_weights()])
    x = random.normal(size=(2, 65, 65, 3)).astype("float32")

    save_weights(model, tmp_path / "net.safetensors", "torchvision")
    module = runpy.run_path(str(SCRIPTS / "torch_resnet.py"))["ResNet"]("basic", (2, 2, 2, 2), 10).eval()
    module.load_state_dict(load_torch(tmp_path / "net.safetensors"), strict=True)
    with torch.no_grad():
        logits = module(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy()

    np.testing.assert_allclose(model(x), logits, rtol=1e-4, atol=1e-4 * np.abs(logits).max())


def test_a_v1_network_is_not_saved_as_torchvisions_which_would_stride_elsewhere(tmp_path: Path) -> None:
    row = {"depths": (1, 1), "widths": (16, 32), "block": "bottleneck", "stem": "cifar", "stem_width": 8}
    model = build(ResNetSpec("one", strided_conv="1x1", **row), 2, input_shape=(8, 8, 3))

    with pytest.raises(UsageError, match="naming='huggingface' fits"):
        save_weights(model, tmp_path / "net.safetensors", "torchvision")
    save_weights(model, tmp_path / "net.safetensors", "huggingface")
    assert "classifier.1.weight" in load_file(tmp_path / "net.safetensors")


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
