"""SIGTERM and the first Ctrl-C ask a training to stop where it can go on from; the second Ctrl-C ends it at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from keras_resnet.errors import StoppedError

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """A context in which SIGTERM raises StoppedError. In a thread that is not the main one it does nothing.

    Within `deferred`, both signals only set `requested`, for a checkpoint to be written first.

    Args:
        say: Told at once that the wish has arrived.
        advice: How to go on, for the error.
    """

    def __init__(
        self,
        say: Callable[[str], None] = lambda _: None,
        advice: str = "the same command, without --overwrite, goes on from the last checkpoint, if there is one",
    ) -> None:
        self.requested = False
        self._say, self._advice = say, advice
        self._deferring = False
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
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def _arrived(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and (self.requested or not self._deferring):
            raise KeyboardInterrupt
        if not self._deferring:
            raise StoppedError(f"stopped: {self._advice}")
        self.requested = True
        with contextlib.suppress(RuntimeError):  # the signal came in the middle of another line
            self._say("stopping after this step, with a checkpoint; Ctrl-C once more stops at once")
