"""Write files whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from filelock import lock_descriptor

from keras_resnet.errors import KerasResNetError, StorageError, UsageError
from keras_resnet.regular_files import RefusedFileError, open_regular
from keras_resnet.shortage import system_reason
from keras_resnet.visible import visible_json

TEMPORARY = ".unfinished-"
"""How the names of temporary folders begin."""
LOCK = ".lock"
"""In each of them: held while it is in use."""
REPLACED = ".replaced"
"""In some: holds what is about to be replaced."""


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
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return "no file can have this path"
    if isinstance(error, OSError) and not (error.strerror is None and system_reason(str(error))):
        return error.strerror or error
    return system_reason(str(error))  # TensorFlow and h5py have errors of their own for a full disk


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let a function write a temporary file beside `path`, then put it in place in one step.

    Args:
        path: The file to write.
        write: Called with the path of the temporary file, which is not there yet.

    Raises:
        StorageError: The disk is full or the folder cannot be written; an old file stays as it was.
    """
    with storage_errors(path), temporary_folder(path.parent) as folder:
        temporary = folder / path.name
        write(temporary)
        _sync(temporary)
        os.chmod(temporary, 0o666 & ~current_umask())
        os.replace(temporary, path)
        _sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    # surrogateescape: file names that are not valid Unicode keep their bytes
    write_with(path, lambda temporary: temporary.write_bytes(text.encode("utf-8", "surrogateescape")))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json_text(value) + "\n")


def json_text(value: Any) -> str:
    """A value as `write_json` writes it."""
    return visible_json(json.dumps(value, indent=2, ensure_ascii=False))


def write_folder_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let a function fill a temporary folder beside `path`, then put it in place of an old one.

    Args:
        path: The folder to write.
        write: Called with the path of the temporary folder.

    Raises:
        StorageError: As `write_with`.
    """
    with storage_errors(path), temporary_folder(path.parent) as folder:
        temporary = folder / path.name
        temporary.mkdir()
        write(temporary)
        for written in [path for path in temporary.rglob("*") if path.is_file()]:
            _sync(written)
        os.chmod(temporary, 0o777 & ~current_umask())
        _sync(temporary)
        put_in_place(temporary, path)


def put_in_place(new: Path, path: Path) -> None:
    """Move a file or folder to a path where an old one may be, on the same disk.

    An old folder is moved away first and removed at the end. If the new one cannot be moved, the old one comes back.

    Args:
        new: The file or folder to move.
        path: Where it goes.
    """
    if path.is_dir():
        with temporary_folder(path.parent) as aside:
            old = aside / REPLACED / path.name
            old.parent.mkdir()
            os.replace(path, old)
            try:
                os.replace(new, path)
            except BaseException:
                os.replace(old, path)
                raise
    else:
        os.replace(new, path)
    _sync(path.parent)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A folder for what is being written, on the disk where it shall be, and removed at the end.

    Those that killed processes have left in the same place are removed first.

    Args:
        parent: Where to make it; made if it is missing.

    Raises:
        OSError: It cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(parent)
    folder, lock = _made(parent)
    try:
        yield folder
    finally:
        _remove(folder, lock)


def remove_leftovers(parent: Path) -> None:
    """Remove the temporary folders that killed processes have left; those in use stay.

    Args:
        parent: Where they are; it need not exist.
    """
    for folder in parent.glob(f"{TEMPORARY}*") if parent.is_dir() else ():
        with suppress(OSError):  # another process has removed it meanwhile, or it is another user's
            lock = open_regular(folder / LOCK, "a+b", follow=False)
            if not _is_free(lock):
                lock.close()
                continue
            for old in (folder / REPLACED).glob("*"):  # the kill came between the two moves of `put_in_place`
                if not os.path.lexists(parent / old.name):
                    os.replace(old, parent / old.name)
            _remove(folder, lock)


def _made(parent: Path) -> tuple[Path, BinaryIO]:
    """A new temporary folder, and the file in it that is locked while it is in use.

    The system releases a lock when its process ends, however it ends.
    """
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=TEMPORARY))
        try:
            lock = open_regular(folder / LOCK, "a+b", follow=False)
        except FileNotFoundError:  # another process took the empty folder for a leftover
            continue
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with suppress(OSError):  # some network file systems have no locks; there nothing is removed
            lock_descriptor(lock.fileno(), blocking=True)
        if (folder / LOCK).exists():  # likewise
            return folder, lock
        lock.close()


def _is_free(lock: BinaryIO) -> bool:
    try:
        return bool(lock_descriptor(lock.fileno(), blocking=False))
    except OSError:
        return False


def _remove(folder: Path, lock: BinaryIO) -> None:
    if os.name == "nt":  # where no open file can be removed
        lock.close()
    shutil.rmtree(folder, ignore_errors=True)
    lock.close()


def _sync(path: Path) -> None:
    """Make sure that a file or folder is on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders, and keeps their entries by itself
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # it syncs only what may be written
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def current_umask() -> int:
    """The permissions that this process removes from new files."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
