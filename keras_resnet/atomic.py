"""Files that are there whole or not at all, whatever happens while they are written."""

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

from keras_resnet.errors import StorageError


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what a disk may answer into one clear line."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}; what was there before is kept") from error


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place in one step.

    Raises:
        StorageError: The disk is full or the folder cannot be written; the old file is unharmed.
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
    """A text file, UTF-8, atomically."""
    # surrogateescape: file names that are no valid Unicode go out as they came in
    write_with(path, lambda temporary: temporary.write_bytes(text.encode("utf-8", "surrogateescape")))


def write_json(path: Path, value: Any) -> None:
    """A JSON file, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_folder_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary folder beside `path`, then put it in the place of an old one.

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
    """Move a file or folder to where an old one may be; both lie on the same disk.

    An old folder is moved aside and removed last; if the new one cannot follow, it comes back.
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
    """Remove what killed processes left half written in a folder that is this process's alone.

    Args:
        folder: It need not be there.
        stems: Regular expressions of the names, without endings, of files and folders that are written there.
    """
    # As `tempfile` names what is asked for above: a point, a stem, eight letters and digits, an ending.
    leftover = re.compile(rf"\.({'|'.join(stems)})-[a-z0-9_]{{8}}(\.\w+)?")
    for path in folder.glob(".*") if folder.is_dir() else ():
        if leftover.fullmatch(path.name):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Bring a file or folder onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def current_umask() -> int:
    """What this process takes away from new files' permissions."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
