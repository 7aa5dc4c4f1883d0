"""Tables for people and their spreadsheets, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from keras_resnet.visible import visible


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as CSV, in which what nobody sees is written out, and which no spreadsheet runs.

    Args:
        header: The names of the columns; none: without them.
        rows: A text a column each.
    """
    lines = []
    for row in (*([header] if header else ()), *rows):
        line = io.StringIO()
        # Both characters end a line here, or cells with either of them would not be quoted.
        writer = csv.writer(line, lineterminator="\r\n")
        writer.writerow(map(csv_cell, row))
        lines.append(line.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines)


def csv_cell(text: str) -> str:
    """A text as it stands in a cell of `csv_text`."""
    # Spreadsheets run cells that begin like formulas, white space before them or not; a quote makes them text.
    cell = visible(text)
    return f"'{cell}" if cell.lstrip()[:1] in {*"=+-@"} else cell
