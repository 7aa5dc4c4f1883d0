"""What this package adds to every saved model, always as three small files.

`preprocessing.json` and `labels.txt` say how pixels become the network's input and what its outputs mean. `SHA256SUMS`
has the digest of every other part, so that one flipped bit is noticed; files of before are without it.

A `.keras` file is a zip archive, and they are three of its members. In a `.tflite` file they are a zip archive behind
the flatbuffer, which is how TFLite Metadata carries associated files: runtimes do not look past the flatbuffer, and
`unzip -p model.tflite labels.txt` works. A SavedModel keeps such files in `assets.extra/`.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from keras_resnet.errors import ModelError
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.regular_files import RefusedFileError, open_regular, read_bytes, read_member

JSON_NAME = "preprocessing.json"
LABELS_NAME = "labels.txt"
SUMS_NAME = "SHA256SUMS"
EXTRA_ASSETS = "assets.extra"
FLATBUFFER = "model.flatbuffer"
"""What the sums call the bytes of a `.tflite` file that are before the zip archive."""
MOST_BYTES = 1 << 24
"""Of each of the three files: a hundred thousand classes have some 3 MB of names."""
BLOCK = 1 << 20


def stamp_texts(preprocessing: Preprocessing) -> dict[str, str]:
    """What is stored of a preprocessing: the texts of the files, by name."""
    labels = "".join(f"{' '.join(name.splitlines())}\n" for name in preprocessing.class_names)
    return {JSON_NAME: preprocessing.to_json(), LABELS_NAME: labels}


def write_stamp(path: Path, preprocessing: Preprocessing) -> None:
    """Add a preprocessing, and the digests of all parts, to a model file or SavedModel folder that has none yet."""
    files = {name: text.encode() for name, text in stamp_texts(preprocessing).items()}
    if path.is_dir():
        extra = path / EXTRA_ASSETS
        extra.mkdir(exist_ok=True)
        for name, content in files.items():
            (extra / name).write_bytes(content)
        (extra / SUMS_NAME).write_bytes(_sums_text(_folder_digests(path)))
        return
    digests = {} if zipfile.is_zipfile(path) else {FLATBUFFER: _digest_of_start(path, path.stat().st_size)}
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        digests |= {name: _digest_of_member(archive, name) for name in archive.namelist()}
        digests |= {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        for name, content in (files | {SUMS_NAME: _sums_text(digests)}).items():
            # A fixed date, so that equal models are equal files.
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)


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


def check_digests(path: Path) -> None:
    """Compare every part of a model file or SavedModel folder with the digest that was written with it.

    Files without digests, which others or earlier versions wrote, are taken as they are.

    Raises:
        ModelError: A part is missing or is not what was written.
    """
    try:
        if path.is_dir():
            sums = path / EXTRA_ASSETS / SUMS_NAME
            if not sums.exists():
                return
            expected, found = _read_sums(read_bytes(sums, MOST_BYTES)), _folder_digests(path)
        else:
            if not zipfile.is_zipfile(path):
                return
            with opened_archive(path) as archive:
                names = archive.namelist()
                if SUMS_NAME not in names:
                    return
                expected = _read_sums(read_member(path, SUMS_NAME, MOST_BYTES))
                found = {name: _digest_of_member(archive, name) for name in names if name in expected}
                if FLATBUFFER in expected:
                    found[FLATBUFFER] = _digest_of_start(path, flatbuffer_size(archive))
    except (OSError, ArchiveError, ValueError) as error:
        raise ModelError(f"{path} is damaged: {error}") from None
    wrong = sorted(name for name, digest in expected.items() if found.get(name) != digest)
    if wrong:
        raise ModelError(
            f"{path} is damaged: {', '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} not what was written "
            f"(the digests in its {SUMS_NAME} say so). Restore the file from a copy, or export it again"
        )


class ArchiveError(Exception):
    """A zip archive that cannot be read; the message says why."""


@contextmanager
def opened_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive for reading.

    Raises:
        ArchiveError: It is damaged. (`zipfile` has a dozen exceptions for it, and reads a name twice if it is there
            twice.)
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if len(set(names)) < len(names):
                raise ArchiveError("its zip archive has a member twice")
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        raise ArchiveError(f"its zip archive cannot be read ({error})") from error


def flatbuffer_size(archive: zipfile.ZipFile) -> int:
    """How many bytes of a `.tflite` file are before its zip archive."""
    return min(entry.header_offset for entry in archive.infolist())


def _sums_text(digests: Mapping[str, str]) -> bytes:
    """In the format of `sha256sum --check`."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items())).encode()


def _read_sums(content: bytes) -> dict[str, str]:
    found = {}
    for line in content.decode().splitlines():
        digest, separator, name = line.partition("  ")
        if not separator:
            raise ValueError(f"its {SUMS_NAME} cannot be read")
        found[name] = digest
    return found


def _folder_digests(folder: Path) -> dict[str, str]:
    """Of every plain file but the sums."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    names.pop(f"{EXTRA_ASSETS}/{SUMS_NAME}", None)
    return {name: _digest_of_start(path, path.stat().st_size) for name, path in names.items()}


def _digest_of_member(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as file:
        return _digest(file, archive.getinfo(name).file_size)


def _digest_of_start(path: Path, size: int) -> str:
    with open_regular(path) as file:
        return _digest(file, size)


def _digest(file: IO[bytes], size: int) -> str:
    digest = hashlib.sha256()
    while size > 0 and (block := file.read(min(size, BLOCK))):
        digest.update(block)
        size -= len(block)
    return digest.hexdigest()
