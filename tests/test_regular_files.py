import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from keras_resnet.regular_files import (
    RefusedFileError,
    check_archive,
    check_folder,
    check_regular,
    open_regular,
    read_bytes,
    read_member,
)


def named_pipe(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # paths of sockets are short
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


IRREGULAR: dict[str, Callable[[Path], None]] = {
    "a named pipe": named_pipe,
    "a socket": unix_socket,
    "a device": endless,
    "a folder": folder,
}


@pytest.mark.parametrize("kind", IRREGULAR)
@pytest.mark.parametrize("read", [check_regular, open_regular, read_bytes, check_archive])
def test_what_is_no_regular_file_is_refused_at_once(read: Callable[[Path], object], kind: str, tmp_path: Path) -> None:
    IRREGULAR[kind](tmp_path / "it")

    with pytest.raises(RefusedFileError) as caught:
        read(tmp_path / "it")

    assert caught.value.strerror == f"it is {kind}, not a regular file"
    assert caught.value.filename == str(tmp_path / "it")


@pytest.mark.parametrize("kind", ["a named pipe", "a socket", "a device"])
def test_a_folder_that_holds_one_anywhere_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"")
    check_folder(tmp_path)
    IRREGULAR[kind](tmp_path / "variables" / "index")

    with pytest.raises(RefusedFileError, match=f"it is {kind}"):
        check_folder(tmp_path)


def test_a_folder_with_a_link_to_another_folder_is_refused_since_it_may_lead_anywhere(tmp_path: Path) -> None:
    (tmp_path / "root").symlink_to("/")

    with pytest.raises(RefusedFileError, match="symbolic link to a folder"):
        check_folder(tmp_path)


def test_links_to_files_are_read_and_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"years of work")
    (tmp_path / "link").symlink_to("precious")

    assert read_bytes(tmp_path / "link") == b"years of work"
    for mode in ("r+b", "a+b"):
        with pytest.raises(RefusedFileError, match="symbolic link"):
            open_regular(tmp_path / "link", mode, follow=False)
    (tmp_path / "precious").unlink()
    with pytest.raises(RefusedFileError, match="symbolic link"):
        open_regular(tmp_path / "link", "a+b", follow=False)
    assert not (tmp_path / "precious").exists(), "a link to nothing would have been filled"


def test_files_are_made_and_appended_to(tmp_path: Path) -> None:
    for text in (b"one", b"two"):
        with open_regular(tmp_path / "log", "a+b", follow=False) as file:
            file.write(text)

    assert read_bytes(tmp_path / "log") == b"onetwo"
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "nothing")


def test_no_more_is_read_than_a_file_may_have(tmp_path: Path) -> None:
    (tmp_path / "five").write_bytes(b"12345")

    assert read_bytes(tmp_path / "five", 5) == b"12345"
    with pytest.raises(RefusedFileError, match="it has more than the 4 bytes"):
        read_bytes(tmp_path / "five", 4)
    with pytest.raises(RefusedFileError, match="it has more than the 10 bytes"):
        read_bytes("/proc/self/status", 10)  # which says that it has none


def zipped(path: Path, name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, content)
    return path


def test_a_part_of_an_archive_is_refused_by_the_size_that_it_declares(tmp_path: Path) -> None:
    bomb = zipped(tmp_path / "model.keras", "config.json", bytes(2**26 + 1))
    assert bomb.stat().st_size < 10**5

    for read in (lambda: read_member(bomb, "config.json", 100), lambda: check_archive(bomb)):
        with pytest.raises(RefusedFileError, match=r"config\.json would inflate to 67,108,865 bytes"):
            read()


def test_an_archive_that_declares_less_than_it_holds_is_damaged(tmp_path: Path) -> None:
    path = zipped(tmp_path / "model.keras", "config.json", bytes(10**7))
    honest = path.read_bytes()
    path.write_bytes(honest.replace((10**7).to_bytes(4, "little"), (10).to_bytes(4, "little")))

    check_archive(path)
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        read_member(path, "config.json", 100)


def test_weights_that_inflate_without_measure_are_refused_and_such_as_models_have_are_not(tmp_path: Path) -> None:
    check_archive(zipped(tmp_path / "good.keras", "model.weights.h5", os.urandom(10**6)))
    with pytest.raises(RefusedFileError, match=r"model\.weights\.h5 would inflate to 134,217,728 bytes"):
        check_archive(zipped(tmp_path / "zeros.keras", "model.weights.h5", bytes(2**27)))
    with pytest.raises(RefusedFileError, match="packed by another method"):
        check_archive(zipped(tmp_path / "lzma.keras", "config.json", b"{}", zipfile.ZIP_LZMA))
