"""SIGTERM and the first Ctrl-C ask a training to stop where it can go on from; the second Ctrl-C ends it at once.

Python's own handlers run when the main thread is back in Python, and a step of TensorFlow may take a minute. So a
thread listens too, to the bytes that Python writes the moment a signal arrives.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from types import FrameType
from typing import Any

from keras_resnet.errors import StoppedError

SIGNALS = (signal.SIGTERM, signal.SIGINT)
AT_ONCE = 130
"""The exit code after the second Ctrl-C, as shells have it."""
PAUSE = 0.5
"""Seconds before a Ctrl-C is a second one: `timeout` and other launchers send one wish twice."""


class Interruption:
    """A context in which SIGTERM raises StoppedError. In a thread that is not the main one it does nothing.

    Within `deferred`, both signals only set `requested`, for a checkpoint to be written first, and a Ctrl-C after
    that ends the process; in an interactive session, whose other work would be lost, it raises KeyboardInterrupt.

    Args:
        say: Told at once that the wish has arrived; called from another thread.
        advice: How to go on, for the error.
        close: Called before the process ends, to leave the terminal as it was.
    """

    def __init__(
        self,
        say: Callable[[str], None] = lambda _: None,
        advice: str = "the same command, without --overwrite, goes on from the last checkpoint, if there is one",
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.requested = False
        self._say, self._advice, self._close = say, advice, close
        self._deferring = self._listening = False
        self._asked: float | None = None  # when
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._arrived) for one in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a wish to stop waits until somebody asks for `requested`."""
        self._listening = bool(self._before) and not _is_interactive()
        self._deferring = True
        try:
            with listening(self._heard) if self._listening else contextlib.nullcontext():
                yield
        finally:
            self._deferring = False

    def _arrived(self, number: int, _: FrameType | None) -> None:
        """In the main thread, once it is back in Python."""
        if not self._deferring:
            raise KeyboardInterrupt if number == signal.SIGINT else StoppedError(f"stopped: {self._advice}")
        if not self._listening:
            if number == signal.SIGINT and self.requested:
                raise KeyboardInterrupt
            with contextlib.suppress(RuntimeError):  # the signal came in the middle of another line
                self._tell()
        self.requested = True

    def _heard(self, number: int) -> None:
        """In a thread of its own, at once."""
        now = time.monotonic()
        if number == signal.SIGINT and self._asked is not None and now - self._asked > PAUSE:
            try:
                self._say(f"stopped at once; {self._advice}")
                self._close()
            finally:
                os._exit(AT_ONCE)
        if number in SIGNALS:
            self._asked = self._asked or now
            with contextlib.suppress(Exception, SystemExit):  # Rich ends a thread whose pipe is broken
                self._tell()

    def _tell(self) -> None:
        self._say("stopping after this step, with a checkpoint; Ctrl-C once more stops at once")


@contextlib.contextmanager
def listening(heard: Callable[[int], None]) -> Iterator[None]:
    """Call a function, in another thread, with the number of every signal that has a handler. Main thread only."""
    ear, mouth = socket.socketpair()
    mouth.setblocking(False)

    def listen() -> None:
        while numbers := ear.recv(16):
            for number in numbers:
                heard(number)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    _leave_children_out()
    _mouths.add(mouth.fileno())
    before = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        _mouths.discard(mouth.fileno())
        mouth.close()
        thread.join()
        ear.close()


_mouths: set[int] = set()
"""Descriptors that signals are written to here."""


@cache
def _leave_children_out() -> None:
    """Let no child that is forked while its parent listens write signals of its own into the parent's ear."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_hear_nothing)


def _hear_nothing() -> None:
    if _mouths and (theirs := signal.set_wakeup_fd(-1)) not in _mouths:
        signal.set_wakeup_fd(theirs)


def _is_interactive() -> bool:
    """Whether there is a prompt that the process goes on to, as in a notebook, or `python -i`."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive)
