import json
import os
import struct
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_resnet.errors import ModelError
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.weights.files import assign, read_tensors, read_weights, tensor_digest, variables_by_path
from keras_resnet.weights.loading import load_weights
from keras_resnet.weights.saving import save_weights


@pytest.fixture
def model() -> keras.Model:
    return build(ResNetSpec("tiny", "basic", (1,), (4,), stem_width=4), 3, input_shape=(4, 4, 1), dropout=0.5, seed=1)


def tensors_of(model: keras.Model) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in variables_by_path(model).items()}


def test_variables_go_by_layer_and_name_and_include_random_state(model: keras.Model) -> None:
    names = list(variables_by_path(model))

    assert "stage1_block1_conv1/kernel" in names
    assert "stem_bn/moving_variance" in names
    assert "head_dropout/seed_generator_state" in names


def test_those_of_a_subclassed_model_itself_are_named_and_a_layer_that_is_reached_twice_once() -> None:
    class Scaled(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="scaled")
            self.dense = keras.layers.Dense(2, name="dense")
            self.inside = keras.Sequential([self.dense], name="inside")
            self.scale = self.add_weight(shape=(), name="scale")

        def call(self, x: object) -> object:
            return self.inside(x) * self.scale

    model = Scaled()
    model(np.zeros((1, 3), "float32"))

    assert [name.split("/")[-1] for name in variables_by_path(model)] == ["kernel", "bias", "scale"]


def test_a_model_built_twice_in_a_process_has_the_same_names_twice() -> None:
    spec = ResNetSpec("tiny", "basic", (1,), (4,), stem_width=4)

    first, second = (list(variables_by_path(build(spec, 3, input_shape=(4, 4, 1), dropout=0.5))) for _ in range(2))

    assert first == second


def test_every_mismatch_is_listed_and_nothing_is_loaded(model: keras.Model, tmp_path: Path) -> None:
    before = tensors_of(model)
    wrong = {name: value + 1 for name, value in before.items()}
    wrong["head_dense/kernel"] = np.zeros((4, 7), np.float32)
    wrong["stem_bn/gamma"] = np.ones(4, np.float64)
    wrong["unknown/kernel"] = wrong.pop("stem_bn/beta")
    save_file(wrong, tmp_path / "wrong.safetensors")

    with pytest.raises(ModelError) as caught:
        load_weights(model, tmp_path / "wrong.safetensors")

    for part in (
        "head_dense/kernel is float32[4, 7], expected float32[4, 3]",
        "stem_bn/gamma is float64[4], expected float32[4]",
        "stem_bn/beta is missing",
        "unknown/kernel is not part of this model",
    ):
        assert part in str(caught.value)
    for name, value in tensors_of(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_no_more_than_ten_mismatches_are_listed(model: keras.Model) -> None:
    with pytest.raises(ModelError, match="; and 8 more") as caught:
        assign(variables_by_path(model), {}, "nothing")

    assert str(caught.value).count("is missing") == 10


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\xff" * 64])
def test_a_damaged_file_is_one_clear_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)

    with pytest.raises(ModelError, match=r"damaged\.safetensors cannot be read"):
        read_tensors(path)


@pytest.mark.parametrize("name", ["missing.safetensors", "missing.weights.h5"])
def test_a_missing_file_is_named(model: keras.Model, name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=name):
        load_weights(model, tmp_path / name)


def test_a_file_of_another_kind_is_refused(model: keras.Model, tmp_path: Path) -> None:
    (tmp_path / "weights.pkl").write_bytes(b"")

    with pytest.raises(ModelError, match="read from '.safetensors', '.pth'"):
        load_weights(model, tmp_path / "weights.pkl")


def test_a_misspelt_name_of_weights_is_answered_with_the_names(model: keras.Model) -> None:
    with pytest.raises(ModelError, match="no weights file imagnet; weights that have a name are 'imagenet'"):
        load_weights(model, "imagnet")


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")

    for read in (read_weights, read_tensors):
        with pytest.raises(ModelError, match=r"pipe\.safetensors.*: it is a named pipe, not a regular file"):
            read(tmp_path / "pipe.safetensors")


def tensor(dtype: str, count: int, size: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": [count], "data_offsets": [0, size]}


LYING = {
    "a header longer than the file": (b"{}", 1 << 62, "header too large"),
    "a header that ends inside": (b"{}      ", 3, "cannot be read as safetensors"),
    "overlapping offsets": (
        json.dumps({"a": tensor("F32", 2, 8), "b": {**tensor("F32", 2, 8), "data_offsets": [4, 12]}}).encode(),
        None,
        "invalid offset",
    ),
    "bfloat16": (json.dumps({"a": tensor("BF16", 6, 12)}).encode(), None, "NumPy lacks a type.*'a is BF16'"),
    "float8": (json.dumps({"a": tensor("F8_E4M3", 12, 12)}).encode(), None, "NumPy lacks a type.*'a is F8_E4M3'"),
    "more numbers than NumPy counts": (
        json.dumps({"a": {"dtype": "F32", "shape": [0, 1 << 62], "data_offsets": [0, 0]}}).encode(),
        None,
        "cannot be read as safetensors",
    ),
    "a hundred thousand levels": (b"[" * 100_000, None, "cannot be read as safetensors"),
}


@pytest.mark.parametrize("kind", LYING)
def test_a_safetensors_file_whose_header_lies_is_one_error(kind: str, tmp_path: Path) -> None:
    header, length, message = LYING[kind]
    data = b"" if b'"shape": [0' in header else bytes(12)
    content = struct.pack("<Q", len(header) if length is None else length) + header + data
    (tmp_path / "odd.safetensors").write_bytes(content)

    with pytest.raises(ModelError, match=rf"odd\.safetensors.*{message}"):
        read_tensors(tmp_path / "odd.safetensors")


def test_one_flipped_bit_of_saved_weights_is_noticed(model: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_weights(model, path)
    content = path.read_bytes()
    length = 8 + struct.unpack_from("<Q", content)[0]
    load_weights(model, path)

    for place in (length, (length + len(content)) // 2, len(content) - 1):
        torn = bytearray(content)
        torn[place] ^= 1
        path.write_bytes(torn)
        with pytest.raises(ModelError, match=r"net\.safetensors is damaged"):
            load_weights(model, path)


def test_saved_weights_are_the_same_file_each_time_and_need_no_digest(model: keras.Model, tmp_path: Path) -> None:
    save_weights(model, tmp_path / "one.safetensors")
    save_weights(model, tmp_path / "two.safetensors")
    tensors, metadata = read_tensors(tmp_path / "one.safetensors")
    save_file(tensors, tmp_path / "bare.safetensors")

    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    assert metadata["sha256"] == tensor_digest(tensors)
    assert tensor_digest(tensors) != tensor_digest(tensors | {"stem_bn/beta": tensors["stem_bn/beta"] + 1})
    assert read_tensors(tmp_path / "bare.safetensors")[1] == {}


ODD_IN_TORCH = {
    "sparse": "is sparse", "meta": "is on the device meta", "quantised": "is torch.qint8",
    "float8": "is torch.float8_e5m2", "bfloat16": "is torch.bfloat16", "complex": "is torch.complex64",
    "repeated": "is of 1,099,511,627,776 numbers", "nothing": "is a NoneType", "a text": "is a str",
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD_IN_TORCH)
def test_a_pytorch_tensor_that_numpy_cannot_hold_is_named(kind: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    weight = torch.ones(4, 4)
    odd = {
        "sparse": weight.to_sparse,
        "meta": lambda: weight.to("meta"),
        "quantised": lambda: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8),
        "float8": lambda: weight.to(torch.float8_e5m2),
        "bfloat16": weight.bfloat16,
        "complex": lambda: weight.to(torch.complex64),
        "repeated": lambda: torch.ones(1).expand(1 << 20, 1 << 20),
        "nothing": lambda: None,
        "a text": lambda: "x",
    }
    torch.save({"fine": weight, "odd": odd[kind]()}, tmp_path / "net.pth")

    with pytest.raises(
        ModelError, match=rf"net\.pth does not hold a state dict of plain tensors.*'odd {ODD_IN_TORCH[kind]}"
    ):
        read_weights(tmp_path / "net.pth")


def test_a_pytorch_file_that_inflates_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"weight": torch.zeros(100_000)}, tmp_path / "net.pth")
    with (
        zipfile.ZipFile(tmp_path / "net.pth") as whole,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in whole.namelist():
            bomb.writestr(name, whole.read(name))

    with pytest.raises(ModelError, match=r"bomb\.pth cannot be read as a PyTorch state dict: it inflates from"):
        read_weights(tmp_path / "bomb.pth")
