"""Texts as they are shown to people: names of files and classes may come from anybody."""

from __future__ import annotations

import re

# A terminal obeys control characters (Unicode's category Cc), escape sequences among them. Marks of direction show a
# text in another order than it has. Surrogates stand for bytes of file names that are no valid Unicode.
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""The text with control characters, marks of direction and lone surrogates written as `\x1b`, `\u202e`, `\udce9`.

    Line breaks and tabs stay.
    """
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
