"""Texts as they are shown to people: names of files and classes may come from anybody."""

from __future__ import annotations

import json
import re

# A terminal obeys control characters (Unicode's category Cc), escape sequences among them. Marks of direction show a
# text in another order than it has. Two names that differ only by characters without width look the same; the joiners
# U+200C and U+200D and the selectors of variants are no such characters, since scripts and emoji are written with them.
_OBEYED = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_DIRECTION = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_NO_WIDTH = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2028\u2029\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
# Surrogates stand for bytes of file names that are no valid Unicode.
_INVISIBLE = re.compile(f"[{_OBEYED}{_DIRECTION}{_NO_WIDTH}\ud800-\udfff]")
_RAW_IN_JSON = re.compile(f"[{_OBEYED}{_DIRECTION}{_NO_WIDTH}]")


def visible(text: str) -> str:
    r"""The text with what nobody sees written as an escape: `\x1b`, `\u202e`, `\u200b`, `\udce9`.

    These are control characters, marks of direction, characters without width, and lone surrogates. Line breaks and
    tabs stay.
    """
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def visible_cell(text: str) -> str:
    r"""The same for a cell of a table on a screen, which has one line: tabs and line breaks are escapes as well."""
    return visible(text).replace("\t", r"\t").replace("\n", r"\n")


def visible_json(text: str) -> str:
    r"""JSON with what nobody sees in its strings written as JSON's own escapes, which readers undo.

    Lone surrogates stay: `atomic.write_text` writes them as the bytes that they stand for.
    """
    return _RAW_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], text)
