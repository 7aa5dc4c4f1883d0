import os
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_resnet.errors import ModelError
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.weights.files import assign, read_tensors, read_weights, variables_by_path
from keras_resnet.weights.loading import load_weights


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
