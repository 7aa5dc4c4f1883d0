"""What a data source is: its name, and everything needed to read the same images again."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from keras_resnet.data.reading import ON_ERROR
from keras_resnet.data.splits.plan import SplitPlan
from keras_resnet.errors import DataError, UsageError
from keras_resnet.preprocessing import RESIZINGS, Fit, check_background
from keras_resnet.tasks.table import TASKS

KINDS = ("digits", "folder", "csv", "jsonl", "tfds")
PATHS = ("folder", "csv", "jsonl")


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
    image_size: int | None = None
    channels: int | None = None
    data_dir: str | None = None
    limit: int | None = None
    seed: int = 0
    split: str = "class"
    fold: tuple[int, int] | None = None
    split_file: str | None = None
    resize: str = "bilinear"
    crop_fraction: float | None = None
    background: str = "white"
    on_error: str = "fail"
    task: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _named(self.name))
        if self.kind not in KINDS or (self.kind == "digits") == bool(self.location):
            raise UsageError(
                "a data source is digits, folder:PATH, csv:PATH, jsonl:PATH, tfds:NAME or a path that exists; "
                f"received {self.name!r}"
            )
        if self.task not in (None, *TASKS):
            raise UsageError(f"task must be one of {', '.join(TASKS)}; received {self.task!r}")
        if self.task == "multi-label" and self.kind in ("digits", "tfds"):
            raise UsageError(f"{self.kind} sources have one label an image; received task={self.task!r}")
        if self.image_size is not None and self.image_size < 1:
            raise UsageError(f"image_size must be at least 1; received {self.image_size}")
        if self.channels not in (None, 1, 3):
            raise UsageError(f"channels must be 1 or 3; received {self.channels}")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit must be at least 1; received {self.limit}")
        if not 0 <= self.seed < 2**31:
            raise UsageError(f"seed must lie in 0–{2**31 - 1}; received {self.seed}")
        if self.data_dir is not None and self.kind != "tfds":
            raise UsageError(f"data_dir is for tfds:NAME sources; received it with {self.name!r}")
        if self.resize not in RESIZINGS:
            raise UsageError(f"resize must be one of {', '.join(RESIZINGS)}; received {self.resize!r}")
        if self.crop_fraction is not None and not 0 < self.crop_fraction <= 1:
            raise UsageError(f"crop_fraction must be None or above 0 and at most 1; received {self.crop_fraction}")
        if self.on_error not in ON_ERROR:
            raise UsageError(f"on_error must be fail or skip; received {self.on_error!r}")
        check_background(self.background)
        if self.fold is not None:
            object.__setattr__(self, "fold", tuple(self.fold))  # config files know lists only
        self.plan  # noqa: B018 – it checks split and fold
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


def _named(name: str) -> str:
    """The full name of a source: a path that exists says of what kind it is, and paths are absolute."""
    kind, _, location = name.partition(":")
    if kind not in KINDS and os.path.exists(os.path.expanduser(name)):
        suffix = Path(name).suffix.lower()
        kind, location = (
            {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}.get(suffix, "folder"),
            name,
        )
    if kind in PATHS and location:
        return f"{kind}:{_absolute(location)}"
    return name


def _absolute(path: str) -> str:
    # Unlike Path.expanduser it leaves ~ alone where it knows no such user.
    return os.path.abspath(os.path.expanduser(path))
