"""Look for what would spoil a training on some images: what `keras-resnet check` does, in Python."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from keras_resnet.atomic import write_json, write_text
from keras_resnet.data.images import ImageData, OnRead
from keras_resnet.data.loading import Data, divided, in_memory, list_source, listing_of
from keras_resnet.data.reading import MOST_SKIPPED
from keras_resnet.data.sources.source import Source
from keras_resnet.data.splits.plan import SplitPlan
from keras_resnet.errors import UsageError
from keras_resnet.inspection.check import Report, Seeing, check
from keras_resnet.inspection.page import page
from keras_resnet.json_files import read_json

if TYPE_CHECKING:
    from keras_resnet.data.mosaic import Batch  # needs TensorFlow


@dataclass(frozen=True)
class Inspection(Report):
    """What was found in some images; nothing in them was changed.

    Args:
        source: Where they come from.
        holder: Their folder, into which nothing is written; None: they are in none.
    """

    source: str = ""
    holder: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it, for a JSON file."""
        return {"source": self.source, **super().to_dict()}

    def write(self, folder: str | os.PathLike[str], batch: Batch | None = None) -> list[Path]:
        """Write `check.json`, for programs, and `check.html`, the page.

        Args:
            folder: Where to; made if it is missing.
            batch: A training batch to show on the page.

        Returns:
            The files.

        Raises:
            UsageError: The folder lies in that of the images.
            StorageError: The files cannot be written.
        """
        folder = Path(folder)
        return [self.write_findings(folder), self.write_page(folder / "check.html", batch)]

    def write_findings(self, folder: str | os.PathLike[str]) -> Path:
        """Write `check.json`, for programs.

        Args:
            folder: Where to; made if it is missing.

        Returns:
            The file.

        Raises:
            UsageError: The folder lies in that of the images.
            StorageError: The file cannot be written.
        """
        check_outside(self.holder, Path(folder))
        write_json(Path(folder) / "check.json", self.to_dict())
        return Path(folder) / "check.json"

    def write_page(self, path: str | os.PathLike[str], batch: Batch | None = None) -> Path:
        """Write the findings with thumbnails as one HTML file, which needs no network.

        Args:
            path: The file.
            batch: A training batch to show: what the network will get.

        Returns:
            The file.

        Raises:
            UsageError: It lies in the folder of the images.
            StorageError: It cannot be written.
        """
        check_outside(self.holder, Path(path))
        write_text(Path(path), page(self, batch))
        return Path(path)


WrittenSubject = TypedDict("WrittenSubject", {"image": str, "class": str, "split": str, "remark": str})
"""What is read of an image of a finding in `check.json`."""


class WrittenFinding(TypedDict):
    """What is read of a finding in `check.json`."""

    code: str
    severity: str
    title: str
    advice: str
    images: int
    groups: list[list[WrittenSubject]]


class _Check(TypedDict):
    findings: list[WrittenFinding]


def read_findings(path: Path) -> list[WrittenFinding]:
    """Read the findings from the `check.json` that `Inspection.write` has written.

    Raises:
        ModelError: The file is damaged.
    """
    return read_json(path, _Check, raw_names=True)["findings"]


def inspect_data(data: Data, progress: OnRead | None = None, *, seeing: Seeing | None = None) -> Inspection:
    """Look for what would spoil a training, as `keras-resnet check` does; nothing in the images is changed.

    Finds images that cannot be read, odd ones, copies (the same file, or the same picture saved again) under other
    labels or in other splits, classes that are too small, and labels that may be wrong. Images are divided as a
    training would divide them.

    Args:
        data: A `Source`, a source's name, a data set, a `tf.data.Dataset` or a pair of arrays, (images, labels). Of a
            data set from a source, the source is read again.
        progress: Called with the number of images that have been read and the number of all.
        seeing: What a trained network sees, `keras_resnet.seeing(…)`: labels are doubted by it, and images are
            found that are like no others, or nearly the same as another. None: labels are doubted by edges and colours.

    Returns:
        The findings. `print` shows them as the command does; `write_page` writes them with thumbnails.

    Raises:
        DataError: The source is missing, empty or unlabelled.
        UsageError: There is no such source, or arrays have another number of channels than 1 or 3.

    Example:
        >>> import keras_resnet
        >>> found = keras_resnet.inspect_data(keras_resnet.Source("digits", limit=100))
        >>> found.trainable, len(found.names), int(found.counts.min())
        (True, 100, 10)
        >>> found.write_page("digits.html").name
        'digits.html'
    """
    if not isinstance(data, ImageData | Source | str | os.PathLike):
        data = in_memory(data)
    if isinstance(data, ImageData) and not isinstance(data.source, Source):
        listing, held = listing_of(data)
        found = check(listing, splits=held, name=data.name, progress=progress, seeing=seeing)
        return Inspection(**vars(found), source=data.name)
    source = data.source if isinstance(data, ImageData) else data
    source = source if isinstance(source, Source) else Source(os.fspath(source))  # type: ignore[arg-type]
    listing = list_source(source)
    # Divided as training would. Without a plan, `check` divides and reports if that fails.
    planned = source.split_file or source.limit or source.plan != SplitPlan()
    splits = divided(source, listing) if planned else None
    if source.split_file and splits:
        listing = replace(listing, given=splits)
    if source.limit and splits:
        used = np.sort(np.concatenate(list(splits.values())))
        listing, splits = listing.chosen(used), {name: np.searchsorted(used, part) for name, part in splits.items()}
    found = check(
        listing,
        splits=splits,
        seed=source.seed,
        tolerated=MOST_SKIPPED if source.on_error == "skip" else 0.0,
        name=source.short_name,
        progress=progress,
        seeing=seeing,
    )
    return Inspection(**vars(found), source=source.name, holder=holder_of(source))


def holder_of(source: Source) -> Path | None:
    """The folder that holds a source's images, if it is one."""
    held = source.location if source.kind == "folder" else source.data_dir
    return Path(held).expanduser().resolve() if held else None


def check_outside(holder: Path | None, path: Path) -> None:
    """Refuse to write into the images.

    Args:
        holder: Their folder; None: they are in none.
        path: Where something is to be written.

    Raises:
        UsageError: It lies in the folder.
    """
    if holder is not None and path.resolve().is_relative_to(holder):
        raise UsageError(f"{path} lies in the data, which are left as they are: write elsewhere (check: --out)")
