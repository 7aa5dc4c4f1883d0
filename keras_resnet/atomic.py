"""Write files whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_resnet.errors import KerasResNetError, StorageError, UsageError
from keras_resnet.regular_files import RefusedFileError
from keras_resnet.shortage import system_reason
from keras_resnet.visible import visible_json


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors in the block into a `StorageError` with one clear line, whichever library raises them.

    Args:
        path: What is being written, for the message.

    Raises:
        StorageError: The system would not write.
        UsageError: Where a file is to be written there is a pipe, a device or a symbolic link.
    """
    try:
        yield
    except RefusedFileError as error:
        raise UsageError(f"cannot write {error.filename}: {error.strerror}") from None
    except Exception as error:
        # Of blocks in blocks, the outer one names the file: those inside write it under temporary names.
        cause = error.__cause__ if isinstance(error, StorageError) and error.__cause__ else error
        reason = _reason(cause)
        if reason is None:
            raise
        raise StorageError(f"cannot write {path}: {reason}; what was there before is kept") from cause


def _reason(error: BaseException) -> object:
    """Why the system did not write, by an error of any library; None: that is not what it says."""
    if isinstance(error, KerasResNetError):
        return None
    if isinstance(error, OSError) and not (error.strerror is None and system_reason(str(error))):
        return error.strerror or error
    return system_reason(str(error))  # TensorFlow and h5py have errors of their own for a full disk


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let a function write a temporary file beside `path`, then put it in place in one step.

    Args:
        path: The file to write.
        write: Called with the path of the temporary file.

    Raises:
        StorageError: The disk is full or the folder cannot be written; an old file stays as it was.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            _sync(temporary)
            os.chmod(temporary, 0o666 & ~current_umask())
            os.replace(temporary, path)
            _sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    # surrogateescape: file names that are not valid Unicode keep their bytes
    write_with(path, lambda temporary: temporary.write_bytes(text.encode("utf-8", "surrogateescape")))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, visible_json(json.dumps(value, indent=2, ensure_ascii=False)) + "\n")


def write_folder_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let a function fill a temporary folder beside `path`, then put it in place of an old one.

    Args:
        path: The folder to write.
        write: Called with the path of the temporary folder.

    Raises:
        StorageError: As `write_with`.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
        try:
            write(temporary)
            for written in [path for path in temporary.rglob("*") if path.is_file()]:
                _sync(written)
            os.chmod(temporary, 0o777 & ~current_umask())
            _sync(temporary)
            put_in_place(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def put_in_place(new: Path, path: Path) -> None:
    """Move a file or folder to a path where an old one may be, on the same disk.

    An old folder is moved away first and removed at the end. If the new one cannot be moved, the old one comes back.

    Args:
        new: The file or folder to move.
        path: Where it goes.
    """
    if path.is_dir():
        aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-old-"))
        old = aside / path.name
        os.replace(path, old)
        try:
            os.replace(new, path)
        except BaseException:
            os.replace(old, path)
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    else:
        os.replace(new, path)
    _sync(path.parent)


def remove_leftovers(folder: Path, stems: Iterable[str]) -> None:
    """Remove temporary files and folders that killed processes left in a folder that no other process uses.

    Args:
        folder: The folder; it need not exist.
        stems: Regular expressions of the names, without endings, of the files and folders that are written there.
    """
    # Named by `tempfile` for the functions above: a dot, the stem, eight letters and digits, and the ending.
    leftover = re.compile(rf"\.({'|'.join(stems)})-[a-z0-9_]{{8}}(\.\w+)?")
    for path in folder.glob(".*") if folder.is_dir() else ():
        if leftover.fullmatch(path.name):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Make sure that a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def current_umask() -> int:
    """The permissions that this process removes from new files."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
