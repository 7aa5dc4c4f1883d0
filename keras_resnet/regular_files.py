"""Open files that others may have put there: only regular ones, and no more of them than expected.

Reading a named pipe waits for ever, `/dev/zero` never ends, and writing through a symbolic link changes a file that
lies elsewhere. All of that is refused at once.
"""

from __future__ import annotations

import errno
import os
import stat
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

PathLike = str | os.PathLike[str]

KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
MODES = {"rb": os.O_RDONLY, "r+b": os.O_RDWR, "a+b": os.O_RDWR | os.O_CREAT | os.O_APPEND}

MOST_TEXT = 64 * 2**20
"""Bytes of a text inside a model file. The description of ResNet-1202 has 4 MB."""
MOST_INFLATION = 20
"""How many times its packed size another part of a model file may have. Weights hardly shrink at all."""


class RefusedFileError(OSError):
    """A file that is not opened or not read. Its `strerror` says why, as those of the system's errors do."""

    def __init__(self, path: PathLike, reason: str) -> None:
        super().__init__(errno.EINVAL, reason, os.fspath(path))

    def __str__(self) -> str:
        return str(self.strerror)


def check_regular(path: PathLike) -> None:
    """Refuse what is no regular file, before a library opens it. Symbolic links are followed.

    Raises:
        RefusedFileError: It is a pipe, a socket, a device or a folder, or no path at all.
        OSError: It is missing or cannot be looked at.
    """
    try:
        status = os.stat(path)
    except ValueError:  # a NUL in it
        raise RefusedFileError(path, "no file can have this path") from None
    _require_regular(status, path)


def check_folder(path: PathLike) -> None:
    """Refuse a folder that holds anything but regular files and folders of such, before a library reads it.

    Raises:
        RefusedFileError: It holds a pipe, a socket, a device, or a link to a folder, which may lead anywhere.
        OSError: Something in it cannot be looked at, such as a link to nothing.
    """
    for folder, inner, files in os.walk(path):
        for name in inner:
            if os.path.islink(os.path.join(folder, name)):
                raise RefusedFileError(os.path.join(folder, name), "it is a symbolic link to a folder")
        for name in files:
            check_regular(os.path.join(folder, name))


def refuse_link(path: PathLike) -> None:
    """Refuse a symbolic link, to a file, a folder or nothing, before something is written through it.

    Raises:
        RefusedFileError: It is one.
    """
    if os.path.islink(path):
        raise RefusedFileError(path, "it is a symbolic link, which is not followed: remove it")


def open_regular(path: PathLike, mode: str = "rb", *, follow: bool = True) -> BinaryIO:
    """Open a regular file.

    Args:
        path: Of the file.
        mode: `rb`; `r+b` reads and writes; `a+b` makes the file if it is missing, and appends.
        follow: Whether the file may be a symbolic link to another one.

    Raises:
        RefusedFileError: It is a pipe, a socket, a device or a folder, or a link that is not to be followed.
        OSError: The system's own reasons.
    """
    flags = MODES[mode] | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    if not follow:
        flags |= getattr(os, "O_NOFOLLOW", 0)
        refuse_link(path)  # for the message, and for systems without the flag
    with suppress(FileNotFoundError):
        check_regular(path)  # opening a device may already do something
    descriptor = os.open(path, flags, 0o666)
    try:
        _require_regular(os.fstat(descriptor), path)  # it may have been exchanged meanwhile
        return cast(BinaryIO, os.fdopen(descriptor, mode))
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: PathLike, most: int | None = None) -> bytes:
    """The content of a regular file.

    Args:
        path: Of the file; a symbolic link is followed.
        most: How many bytes it may have; None: any number.

    Raises:
        RefusedFileError: It is no regular file, or larger.
        OSError: The system's own reasons.
    """
    with open_regular(path) as file:
        if most is None:
            return file.read()
        size = os.fstat(file.fileno()).st_size
        content = b"" if size > most else file.read(most + 1)
        if max(size, len(content)) > most:
            raise RefusedFileError(path, f"it has more than the {most:,} bytes that such a file may have")
        return content


def read_member(path: PathLike, name: str, most: int) -> bytes:
    """The content of a file inside a zip archive.

    Args:
        path: Of the archive.
        name: Of the file inside.
        most: How many bytes it may have.

    Raises:
        RefusedFileError: The archive is no regular file, or the file inside is larger.
        KeyError: There is no such file inside.
        OSError: The system's own reasons.
        zipfile.BadZipFile: It is no zip archive, or is damaged; so are EOFError, zlib.error, RuntimeError, ValueError.
    """
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        part = archive.getinfo(name)
        _require_small(part, most, path)
        with archive.open(part) as inside:
            return inside.read(most)  # inflates no more, whatever size the archive declares


def check_archive(path: PathLike) -> None:
    """Refuse a zip archive that would fill the memory, by the sizes that it declares, before a library inflates it.

    Python's `zipfile`, by which Keras reads, ends each part at its declared size.

    Raises:
        RefusedFileError: It is no regular file, or a part of it is too large.
        OSError: The system's own reasons.
        zipfile.BadZipFile: It is no zip archive; so is ValueError.
    """
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        for part in archive.infolist():
            text = Path(part.filename).suffix in (".json", ".txt")
            _require_small(part, MOST_TEXT if text else MOST_INFLATION * part.compress_size, path)


def _require_small(part: zipfile.ZipInfo, most: int, path: PathLike) -> None:
    if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others inflate without bounds
        raise RefusedFileError(path, f"its {part.filename} is packed by another method than models are")
    if part.file_size > most:
        raise RefusedFileError(
            path, f"its {part.filename} would inflate to {part.file_size:,} bytes; expected at most {most:,}"
        )


def _require_regular(status: os.stat_result, path: PathLike) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = KINDS.get(stat.S_IFMT(status.st_mode), "of an unknown kind")
        raise RefusedFileError(path, f"it is {kind}, not a regular file")
