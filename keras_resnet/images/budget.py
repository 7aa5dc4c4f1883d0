"""The memory that decoding may take, one budget for all threads of the process.

A limit for each image alone would be multiplied by the number of threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, get_ident


class MemoryBudget:
    """Bytes that threads take before they decode an image and give back behind it. Who finds too few waits in turn.

    Nothing is taken by a thread that holds something, so that no two threads can wait for each other.

    Args:
        total: How many bytes may be taken at a time.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.taken = 0
        self._changed = Condition()
        self._waiting: deque[object] = deque()
        self._holders: set[int] = set()

    @contextmanager
    def room(self, amount: int) -> Iterator[None]:
        """Hold bytes while the context lasts.

        Args:
            amount: How many. More than there are in all are all of them: such an image is decoded alone.
        """
        amount, turn, thread = min(amount, self.total), object(), get_ident()
        assert thread not in self._holders, "a thread that holds memory for one image asks for another's"
        try:
            with self._changed:
                self._waiting.append(turn)
                # In turn, or an image that takes much would wait as long as there are others that take little.
                self._changed.wait_for(lambda: self._waiting[0] is turn and self.taken + amount <= self.total)
                self._waiting.popleft()
                self.taken += amount
                self._holders.add(thread)
                self._changed.notify_all()  # the next may fit, too
            yield
        finally:
            with self._changed:
                if thread in self._holders:
                    self._holders.remove(thread)
                    self.taken -= amount
                else:  # its wait was interrupted
                    self._waiting.remove(turn)
                self._changed.notify_all()
