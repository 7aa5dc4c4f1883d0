"""Signals during a `model.fit` that others call: they ask for a checkpoint, and end the process after it."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import keras

NAMES = ("SIGTERM", "SIGINT", "SIGHUP")


class StopRequests:
    """Hears SIGTERM, SIGHUP and Ctrl-C while a model is being fitted.

    The first only sets `requested`, so that a checkpoint can be written; a second Ctrl-C raises KeyboardInterrupt. Once
    `fit` has ended, by an error too, of which no callback is told, signals do what they did before. An inherited
    "ignore", as of `nohup`, stays.

    Args:
        model: That is being fitted.
    """

    def __init__(self, model: keras.Model) -> None:
        self.requested = False
        self._model = model
        self._before: dict[int, Any] = {}

    def open(self) -> None:
        """Begin to listen; in a thread other than the main one nothing is heard."""
        if threading.current_thread() is not threading.main_thread():
            return
        for name in NAMES:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._arrived)

    def close(self) -> None:
        """Let signals do what they did before."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._before.items():
                signal.signal(number, handler)
        self._before = {}

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        again = number == signal.SIGINT and self.requested
        if again or not self._is_fitting(frame):
            handler = self._before.get(number)
            self.close()
            if callable(handler):
                handler(number, frame)
            else:
                signal.raise_signal(number)
            return
        self.requested = True

    def _is_fitting(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if frame.f_code.co_name == "fit" and frame.f_locals.get("self") is self._model:
                return True
            frame = frame.f_back
        return False
