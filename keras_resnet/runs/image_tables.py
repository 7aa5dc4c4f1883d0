"""Which images a run used and which it left out, as tables for people."""

from __future__ import annotations

import csv
import io

from keras_resnet.data.images import ImageData
from keras_resnet.data.sources.table_rows import LABEL_SEPARATOR


def split_table(data: ImageData) -> str:
    """Image, class and split, as CSV."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["image", "class", "split"])
    rows = [
        (data.names[index], LABEL_SEPARATOR.join(data.task.names_of(label)), name)
        for name, split in data.splits.items()
        for index, label in zip(split.indices, split.labels, strict=True)
    ]
    writer.writerows([_cell(image), _cell(label), name] for image, label, name in sorted(rows))
    return table.getvalue()


def skipped_table(data: ImageData) -> str:
    """Image, reason code and detail, as CSV."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["image", "reason", "detail"])
    writer.writerows([_cell(one.name), one.code, _cell(one.detail)] for one in data.skipped)
    return table.getvalue()


def _cell(text: str) -> str:
    """Spreadsheets run cells that begin like formulas; a quote makes them text."""
    return f"'{text}" if text[:1] in "=+-@" else text
