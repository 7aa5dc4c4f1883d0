"""Python functions inside tf.data that let the interpreter end.

`tf.data` reads ahead in threads of its own. Such a thread that waits for Python's lock when the interpreter is
being taken down never gets it, and the iterator that is destroyed then waits for the thread for ever: a script that
keeps an iterator and comes to its end would hang. So from then on calls return at once, with nothing, which nobody
will look at, and the end waits until the buffers are full of that and nobody calls any more.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import numpy as np
import tensorflow as tf

QUIET = 0.05
"""Seconds without a call after which the buffers are taken to be full."""
LONGEST = 10.0
"""Seconds that the end of the interpreter is held up at most."""


def call_python(function: Callable[..., np.ndarray], arguments: list[tf.Tensor]) -> tf.Tensor:
    """uint8 results of a pure function of arrays, by `tf.numpy_function`."""

    def counted(*arrays: np.ndarray) -> np.ndarray:
        nothing = np.empty(0, np.uint8)  # an error would be logged
        with _calls.one() as wanted:
            try:
                return function(*arrays) if wanted else nothing
            except RuntimeError as error:
                if "cannot schedule new futures" not in str(error):  # pools close before `atexit` is reached
                    raise
                return nothing

    return tf.numpy_function(counted, arguments, tf.uint8, stateful=False)


@dataclass
class _Calls:
    started: int = 0
    running: int = 0
    ending: bool = False

    def __post_init__(self) -> None:
        self._lock = Lock()

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Around a call; whether its result is still wanted."""
        with self._lock:
            self.started += 1
            self.running += 1
        try:
            yield not self.ending
        finally:
            with self._lock:
                self.running -= 1

    def end(self) -> None:
        self.ending = True
        latest = time.monotonic() + LONGEST
        while self.started and time.monotonic() < latest:
            before = self.started
            time.sleep(QUIET)
            if not self.running and self.started == before:
                return


_calls = _Calls()
atexit.register(_calls.end)
