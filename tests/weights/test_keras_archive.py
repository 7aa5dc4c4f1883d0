import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from keras_resnet.errors import ModelError
from keras_resnet.weights.keras_archive import load_archive

Members = dict[str, bytes]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """A small `.keras` file, unzipped."""
    path = tmp_path_factory.mktemp("archive") / "net.keras"
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(2, name="head")(inputs)).save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(members: Members, path: Path, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def with_config(members: Members, change: Callable[[dict[str, Any]], object]) -> Members:
    config = json.loads(members["config.json"])
    change(config)
    return members | {"config.json": json.dumps(config).encode()}


def with_external_weights(content: bytes) -> bytes:
    stream = io.BytesIO(content)
    with h5py.File(stream, "r+") as file:
        name = "layers/dense/vars/0"
        del file[name]
        file.create_dataset(name, (4, 2), "f4", external=[(__file__, 0, 32)])
    return stream.getvalue()


def test_a_whole_file_is_read(members: Members, tmp_path: Path) -> None:
    model = load_archive(written(members, tmp_path / "net.keras", zipfile.ZIP_DEFLATED))

    assert model.get_layer("head").kernel.shape == (4, 2)


HOSTILE: dict[str, tuple[Callable[[Members], Members], str]] = {
    "weights outside": (
        lambda m: m | {"model.weights.h5": with_external_weights(m["model.weights.h5"])},
        r"model\.weights\.h5 is refused: the numbers of /layers/dense/vars/0 are in another file",
    ),
    "a path upwards": (lambda m: m | {"../evil": b""}, r"'\.\./evil' leads out of it"),
    "an absolute path": (lambda m: m | {"/tmp/evil": b""}, "'/tmp/evil' leads out of it"),
    "no configuration": (lambda m: {k: v for k, v in m.items() if k != "config.json"}, r"config\.json is missing"),
    "no weights": (lambda m: {k: v for k, v in m.items() if k[-1] != "5"}, r"model\.weights\.h5 is missing"),
    "JSON that is cut": (lambda m: m | {"config.json": m["config.json"][:-9]}, r"config\.json in it is no JSON"),
    "JSON too deep": (lambda m: m | {"config.json": b"[" * 100_000 + b"]" * 100_000}, r"config\.json in it is no JSON"),
    "a list": (lambda m: m | {"config.json": b"[]"}, r"config\.json in it is list, expected an object"),
    "a wide layer": (
        lambda m: with_config(m, lambda c: c["config"]["layers"][1]["config"].update(units=10**10)),
        "layers of up to 10,000,000,000 channels are too wide",
    ),
    "no layers": (lambda m: with_config(m, lambda c: c["config"].pop("layers")), "cannot be read as a Keras model"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_keras_never_writes_is_one_error(kind: str, members: Members, tmp_path: Path) -> None:
    make, message = HOSTILE[kind]

    with pytest.raises(ModelError, match=rf"net\.keras.*{message}"):
        load_archive(written(make(members), tmp_path / "net.keras"))


@pytest.mark.parametrize("name", ["model.weights.h5", "config.json", "other"])
def test_an_archive_that_inflates_is_refused_before_it_does(name: str, members: Members, tmp_path: Path) -> None:
    bomb = members | {name: bytes(70 << 20)}

    with pytest.raises(ModelError, match=rf"{name} would inflate to 73,400,320 bytes"):
        load_archive(written(bomb, tmp_path / "net.keras", zipfile.ZIP_DEFLATED))


def test_a_member_that_is_there_twice_is_refused(members: Members, tmp_path: Path) -> None:
    written(members, tmp_path / "net.keras")
    with (
        zipfile.ZipFile(tmp_path / "net.keras", "a") as archive,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        archive.writestr("config.json", "{}")

    with pytest.raises(ModelError, match="has a member twice"):
        load_archive(tmp_path / "net.keras")


def test_no_code_of_a_file_is_run(members: Members, tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    sprung = tmp_path / "sprung"
    place = str(sprung)  # Keras stores what a closure holds, if it is text
    trap = keras.layers.Lambda(lambda x: (open(place, "w").close(), x)[1])
    keras.Model(inputs, keras.layers.Dense(2)(trap(inputs))).save(tmp_path / "lambda.keras")
    sprung.unlink()  # Keras has called it to build the model

    with pytest.raises(ModelError, match=r"lambda\.keras cannot be read as a Keras model: .*[Ll]ambda"):
        load_archive(tmp_path / "lambda.keras")

    def become_a_call(config: dict[str, Any]) -> None:
        config["config"]["layers"][1] |= {
            "module": "pathlib", "class_name": "Path.touch", "registered_name": None, "config": {"self": str(sprung)},
        }  # fmt: skip

    with pytest.raises(ModelError, match=r"call\.keras cannot be read as a Keras model"):
        load_archive(written(with_config(members, become_a_call), tmp_path / "call.keras"))
    assert not sprung.exists()


def test_a_file_that_is_no_archive_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_bytes(b"no archive")

    for name in ("net.keras", "missing.keras"):
        with pytest.raises(ModelError, match=rf"{name} cannot be read as a Keras model"):
            load_archive(tmp_path / name)


def test_numbers_of_another_shape_are_one_error(members: Members, tmp_path: Path) -> None:
    stream = io.BytesIO(members["model.weights.h5"])
    with h5py.File(stream, "r+") as file:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = np.zeros((5, 2), np.float32)

    with pytest.raises(ModelError, match=r"net\.keras cannot be read as a Keras model"):
        load_archive(written(members | {"model.weights.h5": stream.getvalue()}, tmp_path / "net.keras"))
