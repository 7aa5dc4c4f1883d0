"""A split saved in a file, so that other trainings use the same images for the same purpose."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np

from keras_resnet.atomic import write_json
from keras_resnet.data.splits.plan import PARTS
from keras_resnet.errors import DataError, listed
from keras_resnet.json_files import MOST_RECORD_BYTES, check_json, read_json

FORMAT = 1
UNUSED = "unused"
REMEDY = "It was damaged or edited: restore it, or make a new split"


class Parts(TypedDict):
    """The names of the images of each part."""

    train: list[str]
    validation: list[str]
    test: list[str]
    unused: list[str]


class SplitFile(TypedDict):
    """What `write_split` writes."""

    format: int
    method: str
    seed: int
    fingerprint: str
    splits: Parts


@dataclass(frozen=True)
class SavedSplit:
    """A split as it was saved.

    Args:
        path: The file, for messages.
        parts: The names of the images in train, validation and test, and of those in none of them.
        fingerprint: Of the images that were split, by `content_fingerprint`.
        method: How it was made.
        seed: Of the split.
    """

    path: Path
    parts: Mapping[str, tuple[str, ...]]
    fingerprint: str
    method: str
    seed: int

    def positions(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """The positions of the images of train, validation and test.

        Args:
            names: All images that there are now, in any order.

        Returns:
            Sorted int64 positions by part.

        Raises:
            DataError: Images were added or removed since the split was saved; up to ten of each are named.
        """
        place_of = {name: place for place, name in enumerate(names)}
        saved = {name for part in self.parts.values() for name in part}
        gone, come = sorted(saved - place_of.keys()), sorted(place_of.keys() - saved)
        if gone or come:
            changes = [f"{len(gone)} are missing now: {listed(gone)}"] if gone else []
            changes += [f"{len(come)} are new: {listed(come)}"] if come else []
            raise DataError(
                f"the images are not those of the split {self.path}: {'; '.join(changes)}. "
                "Restore the images, or make a new split"
            )
        return {part: np.array(sorted(place_of[name] for name in self.parts[part]), np.int64) for part in PARTS}

    def check(self, fingerprint: str) -> None:
        """Compare the images that there are now with those that were divided.

        Raises:
            DataError: Their contents or labels have changed.
        """
        if fingerprint != self.fingerprint:
            raise DataError(
                f"the content or the labels of images have changed since the split {self.path} was saved: their "
                f"fingerprint is {fingerprint[:12]}, was {self.fingerprint[:12]}. Restore them, or make a new split"
            )


def write_split(
    path: str | os.PathLike[str],
    *,
    names: Sequence[str],
    splits: Mapping[str, np.ndarray],
    fingerprint: str,
    method: str,
    seed: int,
) -> None:
    """Save a split. The same split always gives the same bytes.

    Args:
        path: The file, `.json`.
        names: Of all images of the source; all different.
        splits: The positions of train, validation and test; an image may be in none of them.
        fingerprint: By `content_fingerprint`.
        method: How it was made, for people.
        seed: Of the split.

    Raises:
        StorageError: The file cannot be written.
    """
    parts = {part: sorted(names[position] for position in splits[part]) for part in PARTS}
    used = {name for part in parts.values() for name in part}
    write_json(
        Path(os.path.expanduser(path)),
        {
            "format": FORMAT,
            "method": method,
            "seed": seed,
            "fingerprint": fingerprint,
            "splits": {**parts, UNUSED: sorted(set(names) - used)},
        },
    )


def read_split(path: str | os.PathLike[str]) -> SavedSplit:
    """Load a split that `write_split` saved.

    Raises:
        DataError: It is missing, damaged or of another format, or has an image twice.
    """
    file = Path(os.path.expanduser(path))
    if not file.exists():
        raise DataError(f"there is no split {file}")
    found = read_json(file, dict[str, Any], error=DataError, most=MOST_RECORD_BYTES, raw_names=True, remedy=REMEDY)
    if found.get("format") != FORMAT:
        raise DataError(
            f"{file} is not a split of format {FORMAT}, but of {found.get('format')!r}; perhaps a newer "
            "version wrote it"
        )
    value = check_json(found, SplitFile, str(file), error=DataError, remedy=REMEDY)
    unknown = sorted(value["splits"].keys() - Parts.__annotations__.keys())
    if unknown:
        raise DataError(f"{file}: splits has parts that are unknown here: {listed(unknown)}. {REMEDY}")
    parts = {part: tuple(names) for part, names in cast(dict[str, list[str]], value["splits"]).items()}
    counts = Counter(name for part in parts.values() for name in part)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise DataError(
            f"{file} has {len(twice)} images more than once, in one part or in two: {listed(twice)}; "
            "keep each in one place"
        )
    return SavedSplit(file, parts, value["fingerprint"], value["method"], value["seed"])


def content_fingerprint(names: Sequence[str], digests: Sequence[str], labels: np.ndarray) -> str:
    """The SHA-256 of the images' names, contents and labels, whatever their order and split.

    Args:
        names: Of the images.
        digests: The SHA-256 of their contents.
        labels: int (n,).
    """
    images = zip(names, digests, labels.tolist(), strict=True)
    lines = sorted(f"{name}\0{digest}\0{label}\0" for name, digest, label in images)  # no file name contains \0
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
