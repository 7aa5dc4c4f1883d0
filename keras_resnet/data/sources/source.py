"""What a data source is: its name, and everything needed to read the same images again."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from keras_resnet.allowed import (
    BACKGROUND,
    CHANNELS,
    COUNT,
    CROP_FRACTION,
    FOLD,
    IMAGE_SIZE,
    ON_ERROR,
    PATH,
    RESIZE,
    SEED,
    SPLIT,
    one_of,
)
from keras_resnet.data.splits.plan import SplitPlan
from keras_resnet.errors import DataError, UsageError
from keras_resnet.preprocessing import Fit
from keras_resnet.settings import keep_checked, setting, settings_of
from keras_resnet.tasks.table import TASKS

KINDS = ("digits", "folder", "csv", "jsonl", "tfds")
PATHS = ("folder", "csv", "jsonl")

source = partial(setting, group="source")


@dataclass(frozen=True)
class Source:
    """Where images come from and how they are cut up; all that is needed to read them again.

    Args:
        name: `digits`, `folder:PATH`, `csv:PATH`, `jsonl:PATH` or `tfds:NAME`; a path that exists
            stands for itself.
        image_size: Height and width in pixels to which every image is brought; None: the data's own,
            where all of its images have one (digits 16×16, most small data sets of TFDS).
        channels: 1 or 3; None: the data's own (folders and tables: 3).
        data_dir: For `tfds`: a prepared folder, read with no network.
        limit: Use at most this many images (of each split that the source itself separates).
        seed: Of the split and of the limit's choice.
        split: How images are divided that the source does not separate: by `class`, `group` or `time`.
        fold: `(2, 5)`: the second of five folds is the test.
        split_file: A saved split to use instead (see `save_split`).
        resize, crop_fraction, background: See `Fit`.
        on_error: `fail` if an image cannot be read, or `skip` it, up to one in a hundred.
        task: `classification` or `multi-label`; None: as the source has it, which is multi-label for tables with
            a column `labels`.

    Raises:
        UsageError: A field is out of range; the message names it.
    """

    name: str
    image_size: int | None = source(None, "side of the images in pixels; none: as the data have it", IMAGE_SIZE.or_none)
    channels: int | None = source(None, "1 for grey, 3 for RGB; none: as the data have it", CHANNELS.or_none)
    data_dir: str | None = source(None, "for tfds: a prepared folder, read with no network", PATH.or_none)
    limit: int | None = source(None, "use at most this many images of each split, by class", COUNT.or_none)
    seed: int = source(0, "of the split", SEED)
    split: str = source("class", "how images are divided that come undivided", SPLIT)
    fold: tuple[int, int] | None = source(None, "K/N: the Kth of N folds is the test, as 2/5", FOLD.or_none)
    split_file: str | None = source(None, "use this split, as a run's split.json", PATH.or_none)
    resize: str = source("bilinear", "how images are resized", RESIZE)
    crop_fraction: float | None = source(None, "share of an image that is cut out of its centre", CROP_FRACTION.or_none)
    background: str = source("white", "colour that transparency is laid over", BACKGROUND)
    on_error: str = source("fail", "skip up to 1 % of images that cannot be read", ON_ERROR)
    task: str | None = source(None, "what is asked of an image; none: as the source has it", one_of(*TASKS).or_none)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", full_name(self.name))
        keep_checked(self, **{name: one.values for name, one in SETTINGS.items()})
        if self.task == "multi-label" and self.kind in ("digits", "tfds"):
            raise UsageError(f"{self.kind} sources have one label an image; received task={self.task!r}")
        if self.data_dir is not None and self.kind != "tfds":
            raise UsageError(f"data_dir is for tfds:NAME sources; received it with {self.name!r}")
        if self.split_file is not None and (self.fold or self.split != "class"):
            raise UsageError("a split_file says how images are divided; leave split and fold out")
        # Absolute, so that a run's config still means the same from another working folder.
        for field in ("data_dir", "split_file"):
            if getattr(self, field) is not None:
                object.__setattr__(self, field, _absolute(getattr(self, field)))

    @property
    def plan(self) -> SplitPlan:
        """How its images are divided."""
        return SplitPlan(self.split, self.fold)

    def fit(self, height: int | None, width: int | None, channels: int) -> Fit:
        """How its images become pixels.

        Args:
            height: Of the images where the source does not say a size; None: they are of several.
            width: Likewise.
            channels: Likewise.

        Raises:
            DataError: A size is needed.
        """
        if self.image_size:
            height = width = self.image_size
        if height is None or width is None:
            raise DataError(f"the images of {self.location} are of different sizes: give one by --image-size")
        return Fit((height, width), self.channels or channels, self.resize, self.crop_fraction, self.background)

    @property
    def kind(self) -> str:
        """`digits`, `folder`, `csv`, `jsonl` or `tfds`."""
        return self.name.partition(":")[0]

    @property
    def location(self) -> str:
        """What follows the kind: a path or a data set's name."""
        return self.name.partition(":")[2]

    @property
    def settings(self) -> dict[str, Any]:
        """All fields, for a config file; `Source(**settings)` is this source again."""
        settings = asdict(self)
        return {**settings, "fold": list(self.fold) if self.fold else None}  # as JSON gives it back

    @property
    def short_name(self) -> str:
        """For file names: the folder's or the data set's own name."""
        name = Path(self.location).name if self.kind in PATHS else self.location or self.kind
        name = Path(name).stem if self.kind in ("csv", "jsonl") else name
        return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip(".-") or "data"


SETTINGS = settings_of(Source)


def full_name(name: str) -> str:
    """The name of a source as `kind:location`: a path that exists says of what kind it is, and paths are absolute.

    Raises:
        UsageError: There is no such source.
    """
    kind, _, location = name.partition(":")
    if kind not in KINDS and os.path.exists(os.path.expanduser(name)):
        of_suffix = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
        kind, location = of_suffix.get(Path(name).suffix.lower(), "folder"), name
    if kind not in KINDS or (kind == "digits") == bool(location):
        raise UsageError(
            "a data source is digits, folder:PATH, csv:PATH, jsonl:PATH, tfds:NAME or a path that exists; "
            f"received {name!r}"
        )
    return f"{kind}:{_absolute(location)}" if kind in PATHS else name


def _absolute(path: str) -> str:
    # Unlike Path.expanduser it leaves ~ alone where it knows no such user.
    return os.path.abspath(os.path.expanduser(path))
