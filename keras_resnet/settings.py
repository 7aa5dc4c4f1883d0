"""What a setting is: a name, a meaning and the values that it may have. Declared once for Python, files and options."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import Field, dataclass, field, fields, replace
from functools import wraps
from numbers import Integral, Real
from types import NoneType
from typing import Any, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from keras_resnet.errors import UsageError, listed, nearest

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

NOUNS: dict[type, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Values:
    """The values that a setting, an argument or a field may have.

    Args:
        kind: bool, int, float or str.
        low, high: The least and the greatest number.
        above, below: The number must be greater and less than these.
        choices: The only values there are; empty: any value of the kind.
        many: The value is a list of such values.
        optional: None is a value, too.
        also: Other types that are accepted; `canonical` converts them.
        canonical: Converts a value to the one form in which it is kept. It raises ValueError or TypeError if there is
            no such value, or a UsageError with a message of its own.
        noun: What messages call such a value; default: what kind, choices and limits say.
    """

    kind: type
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[Any, ...] = ()
    many: bool = False
    optional: bool = False
    also: tuple[type, ...] = ()
    canonical: Callable[[Any], Any] | None = None
    noun: str = ""

    @property
    def or_none(self) -> Values:
        """These values and None."""
        return replace(self, optional=True)

    @property
    def or_zero(self) -> Values:
        """These values and 0, by which files and options say "none"."""
        return replace(self, low=0, above=None)

    @property
    def expected(self) -> str:
        """The values in words, for messages."""
        if self.noun:
            return self.noun
        if self.choices and self.kind is str:
            return f"one of {listed(self.choices, most=20)}"
        if self.choices:
            return " or ".join(map(str, self.choices))
        limits = {"at least": self.low, "greater than": self.above, "at most": self.high, "less than": self.below}
        words = " and ".join(f"{word} {limit:.10g}" for word, limit in limits.items() if limit is not None)
        one = f"{NOUNS[self.kind]} {'of ' * words.startswith('at')}{words}".strip()
        return f"a list, each {one}" if self.many else one

    def checked(self, value: Any, name: str) -> Any:
        """The value, converted to its kind and to its canonical form.

        Args:
            value: What was given.
            name: What the message calls it.

        Raises:
            UsageError: It is none of these values.
        """
        if value is None and self.optional:
            return None
        if not self.many:
            return self._one(value, value, name)
        if not isinstance(value, list | tuple):
            raise self._refusal(value, name)
        return tuple(self._one(item, value, name) for item in value)

    def parsed(self, text: str) -> Any:
        """The value that a text on the command line stands for; its range is not checked.

        Raises:
            ValueError: The text is no value of the kind.
        """
        if self.many:
            return tuple(self.kind(part) for part in text.split(",") if part.strip())
        return self.kind(text)

    def _one(self, value: Any, whole: Any, name: str) -> Any:
        if not (self._is_inside(value) if self.kind in (int, float) else isinstance(value, (self.kind, *self.also))):
            raise self._refusal(whole, name)
        value = self.kind(value) if self.kind in (int, float) else value
        if self.choices and value not in self.choices:
            raise self._refusal(whole, name)
        try:
            return self.canonical(value) if self.canonical else value
        except UsageError:
            raise
        except (TypeError, ValueError):
            raise self._refusal(whole, name) from None

    def _is_inside(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Integral if self.kind is int else Real):
            return False
        number: Any = value
        try:
            finite = math.isfinite(number)
        except OverflowError:  # a whole number that no float can hold
            return False
        return finite and not (
            (self.low is not None and number < self.low)
            or (self.high is not None and number > self.high)
            or (self.above is not None and number <= self.above)
            or (self.below is not None and number >= self.below)
        )

    def _refusal(self, value: Any, name: str) -> UsageError:
        try:
            shown = repr(list(value) if isinstance(value, tuple) else value)
        except ValueError:  # a number of thousands of digits
            shown = "one too long to print"
        return UsageError(f"{name} must be {self.expected}; received {shown[:200]}")


@dataclass(frozen=True)
class Setting:
    """One setting.

    Args:
        name: In Python and in files; the option has hyphens for underscores.
        values: What it may be.
        default: Its value if nothing sets it.
        text: What it means, in one line.
        group: The heading under which `--help` lists it.
    """

    name: str
    values: Values
    default: Any
    text: str
    group: str

    def checked(self, value: Any) -> Any:
        """See `Values.checked`."""
        return self.values.checked(value, self.name)


def setting(default: Any, text: str, values: Values | None = None, *, group: str, **limits: Any) -> Any:
    """Declare a field of a dataclass as a setting.

    Args:
        default: See `Setting`.
        text: See `Setting`.
        values: What it may be; None: what the field's type and `limits` say.
        group: See `Setting`.
        **limits: See `Values`.
    """
    return field(default=default, metadata={"text": text, "group": group, "values": values, "limits": limits})


def settings_of(cls: type) -> dict[str, Setting]:
    """The fields of a dataclass that are declared by `setting`, by name."""
    hints = get_type_hints(cls)

    def made(one: Field[Any]) -> Setting:
        said = one.metadata
        values = said["values"] or _of_type(hints[one.name], said["limits"])
        return Setting(one.name, values, one.default, said["text"], said["group"])

    return {one.name: made(one) for one in fields(cls) if one.metadata}


def _of_type(hint: Any, limits: dict[str, Any]) -> Values:
    parts = [part for part in get_args(hint) if part is not NoneType]
    optional = NoneType in get_args(hint)
    hint = parts[0] if optional else hint
    many = get_origin(hint) is tuple  # tuple[float, ...]
    return Values(get_args(hint)[0] if many else hint, many=many, optional=optional, **limits)


def keep_checked(instance: object, **values: Values) -> None:
    """Check fields of a frozen dataclass, and keep each in its canonical form; for `__post_init__`.

    Args:
        instance: The object.
        **values: What each field may be.

    Raises:
        UsageError: A field is something else; the message names it.
    """
    for name, one in values.items():
        object.__setattr__(instance, name, one.checked(getattr(instance, name), name))


def check_arguments(**values: Values) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Decorate a function: its arguments are checked, and it receives them in their canonical form.

    Args:
        **values: What each argument may be. If one is something else, the call raises a UsageError that names it.
    """

    def decorated(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        signature = inspect.signature(function)

        @wraps(function)
        def call(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
            bound = signature.bind(*arguments, **options)
            for name in values.keys() & bound.arguments.keys():
                bound.arguments[name] = values[name].checked(bound.arguments[name], name)
            return function(*bound.args, **bound.kwargs)

        return call

    return decorated


def refuse_unknown(name: object, known: Iterable[str]) -> None:
    """Raise a UsageError if there is no setting of this name; the message gives the nearest one."""
    names = list(known)
    if name not in names:
        near = nearest(str(name), names)
        hint = f"; did you mean {near!r}?" if near else f"; there are {listed(names, most=100)}"
        raise UsageError(f"there is no setting {name!r}{hint}")
