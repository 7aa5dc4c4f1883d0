"""The `Preprocessing` inside every saved model, always as two small files: preprocessing.json and labels.txt.

A `.keras` file is a zip archive, and they are two of its members. In a `.tflite` file they are a zip archive behind
the flatbuffer, which is how TFLite Metadata carries associated files: runtimes do not look past the flatbuffer, and
`unzip -p model.tflite labels.txt` works. A SavedModel keeps such files in `assets.extra/`.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from keras_resnet.errors import ModelError
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.regular_files import RefusedFileError, open_regular, read_bytes, read_member

JSON_NAME = "preprocessing.json"
LABELS_NAME = "labels.txt"
EXTRA_ASSETS = "assets.extra"
MOST_BYTES = 4 * 2**20
"""Of a preprocessing. With the names of ImageNet's 21,841 classes it has 0.7 MB."""


def write_stamp(path: Path, preprocessing: Preprocessing) -> None:
    """Add a preprocessing to a model file or SavedModel folder that has none yet."""
    labels = "".join(f"{' '.join(name.splitlines())}\n" for name in preprocessing.class_names)
    files = {JSON_NAME: preprocessing.to_json(), LABELS_NAME: labels}
    if path.is_dir():
        (path / EXTRA_ASSETS).mkdir(exist_ok=True)
        for name, text in files.items():
            (path / EXTRA_ASSETS / name).write_text(text, encoding="utf-8")
        return
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            # A fixed date, so that equal models are equal files.
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)


def read_preprocessing(path: Path) -> Preprocessing:
    """Read a preprocessing.json by itself.

    Raises:
        ModelError: The file is missing or damaged.
    """
    try:
        return Preprocessing.from_json(read_bytes(path, MOST_BYTES), str(path))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from None


def read_stamp(path: Path) -> Preprocessing:
    """Read the preprocessing inside a model file or SavedModel folder.

    Raises:
        ModelError: The file holds none, or is damaged.
    """
    inside = path / EXTRA_ASSETS / JSON_NAME
    folder = path.is_dir()
    try:
        content = read_bytes(inside, MOST_BYTES) if folder else read_member(path, JSON_NAME, MOST_BYTES)
    except RefusedFileError as error:
        raise ModelError(f"cannot read {error.filename}: {error.strerror}") from None
    # RuntimeError: the entry is encrypted; ValueError: a damaged name
    except (OSError, KeyError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile):
        raise ModelError(
            f"{path} does not say how its input is prepared: it was not written by this package, or is damaged"
        ) from None
    return Preprocessing.from_json(content, str(inside) if folder else f"{path}, {JSON_NAME}")


def has_stamp(path: Path) -> bool:
    """Whether a `.keras` file has a preprocessing in it; Keras itself writes none.

    Args:
        path: The file; of one that cannot be read it is said that it has one, so that reading it tells what is wrong.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            return JSON_NAME in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return True
