"""Where an image is that a person or a table calls so."""

from __future__ import annotations

import os
import re

# At least two letters: one is a drive of Windows. A `Path` made of an address has one stroke.
_ADDRESS = re.compile(r"https?:/|[a-zA-Z][a-zA-Z0-9+.-]+://")


def place_of(path: str, folder: str = "") -> str:
    """The path by which the system finds an image; by the separators of Windows if it was written there.

    Args:
        path: As it was written.
        folder: What it is relative to, if not to the working folder.
    """
    place = os.path.join(folder, path)
    if "\\" in path and os.sep == "/" and not os.path.lexists(place):
        return os.path.join(folder, path.replace("\\", "/"))
    return place


def is_address(path: str) -> bool:
    """Whether this is an address, as of the web, and no path. Nothing is fetched here."""
    return _ADDRESS.match(path) is not None and not os.path.lexists(path)
