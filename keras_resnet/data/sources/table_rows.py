"""Read the rows of a CSV or JSON Lines table as text, and collect what is wrong with them, line by line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_resnet.errors import DataError, listed, nearest
from keras_resnet.json_files import parsed
from keras_resnet.regular_files import read_bytes

COLUMNS = ("path", "label", "split", "group", "time")
NEEDED = COLUMNS[:2]
CSV_SUFFIXES = (".csv", ".tsv")
JSON_SUFFIXES = (".jsonl", ".ndjson")
LABEL_SEPARATOR = "|"
"""Between the classes of an image, in a column `labels`."""
MOST_NAMED = 5

Row = tuple[int, list[str]]
"""The number of a line, and its cells in the order of `COLUMNS`; a cell that is missing is empty."""


@dataclass(frozen=True)
class Rows:
    """The content of a table.

    Args:
        rows: The rows that can be read.
        others: The columns other than `COLUMNS`.
        several: Whether the table has `labels`, any number for an image, instead of `label`. In `rows` they are
            separated by line breaks, which no label may contain.
    """

    rows: list[Row]
    others: list[str]
    several: bool


@dataclass
class Faults:
    """What is wrong with a table, collected so that a user can correct all of it at once."""

    file: Path
    found: list[tuple[int, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.found)

    def add(self, line: int, text: str) -> None:
        self.found.append((line, text))

    def raise_any(self) -> None:
        """Raises: DataError, if there are faults; the message names the first five."""
        if not self.found:
            return
        first = [f"line {line}: {text}" for line, text in sorted(self.found)[:MOST_NAMED]]
        rest = len(self.found) - len(first)
        more = f"; and {rest} more" if rest else ""
        raise DataError(f"{self.file} cannot be used: {'; '.join(first)}{more}. Correct the table and try again")


def read_rows(file: Path, faults: Faults, group: str = "group") -> Rows:
    """Read a table. Rows that cannot be read are left out and added to the faults.

    Args:
        file: The table.
        faults: Where what is wrong with it goes.
        group: The column that is read in the place of `group`.

    Raises:
        DataError: The file is missing, has another extension, is not UTF-8, or lacks a column.
    """
    return read_columns(file, faults, (*COLUMNS[:3], group, COLUMNS[4]))


def read_columns(file: Path, faults: Faults, columns: Sequence[str]) -> Rows:
    """Read some columns of a table.

    Args:
        file: The table.
        faults: As `read_rows`.
        columns: Their names; `path` and `label` come first, and must be there.

    Raises:
        DataError: As `read_rows`.
    """
    suffix = file.suffix.lower()
    if suffix not in CSV_SUFFIXES + JSON_SUFFIXES:
        raise DataError(f"{file} does not have a table's extension; expected {', '.join(CSV_SUFFIXES + JSON_SUFFIXES)}")
    return (_csv_rows if suffix in CSV_SUFFIXES else _json_rows)(_text(file), faults, columns)


def _text(file: Path) -> str:
    try:
        if not file.exists():
            raise DataError(f"there is no table {file}")
        if not file.is_file():
            raise DataError(f"{file} is no file; expected a table with a line for each image")
        content = read_bytes(file)
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from None
    try:
        return content.decode().removeprefix("\ufeff")  # which spreadsheets write at the beginning
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{file}, line {line}: the byte 0x{content[error.start]:02x} is not UTF-8; save the table as UTF-8"
        ) from None


def _csv_rows(text: str, faults: Faults, columns: Sequence[str]) -> Rows:
    first = re.split(r"[\r\n]", text, maxsplit=1)[0]
    if not first.strip():
        raise DataError(f"{faults.file} is empty or begins with an empty line; expected the header path,label")
    delimiter = _delimiter(first)
    header, several = _with_label(_header(first, delimiter), faults.file)
    _check_header(header, faults.file, columns)
    others = list(dict.fromkeys(name for name in header if name not in columns))
    found: list[Row] = []
    places = [header.index(name) if name in header else None for name in columns]
    # Without skipinitialspace, marks of quotation after a blank would be a part of the cell.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    ended = 0  # the line where the last row ended: quoted cells may contain line breaks
    try:
        for cells in reader:
            line, ended = ended + 1, reader.line_num
            if line > 1 and len(cells) == len(header):
                row = ["" if place is None else cells[place] for place in places]
                if several:
                    row[1] = "\n".join(label.strip() for label in row[1].split(LABEL_SEPARATOR) if label.strip())
                found.append((line, row))
            elif line > 1 and cells:
                faults.add(line, f"it has {len(cells)} cells, but the header has {len(header)}")
    except csv.Error as error:
        faults.add(ended + 1, f"this is not CSV: {error}; perhaps a quotation mark is not closed")
    return Rows(found, others, several)


def _with_label(header: list[str], file: Path) -> tuple[list[str], bool]:
    """The header with `labels` renamed to `label`, and whether it had `labels`."""
    if "labels" not in header:
        return header, False
    if "label" in header:
        raise DataError(f"{file}, line 1: there are both 'label' and 'labels'; rename or remove one")
    return ["label" if name == "labels" else name for name in header], True


def _delimiter(first: str) -> str:
    """The one by which the header has the needed columns; otherwise the most frequent one, for the message."""
    for delimiter in ",;\t":
        if {"path"} < {*_header(first, delimiter)} & {*NEEDED, "labels"}:
            return delimiter
    return max(",;\t", key=first.count)


def _header(first: str, delimiter: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([first], delimiter=delimiter, skipinitialspace=True))]


def _check_header(header: list[str], file: Path, columns: Sequence[str]) -> None:
    for name in NEEDED:
        if name not in header:
            raise DataError(
                f"{file}, line 1: {_missing(name, header)}. The first line names the columns, as path,label or "
                f"{','.join(COLUMNS)}, separated by commas, semicolons or tabs"
            )
    twice = [name for name in columns if header.count(name) > 1]
    if twice:
        raise DataError(f"{file}, line 1: the column {listed(twice)} occurs more than once; rename or remove one")


def _missing(name: str, names: Iterable[str]) -> str:
    by_lower = {other.lower(): other for other in names}
    near = nearest(name, by_lower)
    hint = f"; rename {by_lower[near]!r} if it is that" if near else ""
    return f"there is no {name!r}, only {listed(by_lower.values())}{hint}"


def _json_rows(text: str, faults: Faults, columns: Sequence[str]) -> Rows:
    values = list(_json_objects(text, faults))
    several = any("labels" in value for _, value in values)
    others: dict[str, None] = {}
    found: list[Row] = []
    for line, value in values:
        if several:
            value = _with_labels(line, value, faults)
        others.update(dict.fromkeys(name for name in value if name not in columns))
        missing = [name for name in NEEDED if name not in value]
        wrong = [name for name in columns if not _is_plain(value.get(name))]
        for name in missing:
            faults.add(line, _missing(name, value))
        for name in wrong:
            faults.add(line, f"the {name} must be a text or a number; received {json.dumps(value[name])[:40]}")
        if not missing and not wrong:
            found.append((line, [_as_text(value.get(name)) for name in columns]))
    return Rows(found, list(others), several)


def _with_labels(line: int, value: dict[str, Any], faults: Faults) -> dict[str, Any]:
    """The object with the list `labels` as the text `label`."""
    labels, rest = value.get("labels"), {name: one for name, one in value.items() if name != "labels"}
    if "label" in rest:
        faults.add(line, "it has 'label', but other lines have 'labels'; use one of them throughout")
    elif not isinstance(labels, list) or not all(one is not None and _is_plain(one) for one in labels):
        faults.add(line, f"the labels must be a list of texts or numbers; received {json.dumps(labels)[:40]}")
    else:
        return {**rest, "label": "\n".join(_as_text(one) for one in labels)}
    return {**rest, "label": ""}


def _json_objects(text: str, faults: Faults) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(text.split("\n"), 1):  # not splitlines: texts in JSON may contain U+2028
        if not content.strip():
            continue
        try:
            value = parsed(content)
        except ValueError as error:
            faults.add(line, f"this is not JSON: {getattr(error, 'msg', error)}; expected one object in each line")
            continue
        if not isinstance(value, dict):
            faults.add(line, f'expected an object, as {{"path": "a.jpg", "label": "cat"}}; received {content[:40]!r}')
            continue
        yield line, value


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return abs(value) < float("inf")  # JSON has neither infinity nor NaN; Python reads both
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


def _as_text(value: str | float | None) -> str:
    """A cell as in CSV; 2.0 becomes 2, since programs write whole numbers both ways."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)
