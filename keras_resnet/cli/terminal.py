"""Where commands write lines for people. All of them pass here, so that no name can control a terminal."""

from __future__ import annotations

import sys

from keras_resnet.visible import visible


def say(text: object = "", *, error: bool = False) -> None:
    """Print a text with invisible characters made visible.

    Args:
        text: One line or more.
        error: Whether it goes to standard error.
    """
    print(visible(str(text)), file=sys.stderr if error else sys.stdout)
