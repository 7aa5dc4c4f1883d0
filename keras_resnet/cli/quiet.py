"""Hide the log lines of TensorFlow and its libraries."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from keras_resnet.streams import LossyStream


@contextmanager
def quiet(silence: bool = True) -> Iterator[None]:
    """Drop native log lines and library warnings; what Python code prints still arrives.

    TensorFlow reports most as it is imported; what it reports later is dropped too, unless it is an error.

    Args:
        silence: False changes nothing.

    Example:
        >>> import keras_resnet
        >>> with keras_resnet.quiet():
        ...     import tensorflow
    """
    # Native code writes to file descriptor 2, some of it before any log level can be set. So the descriptor is pointed
    # elsewhere, and Python's `sys.stderr` to where it pointed.
    if not silence:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _only_errors()
    own_stream = sys.stderr
    if own_stream is not None:  # it was closed before Python started
        own_stream.flush()
    visible = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    replaced = LossyStream(None)
    try:
        if _descriptor(own_stream) == 2:  # a test may have put another object there
            replaced = LossyStream(os.fdopen(visible, "w", buffering=1, closefd=False, errors="backslashreplace"))
            sys.stderr = replaced
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        _only_errors()  # where there is a prompt, as in a notebook, TensorFlow changes its level as it is imported
        replaced.let_go()  # before its descriptor may become another file's
        sys.stderr = own_stream
        os.dup2(visible, 2)
        os.close(visible)


def _only_errors() -> None:
    for name in ("absl", "tensorflow", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _descriptor(stream: object) -> int | None:
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return None
