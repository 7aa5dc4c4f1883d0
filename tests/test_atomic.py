import errno
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from keras_resnet import atomic
from keras_resnet.atomic import (
    REPLACED,
    TEMPORARY,
    put_in_place,
    storage_errors,
    temporary_folder,
    write_folder_with,
    write_json,
    write_text,
    write_with,
)
from keras_resnet.errors import StorageError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


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


def test_a_full_disk_in_the_words_of_other_libraries_names_the_file_that_was_to_be(tmp_path: Path) -> None:
    path = tmp_path / "saved_model"

    def by_tensorflow(folder: Path) -> None:
        (folder / "variables").mkdir()
        raise tf.errors.ResourceExhaustedError(None, None, f"{folder}/variables; No space left on device [Op:SaveV2]")

    def inside(folder: Path) -> None:
        write_folder_with(folder / "unverified", by_tensorflow)

    with pytest.raises(StorageError) as caught:
        write_folder_with(path, inside)

    assert str(caught.value) == f"cannot write {path}: No space left on device; what was there before is kept"
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_matter_of_the_disk_stays_what_it_is(tmp_path: Path) -> None:
    lack = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    def without_memory(_: Path) -> None:
        raise lack

    with pytest.raises(tf.errors.ResourceExhaustedError):
        write_with(tmp_path / "x", without_memory)
    with pytest.raises(StorageError, match="^out of memory$"), storage_errors(tmp_path):
        raise StorageError("out of memory") from lack


@pytest.mark.skipif(resource is None, reason="this system limits no file's size")
def test_a_file_larger_than_allowed_leaves_nothing(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*x\.json: File too large"):
            write_text(tmp_path / "x.json", "x" * 1001)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert list(tmp_path.iterdir()) == []


def killed_in(parent: Path) -> str:
    """The temporary folder of a process that was killed while it wrote there."""
    child = os.fork()
    if child == 0:
        with temporary_folder(parent) as folder:
            (folder / "half").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    return next(path.name for path in parent.iterdir() if path.name.startswith(TEMPORARY))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_what_a_killed_process_left_is_removed_by_the_next_that_writes_there(tmp_path: Path) -> None:
    left = killed_in(tmp_path)
    (tmp_path / ".vscode").mkdir()
    assert (tmp_path / left / "half").exists()

    write_text(tmp_path / "another.json", "{}")

    assert sorted(path.name for path in tmp_path.iterdir()) == [".vscode", "another.json"]


def test_what_another_is_writing_stays(tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as others:
        (others / "half").write_text("half")
        with temporary_folder(tmp_path) as mine:
            write_text(tmp_path / "x.json", "{}")
            assert mine.exists()
        assert (others / "half").read_text() == "half"

    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_folder_that_was_killed_before_it_was_locked_is_removed(tmp_path: Path) -> None:
    (tmp_path / f"{TEMPORARY}ab12_xyz").mkdir()

    write_text(tmp_path / "x.json", "{}")

    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_new_folder_that_another_process_removes_at_once_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    make = tempfile.mkdtemp

    def made_and_removed(**options: Any) -> str:
        made.append(Path(make(**options)))
        if len(made) == 1:
            made[0].rmdir()
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", made_and_removed)

    with temporary_folder(tmp_path) as folder:
        assert folder == made[1]
        assert folder.is_dir()


def test_where_there_are_no_locks_nothing_of_others_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(atomic, "lock_descriptor", none)
    (tmp_path / f"{TEMPORARY}ab12_xyz").mkdir()

    write_text(tmp_path / "x.json", "{}")

    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{TEMPORARY}ab12_xyz", "x.json"]


def test_an_old_folder_comes_back_after_a_kill_between_the_two_moves(tmp_path: Path) -> None:
    write_folder_with(tmp_path / "saved_model", lambda folder: (folder / "one").write_text("1"))
    aside = tmp_path / f"{TEMPORARY}ab12_xyz" / REPLACED
    aside.mkdir(parents=True)
    (tmp_path / "saved_model").rename(aside / "saved_model")

    write_text(tmp_path / "x.json", "{}")

    assert (tmp_path / "saved_model" / "one").read_text() == "1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved_model", "x.json"]


def test_the_longest_name_that_the_system_takes_can_be_written(tmp_path: Path) -> None:
    name = "x" * 250 + ".json"

    write_text(tmp_path / name, "{}")

    assert (tmp_path / name).read_text() == "{}"


def test_files_have_the_permissions_that_the_user_gives_to_new_ones(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "")
        write_folder_with(tmp_path / "folder", lambda folder: (folder / "file").write_text(""))
    finally:
        os.umask(before)

    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750
