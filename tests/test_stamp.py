import hashlib
import zipfile
from pathlib import Path

import pytest

from keras_resnet.errors import ModelError
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.stamp import check_digests, read_stamp, write_stamp

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


def test_every_part_has_a_digest_that_sha256sum_checks(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    (tmp_path / "m.tflite").write_bytes(b"TFL3 flatbuffer")
    (tmp_path / "saved" / "variables").mkdir(parents=True)
    (tmp_path / "saved" / "variables" / "data").write_bytes(b"numbers")
    for name in ("m.keras", "m.tflite", "saved"):
        write_stamp(tmp_path / name, PREPROCESSING)
        check_digests(tmp_path / name)

    sums = (tmp_path / "saved" / "assets.extra" / "SHA256SUMS").read_text()
    assert f"{hashlib.sha256(b'numbers').hexdigest()}  variables/data\n" in sums
    assert "SHA256SUMS" not in sums
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert f"{hashlib.sha256(b'{}').hexdigest()}  config.json\n" in archive.read("SHA256SUMS").decode()
    with zipfile.ZipFile(tmp_path / "m.tflite") as archive:
        sums = archive.read("SHA256SUMS").decode()
    assert f"{hashlib.sha256(b'TFL3 flatbuffer').hexdigest()}  model.flatbuffer\n" in sums


def test_another_bit_in_any_part_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "saved"
    (path / "variables").mkdir(parents=True)
    (path / "variables" / "data").write_bytes(b"numbers")
    write_stamp(path, PREPROCESSING)
    for name in ("variables/data", "assets.extra/labels.txt", "assets.extra/preprocessing.json"):
        whole = (path / name).read_bytes()
        (path / name).write_bytes(whole[:-1] + b"~")
        with pytest.raises(ModelError, match=f"saved is damaged: {name} is not what was written"):
            check_digests(path)
        (path / name).unlink()
        with pytest.raises(ModelError, match=f"saved is damaged: {name} is not what was written"):
            check_digests(path)
        (path / name).write_bytes(whole)
    check_digests(path)


def test_files_without_digests_are_taken(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        archive.writestr("preprocessing.json", PREPROCESSING.to_json())
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "preprocessing.json").write_text(PREPROCESSING.to_json())
    (tmp_path / "bare.tflite").write_bytes(b"TFL3")

    for path in (tmp_path / "old.keras", tmp_path / "bare.tflite", tmp_path):
        check_digests(path)
    assert read_stamp(tmp_path / "old.keras") == read_stamp(tmp_path) == PREPROCESSING


def test_a_stamp_that_inflates_is_refused_before_it_does(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.tflite", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("preprocessing.json", b" " * (1 << 25))

    with pytest.raises(ModelError, match=r"bomb\.tflite: its preprocessing\.json would inflate to 33,554,432 bytes"):
        read_stamp(tmp_path / "bomb.tflite")
