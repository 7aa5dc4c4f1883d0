"""SIGTERM, SIGHUP and the first Ctrl-C stop a training with a checkpoint; the second Ctrl-C ends it at once.

Python runs its signal handlers only when the main thread is back in Python, and a step of TensorFlow may take a
minute. So a thread listens as well: to the bytes that Python writes the moment a signal arrives.
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

SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGHUP")
    if hasattr(signal, name)  # Windows lacks the last
)
"""A terminal that is closed sends SIGHUP."""
AT_ONCE = 130
"""The exit code after the second Ctrl-C; shells use it for Ctrl-C."""
PAUSE = 0.5
"""Seconds after which another Ctrl-C counts as the second: `timeout` and other launchers send one signal twice."""


class Interruption:
    """A context in which SIGTERM and SIGHUP raise StoppedError. In a thread other than the main one it does nothing.

    Within `deferred`, all signals only set `requested`, so that a checkpoint can be written first. A Ctrl-C after
    that ends the process. In an interactive session, whose other work would be lost, it raises KeyboardInterrupt.
    Where SIGHUP is ignored, as under `nohup`, it stays so.

    Args:
        say: Shows a message; called from another thread, as soon as a signal arrives.
        advice: How to continue, for the message of the error.
        close: Restores the terminal; called before the process ends.
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
        self._asked: float | None = None  # when the first signal arrived
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._arrived) for one in SIGNALS if not _stays_ignored(one)}
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """In the block, signals only set `requested`."""
        self._listening = bool(self._before) and not _is_interactive()
        self._deferring = True
        try:
            with listening(self._heard) if self._listening else contextlib.nullcontext():
                yield
        finally:
            self._deferring = False

    def _arrived(self, number: int, _: FrameType | None) -> None:
        """Called in the main thread, once it is back in Python."""
        if not self._deferring:
            raise KeyboardInterrupt if number == signal.SIGINT else StoppedError(f"stopped: {self._advice}")
        if not self._listening:
            if number == signal.SIGINT and self.requested:
                raise KeyboardInterrupt
            with contextlib.suppress(RuntimeError):  # the signal arrived while another message was being written
                self._tell()
        self.requested = True

    def _heard(self, number: int) -> None:
        """Called in the listening thread, at once."""
        now = time.monotonic()
        if number == signal.SIGINT and self._asked is not None and now - self._asked > PAUSE:
            try:
                self._say(f"stopped at once; {self._advice}")
                self._close()
            finally:
                os._exit(AT_ONCE)
        if number in SIGNALS:
            self._asked = self._asked or now
            with contextlib.suppress(Exception, SystemExit):  # Rich raises SystemExit if the output's pipe is broken
                self._tell()

    def _tell(self) -> None:
        self._say("stopping after this step, with a checkpoint; another Ctrl-C stops at once")


@contextlib.contextmanager
def listening(heard: Callable[[int], None]) -> Iterator[None]:
    """In the block, call a function with the number of every signal that arrives and has a handler.

    To be used in the main thread only.

    Args:
        heard: Called in another thread.
    """
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
"""The descriptors that Python writes signals to for this module."""


@cache
def _leave_children_out() -> None:
    """Keep a child that is forked while its parent listens from reporting its own signals to the parent."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_hear_nothing)


def _hear_nothing() -> None:
    if _mouths and (theirs := signal.set_wakeup_fd(-1)) not in _mouths:
        signal.set_wakeup_fd(theirs)


def _stays_ignored(one: signal.Signals) -> bool:
    # A shell also lets what it starts in the background ignore SIGINT, but there nobody asked for that.
    return one != signal.SIGINT and signal.getsignal(one) == signal.SIG_IGN


def _is_interactive() -> bool:
    """Whether the process goes on to a prompt, as in a notebook or with `python -i`."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive)
