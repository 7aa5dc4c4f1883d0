"""Standard output and standard error, which may be closed, full, or a pipe that nobody reads any more.

A terminal is closed, `head` has seen enough, a disk is full: none of that may end a training. So what cannot be written
is lost, and the first reason is kept for whoever wants to know.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Iterator
from typing import Any, TextIO


class LossyStream(io.TextIOBase):
    """A stream that loses what cannot be written. It goes on trying: a disk may have room again.

    Args:
        stream: Where to; None, as Python has it for a stream that was closed before it started, loses everything.

    Attributes:
        lost: Why something could not be written, the first time; None: all was.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        with self._losing():
            self._open().write(text)
        return len(text)

    def flush(self) -> None:
        if self.stream is not None:  # nothing was lost unless something was written
            with self._losing():
                self.stream.flush()

    def fileno(self) -> int:
        return self._open().fileno()

    def isatty(self) -> bool:
        return self.stream is not None and not self.stream.closed and self.stream.isatty()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self.stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return getattr(self.stream, "errors", None)

    def __getattr__(self, name: str) -> Any:  # what else a library may ask of such a stream
        return getattr(self.stream, name)

    def let_go(self) -> None:
        """Drop what waits to be written if it cannot be; else Python tries again as it ends, and exits with 120."""
        self.flush()
        if self.lost is None:
            return
        with contextlib.suppress(OSError, ValueError):  # no descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(nowhere, self.fileno())
            finally:
                os.close(nowhere)
            self.flush()

    def _open(self) -> TextIO:
        if self.stream is None or self.stream.closed:
            raise OSError(errno.EBADF, "it is closed")
        return self.stream

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.lost = self.lost or error


def fill_closed_descriptors() -> None:
    """Point those of standard input, output and error that are closed to nowhere.

    Otherwise the next file that is opened becomes one of them, and what native code reports is written into it.
    """
    descriptor = 0
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
