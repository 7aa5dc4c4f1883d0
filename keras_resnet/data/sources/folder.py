"""A folder of image files with one sub-folder for each class, or such folders under train, validation and test."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np

from keras_resnet.data.sources.listing import Files, Listing
from keras_resnet.errors import DataError, listed
from keras_resnet.images.image_file import SUFFIXES, UNREAD_SUFFIXES, read_file
from keras_resnet.tasks.table import task as task_named
from keras_resnet.tasks.table import task_row, usual_task

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
# Folders that Macs put into archives and Synology drives beside images: they hold copies and thumbnails.
SYSTEM_FOLDERS = frozenset({"__MACOSX", "@eaDir"})


def list_folder(path: str | os.PathLike[str], *, fewest_classes: int = 2, task: str | None = None) -> Listing:
    """Find the images of a folder that has one sub-folder for each class; they may lie deeper in it.

    Hidden files and folders are left out, and so is what Macs and network drives add. If the sub-folders are called
    train, val and test (or similar), these are the splits, and the sub-folders in them are the classes.

    If an image may have any number of classes, one that lies in several class folders, as a copy or a link, has all
    of these.

    Args:
        path: The folder.
        fewest_classes: How many classes there must be at least.
        task: The name of one, such as `multi-label`; None: `classification`.

    Raises:
        DataError: The folder is missing or holds no images, only one class, an empty class, or two classes whose
            names look the same.
        UsageError: There is no such task.
    """
    try:
        return _listed(Path(os.path.expanduser(path)), fewest_classes, task or usual_task(several=False))
    except OSError as error:
        raise DataError(f"cannot read {error.filename or path}: {error.strerror or error}") from None


def _listed(root: Path, fewest_classes: int, task: str) -> Listing:
    several = task_row(task).several
    if not root.exists():
        raise DataError(f"there is no folder {root}")
    if not root.is_dir():
        raise DataError(f"{root} is a file; expected a folder with one sub-folder of images for each class")
    tops = _visible_folders(root)
    separated = (
        bool(tops)
        and {top.name.lower() for top in tops} <= SPLIT_FOLDERS.keys()
        and "train" in {SPLIT_FOLDERS[top.name.lower()] for top in tops}
    )
    known = [top.name for top in tops if top.name.lower() in SPLIT_FOLDERS]
    if not separated and len(known) > 1 and "train" in {SPLIT_FOLDERS[name.lower()] for name in known}:
        unknown = [top.name for top in tops if top.name not in known]
        raise DataError(
            f"{root} holds the splits {listed(known)} and also {listed(unknown)}: move the ones or the others "
            "elsewhere, since it is not clear which of them are classes"
        )
    parts = [(SPLIT_FOLDERS[top.name.lower()], top) for top in tops] if separated else [("", root)]
    class_names = tuple(sorted({folder.name for _, part in parts for folder in _visible_folders(part)}))
    above = {root, *(part for _, part in parts)}
    loose = sum(_is_image(file) and _is_data(file.name) for folder in above for file in folder.iterdir())
    if not class_names:
        found = f"it holds {loose} images but no sub-folders" if loose else "it holds no images"
        raise DataError(f"{root}: {found}; expected one sub-folder of images for each class")

    for name in class_names:
        try:
            name.encode()
        except UnicodeEncodeError:  # not UTF-8, as the class names in model files are
            raise DataError(f"{root}: the class folder {name!a} has a name that cannot be written; rename it") from None
    written: dict[str, str] = {}
    for name in class_names:  # é is one character on most systems, but e and an accent on old Macs
        alike = written.setdefault(unicodedata.normalize("NFC", name), name)
        if alike != name:
            raise DataError(f"{root}: the class folders {alike!a} and {name!a} look the same; give both one name")

    paths: list[Path] = []
    labels: list[int] = []
    parts_of: list[str] = []
    others: list[Path] = []
    for label, class_name in enumerate(class_names):
        before = len(paths)
        for part_name, part in parts:
            files = _files_below(part / class_name)
            images = [file for file in files if _is_image(file)]
            others += [file for file in files if not _is_image(file)]
            paths += images
            labels += [label] * len(images)
            parts_of += [part_name] * len(images)
        if len(paths) == before and len(class_names) > 1:
            raise DataError(
                f"{root}: the class folder {class_name!r} holds no image "
                f"({', '.join(sorted(SUFFIXES))} in any case); remove the folder or fill it"
            )
    if not paths:
        raise DataError(f"{root}: no images ({', '.join(sorted(SUFFIXES))} in any case) in {listed(class_names)}")
    if len(class_names) < fewest_classes:
        raise DataError(f"{root}: there is only one class, {class_names[0]!r}; two sub-folders or more are needed")
    coded = np.array(labels, np.int64)
    if several:
        paths, parts_of, coded = _united(paths, parts_of, coded, len(class_names))
    given = {split: np.flatnonzero([part == split for part in parts_of]) for split in ("train", "validation", "test")}
    names = tuple(file.relative_to(root).as_posix() for file in paths)
    return Listing(
        contents=Files(tuple(paths), names),
        names=names,
        labels=coded,
        task=task_named(task, class_names),
        given={name: positions for name, positions in given.items() if len(positions)} if separated else {},
        notes=_notes(loose, others),
    )


def _united(
    paths: list[Path], parts: list[str], labels: np.ndarray, classes: int
) -> tuple[list[Path], list[str], np.ndarray]:
    """Each image once, where it was first found, with the classes of all folders that hold the same bytes."""
    sizes = Counter((part, os.stat(path).st_size) for path, part in zip(paths, parts, strict=True))
    place_of: dict[tuple[str, object], int] = {}
    kept: list[int] = []
    members: list[set[int]] = []
    for index, (path, part) in enumerate(zip(paths, parts, strict=True)):
        alone = sizes[part, os.stat(path).st_size] == 1  # no other file can have the same bytes
        content: object = index if alone else hashlib.sha256(read_file(path, str(path))).digest()
        place = place_of.setdefault((part, content), len(kept))
        if place == len(kept):
            kept.append(index)
            members.append(set())
        members[place].add(int(labels[index]))
    shown = np.zeros((len(kept), classes), np.uint8)
    for row, some in zip(shown, members, strict=True):
        row[list(some)] = 1
    return [paths[index] for index in kept], [parts[index] for index in kept], shown


def _notes(loose: int, others: list[Path]) -> tuple[str, ...]:
    """What was left out: images outside the class folders, and files in these that are no images."""
    notes = [f"{loose} images that lie in no class folder were left out"] if loose else []
    if others:
        notes.append(f"{len(others)} files without an extension of images were left out")
    if pictures := Counter(file.suffix.lower() for file in others if file.suffix.lower() in UNREAD_SUFFIXES):
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in pictures.most_common())
        notes[-1] += f", among them pictures in formats that are not read here ({kinds}): convert them to JPEG or PNG"
    return tuple(notes)


def _visible_folders(path: Path) -> list[Path]:
    return sorted(item for item in path.iterdir() if item.is_dir() and _is_data(item.name))


def _files_below(path: Path) -> list[Path]:
    """Visible files below a folder, sorted. Links are followed; each folder is visited once, and no folder above."""
    found: list[Path] = []
    visited = {parent.resolve() for parent in path.parents} | set(path.resolve().parents)
    for folder, subfolders, files in os.walk(path, onerror=_refuse, followlinks=True):
        real = Path(folder).resolve()
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(filter(_is_data, subfolders))
        found += [Path(folder, name) for name in files if _is_data(name)]
    return sorted(found)


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # a split need not have every class
        raise error


def _is_data(name: str) -> bool:
    return not name.startswith(".") and name not in SYSTEM_FOLDERS


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.is_dir()
