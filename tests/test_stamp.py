import zipfile
from pathlib import Path

import pytest

from keras_resnet.errors import ModelError
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.stamp import read_stamp, write_stamp

PREPROCESSING = Preprocessing(Fit((8, 8), 1), (10.0,), (20.0,), ("zero", "one\nline", "größer"))


def test_it_goes_behind_a_flatbuffer_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"TFL3 flatbuffer")

    write_stamp(path, PREPROCESSING)

    assert read_stamp(path) == PREPROCESSING
    assert path.read_bytes().startswith(b"TFL3 flatbuffer")
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode() == "zero\none line\ngrößer\n"


def test_it_joins_the_members_of_a_keras_file(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")

    write_stamp(path, PREPROCESSING)

    assert read_stamp(path) == PREPROCESSING
    with zipfile.ZipFile(path) as archive:
        assert archive.read("config.json") == b"{}"


def test_it_lies_beside_a_saved_model(tmp_path: Path) -> None:
    write_stamp(tmp_path, PREPROCESSING)

    assert read_stamp(tmp_path) == PREPROCESSING
    assert (tmp_path / "assets.extra" / "labels.txt").exists()


def test_equal_models_are_equal_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"model")
        write_stamp(tmp_path / name, PREPROCESSING)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_file_without_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"TFL3")

    for path in (tmp_path / "model.tflite", tmp_path, tmp_path / "missing"):
        with pytest.raises(ModelError, match="does not say how its input is prepared"):
            read_stamp(path)


def test_a_damaged_stamp_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"TFL3")
    write_stamp(tmp_path / "model.tflite", PREPROCESSING)
    whole = (tmp_path / "model.tflite").read_bytes()

    for position in range(4, len(whole)):
        torn = bytearray(whole)
        torn[position] ^= 0xFF
        (tmp_path / "torn.tflite").write_bytes(torn)
        try:
            found = read_stamp(tmp_path / "torn.tflite")
        except ModelError:
            continue
        assert found == PREPROCESSING, "a byte that says nothing"
