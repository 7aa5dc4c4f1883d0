"""On which images a model fails more often than on the others, beyond chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypedDict

import numpy as np

from keras_resnet.atomic import write_json
from keras_resnet.data.images import ImageData, Split
from keras_resnet.data.loading import list_source
from keras_resnet.data.sources.grouping import Photographs
from keras_resnet.data.sources.source import PATHS, Source
from keras_resnet.errors import DataError
from keras_resnet.evaluation.evaluate import BATCH, Evaluation
from keras_resnet.evaluation.paired import LEVEL, holm
from keras_resnet.images.image_file import ImageError, read_header
from keras_resnet.json_files import read_json
from keras_resnet.runs.contents import NUMBER
from keras_resnet.tasks.intervals import wilson_interval

FEWEST = 10
"""Of fewer images nothing is said."""
MOST_VALUES = 100
"""Cameras, folders or groups that are looked at, the largest."""
QUARTERS = ("lowest", "highest")


@dataclass(frozen=True)
class Slice:
    """Some of the test images, which have something in common.

    Args:
        attribute: What, as `camera`.
        value: Which.
        images: How many there are.
        right: How many of them are answered wholly right.
        others: How many other images there are, of which the attribute is known.
        right_others: How many of those are answered wholly right.
        p: How likely as few or fewer right ones are if the attribute made no difference: Fisher's exact test, one-sided
            (Fisher, The Design of Experiments, 1935). Images count as independent.
        corrected: The same after Holm's correction for all slices that were looked at.
    """

    attribute: str
    value: str
    images: int
    right: int
    others: int
    right_others: int
    p: float
    corrected: float

    @property
    def accuracy(self) -> float:
        """The share of its images that are answered wholly right."""
        return self.right / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of that."""
        return wilson_interval(self.right, self.images)

    @property
    def fails(self) -> bool:
        """Whether the model fails on it more often than elsewhere, beyond chance."""
        return self.corrected <= LEVEL

    def __str__(self) -> str:
        low, high = self.interval
        elsewhere = self.right_others / self.others
        return (
            f"{self.attribute} {self.value}: {self.accuracy:.1%} of {self.images:,} images are right (95 % interval "
            f"{low:.1%} to {high:.1%}), {elsewhere:.1%} of the {self.others:,} others"
        )

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {**vars(self), "accuracy": self.accuracy, "interval": list(self.interval), "fails": self.fails}


def slices(evaluation: Evaluation, data: ImageData | Source | None = None) -> tuple[Slice, ...]:
    """Compare the images that have something in common with the others.

    By class, group, brightness and sharpness of what the network sees (the lowest and the highest quarter), and, of
    image files, by camera, size, time (likewise by quarters) and folder.

    Args:
        evaluation: Of a model.
        data: The data set whose images they are, or its source: files are looked at, if they are still there. None:
            only what the network sees.

    Returns:
        A row for each with ten images or more, the surest failures first.

    Example:
        >>> import keras_resnet
        >>> evaluation = keras_resnet.evaluate("saved_models/photos")  # doctest: +SKIP
        >>> for one in keras_resnet.slices(evaluation):  # doctest: +SKIP
        ...     print(one, one.fails)
    """
    right = evaluation.answers.right
    looked = list(_slices(evaluation, data))
    classes = {of.tobytes() for attribute, _, of, _ in looked if attribute == "class"}  # which a folder often is
    rows = [
        _row(attribute, value, right, of, known)
        for attribute, value, of, known in looked
        if attribute != "folder" or of.tobytes() not in classes
    ]
    corrected = holm([row[-1] for row in rows])
    found = (Slice(*row, corrected=p) for row, p in zip(rows, corrected, strict=True))
    return tuple(sorted(found, key=lambda one: (one.corrected, one.p, one.accuracy)))


def write_slices(found: tuple[Slice, ...], folder: Path) -> Path:
    """Write all of them to `slices.json`.

    Args:
        found: What `slices` gives.
        folder: Where to.
    """
    write_json(folder / "slices.json", [one.to_dict() for one in found])
    return folder / "slices.json"


class _Slice(TypedDict):
    attribute: str
    value: str
    images: NUMBER
    right: NUMBER
    others: NUMBER
    right_others: NUMBER
    p: float
    corrected: float


def read_slices(path: Path) -> tuple[Slice, ...]:
    """Read what `write_slices` has written.

    Raises:
        ModelError: The file is damaged.
    """
    fields = _Slice.__annotations__
    rows: list[dict[str, Any]] = [{**row} for row in read_json(path, list[_Slice], raw_names=True)]
    return tuple(Slice(**{name: row[name] for name in fields}) for row in rows)


def _row(
    attribute: str, value: str, right: np.ndarray, of: np.ndarray, known: np.ndarray
) -> tuple[str, str, int, int, int, int, float]:
    from scipy.stats import hypergeom

    images, others = int(of.sum()), int((known & ~of).sum())
    hits, hits_others = int(right[of].sum()), int(right[known & ~of].sum())
    p = float(hypergeom.cdf(hits, images + others, hits + hits_others, images))
    return attribute, value, images, hits, others, hits_others, min(p, 1.0)


def _slices(
    evaluation: Evaluation, data: ImageData | Source | None
) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Attribute, value, which images have it, and of which it is known; bool (n,)."""
    every = np.ones(len(evaluation.labels), bool)
    task = evaluation.predictor.task
    for name, of in zip(task.class_names, task.membership(evaluation.labels).T.astype(bool), strict=True):
        yield from _if_enough("class", name, of, every)
    if evaluation.groups is not None:
        yield from _of_values("group", [str(one) for one in evaluation.groups])
    if evaluation.split is not None:
        for attribute, values in _seen(evaluation.split).items():
            yield from _of_quarters(attribute, values)
    if data is not None:
        yield from _of_files(evaluation, data)


def _of_files(evaluation: Evaluation, data: ImageData | Source) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    source = data.source if isinstance(data, ImageData) else data
    if not isinstance(source, Source) or source.kind not in PATHS or not evaluation.names:
        return
    try:
        listing = list_source(replace(source, split="class", group_by=None))  # groups are known
    except DataError:  # the files have gone since their pixels were read, which is no reason to have no report
        return
    place = {name: number for number, name in enumerate(listing.names)}
    if not place.keys() >= set(evaluation.names):
        return
    chosen = listing.chosen(np.array([place[name] for name in evaluation.names], np.int64))
    photographs = Photographs(chosen)
    yield from _of_values("camera", photographs.cameras)
    yield from _of_quarters("time", photographs.times)
    yield from _of_values("folder", [str(PurePosixPath(name).parent) for name in evaluation.names])
    sides = np.full(len(chosen), np.nan)
    for position in range(len(chosen)):
        try:
            height, width = read_header(chosen.contents.read(position), name=chosen.names[position]).upright
        except ImageError:
            continue
        sides[position] = np.sqrt(height * width)
    yield from _of_quarters("size", sides)


def _seen(split: Split) -> dict[str, np.ndarray]:
    """The brightness of each image, and its sharpness: the deviation of its Laplacian."""
    light, sharp = np.zeros(len(split)), np.zeros(len(split))
    for start in range(0, len(split), BATCH):
        chosen = slice(start, min(start + BATCH, len(split)))
        grey = split.read(chosen).astype(np.float32).mean(axis=-1)
        light[chosen] = grey.mean(axis=(1, 2))
        inner = 4 * grey[:, 1:-1, 1:-1]
        around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
        if inner.size:
            sharp[chosen] = (inner - around).std(axis=(1, 2))
    return {"brightness": light, "sharpness": sharp}


def _of_values(attribute: str, values: Any) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """A slice for each value; empty ones are not known."""
    texts = np.array(values, dtype=object)
    known = texts != ""
    counts = Counter(texts[known].tolist())
    if len(counts) < 2:
        return
    for value, _ in counts.most_common(MOST_VALUES):
        yield from _if_enough(attribute, value, texts == value, known)


def _of_quarters(attribute: str, values: np.ndarray) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """The lowest and the highest quarter of what is known."""
    known = np.isfinite(values)
    if not known.any() or np.ptp(values[known]) == 0:
        return
    low, high = np.quantile(values[known], [0.25, 0.75])
    for name, of in zip(QUARTERS, (values <= low, values >= high), strict=True):
        yield from _if_enough(attribute, f"({name} quarter)", of & known, known)


def _if_enough(
    attribute: str, value: str, of: np.ndarray, known: np.ndarray
) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    if FEWEST <= of.sum() <= known.sum() - FEWEST:
        yield attribute, value, of, known
