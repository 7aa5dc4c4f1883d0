"""A log of JSON lines that can be cut back to its length at a checkpoint."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from keras_resnet.atomic import storage_errors
from keras_resnet.errors import ModelError


class Record:
    """A file of rows, one JSON object on each line.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, row: dict[str, Any]) -> None:
        """Append a row. Infinite numbers and NaN, which JSON lacks, become null.

        Raises:
            StorageError: The file cannot be written.
        """
        with storage_errors(self.path), open(self.path, "ab") as file:
            file.write(json.dumps(_plain(row), ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n")

    def size(self) -> int:
        """The length of the file in bytes, once all of it is safely on the disk."""
        if not self.path.exists():
            return 0
        with storage_errors(self.path), open(self.path, "rb") as file:
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_size

    def cut(self, size: int) -> None:
        """Remove everything after the first `size` bytes."""
        if self.path.exists():
            with storage_errors(self.path):
                os.truncate(self.path, min(size, self.path.stat().st_size))

    def mend(self) -> None:
        """Remove a last line that a kill left half written, so that the next row starts on a new line."""
        if self.path.exists():
            with storage_errors(self.path):
                self.cut(self.path.read_bytes().rfind(b"\n") + 1)

    def rows(self) -> list[dict[str, Any]]:
        """All rows, without a last line that a kill left half written.

        Raises:
            ModelError: Another line is not JSON.
        """
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().decode("utf-8", "surrogateescape").split("\n")
        try:
            return [json.loads(line) for line in lines[:-1]]
        except ValueError as error:
            raise ModelError(f"{self.path} is damaged: a line is not JSON ({error})") from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
