"""A `.keras` file: a zip archive of JSON and HDF5, looked through before Keras reads it.

Keras believes what an archive declares. A few kilobytes can inflate to gigabytes, and its HDF5 file can point to any
file of the machine.
"""

from __future__ import annotations

import io
import math
import os
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.errors import ModelError
from keras_resnet.json_files import parsed
from keras_resnet.regular_files import MOST_TEXT, read_member
from keras_resnet.regular_files import check_archive as check_sizes
from keras_resnet.shortage import refuse_shortage
from keras_resnet.stamp import ArchiveError, check_digests, opened_archive
from keras_resnet.weights.hdf5 import open_hdf5

if TYPE_CHECKING:
    import keras

JSON_MEMBERS = ("metadata.json", "config.json")
WEIGHTS = "model.weights.h5"

WIDTHS = ("filters", "units", "input_dim", "output_dim")
MOST_MADE = 64
"""How many times more numbers the widest layer could have, were all around it as wide, than bytes are stored."""
SMALL = 1 << 24


def load_archive(path: str | os.PathLike[str]) -> keras.Model:
    """Read a `.keras` file by Keras, with Keras's own refusal of code in the file.

    Raises:
        ModelError: It is missing, damaged, or not what Keras writes.
        StorageError: Memory, or the disk where Keras unpacks it, does not suffice.
    """
    import keras

    path = Path(path)
    try:
        check_archive(path)
        with deep_recursion():
            model = keras.models.load_model(path, compile=False, safe_mode=True)
        if not isinstance(model, keras.Model):
            raise ArchiveError(f"it holds a {type(model).__name__}")
    except ModelError:
        raise
    except Exception as error:  # damaged files make Keras raise any kind of error
        refuse_shortage(error, f"read {path}, which Keras unpacks into a temporary folder")
        raise ModelError(f"{path} cannot be read as a Keras model: {error or type(error).__name__}") from error
    return model


def check_archive(path: Path) -> None:
    """Look through a `.keras` file: its names, sizes, digests, JSON and HDF5.

    Raises:
        ModelError: The HDF5 file inside is refused, or a digest does not fit.
        ArchiveError: The archive is damaged or no `.keras` file.
        OSError: It cannot be opened.
    """
    check_sizes(path)
    with opened_archive(path) as archive:
        for entry in archive.infolist():
            _look_at(entry)
        missing = {*JSON_MEMBERS, WEIGHTS} - set(archive.namelist())
        if missing:
            raise ArchiveError(f"{', '.join(sorted(missing))} is missing in it")
        for name in JSON_MEMBERS:
            value = _json(name, read_member(path, name, MOST_TEXT))
            _look_at_widths(value, archive.getinfo(WEIGHTS).file_size)
        check_digests(path)
        with open_hdf5(io.BytesIO(archive.read(WEIGHTS)), f"{path}: {WEIGHTS}"):
            pass


def _look_at(entry: zipfile.ZipInfo) -> None:
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in entry.filename:
        raise ArchiveError(f"its member {entry.filename!r} leads out of it")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise ArchiveError(f"its member {entry.filename!r} is a link")


def _json(name: str, content: bytes) -> dict[str, Any]:
    try:
        value: Any = parsed(content.decode())
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{name} in it is no JSON that Keras writes ({error})") from None
    if not isinstance(value, dict):
        raise ArchiveError(f"{name} in it is {type(value).__name__}, expected an object")
    return value


def _look_at_widths(config: dict[str, Any], stored: int) -> None:
    """Refuse layers that are far wider than the weights that are there: Keras makes them before it compares."""
    width = window = 1.0
    waiting: list[Any] = [config]
    while waiting:
        one = waiting.pop()
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        if isinstance(one, dict):
            width = max([width, *(value for key in WIDTHS for value in _numbers(one.get(key)))])
            window = max(window, math.prod(_numbers(one.get("kernel_size"))))
    if width * width * window > MOST_MADE * stored + SMALL:
        raise ArchiveError(
            f"its layers of up to {width:,.0f} channels are too wide for the {stored:,} bytes of its weights"
        )


def _numbers(value: Any) -> list[float]:
    return [float(one) for one in (value if isinstance(value, list) else [value]) if isinstance(one, int | float)]
