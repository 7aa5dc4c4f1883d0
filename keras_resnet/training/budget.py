"""Budget."""

from __future__ import annotations

import re

from keras_resnet.errors import UsageError

UNITS = {"s": 1, "min": 60, "h": 3600}


def seconds(text: str) -> float:
    """A length of time in seconds: `90s`, `10min`, `2h`, `1h30min`.

    Raises:
        UsageError: It is not written so, or nothing.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(s|min|h)", text)
    found = sum(float(number) * UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text.replace(" ", "") or not 0 < found < float("inf"):
        raise UsageError(f"budget must be a time such as 90s, 10min, 2h or 1h30min; received {text!r}")
    return found


def checked_length(text: str) -> str:
    """The text, if it is a length of time. Raises: as `seconds`."""
    seconds(text)
    return text
