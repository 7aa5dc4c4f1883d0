"""The one reader of JSON: its syntax, and then every field by the kind that stands beside its writer.

A kind is a `TypedDict` or a dataclass, or is made of `list[…]`, `dict[str, …]`, the plain types and `Any`.
`Annotated[int, COUNT]` also limits the values, and `Annotated[X, kind]` says what JSON has for X. Fields may follow
that the kind does not name. Numbers are finite, and whole numbers fit into 64 bits, also where the kind is `Any`.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, NotRequired, TypeVar, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

from keras_resnet.errors import KerasResNetError, ModelError, UsageError, listed
from keras_resnet.regular_files import read_bytes
from keras_resnet.settings import NOUNS, Values

Kind = TypeVar("Kind")

MOST_BYTES = 64 * 2**20
MOST_RECORD_BYTES = 2**30
"""Of files with a line for each few updates, or a name for each image."""
DEEPEST = 64
"""How deeply lists and objects may be nested. Python gives up at about 1,000, and so does whatever shows the value."""
MOST_DIGITS = 1000
"""Of a whole number. Python needs time that grows with the square, and refuses more than 4,300."""
REMEDY = "The file is damaged or was edited: restore it from a copy"

_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def read_json(
    path: Path,
    kind: type[Kind],
    *,
    error: type[KerasResNetError] = ModelError,
    most: int = MOST_BYTES,
    raw_names: bool = False,
    remedy: str = REMEDY,
) -> Kind:
    """Read and check a JSON file.

    Args:
        path: The file.
        kind: What it must hold.
        error: What to raise.
        most: How many bytes it may have.
        raw_names: Whether names of files in it may be no valid Unicode, as `atomic.write_text` writes them.
        remedy: What to do if it does not hold that, for the message.

    Returns:
        The value, as JSON has it: plain dicts and lists.

    Raises:
        error: The file cannot be read, is no JSON, or a field is missing or of another kind; the message names both.
    """
    try:
        content = read_bytes(path, most)
    except OSError as problem:
        raise error(f"cannot read {path}: {problem.strerror or problem}") from None
    return parse_json(content, kind, str(path), error=error, raw_names=raw_names, remedy=remedy)


def read_json_lines(path: Path, kind: type[Kind], *, raw_names: bool = False) -> list[Kind]:
    """Read and check a file with a JSON value on each line, without a last line that a kill left half written.

    Args:
        path, kind, raw_names: As `read_json`.

    Raises:
        ModelError: As `read_json`; the message also names the line.
    """
    try:
        content = read_bytes(path, MOST_RECORD_BYTES)
    except OSError as problem:
        raise ModelError(f"cannot read {path}: {problem.strerror or problem}") from None
    lines = content.split(b"\n")[:-1]
    return [parse_json(line, kind, f"{path}, line {n}", raw_names=raw_names) for n, line in enumerate(lines, 1)]


def parse_json(
    content: str | bytes,
    kind: type[Kind],
    called: str,
    *,
    error: type[KerasResNetError] = ModelError,
    raw_names: bool = False,
    remedy: str = REMEDY,
) -> Kind:
    """Parse and check a JSON text.

    Args:
        content: The text, as bytes in UTF-8.
        kind: What it must hold.
        called: What messages call it.
        error, raw_names, remedy: As `read_json`.

    Raises:
        error: It is no JSON, or holds something else.
    """
    try:
        text = (
            content.decode("utf-8", "surrogateescape" if raw_names else "strict")
            if isinstance(content, bytes)
            else content
        )
        value = parsed(text)
    except UnicodeDecodeError as problem:
        reason = f"its byte {problem.start}, 0x{problem.object[problem.start]:02x}, is not UTF-8"
        raise error(f"{called} is not JSON: {reason}. {remedy}") from None
    except ValueError as problem:
        raise error(f"{called} is not JSON: {problem}. {remedy}") from None
    return check_json(value, kind, called, error=error, remedy=remedy)


def parsed(text: str) -> Any:
    """The value of a JSON text. Numbers that no float holds, and whole ones of 1,000 digits, become infinite.

    Raises:
        ValueError: The text is no JSON, has a key twice, or is nested too deeply.
    """
    if text.count("[") + text.count("{") > DEEPEST:
        _check_depth(text)
    return _DECODER.decode(text)


def check_json(
    value: Any, kind: type[Kind], called: str, *, error: type[KerasResNetError] = ModelError, remedy: str = REMEDY
) -> Kind:
    """Check a value that was read from JSON.

    Args:
        value: As JSON has it.
        kind: What it must be.
        called: The file, for the message.
        error, remedy: As `read_json`.

    Returns:
        The value.

    Raises:
        error: A field is missing or of another kind; the message names the file and the field.
    """
    try:
        _check_of(cast(Any, kind))(value)
    except _Wrong as wrong:
        raise error(f"{called}: {wrong}. {remedy}") from None
    return cast(Kind, value)


class _Wrong(Exception):
    """A value that is not of its kind. Its place is put together on the way up through lists and objects."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        self.place = ""

    def inside(self, place: str) -> _Wrong:
        self.place = place + self.place
        return self

    def __str__(self) -> str:
        return f"{self.place.removeprefix('.') or 'it'} {self.problem}"


def _unlike(expected: str, value: Any) -> _Wrong:
    return _Wrong(f"must be {expected}; received {_shown(value)}")


Check = Callable[[Any], None]


@cache
def _check_of(kind: Any) -> Check:
    """The function that raises `_Wrong` for values of another kind."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _check_of_values(inner[1]) if isinstance(inner[1], Values) else _check_of(inner[1])
    if kind in NOUNS:
        return _check_of_values(Values(kind))
    if origin is list:
        return _check_of_list(_check_of(inner[0]))
    if origin is dict:
        return _check_of_dict(_check_of(inner[1]))
    if origin in (Union, UnionType):
        (one,) = (part for part in inner if part is not NoneType)  # of JSON, no other unions are needed
        check = _check_of(one)
        return lambda value: None if value is None else check(value)
    if is_typeddict(kind) or is_dataclass(kind):
        return _check_of_fields(get_type_hints(kind, include_extras=True))
    assert kind is Any, f"{kind} is no kind of JSON"
    return _check_any


def _check_of_values(values: Values) -> Check:
    unlimited = values == Values(values.kind) and values.kind is not int

    def check(value: Any) -> None:
        of_kind = unlimited and type(value) is values.kind
        if of_kind and (values.kind is not float or math.isfinite(value)):
            return  # most figures and names: records and splits have millions
        _check_any(value)
        try:
            values.checked(value, "it")
        except UsageError:
            raise _unlike(values.expected, value) from None

    return check


def _check_of_list(item: Check) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, list):
            raise _unlike("a list", value)
        for index, one in enumerate(value):
            try:
                item(one)
            except _Wrong as wrong:
                raise wrong.inside(f"[{index}]") from None

    return check


def _check_of_dict(item: Check) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, dict):
            raise _unlike("an object", value)
        _check_items(value, ((key, item) for key in value))

    return check


def _check_of_fields(hints: dict[str, Any]) -> Check:
    needed = [name for name, hint in hints.items() if get_origin(hint) is not NotRequired]
    checks = {
        name: _check_of(get_args(hint)[0] if get_origin(hint) is NotRequired else hint) for name, hint in hints.items()
    }

    def check(value: Any) -> None:
        if not isinstance(value, dict):
            raise _unlike("an object", value)
        missing = [name for name in needed if name not in value]
        if missing:
            raise _Wrong(f"lacks {listed(missing)}")
        _check_items(value, ((key, checks.get(key, _check_any)) for key in value))

    return check


def _check_items(value: dict[str, Any], checks: Iterable[tuple[str, Check]]) -> None:
    for key, check in checks:
        try:
            check(value[key])
        except _Wrong as wrong:
            raise wrong.inside(f".{key}" if key.isidentifier() and len(key) < 60 else f"[{_shown(key)}]") from None


def _check_any(value: Any) -> None:
    if isinstance(value, list):
        _check_of_list(_check_any)(value)
    elif isinstance(value, dict):
        _check_of_dict(_check_any)(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _unlike("a finite number", value)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise _unlike("a number of at most 64 bits", value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {_shown(twice)} occurs twice")
    return found


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) < MOST_DIGITS else float(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole_number)


def _check_depth(text: str) -> None:
    depth = 0
    for found in _BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > DEEPEST:
            raise ValueError(f"lists and objects are nested more than {DEEPEST} deep, at character {found.start()}")


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, int | float) and abs(value) >= 2**63:
        return "a number that is too large"
    return json.dumps(value, ensure_ascii=True)[:60]
