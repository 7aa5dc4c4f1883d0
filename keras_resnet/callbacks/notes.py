"""What callbacks say: on standard error, or to whom a training has named."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from keras_resnet.streams import LossyStream
from keras_resnet.visible import visible

_listeners: list[Callable[[str], None]] = []


def note(text: str) -> None:
    """Show a text on a line of its own, invisible characters made visible; where nobody can read it, it is lost."""
    if _listeners:
        _listeners[-1](text)
    else:
        print(visible(text), file=LossyStream(sys.stderr))


@contextmanager
def notes_to(listener: Callable[[str], None]) -> Iterator[None]:
    """In the block, what callbacks say goes to this function."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
