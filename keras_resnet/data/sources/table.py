"""A table of image files and their labels: CSV or JSON Lines."""

from __future__ import annotations

import math
import os
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from keras_resnet.data.class_names import in_order
from keras_resnet.data.sources.folder import SPLIT_FOLDERS
from keras_resnet.data.sources.listing import Files, Listing
from keras_resnet.data.sources.table_rows import COLUMNS, Faults, read_rows
from keras_resnet.data.splits.plan import PARTS
from keras_resnet.errors import DataError, listed
from keras_resnet.images.places import is_address, place_of
from keras_resnet.tasks.table import task as task_named
from keras_resnet.tasks.table import task_row, usual_task


def list_table(
    path: str | os.PathLike[str], *, fewest_classes: int = 2, task: str | None = None, group: str | None = None
) -> Listing:
    """Find the images that a table lists.

    A `.csv` or `.tsv` file begins with a line of column names, separated by commas, semicolons or tabs. A `.jsonl` file
    has one object in each line. Both are UTF-8. The columns, in any order:

    - `path`: the image file, absolute or relative to the table's folder. It is not looked for until it is read.
    - `label`: the name of its class. If all labels are numbers, the classes are in the order of
      the values.
    - `labels` instead of `label`: the names of all its classes, none or several; in CSV separated by `|`, in JSON a
      list. The task is then multi-label.
    - `split`, optional: train, validation or test (or training, val, valid, testing).
    - `group`, optional: any text. Images of one group (a patient, a camera) belong in the same split.
    - `time`, optional: ISO 8601 (in UTC if it names no time zone), or a number.

    Args:
        path: The table.
        fewest_classes: How many classes there must be at least if each image has one.
        task: The name of one, such as `multi-label`; None: as the table has it.
        group: The column that is taken for `group`; None: that. A table that has it not has no groups.

    Returns:
        The images in the order of the rows; their names are the paths in the table.

    Raises:
        DataError: The table is missing, unreadable or empty, has only one class, or has rows that cannot be used, of
            which the first five are named.
        UsageError: There is no such task.
    """
    file = Path(os.path.expanduser(path))
    faults = Faults(file)
    table = read_rows(file, faults, group or "group")
    rows, others = table.rows, table.others
    asked = task or usual_task(several=table.several)
    several = task_row(asked).several
    if table.several and not several:
        raise DataError(
            f"{file} has a column 'labels', any number for an image: its task is {usual_task(several=True)}, not "
            f"{asked}"
        )
    if not rows and not faults:
        raise DataError(f"{file} has no rows; expected one for each image, with its path and label")
    lines = [line for line, _ in rows]
    paths, *texts = ([cells[place] for _, cells in rows] for place in range(len(COLUMNS)))  # a path may end in a space
    labels, splits, groups, times = ([cell.strip() for cell in cells] for cells in texts)

    folder = os.path.abspath(file.parent)  # absolute, so that the images are found from another working folder
    places = [place_of(path, folder) for path in paths]
    _check_paths(faults, lines, paths, places, labels)
    shown = [cell.split("\n") if cell else [] for cell in labels] if table.several else [[cell] for cell in labels]
    _check_labels(faults, lines, shown)
    given = _given(faults, lines, splits) if _filled(faults, lines, "split", splits) else {}
    codes = _coded(sorted(set(groups)), groups) if _filled(faults, lines, group or "group", groups) else None
    seconds = _seconds(faults, lines, times) if _filled(faults, lines, "time", times) else None
    faults.raise_any()

    class_names = in_order({label for some in shown for label in some})
    if not class_names:
        raise DataError(f"{file}: no image has a label; nothing can be learned")
    if len(class_names) < fewest_classes and not several:
        raise DataError(f"{file}: there is only one class, {class_names[0]!r}; two or more are needed")
    names = tuple(path.replace(os.sep, "/") for path in paths)
    return Listing(
        contents=Files(tuple(map(Path, places)), names),
        names=names,
        labels=_by_class(class_names, shown) if several else _coded(class_names, labels),
        task=task_named(asked, tuple(class_names)),
        given=given,
        groups=codes,
        times=seconds,
        notes=(f"the columns {listed(others)} of {file.name} are not used",) if others else (),
    )


def _check_paths(faults: Faults, lines: list[int], paths: list[str], places: list[str], labels: list[str]) -> None:
    seen: dict[str, int] = {}
    for index, (line, path, place) in enumerate(zip(lines, paths, places, strict=True)):
        if not path.strip():
            faults.add(line, "the path is empty")
        elif not _can_be_a_path(path):
            faults.add(line, f"no file can have the path {path!a}")
        elif is_address(path):
            faults.add(line, f"{path!r} is an address, and nothing is fetched: download the image and give its path")
        elif (first := seen.setdefault(os.path.normpath(place), index)) != index:
            label = "the same label" if labels[first] == labels[index] else f"the label {labels[first]!r}"
            faults.add(line, f"{path!r} is on line {lines[first]} already, with {label}; keep one of them")


def _can_be_a_path(path: str) -> bool:
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:  # JSON can hold halves of characters
        return False


def _check_labels(faults: Faults, lines: list[int], shown: list[list[str]]) -> None:
    written: dict[str, str] = {}
    wrong: dict[str, str] = {}
    # é is one character in most programs, but e and an accent on old Macs.
    for label in sorted({label for some in shown for label in some}):
        alike = written.setdefault(unicodedata.normalize("NFC", label), label)
        if alike != label:
            wrong[label] = f"the label {label!a} looks like {alike!a}; give both one name"
        elif not _can_be_a_label(label):
            wrong[label] = f"the label {label!a} cannot be written in one line" if label else "the label is empty"
    for line, some in zip(lines, shown, strict=True):
        for label in some:
            if label in wrong:
                faults.add(line, wrong[label])


def _can_be_a_label(label: str) -> bool:
    """Whether it can be a line of UTF-8 text, as the class names in model files are."""
    try:
        label.encode()
    except UnicodeEncodeError:
        return False
    return label.splitlines() == [label]


def _filled(faults: Faults, lines: list[int], column: str, cells: list[str]) -> bool:
    """Whether an optional column is there; it must be filled in for all rows or for none."""
    if not any(cells):
        return False
    for line, cell in zip(lines, cells, strict=True):
        if not cell:
            faults.add(line, f"the {column} is empty, but other rows have one; fill it in for all rows or for none")
    return True


def _given(faults: Faults, lines: list[int], cells: list[str]) -> dict[str, np.ndarray]:
    splits = np.array([SPLIT_FOLDERS.get(cell.lower(), "") for cell in cells])
    for index in np.flatnonzero(splits == ""):
        if cells[index]:
            faults.add(lines[index], f"there is no split {cells[index]!r}; expected train, validation or test")
    found = {split: np.flatnonzero(splits == split) for split in PARTS}
    return {split: positions for split, positions in found.items() if len(positions)}


def _seconds(faults: Faults, lines: list[int], cells: list[str]) -> np.ndarray:
    """float64 (n,): numbers as they are, or points in time as seconds since 1970."""
    filled = [cell for cell in cells if cell]
    read, kind = (_number, "number") if _number(filled[0]) is not None else (_moment, "point in time")
    found = [read(cell) if cell else math.nan for cell in cells]
    for line, cell, value in zip(lines, cells, found, strict=True):
        if value is None:
            faults.add(
                line,
                f"the time {cell!r} is no {kind}; expected ISO 8601, as 2024-05-31 or 2024-05-31T13:45Z, in all rows, "
                "or a number in all rows",
            )
    return np.array([math.nan if value is None else value for value in found])


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _moment(cell: str) -> float | None:
    try:
        moment = datetime.fromisoformat(cell)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _by_class(names: list[str], shown: list[list[str]]) -> np.ndarray:
    """uint8 (n, classes): 1 where an image has the class."""
    number_of = {name: number for number, name in enumerate(names)}
    labels = np.zeros((len(shown), len(names)), np.uint8)
    for row, some in zip(labels, shown, strict=True):
        row[[number_of[label] for label in some]] = 1
    return labels


def _coded(names: list[str], cells: list[str]) -> np.ndarray:
    """int64 (n,): the number of each cell among the names."""
    number_of = {name: number for number, name in enumerate(names)}
    return np.array([number_of[cell] for cell in cells], np.int64)
