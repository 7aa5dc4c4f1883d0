"""A FlatBuffer read with every bound checked, as the C++ library's `Verifier` does and Python's does not.

https://flatbuffers.dev/internals: a table begins with the distance back to its vtable, which holds the table's size
and where in the table each field is; 0 stands for a field that is left out. Vectors, texts and tables in a field are
distances forward.
"""

from __future__ import annotations

import math
import struct

import numpy as np

LAYOUTS = {
    layout: struct.Struct(f"<{layout}")
    for layout in ("b", "B", "?", "H", "i", "I", "q", "Q", "f")  # as in the module `struct`
}


class FlatBufferError(Exception):
    """A place that is outside of the file, or a value that cannot be."""


class Buffer:
    """The bytes of a FlatBuffer; every read is inside of them.

    Args:
        content: All of them, without a copy.
    """

    def __init__(self, content: memoryview) -> None:
        self.content = content

    def root(self) -> Table:
        return Table(self, self.forward(0))

    def number(self, at: int, layout: str) -> int | float:
        form = LAYOUTS[layout]
        if at % form.size or not 0 <= at <= len(self.content) - form.size:
            raise FlatBufferError(f"it points to byte {at}, of {len(self.content)}")
        return form.unpack_from(self.content, at)[0]

    def forward(self, at: int) -> int:
        """Where the distance at this place leads."""
        return at + int(self.number(at, "I"))

    def vector(self, at: int, size: int) -> tuple[int, int]:
        """Where the elements of a vector begin, and how many there are."""
        length = int(self.number(at, "I"))
        if length * size > len(self.content) - at - 4:
            raise FlatBufferError(f"it has a vector of {length} elements that ends behind the file")
        return at + 4, length


class Table:
    """One table; fields are asked for by their number in the schema.

    Args:
        buffer: What it is in.
        at: Where it begins.

    Raises:
        FlatBufferError: It is not inside the file.
    """

    def __init__(self, buffer: Buffer, at: int) -> None:
        self.buffer, self.at = buffer, at
        vtable = at - int(buffer.number(at, "i"))
        bytes_of_vtable = int(buffer.number(vtable, "H"))
        self.size = int(buffer.number(vtable + 2, "H"))
        ends = vtable + bytes_of_vtable, at + self.size
        if bytes_of_vtable < 4 or bytes_of_vtable % 2 or self.size < 4 or max(ends) > len(buffer.content):
            raise FlatBufferError(f"it has a table at byte {at} that does not fit into the file")
        self.places = struct.unpack_from(f"<{bytes_of_vtable // 2 - 2}H", buffer.content, vtable + 4)

    def refuse_fields(self, after: int, *others: int, what: str) -> None:
        """Refuse a table with fields that are not looked at: the runtime would read them.

        Args:
            after: The first number that the schema, as far as it is known here, does not have.
            others: Numbers before it.
            what: What to call the table in an error.

        Raises:
            FlatBufferError: It has one.
        """
        odd = [number for number, place in enumerate(self.places) if place and (number >= after or number in others)]
        if odd:
            raise FlatBufferError(f"{what} has the field {odd[0]}, which this package neither writes nor checks")

    def number(self, field: int, layout: str, default: int = 0) -> int | float:
        """A number of the table.

        Args:
            field: Its number in the schema.
            layout: A key of `LAYOUTS`.
            default: What stands for it where it is left out.

        Raises:
            FlatBufferError: It lies outside of the table.
        """
        place = self._place(field, LAYOUTS[layout].size)
        return self.buffer.number(place, layout) if place else default

    def integer(self, field: int, layout: str) -> int:
        return int(self.number(field, layout))

    def table(self, field: int) -> Table | None:
        place = self._place(field, 4)
        return Table(self.buffer, self.buffer.forward(place)) if place else None

    def tables(self, field: int) -> list[Table]:
        place = self._place(field, 4)
        if not place:
            return []
        first, length = self.buffer.vector(self.buffer.forward(place), 4)
        return [Table(self.buffer, self.buffer.forward(first + 4 * number)) for number in range(length)]

    def numbers(self, field: int, dtype: type[np.generic]) -> np.ndarray:
        """A vector of numbers, as a view of the file; an empty one where it is left out."""
        place = self._place(field, 4)
        if not place:
            return np.zeros(0, dtype)
        form = np.dtype(dtype).newbyteorder("<")
        first, length = self.buffer.vector(self.buffer.forward(place), form.itemsize)
        if first % form.itemsize:
            raise FlatBufferError(f"it has numbers at byte {first}, which is no place for them")
        return np.frombuffer(self.buffer.content, form, length, first)

    def text(self, field: int) -> str:
        """A text; an empty one where it is left out."""
        place = self._place(field, 4)
        if not place:
            return ""
        first, length = self.buffer.vector(self.buffer.forward(place), 1)
        if self.buffer.number(first + length, "B"):
            raise FlatBufferError(f"it has a text at byte {first} without an end")
        try:
            return bytes(self.buffer.content[first : first + length]).decode()
        except UnicodeDecodeError:
            raise FlatBufferError(f"it has a text at byte {first} that is not UTF-8") from None

    def _place(self, field: int, size: int) -> int:
        """Where a field is; 0: left out."""
        place = self.places[field] if field < len(self.places) else 0
        if place and not 4 <= place <= self.size - size:
            raise FlatBufferError(f"it has a field of the table at byte {self.at} that lies outside of the table")
        return self.at + place if place else 0


def indices(values: np.ndarray, count: int, what: str, *, may_lack: int | None = None) -> list[int]:
    """Positions in a list of `count` things.

    Args:
        values: The positions.
        count: How many things there are.
        what: What to call the things in an error.
        may_lack: From which place on −1, for nothing, is allowed; None: nowhere.

    Raises:
        FlatBufferError: One is none of them.
    """
    found: list[int] = values.tolist()
    for place, index in enumerate(found):
        lacking = index == -1 and may_lack is not None and place >= may_lack
        if not 0 <= index < count and not lacking:
            raise FlatBufferError(f"it names {what} {index}, of {count}")
    return found


def product(shape: np.ndarray) -> int:
    """How many numbers a shape has, in Python's integers, which do not overflow."""
    return math.prod(shape.tolist())
