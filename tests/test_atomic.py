import errno
from pathlib import Path

import pytest

from keras_resnet.atomic import put_in_place, write_folder_with, write_json, write_text, write_with
from keras_resnet.errors import StorageError


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "b.json", {"ü": [1, 2]})

    assert (tmp_path / "a" / "b.json").read_text(encoding="utf-8") == '{\n  "ü": [\n    1,\n    2\n  ]\n}\n'
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]


def test_a_full_disk_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    write_text(path, "old")

    def half(temporary: Path) -> None:
        temporary.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match=r"cannot write .*last.safetensors: No space left.*is kept"):
        write_with(path, half)

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_text(path, "old")

    def interrupted(temporary: Path) -> None:
        temporary.write_text("n")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_with(path, interrupted)

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match=r"cannot write"):
        write_text(tmp_path / "file" / "x.json", "")


def test_a_folder_replaces_the_old_one_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "saved_model"
    write_folder_with(path, lambda folder: (folder / "one").write_text("1"))

    def broken(folder: Path) -> None:
        (folder / "two").write_text("2")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError):
        write_folder_with(path, broken)
    assert [file.name for file in path.iterdir()] == ["one"]

    write_folder_with(path, lambda folder: (folder / "two").write_text("2"))
    assert [file.name for file in path.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [path]


def test_an_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path: Path) -> None:
    path = tmp_path / "saved_model"
    write_folder_with(path, lambda folder: (folder / "one").write_text("1"))

    with pytest.raises(FileNotFoundError):
        put_in_place(tmp_path / "never written", path)

    assert [file.name for file in path.iterdir()] == ["one"]
    assert list(tmp_path.iterdir()) == [path]
