"""A log of JSON lines that can be cut back to its length at a checkpoint."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Generic, TypeVar

from keras_resnet.atomic import storage_errors
from keras_resnet.json_files import read_json_lines
from keras_resnet.regular_files import open_regular
from keras_resnet.visible import visible_json

RowKind = TypeVar("RowKind")


class Record(Generic[RowKind]):
    """A file of rows, one JSON object on each line. It is never written through a symbolic link.

    Args:
        path: The file; it need not exist.
        kind: What each row holds, for reading.
    """

    def __init__(self, path: Path, kind: type[RowKind]) -> None:
        self.path, self.kind = path, kind

    def add(self, row: dict[str, Any]) -> None:
        """Append a row. Infinite numbers and NaN, which JSON lacks, become null.

        Raises:
            StorageError: The file cannot be written.
            UsageError: It is a symbolic link, a pipe or a device.
        """
        with storage_errors(self.path), open_regular(self.path, "a+b", follow=False) as file:
            line = visible_json(json.dumps(_plain(row), ensure_ascii=False))
            file.write(line.encode("utf-8", "surrogateescape") + b"\n")

    def size(self) -> int:
        """The length of the file in bytes, once all of it is safely on the disk."""
        if not os.path.lexists(self.path):
            return 0
        with storage_errors(self.path), open_regular(self.path, "r+b", follow=False) as file:
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_size

    def cut(self, size: int) -> None:
        """Remove everything after the first `size` bytes.

        Raises: as `add`.
        """
        if os.path.lexists(self.path):
            with storage_errors(self.path), open_regular(self.path, "r+b", follow=False) as file:
                file.truncate(min(size, os.fstat(file.fileno()).st_size))

    def size_while(self, holds: Callable[[RowKind], bool]) -> int:
        """The length in bytes of the first rows, all for which this holds.

        Raises: as `rows`.
        """
        count = len(list(takewhile(holds, self.rows())))
        if not count:
            return 0
        with storage_errors(self.path), open_regular(self.path, "rb", follow=False) as file:
            return sum(map(len, islice(file, count)))

    def mend(self) -> None:
        """Remove a last line that a kill left half written, so that the next row starts on a new line.

        Raises: as `add`.
        """
        if os.path.lexists(self.path):
            with storage_errors(self.path), open_regular(self.path, "r+b", follow=False) as file:
                file.truncate(file.read().rfind(b"\n") + 1)

    def rows(self) -> list[RowKind]:
        """All rows, without a last line that a kill left half written.

        Raises:
            ModelError: Another line is damaged; the message names the line and the field.
        """
        return read_json_lines(self.path, self.kind, raw_names=True) if self.path.exists() else []


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
