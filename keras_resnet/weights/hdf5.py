"""HDF5 files opened so that nothing but plain numbers inside the file can be read.

HDF5 can point anywhere: a dataset may keep its bytes in any other file of the machine, a link may lead to another
file or back to where it stands, a filter may be a library that is loaded, and a few bytes may declare gigabytes. Every
object is looked at before any is read.
"""

from __future__ import annotations

import io
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from keras_resnet.errors import ModelError
from keras_resnet.shortage import refuse_shortage

if TYPE_CHECKING:
    import h5py

SECONDS = 10
"""Reading the attributes of a ResNet-50 takes 0.1 s, and importing h5py about one."""
READ_ATTRIBUTES = """
import sys, h5py
with h5py.File(sys.argv[1], "r") as file:
    dict(file.attrs)
    file.visititems(lambda name, one: dict(one.attrs) and None)
"""
DEEPEST = 100
"""Groups inside groups; Keras makes fewer than ten."""
MOST_OBJECTS = 1_000_000
MOST_INFLATED = 100
"""How many times larger a compressed dataset may be than what is stored of it."""
SMALL = 1 << 24
"""A dataset of this many bytes may be compressed as much as it will, or not stored at all if it is all zero."""


@contextmanager
def open_hdf5(file: str | os.PathLike[str] | BinaryIO, called: object) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, after a look at everything in it.

    Args:
        file: Its path, or its content.
        called: What to call it in an error.

    Raises:
        ModelError: It is damaged, or holds what weights never are: links, data in other files, virtual data, filters
            that are no part of HDF5, other types than numbers, more than the file can hold. What h5py raises in the
            block is turned into it, too: reading may still find damage.
    """
    import h5py

    try:
        with h5py.File(file, "r") as opened:
            walk = _Walk(opened)
            walk.look()
            if walk.has_texts_of_any_length and not isinstance(file, io.BytesIO):
                _refuse_endless(os.fspath(file))  # type: ignore[arg-type]
            yield opened
    except ModelError:
        raise
    except Hdf5Error as error:
        raise ModelError(f"{called} is refused: {error}") from None
    except Exception as error:  # h5py raises nearly anything for a damaged file
        refuse_shortage(error, f"read {called}")
        raise ModelError(f"{called} cannot be read as an HDF5 file: {error or type(error).__name__}") from None


def names_in(holder: h5py.Group, attribute: str) -> list[str]:
    """The texts that an attribute holds.

    Raises:
        ValueError: It holds something else.
    """
    found = np.asarray(holder.attrs[attribute])
    names = [name.decode() if isinstance(name, bytes) else name for name in found.ravel().tolist()]
    if found.ndim > 1 or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{attribute} of {holder.name} is {found.dtype}{list(found.shape)}, expected a list of texts")
    return names


def numbers_at(group: h5py.Group, name: str) -> np.ndarray:
    """A dataset of a group.

    Raises:
        ValueError: There is a group in its place.
    """
    import h5py

    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{dataset.name} is a group, expected numbers")
    return np.asarray(dataset)


class Hdf5Error(Exception):
    """An object that no weights file has."""


def _refuse_endless(path: str) -> None:
    """Read all attributes in a process that can be ended.

    A text of any length lies in a heap of the file, and is named by a number there. If the heap lacks that number,
    HDF5 may search for it without end, where no signal reaches it.
    """
    try:
        subprocess.run([sys.executable, "-c", READ_ATTRIBUTES, path], capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Hdf5Error(f"HDF5 does not come to an end of its texts in {SECONDS} seconds") from None


class _Walk:
    """Looks at every object of a file once, without following a link out of it."""

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self.size = file.id.get_filesize()
        self.stored = 0
        self.seen: set[int] = set()
        self.has_texts_of_any_length = False

    def look(self) -> None:
        import h5py

        root = self.file["/"].id
        self.seen.add(h5py.h5o.get_info(root).addr)
        waiting = [("", root, 0)]
        while waiting:
            path, group, depth = waiting.pop()
            if depth > DEEPEST:
                raise Hdf5Error(f"its groups are more than {DEEPEST} deep")
            self._look_at_attributes(path or "/", group)
            for name in group:
                inside = f"{path}/{name.decode('utf-8', 'backslashreplace')}"
                found = self._opened(inside, group, name)
                if isinstance(found, h5py.h5d.DatasetID):
                    self._look_at_dataset(inside, h5py.Dataset(found))
                else:
                    waiting.append((inside, found, depth + 1))

    def _opened(self, path: str, group: h5py.h5g.GroupID, name: bytes) -> h5py.h5g.GroupID | h5py.h5d.DatasetID:
        """The group or dataset that a name of a group stands for."""
        import h5py

        if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
            raise Hdf5Error(f"{path} is a link; weights must be in the file itself, at one place")
        found = h5py.h5o.open(group, name)
        address = h5py.h5o.get_info(found).addr
        if address in self.seen:
            raise Hdf5Error(f"{path} is a second name of another object")
        self.seen.add(address)
        if len(self.seen) > MOST_OBJECTS:
            raise Hdf5Error(f"it has more than {MOST_OBJECTS:,} objects")
        if not isinstance(found, h5py.h5g.GroupID | h5py.h5d.DatasetID):
            raise Hdf5Error(f"{path} is neither a group nor numbers")
        return found

    def _look_at_dataset(self, path: str, dataset: h5py.Dataset) -> None:
        import h5py

        made = dataset.id.get_create_plist()
        if made.get_layout() == h5py.h5d.VIRTUAL or (
            made.get_layout() == h5py.h5d.CONTIGUOUS and made.get_external_count()
        ):
            raise Hdf5Error(f"the numbers of {path} are in another file")
        filters = [made.get_filter(number)[0] for number in range(made.get_nfilters())]
        known = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
        if set(filters) - known:
            raise Hdf5Error(f"{path} is compressed by a filter (number {max(filters)}) that is no part of HDF5")
        if dataset.shape is None:
            raise Hdf5Error(f"{path} holds nothing (a null dataspace)")
        bfloat16 = dataset.dtype.kind == "V" and dataset.dtype.itemsize == 2 and dataset.dtype.names is None
        if dataset.dtype.kind not in "biuf" and not bfloat16:
            raise Hdf5Error(f"{path} is of the type {dataset.dtype}; expected numbers")
        stored = dataset.id.get_storage_size()
        self.stored += stored
        declared = dataset.dtype.itemsize * math.prod(dataset.shape)
        if self.stored > self.size or declared > max(stored * (MOST_INFLATED if filters else 1), SMALL):
            raise Hdf5Error(f"{path} declares {declared:,} bytes, of which {stored:,} are in the file of {self.size:,}")
        self._look_at_attributes(path, dataset.id)

    def _look_at_attributes(self, path: str, holder: object) -> None:
        import h5py

        for number in range(h5py.h5a.get_num_attrs(holder)):
            attribute = h5py.h5a.open(holder, index=number)
            kind = attribute.get_type()
            texts = isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str()
            self.has_texts_of_any_length = self.has_texts_of_any_length or texts
            if kind.get_size() * math.prod(attribute.shape or ()) > self.size:
                raise Hdf5Error(f"the attribute {attribute.name!r} of {path} declares more bytes than the file has")
