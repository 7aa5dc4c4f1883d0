"""What a data source is: its name, and all settings that are needed to read the same images again.

Nothing here imports NumPy, Pillow or TensorFlow, so that the command line can check a source at once.
"""

from __future__ import annotations

import hashlib
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
    GROUP_BY,
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
from keras_resnet.tasks.table import TASKS, usual_task

KINDS = ("digits", "folder", "csv", "jsonl", "tfds")
PATHS = ("folder", "csv", "jsonl")
ONE_LABEL = ("digits", "tfds")
"""Sources whose images have one label each."""

source = partial(setting, group="source")


@dataclass(frozen=True)
class Source:
    """Where images come from, how they are resized and how they are divided: all that is needed to read them again.

    Args:
        name: `digits`, `folder:PATH`, `csv:PATH`, `jsonl:PATH` or `tfds:NAME`. A path that exists needs no kind
            before it.
        image_size: Height and width in pixels to which all images are resized. None: 16 for digits, 64 for folders
            and tables, the images' own for data sets of TFDS whose images have one size.
        channels: 1 or 3. None: 1 for digits, 3 for folders and tables, the data set's own for TFDS.
        data_dir: For `tfds`: a folder with the prepared data set, which is read without a network.
        limit: Use at most this many images, or of each split this many if the source has splits of its own.
        seed: Of the split, and of the choice of images if there is a limit.
        split: How images are divided if the source has no splits of its own: by `class`, `group` or `time`.
        group_by: For a split by `group`, what images of one group have in common: a column of the table, or else
            `series` (photographs taken one after the other, frames of one clip, copies), `camera`, as the files
            themselves say, or `folder`. None: the table's column `group`.
        fold: `(2, 5)` or `"2/5"`: the second of five folds is the test.
        split_file: Use the split that is saved in this file (see `save_split`).
        resize, crop_fraction, background: See `Fit`.
        on_error: What to do if images cannot be read: `fail`, or `skip` up to one in a hundred.
        task: A key of `keras_resnet.tasks.table.TASKS`: `classification`, `multi-label`. None: as the source has it,
            which is multi-label for tables with a column `labels`.

    Raises:
        UsageError: A field is out of range; the message names it.
    """

    name: str
    image_size: int | None = source(None, "side of the images in pixels; none: as the data have it", IMAGE_SIZE.or_none)
    channels: int | None = source(None, "1 for grey, 3 for RGB; none: as the data have it", CHANNELS.or_none)
    data_dir: str | None = source(None, "for tfds: a prepared folder, read without a network", PATH.or_none)
    limit: int | None = source(None, "use at most this many images of each split, by class", COUNT.or_none)
    seed: int = source(0, "of the split", SEED)
    split: str = source("class", "how images are divided if their source has no splits", SPLIT)
    group_by: str | None = source(
        None,
        "with split=group: a column of the table, series, camera or folder; none: its column group",
        GROUP_BY.or_none,
    )
    fold: tuple[int, int] | None = source(None, "K/N, as 2/5: the Kth of N folds is the test", FOLD.or_none)
    split_file: str | None = source(None, "use the split in this file, such as the split.json of a run", PATH.or_none)
    resize: str = source("bilinear", "how images are resized", RESIZE)
    crop_fraction: float | None = source(None, "share of an image that is cut out of its centre", CROP_FRACTION.or_none)
    background: str = source("white", "colour that transparent pixels are laid over", BACKGROUND)
    on_error: str = source("fail", "if images cannot be read: fail, or skip up to 1 % of them", ON_ERROR)
    task: str | None = source(None, "what is asked of an image; none: as the source has it", one_of(*TASKS).or_none)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", full_name(self.name))
        keep_checked(self, **{name: one.values for name, one in SETTINGS.items()})
        if self.task is not None and TASKS[self.task].several and self.kind in ONE_LABEL:
            raise UsageError(f"{self.kind} sources have one label an image; received task={self.task!r}")
        if self.data_dir is not None and self.kind != "tfds":
            raise UsageError(f"data_dir is for tfds:NAME sources; received it with {self.name!r}")
        if self.group_by is not None and self.split != "group":
            raise UsageError(
                f"group_by={self.group_by!r} says what a split by group keeps together: give split=group, too"
            )
        if self.group_by is not None and self.kind not in PATHS:
            raise UsageError(f"group_by is for folders and tables; received it with {self.name!r}")
        if self.split_file is not None and (self.fold or self.split != "class"):
            raise UsageError("a split_file says how images are divided: leave split and fold out")
        # Absolute, so that a run's configuration is valid in any working folder.
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
            height: Of the images if `image_size` is None; None: they have several.
            width: As `height`.
            channels: Of the images if `channels` is None.

        Raises:
            DataError: The images have several sizes and `image_size` is None.
        """
        if self.image_size:
            height = width = self.image_size
        if height is None or width is None:
            raise DataError(f"the images of {self.location} have different sizes: give one by --image-size")
        return Fit((height, width), self.channels or channels, self.resize, self.crop_fraction, self.background)

    @property
    def kind(self) -> str:
        """`digits`, `folder`, `csv`, `jsonl` or `tfds`."""
        return self.name.partition(":")[0]

    @property
    def task_of_one_label(self) -> str:
        """The task that is asked for, or else the usual one for images of one label each."""
        return self.task or usual_task(several=False)

    @property
    def location(self) -> str:
        """What follows the kind: a path, or a data set's name."""
        return self.name.partition(":")[2]

    @property
    def is_missing(self) -> bool:
        """Whether it is read from a path at which nothing is."""
        return self.kind in PATHS and not os.path.exists(os.path.expanduser(self.location))

    @property
    def settings(self) -> dict[str, Any]:
        """All fields as JSON has them, for a run's configuration; `Source(**settings)` is this source again."""
        settings = asdict(self)
        return {**settings, "fold": list(self.fold) if self.fold else None}

    @property
    def short_name(self) -> str:
        """A name for files: that of the folder, table or data set."""
        name = Path(self.location).name if self.kind in PATHS else self.location or self.kind
        name = Path(name).stem if self.kind in ("csv", "jsonl") else name
        name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip(".-") or "data"
        return fitting(name)


SETTINGS = settings_of(Source)
MOST_BYTES = 100
"""Of a name that goes into names of files, which have at most 255."""


def fitting(name: str) -> str:
    """A name that is short enough to be a part of a file's name; a long one is cut, and ends in a key of the whole.

    Args:
        name: Of any length.
    """
    whole = name.encode("utf-8", "surrogateescape")
    if len(whole) <= MOST_BYTES:
        return name
    return f"{whole[: MOST_BYTES - 9].decode('utf-8', 'ignore')}-{hashlib.sha256(whole).hexdigest()[:8]}"


def full_name(name: str) -> str:
    """The name of a source with its kind, `kind:location`, and paths made absolute.

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
    # Unlike Path.expanduser, os.path.expanduser leaves ~name alone if there is no such user.
    return os.path.abspath(os.path.expanduser(path))
