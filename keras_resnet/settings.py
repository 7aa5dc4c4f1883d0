"""What a setting is, a name, a meaning and the values it may have: declared once for Python, files and options."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import Field, dataclass, field, fields
from typing import Any, get_args, get_type_hints

from keras_resnet.errors import UsageError, listed, nearest

NOUNS: dict[type, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Setting:
    """One setting.

    Args:
        name: As Python and files have it; the option has hyphens.
        kind: bool, int, float or str.
        default: Where nobody says anything.
        text: One line on what it means.
        group: Under which heading `--help` has it.
        many: It is a list of such values.
        optional: It may also be None.
        choices: The words it may be; none: any.
        low, high: Least and greatest value.
        above, below: The value must be greater and less than these.
        canonical: Makes one spelling of a value, and refuses what does not exist, by a UsageError.
    """

    name: str
    kind: type
    default: Any
    text: str
    group: str
    many: bool = False
    optional: bool = False
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    canonical: Callable[[Any], Any] | None = None

    @property
    def expected(self) -> str:
        """Which values it may have, in words."""
        if self.choices:
            return f"one of {listed(self.choices, most=20)}"
        limits = {"at least": self.low, "greater than": self.above, "at most": self.high, "less than": self.below}
        words = " and ".join(f"{word} {limit:.10g}" for word, limit in limits.items() if limit is not None)
        one = f"{NOUNS[self.kind]} {'of ' * words.startswith('at')}{words}".strip()
        return f"a list, each {one}" if self.many else one

    def checked(self, value: Any) -> Any:
        """The value in the setting's own type.

        Raises:
            UsageError: It is of another type or out of range.
        """
        if value is None and self.optional:
            return None
        if not self.many:
            return self._one(value, value)
        if not isinstance(value, list | tuple):
            raise self._refusal(value)
        return tuple(self._one(item, value) for item in value)

    def parsed(self, text: str) -> Any:
        """The value that a text on a command line stands for; its range is not looked at.

        Raises:
            ValueError: It is no such value.
        """
        if self.many:
            return tuple(self.kind(part) for part in text.split(",") if part.strip())
        return self.kind(text)

    def _one(self, value: Any, whole: Any) -> Any:
        if self.kind in (int, float):
            if not self._is_inside(value):
                raise self._refusal(whole)
            value = self.kind(value)
        elif not isinstance(value, self.kind) or (self.choices and value not in self.choices):
            raise self._refusal(whole)
        return self.canonical(value) if self.canonical else value

    def _is_inside(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.kind is int else int | float):
            return False
        try:
            finite = math.isfinite(value)
        except OverflowError:  # a whole number that no float can hold
            return False
        return finite and not (
            (self.low is not None and value < self.low)
            or (self.high is not None and value > self.high)
            or (self.above is not None and value <= self.above)
            or (self.below is not None and value >= self.below)
        )

    def _refusal(self, value: Any) -> UsageError:
        try:
            shown = repr(list(value) if isinstance(value, tuple) else value)
        except ValueError:  # a number of thousands of digits
            shown = "one too long to print"
        return UsageError(f"{self.name} must be {self.expected}; received {shown[:200]}")


def setting(default: Any, text: str, *, group: str, **more: Any) -> Any:
    """A field of a dataclass that is a setting; the arguments are those of `Setting`."""
    return field(default=default, metadata={"text": text, "group": group, **more})


def settings_of(cls: type) -> dict[str, Setting]:
    """The settings that a dataclass declares, by name."""
    hints = get_type_hints(cls)

    def made(one: Field[Any]) -> Setting:
        hint = hints[one.name]
        many = bool(get_args(hint))  # tuple[float, ...]
        kind = get_args(hint)[0] if many else hint
        return Setting(name=one.name, kind=kind, default=one.default, many=many, **one.metadata)

    return {one.name: made(one) for one in fields(cls)}


def refuse_unknown(name: object, known: Iterable[str]) -> None:
    """Raise a UsageError that gives the nearest name if there is no setting of this one."""
    names = list(known)
    if name not in names:
        near = nearest(str(name), names)
        hint = f"; did you mean {near!r}?" if near else f"; there are {listed(names, most=100)}"
        raise UsageError(f"there is no setting {name!r}{hint}")
