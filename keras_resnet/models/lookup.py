"""Networks by name: what there is, the spec of one, and that spec changed."""

from __future__ import annotations

import difflib
import fnmatch
import re
from dataclasses import fields, replace
from typing import Any

from keras_resnet.errors import UsageError, listed
from keras_resnet.models.builder import VARIANTS
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import wrn


def list_models(pattern: str = "*") -> list[str]:
    """Names of the networks that match a shell pattern, in the order of the table."""
    return [name for name in VARIANTS if fnmatch.fnmatch(name, pattern.lower())]


def spec(name: str, *, width_multiplier: float = 1.0, **changes: Any) -> ResNetSpec:
    """The spec of a named network, as it is or changed.

    Args:
        name: As in `list_models`, in any spelling: `"resnet50"`, `"ResNet-50"`; also by rule
            `"wrn-28-10"`, whatever its numbers.
        width_multiplier: Factor on all channels, rounded to what the blocks can divide.
        changes: Fields of `ResNetSpec` and their new values: `depths=(2, 2, 2, 2)`.

    Returns:
        A spec that `build` takes.

    Raises:
        UsageError: (a ValueError) No network has this name, `ResNetSpec` no such field, or a value
            does not fit; the message names it.
    """
    known = [field.name for field in fields(ResNetSpec)]
    for field in changes:
        if field not in known:
            near = difflib.get_close_matches(field, [*known, "width_multiplier"], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f": its fields are {listed(known, most=40)}"
            raise UsageError(f"a spec has no field {field!r}{hint}")
    if not isinstance(name, str):
        raise UsageError(f"a network's name is a text such as 'resnet50'; received {name!r}")
    found = replace(_named(name), **changes)
    return found if width_multiplier == 1 else found.scaled(width_multiplier)


def _named(name: str) -> ResNetSpec:
    rule = re.fullmatch(r"wrn[-_ ]?(\d+)[-_ ](\d+)", name.lower())
    if rule:
        return wrn(int(rule[1]), int(rule[2]))
    name = name.lower().replace("v1.5", "")  # what the bare names mean
    spelled = {_plain(known): known for known in VARIANTS}
    if _plain(name) not in spelled:
        near = difflib.get_close_matches(_plain(name), spelled, n=1)
        hint = f"did you mean {spelled[near[0]]!r}? " if near else ""
        raise UsageError(f"there is no network called {name!r}: {hint}`keras-resnet models` lists them all")
    return VARIANTS[spelled[_plain(name)]].spec


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
