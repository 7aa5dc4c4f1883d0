"""From a source's name to images in three splits: `digits`, `folder:PATH`, `tfds:NAME`, or arrays."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.data import reading
from keras_resnet.data.folder import list_folder
from keras_resnet.data.images import ArrayImages, ImageData, ImageStore, Progress, Split, as_uint8_images
from keras_resnet.data.splits import divide
from keras_resnet.errors import DataError, UsageError

KINDS = ("digits", "folder", "tfds")
FOLDER_IMAGE_SIZE = 64
DIGITS_IMAGE_SIZE = 16


@dataclass(frozen=True)
class Source:
    """Where images come from and how they are cut up; all that is needed to read them again.

    Args:
        name: `digits`, `folder:PATH` or `tfds:NAME`.
        image_size: Height and width in pixels to which every image is brought; None: the data's own,
            where all of its images have one (digits 16×16, most small data sets of TFDS).
        channels: 1 or 3; None: the data's own (folders: 3).
        data_dir: For `tfds`: a prepared folder, read with no network.
        limit: Use at most this many images (of each split that the source itself separates).
        seed: Of the split and of the limit's choice.

    Raises:
        UsageError: A field is out of range; the message names it.
    """

    name: str
    image_size: int | None = None
    channels: int | None = None
    data_dir: str | None = None
    limit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS or (self.kind == "digits") == bool(self.location):
            raise UsageError(f"a data source is digits, folder:PATH or tfds:NAME; received {self.name!r}")
        if self.image_size is not None and self.image_size < 1:
            raise UsageError(f"image_size must be at least 1; received {self.image_size}")
        if self.channels not in (None, 1, 3):
            raise UsageError(f"channels must be 1 or 3; received {self.channels}")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"limit must be at least 1; received {self.limit}")
        if self.data_dir is not None and self.kind != "tfds":
            raise UsageError(f"data_dir is for tfds:NAME sources; received it with {self.name!r}")
        # Absolute, so that a run's config still means the same from another working folder.
        if self.kind == "folder":
            object.__setattr__(self, "name", f"folder:{os.path.abspath(Path(self.location).expanduser())}")
        if self.data_dir is not None:
            object.__setattr__(self, "data_dir", os.path.abspath(Path(self.data_dir).expanduser()))

    @property
    def kind(self) -> str:
        """`digits`, `folder` or `tfds`."""
        return self.name.partition(":")[0]

    @property
    def location(self) -> str:
        """What follows the kind: a path or a data set's name."""
        return self.name.partition(":")[2]

    @property
    def settings(self) -> dict[str, Any]:
        """All fields, for a config file; `Source(**settings)` is this source again."""
        return asdict(self)

    @property
    def short_name(self) -> str:
        """For file names: the folder's or the data set's own name."""
        name = Path(self.location).name if self.kind == "folder" else self.location or self.kind
        return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip(".-") or "data"


def load_data(source: Source | str, progress: Progress | None = None, *, whole: bool = False) -> ImageData:
    """Read a data source completely: every image is decoded once, the damaged ones are named.

    Args:
        source: A `Source`, or its name.
        progress: Called with the number of images read and to be read.
        whole: For evaluation only: split nothing; what the source does not separate itself is all
            test images, and one class is enough.

    Raises:
        DataError: It is missing, empty, damaged or unlabelled, or has too few images of a class.
    """
    source = Source(source) if isinstance(source, str) else source
    read = {"digits": _load_digits, "folder": _load_folder, "tfds": _load_tfds}[source.kind]
    return replace(read(source, progress, whole), source=source)


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
    array = store.array if len(kept) == len(store) else store.read(kept)
    names = [f"{number:06d}" for number in kept]
    return _assembled(name, ArrayImages(array), names, reading.array_digests(array), labels, class_names, splits)


def _load_digits(source: Source, progress: Progress | None, whole: bool) -> ImageData:
    """The 1,797 handwritten digits of 8×8 pixels that ship with scikit-learn (UCI, Alpaydin & Kaynak)."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    side = source.image_size or DIGITS_IMAGE_SIZE
    images = as_uint8_images(np.repeat(pixels, source.channels or 1, axis=-1), (side, side)).array
    names = [str(digit) for digit in range(10)]
    return from_arrays(images, bunch.target, names, name="digits", limit=source.limit, seed=source.seed, whole=whole)


def _load_folder(source: Source, progress: Progress | None, whole: bool) -> ImageData:
    listing = list_folder(source.location, fewest_classes=1 if whole else 2)
    side = source.image_size or FOLDER_IMAGE_SIZE
    splits = divide(
        listing.labels, listing.class_names, listing.given, seed=source.seed, limit=source.limit, whole=whole
    )
    kept = np.sort(np.concatenate(list(splits.values())))
    names = [listing.names[position] for position in kept]
    paths = [listing.contents.paths[position] for position in kept]  # type: ignore[attr-defined]
    store, digests = reading.read_files(paths, names, (side, side, source.channels or 3), progress)
    return _assembled(
        source.short_name, store, names, digests, listing.labels, listing.class_names, splits, listing.notes
    )


def _load_tfds(source: Source, progress: Progress | None, whole: bool) -> ImageData:
    from keras_resnet.data import tfds

    builder, notes = tfds.open_builder(source.location, source.data_dir)
    labels_of = {split: tfds.labels(builder, split) for split in tfds.splits(builder)}
    starts = dict(zip(labels_of, np.cumsum([0, *map(len, labels_of.values())]), strict=False))
    labels = np.concatenate(list(labels_of.values()))
    given = {tfds.SPLIT_NAMES[split]: starts[split] + np.arange(len(part)) for split, part in labels_of.items()}
    class_names = tfds.class_names(builder)
    splits = divide(
        labels, class_names, given if len(given) > 1 else {}, seed=source.seed, limit=source.limit, whole=whole
    )
    kept = np.sort(np.concatenate(list(splits.values())))
    shape = tfds.image_shape(builder, source.image_size, source.channels)
    names = [f"{split}/{n:06d}" for split, part in labels_of.items() for n in range(len(part))]
    names = [names[position] for position in kept]
    encoded = (
        example
        for split, part in labels_of.items()
        for example in tfds.encoded_images(builder, split, set((kept - starts[split]).tolist()))
    )
    store, digests = reading.read_encoded(encoded, names, shape, progress)
    return _assembled(source.short_name, store, names, digests, labels, class_names, splits, notes)


def _assembled(
    name: str,
    store: ImageStore,
    names: Sequence[str],
    digests: Sequence[str],
    labels: np.ndarray,
    class_names: tuple[str, ...],
    splits: dict[str, np.ndarray],
    notes: tuple[str, ...] = (),
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
        notes=notes,
    )
