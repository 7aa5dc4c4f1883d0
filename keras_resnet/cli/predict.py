"""Classify image files by a finished run or an exported file.

An IMAGE is a file of any size, a folder (all images in it and below), a pattern such as 'photos/*.jpg', or - for an
image on standard input. What cannot be read is named, the rest is classified all the same, and the exit code is 3.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.allowed import TTA

if TYPE_CHECKING:
    import numpy as np

    from keras_resnet.inference.predict import Predictions
    from keras_resnet.preprocessing import Fit

BATCH = 64
"""Images that are in memory at a time."""
MOST_LIST_BYTES = 2**30


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="MODEL", type=Path, help="run folder, .keras file, or exported file")
    command.add_argument("images", metavar="IMAGE", nargs="*", help="image files, folders, patterns, or -")
    command.add_argument("--list", type=Path, metavar="FILE", help="a text file, or - for standard input: the path of "
                         "an image in each line")  # fmt: skip
    command.add_argument("--top", type=int, default=3, help="classes to show for each image (default: 3)")
    command.add_argument("--tta", choices=TTA.choices, default="none",
                         help="average over views of each image (default: none)")  # fmt: skip
    form = command.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV instead of a table")
    form.add_argument("--json", action="store_true", help="print a line of JSON for each image")
    command.add_argument("--copy-to", type=Path, metavar="FOLDER",
                         help="copy each image into the folder of its class there; nothing is overwritten")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    from keras_resnet.cli.tables import table
    from keras_resnet.cli.terminal import say
    from keras_resnet.errors import UsageError
    from keras_resnet.inference.predict import predict
    from keras_resnet.inference.predictors import open_predictor

    if options.top < 1:
        raise UsageError(f"--top must be at least 1; received {options.top}")
    if not options.images and options.list is None:
        raise UsageError("which images? Name files, folders or patterns, or a list of them by --list")
    names = list(_named(options))
    predictor = open_predictor(options.model)
    rows: list[tuple[str, ...]] = []
    columns = min(options.top, len(predictor.task.class_names))
    if options.csv:
        say(_csv_header(columns))
    failed = 0
    for start in range(0, len(names), BATCH):
        read, images = _read(names[start : start + BATCH], predictor.preprocessing.fit, options.tta)
        failed += len(names[start : start + BATCH]) - len(read)
        if not read:
            continue
        found = predict(predictor, images, tta=options.tta)
        for remark in found.remarks if not start else ():
            say(f"note: {remark}", error=True)
        for row, name in enumerate(read):
            best = found.top(row, options.top)
            if options.csv or options.json:
                say(_csv_line(name, best) if options.csv else _json_line(name, best))
            else:
                rows.append((name, *(f"{label} {share:.1%}" for label, share in best)))
        if options.copy_to:
            _copy(read, found, options.copy_to)
    if rows:
        table(None, ("image", "first", *(f"{n}." for n in range(2, columns + 1))), rows)
    if options.copy_to:
        say(f"copied {len(names) - failed} images into {options.copy_to}", error=True)
    return 3 if failed else 0


def _named(options: argparse.Namespace) -> Iterator[str]:
    """The images that are meant, each by its own name."""
    from keras_resnet.errors import DataError, UsageError
    from keras_resnet.inference.inputs import files_in
    from keras_resnet.regular_files import read_bytes

    if "-" in options.images and sys.stdin is None:
        raise UsageError("standard input is closed: - needs an image there")
    for image in options.images:
        if image == "-":
            yield image
        else:
            yield from map(str, files_in(image))
    if options.list is None:
        return
    if str(options.list) == "-":
        if sys.stdin is None or "-" in options.images:
            raise UsageError("--list - needs standard input for itself: the path of an image in each line")
        text = sys.stdin.buffer.read()
    else:
        try:
            text = read_bytes(options.list, MOST_LIST_BYTES)
        except OSError as error:
            raise DataError(f"cannot read the list {options.list}: {error.strerror or error}") from None
    lines = [line for line in text.decode(errors="surrogateescape").splitlines() if line.strip()]
    if not lines:
        raise DataError(f"the list {options.list} names no image")
    for line in lines:
        yield from map(str, files_in(line))


def _read(names: Sequence[str], fit: Fit, tta: str) -> tuple[list[str], list[np.ndarray]]:
    """The images that can be read, with their pixels; the others are named."""
    from keras_resnet.cli.terminal import say
    from keras_resnet.errors import DataError
    from keras_resnet.inference.inputs import image_batch
    from keras_resnet.inference.tta import view_size

    sized = fit.at(view_size(fit.size, tta))
    read: list[str] = []
    images: list[np.ndarray] = []
    for name in names:
        try:
            images.append(image_batch(sys.stdin.buffer.read() if name == "-" else name, sized)[0])
        except DataError as error:
            say(f"keras-resnet: {error}", error=True)
        else:
            read.append(name)
    return read, images


def _csv_header(columns: int) -> str:
    from keras_resnet.spreadsheet import csv_text

    names = [name for n in range(1, columns + 1) for name in (f"class_{n}", f"probability_{n}")]
    return csv_text(["path", *names], []).removesuffix("\n")


def _csv_line(name: str, best: Sequence[tuple[str, float]]) -> str:
    from keras_resnet.spreadsheet import csv_text

    cells = [cell for label, share in best for cell in (label, f"{share:.6f}")]
    return csv_text([], [[name, *cells]]).removesuffix("\n")


def _json_line(name: str, best: Sequence[tuple[str, float]]) -> str:
    import json

    from keras_resnet.visible import visible_json

    classes = [{"class": label, "probability": round(share, 6)} for label, share in best]
    return visible_json(json.dumps({"path": name, "predictions": classes}, ensure_ascii=False))


def _copy(names: Sequence[str], found: Predictions, folder: Path) -> None:
    """Copy images into folders called by the classes that the model decides for; `none` where it decides for none."""
    import shutil

    from keras_resnet.atomic import storage_errors, write_with
    from keras_resnet.cli.terminal import say

    decided = found.task.decisions(found.logits)
    for name, label in zip(names, decided, strict=True):
        if name == "-":
            say("an image on standard input has no file to copy", error=True)
            continue
        for of_class in found.task.names_of(label) or ("none",):
            place = folder / _folder_name(of_class)
            with storage_errors(place):
                place.mkdir(parents=True, exist_ok=True)
            source = Path(name)
            target, number = place / source.name, 1
            while target.exists():
                number += 1
                target = place / f"{source.stem}-{number}{source.suffix}"
            write_with(target, lambda temporary, source=source: shutil.copyfile(source, temporary))  # type: ignore[misc]


def _folder_name(label: str) -> str:
    """A class as the name of a folder inside another, whatever it is called."""
    name = label.replace("%", "%25").replace("/", "%2F").replace("\\", "%5C").replace("\0", "%00")
    return name if name.strip(". ") else f"%{name}"
