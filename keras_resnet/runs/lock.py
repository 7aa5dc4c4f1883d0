"""One process a run folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_resnet.atomic import storage_errors
from keras_resnet.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows; two trainings in one folder go unnoticed there
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder, which is made if it is not there; however the process ends, the system lets go of it.

    Raises:
        UsageError: Another process holds it.
        StorageError: The folder cannot be written.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                raise UsageError(
                    f"{folder} is being trained into by another process ({owner or 'unknown'}): wait until it is done, "
                    "stop it, or choose another folder by --out"
                ) from None
            except OSError:
                pass  # a file system without locks, as some networks have
        with storage_errors(folder):
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
