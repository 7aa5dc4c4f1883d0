"""The names that Keras gives to layers without one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from keras.src.backend.common import global_state

NUMBERS = "object_name_uids"


@contextmanager
def numbered_from_the_beginning() -> Iterator[None]:
    """Call layers `conv2d`, `conv2d_1` and so on, whatever else the process has built.

    Keras numbers them through the whole process, and only `clear_session`, which would take everything else along,
    begins anew. A checkpoint holds tensors by these names, and networks of keras.applications leave them to Keras.
    """
    before = global_state.get_global_attribute(NUMBERS)
    global_state.set_global_attribute(NUMBERS, defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute(NUMBERS, before)
