"""What a split leaks: images of one series that are trained on and tested.

A network may know the series in place of the class, and a test with images of the same series cannot tell (Kaufman et
al., Leakage in Data Mining, 2012; Kapoor and Narayanan, Leakage and the Reproducibility Crisis, 2023).
"""

from __future__ import annotations

import numpy as np

from keras_resnet.data.duplicates import SIDE
from keras_resnet.data.images import ImageData, Split
from keras_resnet.data.loading import list_source
from keras_resnet.data.remarks import Remark
from keras_resnet.data.sources.grouping import Photographs, by_series
from keras_resnet.data.sources.source import PATHS, Source
from keras_resnet.images.decode import resize_array
from keras_resnet.preprocessing import Fit

LEAKING = 0.05
"""A smaller share of test images whose series are trained on is not worth a word."""
MOST_LOOKED_AT = 20_000
"""Of more images, a training does not look for series, which takes a minute of 20,000: `check` does."""
CODE = "series-across-splits"
BLOCK = 1024


def leaking(series: np.ndarray, split_names: np.ndarray) -> np.ndarray:
    """Find the test images whose series is trained on, too: bool (n,).

    Args:
        series: int (n,), that of each image.
        split_names: Texts (n,), the split of each image.

    Example:
        >>> leaking(np.array([0, 0, 1, 2]), np.array(["train", "test", "test", "train"])).tolist()
        [False, True, False, False]
    """
    return (split_names == "test") & np.isin(series, series[split_names == "train"])


def of_series(series: np.ndarray, split_names: np.ndarray) -> Remark | None:
    """That series are trained on and tested, if that is more than a few.

    Args:
        series, split_names: As `leaking`.
    """
    tested, shared = int((split_names == "test").sum()), int(leaking(series, split_names).sum())
    if not shared or shared < LEAKING * tested:
        return None
    title = f"{shared:,} of {tested:,} test images are of a series that is trained on, too (--group-by series)"
    advice = (
        f"{len(np.unique(series)):,} series were found, by time and camera, names or looks: photographs of one person "
        "or thing, frames of one film, or copies. The test then asks for less than new photographs will. Train once "
        "more with --split group --group-by series, and compare: it may make no difference."
    )
    return Remark(CODE, "warning", title, advice)


def leak(data: ImageData) -> Remark | None:
    """Look for series that a training is trained on and tested on, where its images were divided by class or time.

    Images are compared by the pixels that the training has, so that none is decoded again. None: there are no such
    series, or they were not looked for: the data are divided by their source, by group or a saved split, are no files,
    or are more than `MOST_LOOKED_AT`.

    Args:
        data: What is trained on.
    """
    source = data.source
    if not isinstance(source, Source) or source.kind not in PATHS or source.split == "group" or source.split_file:
        return None
    if not len(data.test) or len(data.names) > MOST_LOOKED_AT or data.test.images.shape[2] not in (1, 3):
        return None
    listing = list_source(source)
    place = {name: number for number, name in enumerate(listing.names)}
    if listing.given or not place.keys() >= set(data.names):
        return None
    used = listing.chosen(np.array([place[name] for name in data.names], np.int64))
    seen, split_names = np.zeros((len(used), SIDE, SIDE, 3), np.uint8), np.full(len(used), "", dtype=object)
    for name, split in data.splits.items():
        seen[split.indices], split_names[split.indices] = _thumbnails(split), name
    return of_series(by_series(Photographs(used, seen=seen)).groups, split_names)


def _thumbnails(split: Split) -> np.ndarray:
    """uint8 (n, 32, 32, 3): what its images show."""
    parts = [np.zeros((0, SIDE, SIDE, 3), np.uint8)]
    for start in range(0, len(split), BLOCK):
        pixels = resize_array(split.read(slice(start, min(start + BLOCK, len(split)))), Fit((SIDE, SIDE), 3))
        parts.append(np.broadcast_to(pixels, (*pixels.shape[:3], 3)))
    return np.concatenate(parts)
