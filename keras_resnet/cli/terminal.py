"""Where commands write lines for people. All of them pass here, so that no name can control a terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from keras_resnet.streams import LossyStream, fill_closed_descriptors
from keras_resnet.visible import visible


def say(text: object = "", *, error: bool = False) -> None:
    """Print a text with invisible characters made visible.

    Args:
        text: One line or more.
        error: Whether it goes to standard error.
    """
    print(visible(str(text)), file=sys.stderr if error else sys.stdout)


@contextmanager
def lossy_terminal() -> Iterator[LossyStream]:
    """In the block, what cannot be written to standard output and standard error is lost, and ends nothing.

    Yields:
        Standard output, which knows whether something was lost.
    """
    fill_closed_descriptors()
    own = sys.stdout, sys.stderr
    for stream in own:
        # A name that a terminal of few letters cannot show must not end a command.
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="backslashreplace")
    output, error = LossyStream(sys.stdout), LossyStream(sys.stderr)
    sys.stdout, sys.stderr = output, error
    try:
        yield output
    finally:
        sys.stdout, sys.stderr = own
        output.let_go()
        error.let_go()
