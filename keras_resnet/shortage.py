"""What an error says has run out: memory or disk. Libraries have no error of their own for either.

TensorFlow raises `ResourceExhaustedError` for both, and for too many open files. oneDNN's lack of memory is an
`AbortedError`, XLA's a `RuntimeError`, and h5py's full disk sometimes a `RuntimeError` too. So the words decide, where
the kind of the error does not.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import Literal

from keras_resnet.errors import KerasResNetError, StorageError

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
"""The disk, the user's share of it, or the largest file that is allowed."""
REFUSED = (
    *FULL,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EIO,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.EMFILE,
    errno.ENFILE,
)
"""Why a system does not write a file. It may have been removed with its folder meanwhile."""
MEMORY = re.compile(
    r"exception:\s*Status: 1,"  # oneDNN's out_of_memory, as TensorFlow reports it
    r"|could not (create a memory object|create a primitive\b(?! desc)|execute a primitive)"
    r"|OOM when allocating|out of memory|OUT_OF_MEMORY|ALLOC_FAILED|std::bad_alloc|bad allocation"
    r"|Cannot allocate memory|MemoryError"
    r"|[Ff]ailed to allocate (memory|request|\d|buffer|temporary)",
)


def shortage(error: BaseException) -> Literal["memory", "disk"] | None:
    """What has run out, by an error of any library; None: nothing, as far as the error says.

    Args:
        error: Any; those of this package say in their own words what they are, and give None.
    """
    if isinstance(error, KerasResNetError) or not isinstance(error, Exception):
        return None
    if isinstance(error, OSError) and error.errno is not None:
        return "memory" if error.errno == errno.ENOMEM else "disk" if error.errno in FULL else None
    if isinstance(error, MemoryError):
        return "memory"
    text = str(error)
    reason = system_reason(text)
    if reason:
        return "disk" if reason in map(os.strerror, FULL) else None
    tensorflow = sys.modules.get("tensorflow")  # without it there is no such error
    exhausted = tensorflow is not None and isinstance(error, tensorflow.errors.ResourceExhaustedError)
    return "memory" if exhausted or "RESOURCE_EXHAUSTED" in text or MEMORY.search(text) else None


def refuse_shortage(error: BaseException, task: str) -> None:
    """Raise a StorageError if memory or disk has run out, before a file is called damaged for it.

    Args:
        error: That a library raised.
        task: What could not be done: `read x.keras`.

    Raises:
        StorageError: Memory, or a disk, does not suffice.
    """
    short = shortage(error)
    if short == "memory":
        raise StorageError(f"the memory does not suffice to {task}") from error
    if short == "disk":
        reason = str(error).strip().splitlines()[0]
        raise StorageError(f"a disk is full: {reason}. It does not suffice to {task}") from error


def system_reason(text: str) -> str | None:
    """The system's own words in a library's message of a file that cannot be written: `No space left on device`.

    Args:
        text: The message.
    """
    return next((words for words in map(os.strerror, REFUSED) if words in text), None)
