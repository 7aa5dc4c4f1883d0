"""Room for Keras to walk graphs of thousands of layers.

Keras sorts a functional model's layers by recursion, one frame a layer: Python's limit of 1,000
stops it at some 140 basic blocks.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# One frame a layer, ResNet-1202 has some 4,200; Python 3.11 and later keep these frames off the C stack.
FRAMES = 50_000

_lock = threading.Lock()
_inside = 0
_before = 0


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Allow `FRAMES` nested calls in the block; the former limit returns when no thread is inside."""
    global _inside, _before
    with _lock:
        if _inside == 0:
            _before = sys.getrecursionlimit()
            sys.setrecursionlimit(max(_before, FRAMES))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                sys.setrecursionlimit(_before)
