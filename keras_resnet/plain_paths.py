"""Paths as TensorFlow takes them: it reads some of their characters as a pattern, and knows no bytes but UTF-8."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATTERN = set("[]*?\\") - {os.sep}
"""What `tf.io.gfile.glob` does not take as it is. Checkpoints, and so SavedModels, are looked for by it."""


@contextmanager
def plain_path(folder: Path) -> Iterator[Path]:
    """A path to a folder that TensorFlow takes as it is, in the block: the folder's own, or that of a link to it.

    Args:
        folder: Any existing one.

    Raises:
        OSError: The system makes no links.
    """
    if _is_plain(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory() as place:
        link = Path(place) / "folder"
        link.symlink_to(folder.absolute(), target_is_directory=True)
        yield link


def _is_plain(path: Path) -> bool:
    try:
        return not PATTERN & set(str(path).encode().decode())
    except UnicodeEncodeError:
        return False
