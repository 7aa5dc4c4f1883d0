"""Read a source, arrays or a `tf.data.Dataset` into a data set: labelled images in three splits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from keras_resnet.allowed import COUNT, IMAGE_SIZE, SEED
from keras_resnet.data import reading
from keras_resnet.data.class_names import class_names_of, remarks_on_names
from keras_resnet.data.images import ImageData, OnRead, Skipped, Split
from keras_resnet.data.labels import class_numbers
from keras_resnet.data.memory import aligned
from keras_resnet.data.remarks import of_few, of_parts, of_splits
from keras_resnet.data.sources.digits import list_digits
from keras_resnet.data.sources.folder import list_folder
from keras_resnet.data.sources.grouping import groups_by, times_of
from keras_resnet.data.sources.listing import Bitmaps, Listing
from keras_resnet.data.sources.source import Source
from keras_resnet.data.sources.table import list_table
from keras_resnet.data.sources.tfds import list_tfds
from keras_resnet.data.splits.divide import divide
from keras_resnet.data.splits.plan import SplitPlan
from keras_resnet.data.splits.split_file import content_fingerprint, read_split, write_split
from keras_resnet.data.stores import ArrayImages, ImageStore, as_uint8_images
from keras_resnet.errors import DataError, UsageError, listed, nearest
from keras_resnet.preprocessing import Fit
from keras_resnet.settings import check_arguments
from keras_resnet.tasks.classification import check_numbers
from keras_resnet.tasks.table import task as task_named
from keras_resnet.tasks.table import task_row
from keras_resnet.tasks.task import Task

if TYPE_CHECKING:
    import tensorflow as tf

Data: TypeAlias = Union[
    ImageData, Split, Source, str, os.PathLike[str], "tf.data.Dataset", tuple[np.ndarray, np.ndarray]
]  # fmt: skip
"""What `fit` and `evaluate` take: a data set, the source of one, a `tf.data.Dataset`, or (images, labels).

`evaluate` takes a split of a data set, too.
"""
FOLDER_IMAGE_SIZE = 64
DIGITS_IMAGE_SIZE = 16


def load_data(
    source: Source | str,
    progress: OnRead | None = None,
    *,
    whole: bool = False,
    cache: str = "auto",
    fit: Fit | None = None,
    **settings: Any,
) -> ImageData:
    """Read a data source completely: every image is decoded once, and those that cannot be read are named.

    Args:
        source: A `Source`, or its name: `digits`, `folder:PATH`, `csv:PATH`, `jsonl:PATH`, `tfds:NAME`, or a path.
        progress: Called with the number of images read and to be read.
        whole: For evaluation: do not split. If the source has no splits of its own, all images are test images,
            and one class is enough.
        cache: Where decoded pixels are kept: `memory`; `disk`, where the next reading finds them; `none`: images
            are decoded whenever they are used; `auto`: `memory` if they fit into a quarter of the machine's, else
            `none`.
        fit: How images become pixels, such as a model's; None: as the source says.
        **settings: As `Source`, where the source is named: `image_size`, `split`, `limit`, `seed` and so on.

    Raises:
        UsageError: A setting is out of range, unknown, or beside a `Source`, which has its own.
        DataError: The source is missing, empty, damaged or unlabelled, or a class has too few images.
    """
    source = _source(source, settings)
    listing, fit = _listed(source, fewest_classes=1 if whole else 2, spool=cache == "disk", fit=fit)
    splits = divided(source, listing, whole)
    wanted = np.sort(np.concatenate(list(splits.values())))
    read = reading.read_images(listing, wanted, fit, progress, on_error=source.on_error, cache=cache)
    if read.skipped:
        splits = {name: np.intersect1d(positions, read.positions) for name, positions in splits.items()}
    data = _assembled(
        source.short_name, read.store, read.store.names, read.digests, listing.labels, listing.task, splits
    )
    notes = data.notes + listing.notes + (_remark(read.skipped, len(wanted)) if read.skipped else ())
    if not whole:
        given = () if source.split_file else listing.given
        notes += tuple(map(str, of_splits(given, splits))) + _on_classes(data)
    if source.split_file and not (whole or source.limit):
        saved = read_split(Path(source.split_file))
        if not read.skipped:
            saved.check(data.content)
        elif saved.fingerprint != data.content:
            notes += (f"images were skipped, so those of {saved.path} were compared by their names only",)
    kept = np.sort(np.concatenate(list(splits.values())))
    groups = None if listing.groups is None else listing.groups[kept]
    by_group = source.plan.method == "group" and not source.split_file and not whole and not listing.given
    if by_group and groups is not None and len(np.unique(groups)) == 2:
        notes += ("there are two groups: one is the test, and images of the other choose the best epoch",)
    rest = np.setdiff1d(np.arange(len(listing)), wanted)
    unused = tuple(listing.names[position] for position in rest)
    return replace(data, source=source, notes=notes, skipped=read.skipped, unused=unused, groups=groups)


def _source(source: Source | str, settings: dict[str, Any]) -> Source:
    if isinstance(source, Source):
        if settings:
            raise UsageError(f"a Source has its settings already: say {listed(settings)} there")
        return source
    known = {one.name for one in fields(Source)} - {"name"}
    for name in settings.keys() - known:
        near = nearest(name, known)
        raise UsageError(f"a source has no setting {name!r}{f'; did you mean {near!r}?' if near else ''}")
    return Source(source, **settings)


def list_source(source: Source | str, *, fewest_classes: int = 1) -> Listing:
    """All images of a source with their labels; none is decoded.

    Args:
        source: The source, or its name.
        fewest_classes: How many classes there must be at least.

    Raises:
        DataError: The source is missing, empty or unlabelled.
    """
    return _listed(Source(source) if isinstance(source, str) else source, fewest_classes=fewest_classes, spool=False)[0]


def listing_of(data: ImageData) -> tuple[Listing, dict[str, np.ndarray]]:
    """A data set as a listing, for arrays that no source can list.

    Args:
        data: The data set; its images have 1 or 3 channels.

    Returns:
        The listing, whose contents are the pixels, and the positions of each split in it.

    Raises:
        UsageError: The images have another number of channels.
    """
    channels = data.train.images.shape[2]
    if channels not in (1, 3):
        raise UsageError(f"images of 1 or 3 channels can be looked at; those of {data.name} have {channels}")
    parts = [split for split in data.splits.values() if len(split)]
    labels = np.concatenate([split.labels for split in parts])
    order = np.argsort(np.concatenate([split.indices for split in parts]))
    store = data.train.images
    contents = Bitmaps(lambda position: store.read(np.array([position]))[0], tuple(range(len(store))))
    splits = {name: split.indices for name, split in data.splits.items()}
    return Listing(contents, data.names, labels[order], data.task), splits


def divided(source: Source, listing: Listing, whole: bool = False) -> dict[str, np.ndarray]:
    """Divide a source's images into training, validation and test.

    Args:
        source: The source.
        listing: Its images.
        whole: As `load_data`.

    Returns:
        The positions of each split in the listing.

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


def save_split(data: ImageData, path: str | os.PathLike[str]) -> None:
    """Save which image is in which split; `Source(…, split_file=path)` uses the file.

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


def merge(data: ImageData) -> Split:
    """All images of a data set as one split, for evaluating a model that was not trained on it."""
    splits = [split for split in data.splits.values() if len(split)]
    indices = np.concatenate([split.indices for split in splits])
    order = np.argsort(indices)
    labels = np.concatenate([split.labels for split in splits])
    return Split(splits[0].images, indices[order], labels[order], data.task)


@check_arguments(limit=COUNT.or_none, seed=SEED)
def from_arrays(
    images: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str] | None = None,
    *,
    task: str = "classification",
    name: str = "arrays",
    limit: int | None = None,
    seed: int = 0,
    whole: bool = False,
) -> ImageData:
    """Make a data set of images in memory, with a stratified split.

    Args:
        images: (n, height, width) or (n, height, width, channels), numbers in 0–255.
        labels: Whole numbers, 0 … number of classes - 1, (n,) or (n, 1), or one-hot, (n, number of classes); for
            multi-label 0 and 1, (n, number of classes).
        class_names: The names of the classes, in the order of the labels; default: their numbers.
        task: The name of one: `classification`, or `multi-label`, where an image may show any number of classes.
        name: For messages and the run's name.
        limit: Use at most this many images, in the classes' proportions; None: all.
        seed: Of the split, 0 … 2^31 - 1.
        whole: Do not split; all are test images.

    Raises:
        DataError: Shapes, pixel values, labels or class names do not fit.
        UsageError: The task, the seed or the limit is out of range.
    """
    store = as_uint8_images(images)
    labels = np.asarray(labels)
    columns = labels.shape[1] if labels.ndim == 2 else 1
    if not task_row(task).several:
        labels = class_numbers(labels)
        if class_names is None:
            check_numbers(labels, None, complete=not whole)  # a few images to evaluate on may lack the class 0
            columns = max(columns, int(labels.max(initial=0)) + 1)
    if class_names is None:
        class_names = [str(number) for number in range(columns)]
    class_names = tuple(map(str, class_names))
    if len(set(class_names)) < len(class_names):
        raise DataError(f"class_names must differ; received {listed(class_names)}")
    asked = task_named(task, class_names)
    labels = asked.checked(labels, len(store))
    if len(class_names) < 2 and not whole and not asked.several:
        raise DataError("there is only one class; two or more are needed")
    splits = divide(labels, class_names, {}, seed=seed, limit=limit, whole=whole)
    kept = np.sort(np.concatenate(list(splits.values())))
    array = store.array if len(kept) == len(store) else aligned(store.read(kept))
    names = [f"{number:06d}" for number in kept]
    data = _assembled(name, ArrayImages(array), names, reading.array_digests(array), labels, asked, splits)
    return replace(data, notes=data.notes + _on_classes(data))


@check_arguments(image_size=IMAGE_SIZE.or_none, limit=COUNT.or_none, seed=SEED)
def from_dataset(
    dataset: tf.data.Dataset,
    class_names: Sequence[str] | None = None,
    *,
    task: str = "classification",
    name: str = "dataset",
    image_size: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    whole: bool = False,
) -> ImageData:
    """Make a data set of the elements of a `tf.data.Dataset`, in memory and with a stratified split.

    Args:
        dataset: Finite, of (image, label) or of batches of them: pixels in 0–255; labels whole numbers or one-hot,
            for multi-label 0 or 1 for each class.
        class_names: See `from_arrays`; default: those that `keras.utils.image_dataset_from_directory` gave the
            dataset, or the one that it was made of by `map`, `prefetch` and so on.
        task, name, limit, seed, whole: See `from_arrays`.
        image_size: Height and width to resize the images to; None: as they are, of one size.

    Raises:
        DataError: The dataset never ends, is empty, or has other elements or images of several sizes; or as
            `from_arrays`.
        UsageError: `image_size`, the task, the seed or the limit is out of range.
    """
    from keras_resnet.data.sources.elements import gather

    images, labels = gather(dataset, image_size, several=task_row(task).several)
    class_names = class_names_of(dataset) if class_names is None else class_names
    return from_arrays(images, labels, class_names, task=task, name=name, limit=limit, seed=seed, whole=whole)


def in_memory(data: Data, **options: Any) -> ImageData | Source | str:
    """A `tf.data.Dataset`, a pair of arrays or a split as a data set; a data set or the source of one as it is.

    Args:
        data: Any of these; a split only with `whole=True`: it is the test then.
        **options: Of `from_dataset` and `from_arrays`.

    Raises:
        UsageError: It is something else.
        DataError: As `from_dataset` and `from_arrays`.
    """
    import tensorflow as tf

    if isinstance(data, tf.data.Dataset):
        if class_names_of(data):
            options["class_names"] = None  # its own
        return from_dataset(data, **options)
    if isinstance(data, tuple | list) and len(data) == 2:
        return from_arrays(np.asarray(data[0]), np.asarray(data[1]), **options)
    if isinstance(data, Split) and options.get("whole"):
        none = replace(data, indices=data.indices[:0], labels=data.labels[:0])
        return ImageData("a split", data.task, {"train": none, "validation": none, "test": replace(data)}, "", ())
    if isinstance(data, os.PathLike):
        return os.fspath(data)
    if isinstance(data, ImageData | Source | str):
        return data
    raise UsageError(
        "data are a data set, the source of one (digits, a folder, csv:FILE, tfds:NAME), a tf.data.Dataset, or a pair "
        f"of arrays, (images, labels); received {type(data).__name__}"
    )


def _listed(source: Source, *, fewest_classes: int, spool: bool, fit: Fit | None = None) -> tuple[Listing, Fit]:
    """A source's images, and how they become pixels: as `fit` says, or else the source."""
    if source.kind == "digits":
        return list_digits(source.task_of_one_label), fit or source.fit(DIGITS_IMAGE_SIZE, DIGITS_IMAGE_SIZE, 1)
    if source.kind == "tfds":
        return list_tfds(source, spool, fit)
    fit = fit or source.fit(FOLDER_IMAGE_SIZE, FOLDER_IMAGE_SIZE, 3)
    if source.kind == "folder":
        listing = list_folder(source.location, fewest_classes=fewest_classes, task=source.task)
    else:
        listing = list_table(source.location, fewest_classes=fewest_classes, task=source.task, group=source.group_by)
    if source.group_by and listing.groups is None:
        found = groups_by(source.group_by, listing)
        listing = replace(listing, groups=found.groups, notes=listing.notes + found.notes)
    if source.split == "time" and listing.times is None:
        listing = replace(listing, times=times_of(listing))
    return listing, fit


def _remark(skipped: Sequence[Skipped], total: int) -> tuple[str, ...]:
    first = skipped[0]
    return (f"skipped {len(skipped)} of {total} images that cannot be read, first {first.name}: {first.detail}",)


def _on_classes(data: ImageData) -> tuple[str, ...]:
    """What is to be said of classes that are small or that a part lacks, if there are images to train on."""
    if not len(data.train):
        return ()
    counts = {name: data.task.images_of_classes(split.labels) for name, split in data.splits.items()}
    every = np.sum(list(counts.values()), axis=0)
    return tuple(map(str, [*of_parts(counts, data.class_names), *of_few(every, data.class_names)]))


def _assembled(
    name: str,
    store: ImageStore,
    names: Sequence[str],
    digests: Sequence[str],
    labels: np.ndarray,
    task: Task,
    splits: dict[str, np.ndarray],
) -> ImageData:
    """A data set of the images in the splits; `labels` and `splits` refer to all images of the source."""
    kept = np.sort(np.concatenate(list(splits.values())))
    indices = {split: np.searchsorted(kept, positions) for split, positions in splits.items()}
    kept_labels = labels[kept]
    return ImageData(
        name=name,
        task=task,
        splits={split: Split(store, index, kept_labels[index], task) for split, index in indices.items()},
        fingerprint=reading.fingerprint(names, digests, kept_labels, indices),
        names=tuple(names),
        notes=tuple(map(str, remarks_on_names(task.class_names))),
        content=content_fingerprint(names, digests, kept_labels),
    )
