"""What callbacks say, on standard error."""

from __future__ import annotations

import sys

from keras_resnet.streams import LossyStream
from keras_resnet.visible import visible


def note(text: str) -> None:
    """Show a text on a line of its own, invisible characters made visible; where nobody can read it, it is lost."""
    print(visible(text), file=LossyStream(sys.stderr))
