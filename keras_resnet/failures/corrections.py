"""Apply what a person has written into `labels-to-check.csv`: a corrected table, and nothing else is changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet.atomic import write_text
from keras_resnet.data.loading import list_source
from keras_resnet.data.sources.listing import Files, Listing
from keras_resnet.data.sources.source import PATHS, Source
from keras_resnet.data.sources.table_rows import Faults, Row, read_columns
from keras_resnet.errors import UsageError, listed, nearest
from keras_resnet.images.image_file import ImageError
from keras_resnet.spreadsheet import csv_cell, csv_text

READ = ("path", "label", "correct_label", "sha256")


@dataclass(frozen=True)
class Corrections:
    """A corrected table of labels.

    Args:
        path: The table, which `csv:PATH` (or `jsonl:PATH`) names as a source.
        images: How many it lists: all of the source.
        changed: How many have another label now.
        confirmed: How many labels were looked at and found right.
        left: How many rows of the list nobody has filled in.
    """

    path: Path
    images: int
    changed: int
    confirmed: int
    left: int

    def __str__(self) -> str:
        return (
            f"{self.changed:,} of {self.images:,} labels changed, {self.confirmed:,} confirmed, {self.left:,} rows of "
            "the list not filled in; image files and the source are as they were"
        )


def correct_labels(table: str | os.PathLike[str], source: Source | str) -> Corrections:
    """Write the labels of a source, corrected by a list that a person has worked through.

    Beside the list, `NAME-corrected.csv` has every image of the source with its path and label, and with its split,
    group and time where the source has them. Where a spreadsheet would run or change a name, it is
    `NAME-corrected.jsonl`. Image files and the source stay as they are.

    Args:
        table: `labels-to-check.csv`, in which the column `correct_label` is filled in for some rows.
        source: The folder or table whose images are in it.

    Returns:
        What was written, and how many labels changed.

    Raises:
        DataError: The list names an image or a class that the source has not, twice the same image, or an image
            whose label or file has changed since. The first five such rows are named, and nothing is written.
        UsageError: The source is no folder or table of one label an image, or would be written over.

    Example:
        >>> import keras_resnet
        >>> print(keras_resnet.correct_labels("labels-to-check.csv", "folder:photos"))  # doctest: +SKIP
        12 of 4,000 labels changed, 5 confirmed, 83 rows of the list not filled in; ...
    """
    source, file = Source(source) if isinstance(source, str) else source, Path(table)
    if source.kind not in PATHS:
        raise UsageError(f"labels are corrected in folders and tables of image files; received {source.name!r}")
    listing = list_source(source)
    if listing.task.several:
        raise UsageError("labels are corrected where each image has one; these images may have several")
    faults = Faults(file)
    rows = read_columns(file, faults, READ).rows
    labels, filled = _corrected(rows, listing, faults)
    faults.raise_any()
    changed = int((labels != listing.labels).sum())
    path = _write(file, source, listing, labels)
    return Corrections(path, len(listing), changed, filled - changed, len(rows) - filled)


def filled_in(table: Path) -> bool:
    """Whether somebody has written into a list; not if there is none.

    Args:
        table: As `correct_labels`.
    """
    if not table.exists():
        return False
    return any(cells[2].strip() for _, cells in read_columns(table, Faults(table), READ).rows)


def _corrected(rows: list[Row], listing: Listing, faults: Faults) -> tuple[np.ndarray, int]:
    """The labels as the list has them, and how many of its rows are filled in."""
    places, classes = _by_cell(listing.names), _by_cell(listing.class_names)
    labels, seen = listing.labels.copy(), dict[str, int]()
    filled = 0
    for line, (path, given, correct, digest) in rows:
        if not correct.strip():
            continue
        filled += 1
        if path not in places:
            faults.add(line, f"the source has no image {path!r}")
        elif (first := seen.setdefault(path, line)) != line:
            faults.add(line, f"{path!r} is on line {first} already; keep one of them")
        elif correct.strip() not in classes:
            near = nearest(correct.strip(), listing.class_names)
            hint = f"; did you mean {near!r}?" if near else f"; there are {listed(listing.class_names)}"
            faults.add(line, f"there is no class {correct.strip()!r}{hint}")
        elif classes.get(given.strip()) != labels[places[path]]:
            now = listing.class_names[labels[places[path]]]
            faults.add(line, f"the list has the label {given!r} for {path!r}, and the source now has {now!r}")
        elif (problem := _changed(listing, places[path], digest.strip())) is not None:
            faults.add(line, f"{path!r} {problem}")
        else:
            labels[places[path]] = classes[correct.strip()]
    return labels, filled


def _by_cell(names: Iterable[str]) -> dict[str, int]:
    """The number of each name, by itself and by how a cell of the list has it; without cells that two names have."""
    own = {name: number for number, name in enumerate(names)}
    cells: dict[str, int] = {}
    twice: set[str] = set()
    for name, number in own.items():
        cell = csv_cell(name).strip()
        if cells.setdefault(cell, number) != number or own.get(cell, number) != number:
            twice.add(cell)
    return {cell: number for cell, number in ({**cells, **own}).items() if cell not in twice}


def _changed(listing: Listing, place: int, digest: str) -> str | None:
    """What is wrong with an image's file; None if it is the one that was judged."""
    if not digest:
        return "has no sha256 in the list, so that nobody knows whether its file is the same: make the list again"
    try:
        content = listing.contents.read(place)
    except ImageError as error:
        return f"cannot be read: {error}"
    same = hashlib.sha256(content).hexdigest() == digest
    return None if same else "has another content than the file that was judged: make the list again"


def _write(file: Path, source: Source, listing: Listing, labels: np.ndarray) -> Path:
    """Write the table beside the list: as CSV, or as JSON Lines where CSV for people would change a name."""
    header, rows = _columns(listing, labels)
    exact = all(csv_cell(cell) == cell == cell.strip() for row in rows for cell in row)
    path = file.with_name(f"{file.stem}-corrected{'.csv' if exact else '.jsonl'}")
    if os.path.realpath(path) == os.path.realpath(source.location):
        raise UsageError(f"{path} is the source itself, which is not written over: give the list another name")
    # Of ASCII, so that halves of characters, which names of files may have, survive as well.
    lines = (f"{json.dumps(dict(zip(header, row, strict=True)))}\n" for row in rows)
    write_text(path, csv_text(header, rows) if exact else "".join(lines))
    return path


def _columns(listing: Listing, labels: np.ndarray) -> tuple[list[str], list[list[str]]]:
    assert isinstance(listing.contents, Files)
    columns = {
        "path": [str(path) for path in listing.contents.paths],
        "label": [listing.class_names[label] for label in labels],
        **dict(_known(listing)),
    }
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


def _known(listing: Listing) -> Iterator[tuple[str, list[str]]]:
    """What else the source knows, which a split of the corrected table needs as well."""
    parts = [""] * len(listing)
    for name, positions in listing.given.items():
        for position in positions.tolist():
            parts[position] = name
    if all(parts):
        yield "split", parts
    if listing.groups is not None:
        yield "group", [str(group) for group in listing.groups.tolist()]
    if listing.times is not None and np.isfinite(listing.times).all():
        yield "time", [repr(time) for time in listing.times.tolist()]
