"""From a source's name to images in three splits: `digits`, a folder, a table, a TFDS data set, or arrays."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from keras_resnet.data import reading
from keras_resnet.data.cache import cache_folder
from keras_resnet.data.decode import Fit, check_background
from keras_resnet.data.folder import list_folder
from keras_resnet.data.images import ArrayImages, ImageData, ImageStore, Progress, Skipped, Split, as_uint8_images
from keras_resnet.data.listing import Blob, Listing
from keras_resnet.data.memory import aligned
from keras_resnet.data.split_file import content_fingerprint, read_split, write_split
from keras_resnet.data.split_plan import SplitPlan
from keras_resnet.data.splits import divide
from keras_resnet.data.table import list_table
from keras_resnet.errors import DataError, UsageError
from keras_resnet.preprocessing import RESIZINGS

if TYPE_CHECKING:
    import tensorflow as tf

KINDS = ("digits", "folder", "csv", "jsonl", "tfds")
PATHS = ("folder", "csv", "jsonl")
FOLDER_IMAGE_SIZE = 64
DIGITS_IMAGE_SIZE = 16


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
        resize, crop_fraction, background: See `Preprocessing`.
        on_error: `fail` if an image cannot be read, or `skip` it, up to one in a hundred.

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _named(self.name))
        if self.kind not in KINDS or (self.kind == "digits") == bool(self.location):
            raise UsageError(
                "a data source is digits, folder:PATH, csv:PATH, jsonl:PATH, tfds:NAME or a path that exists; "
                f"received {self.name!r}"
            )
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
        if self.on_error not in reading.ON_ERROR:
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


def load_data(
    source: Source | str, progress: Progress | None = None, *, whole: bool = False, cache: str = "auto"
) -> ImageData:
    """Read a data source completely: every image is decoded once, the damaged ones are named.

    Args:
        source: A `Source`, or its name.
        progress: Called with the number of images read and to be read.
        whole: For evaluation only: split nothing; what the source does not separate itself is all
            test images, and one class is enough.
        cache: Where decoded pixels are kept: `memory`; `disk`, found again by the next reading;
            `none`: images are decoded whenever they are used; `auto`: memory if a quarter of the
            machine's holds them, otherwise none.

    Raises:
        DataError: It is missing, empty, damaged or unlabelled, or has too few images of a class.
    """
    source = Source(source) if isinstance(source, str) else source
    listing, shape = _listed(source, fewest_classes=1 if whole else 2, spool=cache == "disk")
    splits = divided(source, listing, whole)
    fit = Fit(shape[:2], shape[2], source.resize, source.crop_fraction, source.background)
    wanted = np.sort(np.concatenate(list(splits.values())))
    read = reading.read_images(listing, wanted, fit, progress, on_error=source.on_error, cache=cache)
    if read.skipped:
        splits = {name: np.intersect1d(positions, read.positions) for name, positions in splits.items()}
    data = _assembled(
        source.short_name, read.store, read.store.names, read.digests, listing.labels, listing.class_names, splits
    )
    if source.split_file and not (whole or source.limit or read.skipped):
        read_split(Path(source.split_file)).check(data.content)
    notes = listing.notes + (_remark(read.skipped, len(wanted)) if read.skipped else ())
    rest = np.setdiff1d(np.arange(len(listing)), wanted)
    unused = tuple(listing.names[position] for position in rest)
    return replace(data, source=source, notes=notes, skipped=read.skipped, unused=unused)


def save_split(data: ImageData, path: str | os.PathLike[str]) -> None:
    """Save which image is in which split, to be used again by `Source(…, split_file=path)`.

    Args:
        data: The data set.
        path: The file, `.json`.

    Raises:
        StorageError: The file cannot be written.
    """
    source = data.source if isinstance(data.source, Source) else None
    write_split(
        path,
        names=[*data.names, *(one.name for one in data.skipped), *data.unused],
        splits={name: split.indices for name, split in data.splits.items()},
        fingerprint=data.content,
        method=str(source.plan) if source else "by class",
        seed=source.seed if source else 0,
    )


def list_source(source: Source | str) -> Listing:
    """What a source holds, no image decoded and nothing left out.

    Raises:
        DataError: It is missing, empty or unlabelled.
    """
    return _listed(Source(source) if isinstance(source, str) else source, fewest_classes=1, spool=False)[0]


def merge(data: ImageData) -> Split:
    """All images of a data set as one split, to evaluate a model on data it has never seen."""
    splits = [split for split in data.splits.values() if len(split)]
    indices = np.concatenate([split.indices for split in splits])
    order = np.argsort(indices)
    labels = np.concatenate([split.labels for split in splits])
    return Split(splits[0].images, indices[order], labels[order])


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str] | None = None,
    *,
    name: str = "arrays",
    limit: int | None = None,
    seed: int = 0,
    whole: bool = False,
) -> ImageData:
    """Images in memory as a data set with a stratified split.

    Args:
        images: (n, height, width) or (n, height, width, channels), numbers in 0–255.
        labels: Whole numbers (n,), 0 … number of classes - 1.
        class_names: The names of labels 0, 1, …; default: the numbers.
        name: For messages and the run's name.
        limit: Use at most this many images, every class in its proportion.
        seed: Of the split.
        whole: Split nothing; all are test images.

    Raises:
        DataError: Shapes, pixel values or labels do not fit.
    """
    store = as_uint8_images(images)
    labels = np.asarray(labels)
    if labels.shape != (len(store),) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"labels must be {len(store)} whole numbers, one an image; received {labels.dtype}{labels.shape}"
        )
    class_names = tuple(class_names or (str(label) for label in range(int(labels.max()) + 1)))
    if labels.min() < 0 or labels.max() >= len(class_names):
        raise DataError(
            f"labels must lie in 0–{len(class_names) - 1} for {len(class_names)} classes; "
            f"received {labels.min()} to {labels.max()}"
        )
    if len(class_names) < 2 and not whole:
        raise DataError("one class only; telling apart needs two or more")
    splits = divide(labels, class_names, {}, seed=seed, limit=limit, whole=whole)
    kept = np.sort(np.concatenate(list(splits.values())))
    array = store.array if len(kept) == len(store) else aligned(store.read(kept))
    names = [f"{number:06d}" for number in kept]
    return _assembled(name, ArrayImages(array), names, reading.array_digests(array), labels, class_names, splits)


def from_dataset(
    dataset: tf.data.Dataset,
    class_names: Sequence[str] | None = None,
    *,
    name: str = "dataset",
    image_size: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    whole: bool = False,
) -> ImageData:
    """The elements of a `tf.data.Dataset` as a data set with a stratified split, held in memory.

    Args:
        dataset: Finite; of (image, label) or (images, labels): pixels in 0–255, labels whole numbers
            or one-hot.
        class_names, name, limit, seed, whole: See `from_arrays`.
        image_size: Height and width to bring the images to; None: they have one size.

    Raises:
        DataError: It never ends, is empty, has other elements, or images of several sizes.
    """
    from keras_resnet.data.elements import gather

    images, labels = gather(dataset, image_size)
    return from_arrays(images, labels, class_names, name=name, limit=limit, seed=seed, whole=whole)


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


def _listed(source: Source, *, fewest_classes: int, spool: bool) -> tuple[Listing, tuple[int, int, int]]:
    """A source's images, and the height, width and channels they are brought to."""
    if source.kind == "digits":
        side = source.image_size or DIGITS_IMAGE_SIZE
        return _digits(), (side, side, source.channels or 1)
    if source.kind == "tfds":
        return _tfds(source, spool)
    find = list_folder if source.kind == "folder" else list_table
    side = source.image_size or FOLDER_IMAGE_SIZE
    return find(source.location, fewest_classes=fewest_classes), (side, side, source.channels or 3)


def _digits() -> Listing:
    """The 1,797 handwritten digits of 8×8 pixels that ship with scikit-learn (UCI, Alpaydin & Kaynak)."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return Listing(
        contents=Blob.of(_bitmap(image) for image in pixels),
        names=tuple(f"{number:06d}" for number in range(len(pixels))),
        labels=bunch.target.astype(np.int64),
        class_names=tuple(str(digit) for digit in range(10)),
    )


def _bitmap(pixels: np.ndarray) -> bytes:
    """A BMP file, which unlike a PNG has the same bytes whatever compressed it."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "BMP")
    return stream.getvalue()


def _tfds(source: Source, spool: bool) -> tuple[Listing, tuple[int, int, int]]:
    from keras_resnet.data import tfds

    builder, notes = tfds.open_builder(source.location, source.data_dir)
    shape = tfds.image_shape(builder, source.image_size, source.channels)
    parts = tfds.splits(builder)
    labels_of = {part: tfds.labels(builder, part) for part in parts}
    starts = dict(zip(parts, np.cumsum([0, *map(len, labels_of.values())]), strict=False))
    given = {tfds.SPLIT_NAMES[part]: starts[part] + np.arange(len(labels)) for part, labels in labels_of.items()}
    encoded = (image for part in parts for image in tfds.encoded_images(builder, part))
    return (
        Listing(
            contents=Blob.of(encoded, cache_folder() if spool else None),
            names=tuple(f"{part}/{n:06d}" for part, labels in labels_of.items() for n in range(len(labels))),
            labels=np.concatenate(list(labels_of.values())),
            class_names=tfds.class_names(builder),
            given=given if len(given) > 1 else {},
            notes=notes,
        ),
        shape,
    )


def divided(source: Source, listing: Listing, whole: bool = False) -> dict[str, np.ndarray]:
    """The positions of train, validation and test among the images of a source's listing.

    Raises:
        DataError: As `load_data`.
    """
    if source.split_file and not whole:
        saved = read_split(Path(source.split_file)).positions(listing.names)
        listing = replace(listing, given=saved)
    return divide(
        listing.labels,
        listing.class_names,
        listing.given,
        seed=source.seed,
        limit=source.limit,
        whole=whole,
        plan=SplitPlan() if source.split_file else source.plan,
        groups=listing.groups,
        times=listing.times,
    )


def _remark(skipped: Sequence[Skipped], total: int) -> tuple[str, ...]:
    first = skipped[0]
    return (f"skipped {len(skipped)} of {total} images that cannot be read, first {first.name}: {first.detail}",)


def _assembled(
    name: str,
    store: ImageStore,
    names: Sequence[str],
    digests: Sequence[str],
    labels: np.ndarray,
    class_names: tuple[str, ...],
    splits: dict[str, np.ndarray],
) -> ImageData:
    """A data set from the kept images; `labels` and `splits` still count all images of the source."""
    kept = np.sort(np.concatenate(list(splits.values())))
    indices = {split: np.searchsorted(kept, positions) for split, positions in splits.items()}
    kept_labels = labels[kept].astype(np.int64)
    return ImageData(
        name=name,
        class_names=class_names,
        splits={split: Split(store, index, kept_labels[index]) for split, index in indices.items()},
        fingerprint=reading.fingerprint(names, digests, kept_labels, indices),
        names=tuple(names),
        content=content_fingerprint(names, digests, kept_labels),
    )
