"""Data sets of TensorFlow Datasets: downloaded by name, or read from a prepared folder without a network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet.data.cache import cache_folder
from keras_resnet.data.sources.listing import Blob, Listing
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import DataError, alike, listed
from keras_resnet.preprocessing import Fit
from keras_resnet.shortage import refuse_shortage
from keras_resnet.tasks.table import task

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def list_tfds(source: Source, spool: bool, fit: Fit | None = None) -> tuple[Listing, Fit]:
    """Find the images of a `tfds:` source; they stay encoded.

    Args:
        source: Its `location` is the data set's name.
        spool: Whether to keep the encoded images in a file instead of in memory.
        fit: How they become pixels; None: as the source says, and at their own size if it says none.

    Returns:
        The images, and how they become pixels.

    Raises:
        DataError: As `open_builder`, or the data set has no labelled images.
    """
    builder, notes = open_builder(source.location, source.data_dir)
    fit = fit or source.fit(*own_shape(builder))
    parts = splits(builder)
    labels_of = {part: labels(builder, part) for part in parts}
    starts = dict(zip(parts, np.cumsum([0, *map(len, labels_of.values())]), strict=False))
    given = {SPLIT_NAMES[part]: starts[part] + np.arange(len(found)) for part, found in labels_of.items()}
    encoded = (image for part in parts for image in encoded_images(builder, part))
    return (
        Listing(
            contents=Blob.of(encoded, cache_folder() if spool else None),
            names=tuple(f"{part}/{n:06d}" for part, found in labels_of.items() for n in range(len(found))),
            labels=np.concatenate(list(labels_of.values())),
            task=task(source.task_of_one_label, class_names(builder)),
            given=given if len(given) > 1 else {},
            notes=notes,
        ),
        fit,
    )


def open_builder(
    name: str, data_dir: str | os.PathLike[str] | None
) -> tuple[tfds.core.DatasetBuilder, tuple[str, ...]]:
    """The builder of a data set that is prepared on disk, and notes on how it was found.

    Args:
        name: Its name in TensorFlow Datasets: `cifar10`, `cifar10:3.0.2`, `imagenet_resized/32x32`.
        data_dir: A prepared folder: that of the data set (it holds `dataset_info.json`), or one that holds data
            sets by name. None: the default folder, into which the data set is downloaded if need be.

    Raises:
        DataError: The data set is not there, cannot be downloaded, or there is none of this name.
    """
    import tensorflow_datasets as tfds

    if data_dir is not None:
        folder, notes = _prepared_folder(name, Path(data_dir).expanduser())
        with _damage_named(folder):
            builder = tfds.builder_from_directory(folder)
        wanted = name.partition(":")[0].partition("/")[0]
        if not builder.name.startswith(wanted):
            raise DataError(f"{folder} holds {builder.name!r}, not {wanted!r}: name it, as tfds:{builder.name}")
        return builder, notes
    try:
        builder = tfds.builder(name)
        builder.download_and_prepare()
    except tfds.core.DatasetNotFoundError:
        near = alike(name, tfds.list_builders(with_community_datasets=False))
        raise DataError(
            f"TensorFlow Datasets has no data set {name!r}" + (f"; did you mean {listed(near)}?" if near else "")
        ) from None
    except Exception as error:  # downloads fail in many ways
        refuse_shortage(error, f"download {name}")
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"cannot download {name}: {reason}. If it is prepared on this machine, "
            "give the folder by --data-dir (data_dir= in Python)"
        ) from error
    return builder, ()


def _prepared_folder(name: str, data_dir: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder of the version that a name means, and a note if the data set has a longer name."""
    if not data_dir.is_dir():
        raise DataError(f"there is no folder {data_dir}")
    if (data_dir / "dataset_info.json").is_file():
        return data_dir, ()
    wanted, _, version = name.partition(":")
    prepared = sorted(data_dir.rglob("dataset_info.json"), key=lambda file: _version_key(file.parent.name))
    by_name: dict[str, list[Path]] = {}
    for file in prepared:
        # DIR/name/version or DIR/name/config/version; the folder may itself be `name`.
        relative = file.parent.parent.relative_to(data_dir).as_posix()
        by_name.setdefault(data_dir.name if relative == "." else relative, []).append(file.parent)
    if not by_name:
        raise DataError(f"{data_dir} holds no prepared data set (no dataset_info.json below it)")
    exact = [key for key in by_name if key == wanted or key.startswith(f"{wanted}/")]
    longer = [key for key in by_name if key.startswith(wanted)]
    chosen = (exact or longer or [""])[0]
    if not chosen or len(exact or longer) > 1:
        count = "more than one" if chosen else "none"
        raise DataError(
            f"{data_dir} holds {listed(sorted(by_name))}, and {wanted!r} is {count} of them: "
            "name the one you mean, as tfds:NAME"
        )
    versions = [path for path in by_name[chosen] if version in ("", path.name)]
    if not versions:
        raise DataError(f"{chosen} is prepared in versions {listed(p.name for p in by_name[chosen])}, not {version}")
    note = () if exact else (f"read the prepared data set {chosen!r}, the only one whose name begins with {wanted!r}",)
    return versions[-1], note


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def keys(builder: tfds.core.DatasetBuilder) -> tuple[str, str]:
    """The names of the image and the label feature.

    Raises:
        DataError: It is not a data set for image classification.
    """
    import tensorflow_datasets as tfds

    features = dict(builder.info.features.items())
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    if builder.info.supervised_keys and set(builder.info.supervised_keys[:2]) <= features.keys():
        image, label = builder.info.supervised_keys[:2]
        if image in images and label in labels:
            return image, label
    if len(images) != 1 or len(labels) != 1:
        raise DataError(
            f"{builder.name} is not an image classification data set: it has the image features {listed(images)} "
            f"and the label features {listed(labels)}; expected one of each"
        )
    return images[0], labels[0]


SPLIT_NAMES = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}


def splits(builder: tfds.core.DatasetBuilder) -> list[str]:
    """The splits that are used for training or evaluation."""
    found = [split for split in builder.info.splits if split in SPLIT_NAMES]
    if "train" not in found:
        raise DataError(f"{builder.name} has no split 'train', only {listed(builder.info.splits)}")
    return found


def class_names(builder: tfds.core.DatasetBuilder) -> tuple[str, ...]:
    """The names of the labels, in their order."""
    return tuple(builder.info.features[keys(builder)[1]].names)


def own_shape(builder: tfds.core.DatasetBuilder) -> tuple[int | None, int | None, int]:
    """Height and width of the images, None if they have several, and the channels in which they are read."""
    height, width, channels = builder.info.features[keys(builder)[0]].shape
    return height, width, channels if channels in (1, 3) else 3


def labels(builder: tfds.core.DatasetBuilder, split: str) -> np.ndarray:
    """The labels of a split in the order on disk, int64 (n,); no image is decoded.

    Raises:
        DataError: An example has no label.
    """
    key = keys(builder)[1]
    found = np.concatenate([np.asarray(batch, np.int64) for batch in _batches(builder, split, key)])
    if (found < 0).any():
        raise DataError(f"{builder.name}: {(found < 0).sum()} examples of the split {split!r} have no label")
    return found


def encoded_images(builder: tfds.core.DatasetBuilder, split: str) -> Iterator[bytes]:
    """The encoded images of a split, in the order on disk."""
    return (bytes(example) for batch in _batches(builder, split, keys(builder)[0]) for example in batch)


def _batches(builder: tfds.core.DatasetBuilder, split: str, key: str) -> Iterator[np.ndarray]:
    """One feature of all examples in the order on disk; images stay encoded."""
    import tensorflow_datasets as tfds

    undecoded = {key: tfds.decode.SkipDecoding()} if key == keys(builder)[0] else {}
    dataset: Any = builder.as_dataset(
        split=split,
        shuffle_files=False,
        decoders=tfds.decode.PartialDecoding({key: True}, undecoded),
        # One file after the other, so that the order is always that on disk.
        read_config=tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1),
    )
    with _damage_named(builder.data_dir):
        yield from (batch[key] for batch in tfds.as_numpy(dataset.batch(512)))


@contextmanager
def _damage_named(folder: object) -> Iterator[None]:
    """Turn what TensorFlow and protobuf raise for missing or incomplete files into one clear error."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        refuse_shortage(error, f"read the prepared data set {folder}")
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"the prepared data set {folder} cannot be read: {reason}") from error
