"""What callbacks say: where people read it, or to whom a training has named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from keras_resnet.display import for_people
from keras_resnet.visible import visible

_listeners: list[Callable[[str], None]] = []


def note(text: str) -> None:
    """Show a text on a line of its own, invisible characters made visible; where nobody can read it, it is lost."""
    if _listeners:
        _listeners[-1](text)
    else:
        print(visible(text), file=for_people())


@contextmanager
def notes_to(listener: Callable[[str], None]) -> Iterator[None]:
    """In the block, what callbacks say goes to this function."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
