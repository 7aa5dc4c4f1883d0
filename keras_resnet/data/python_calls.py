"""Call Python functions from tf.data in a way that lets the interpreter end.

`tf.data` reads ahead in threads of its own. When the interpreter shuts down, such a thread may wait for Python's lock
and never get it, while the iterator, which is being destroyed, waits for the thread: a script that keeps an iterator
would hang at its end. So, once the interpreter is ending, calls return an empty array at once, which nobody uses, and
the shutdown waits until the buffers are full of these and no more calls come.
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
"""After so many seconds without a call the buffers are taken to be full."""
LONGEST = 10.0
"""For how many seconds the interpreter's end is delayed at most."""


def call_python(function: Callable[..., np.ndarray], arguments: list[tf.Tensor]) -> tf.Tensor:
    """Call a pure function of arrays that returns uint8, by `tf.numpy_function`."""

    def counted(*arrays: np.ndarray) -> np.ndarray:
        nothing = np.empty(0, np.uint8)  # rather than an error, which would be logged
        with _calls.one() as wanted:
            try:
                return function(*arrays) if wanted else nothing
            except RuntimeError as error:
                if "cannot schedule new futures" not in str(error):  # thread pools close before `atexit` is reached
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
        """Counts a call while it runs; gives whether its result is still wanted."""
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
