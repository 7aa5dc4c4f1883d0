"""Which images belong together, so that a split by group does not put them on both sides.

Photographs of one person, burst or video look alike. If some are trained on and others are the test, the test asks for
less than new photographs will.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

import numpy as np

from keras_resnet.data.duplicates import SIDE, compared, kin_groups
from keras_resnet.data.sources.listing import Listing
from keras_resnet.errors import DataError, listed
from keras_resnet.images.capture import Capture, capture
from keras_resnet.images.decode import decode
from keras_resnet.images.image_file import ImageError
from keras_resnet.preprocessing import Fit

PAUSE = 10.0
"""Seconds between photographs that end a series. Of several pauses it was nearest to the persons in 2,062 photographs
of hand signs, ten of each taken one after the other (docs/log.md)."""
FEWEST_CLIPS = 5
"""Names tell of clips where a class has as many; fewer may be no more than `cat_001`, `cat_002`."""
LONGEST = 0.5
"""A larger share of all images that hang together by near duplicates is no series: they show one scene."""
COUNTER = re.compile(r"[\s_.\-]*\d+$")
COPY = re.compile(
    r"([\s_\-]*\(\d+\)|[\s_\-]+(copy|kopie|copie|copia)([\s_\-]*\d+)?"
    r"|[\s_\-]+(aug|augmented|flip|flipped|mirror|mirrored|rot|rotated|crop|cropped|noise|blur)([\s_\-]*\d+)*)$",
    re.IGNORECASE,
)
CAMERAS_NAMES = re.compile(
    r"^(img|image|dsc|dscn|dscf|pict?|p|photo|mvimg|pxl|gopr|frame|wp|_?mg)?[\s_\-]*$", re.IGNORECASE
)


@dataclass(frozen=True)
class Photographs:
    """What the files of a listing say of their taking, and what they show.

    Args:
        listing: Whose files.
        read: What some of them say, by position, if they were read before.
        seen: uint8 (n, 32, 32, 3), what all of them show, if they were decoded before; black where one cannot be.
    """

    listing: Listing
    read: Mapping[int, Capture] | None = None
    seen: np.ndarray | None = None

    @cached_property
    def captures(self) -> tuple[Capture, ...]:
        """Of every image; those that cannot be read say nothing."""
        return tuple(map(self._capture, range(len(self.listing))))

    @property
    def cameras(self) -> tuple[str, ...]:
        """Of every image; empty where it does not say."""
        return tuple(one.camera for one in self.captures)

    @property
    def times(self) -> np.ndarray:
        """float64 (n,) of seconds: the listing's, or else those of the files; NaN where there is none."""
        if self.listing.times is not None:
            return self.listing.times
        return np.array([np.nan if one.time is None else one.time for one in self.captures])

    def thumbnails(self, positions: np.ndarray) -> np.ndarray:
        """uint8 (n, 32, 32, 3): what some of them show; black where one cannot be read.

        Args:
            positions: int64 (n,), which.
        """
        if self.seen is not None:
            return self.seen[positions]
        found = np.zeros((len(positions), SIDE, SIDE, 3), np.uint8)

        def look(place: int) -> None:
            with contextlib.suppress(ImageError):  # which reading them for the training will name
                found[place] = decode(self.listing.contents.read(int(positions[place])), Fit((SIDE, SIDE), 3))

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for _ in pool.map(look, range(len(positions))):
                pass
        return found

    def _capture(self, position: int) -> Capture:
        if self.read is not None:
            return self.read.get(position, Capture())
        try:
            return capture(self.listing.contents.read(position))
        except ImageError:
            return Capture()


@dataclass(frozen=True)
class Grouping:
    """Which images belong together.

    Args:
        groups: int64 (n,): images of one number do; counted from 0.
        notes: What a user should know about it.
    """

    groups: np.ndarray
    notes: tuple[str, ...] = ()


def by_series(photographs: Photographs) -> Grouping:
    """Group images that were taken one after the other, are frames of one clip, or copies, by names or looks.

    A series ends where a camera pauses for `PAUSE` seconds. Images of unknown time go by their names: `street_0001.jpg`
    and `street_0002.jpg` are of one clip if their class has several such names. A copy or a changed one,
    `a (1).jpg`, `a_flip.jpg`, goes with `a.jpg`. Whatever their names, near duplicates go together: a picture saved
    again, mirrored, brighter, blurred or hardly cropped, and neighbouring frames of a film (`kin_groups`).

    Near duplicates form chains, as the frames of a film do. A chain that would join more than half of all images is
    no series; there, only time and names count.

    Args:
        photographs: The images.
    """
    count = len(photographs.listing)
    pairs = _by_taking(photographs)
    apart = _connected(pairs, count)
    chosen = compared(count)
    near = [chosen[group] for group in kin_groups(photographs.thumbnails(chosen))]
    joined = _connected(np.concatenate([pairs, *(_chain(group) for group in near)]), count)
    chained = np.bincount(joined, minlength=1)[joined] > LONGEST * count
    groups = _numbered(list(zip(chained.tolist(), np.where(chained, apart, joined).tolist(), strict=True)))
    notes = []
    if chained.any() and len(np.unique(apart[chained])) > 1:
        notes.append(
            f"{chained.sum():,} of {count:,} images hang together as near duplicates of one another, as where all show "
            "one scene: of these, only time, camera and names tell which are of one series"
        )
    if len(chosen) < count:
        notes.append(f"near duplicates were looked for among {len(chosen):,} of {count:,} images, chosen at random")
    return Grouping(groups, tuple(notes))


def _by_taking(photographs: Photographs) -> np.ndarray:
    """int64 (n, 2): pairs of images of one series by time and camera, or by names."""
    names = [PurePosixPath(name) for name in photographs.listing.names]
    pairs = [(place, place) for place in range(len(names))]
    times, cameras = photographs.times, photographs.cameras
    known = np.flatnonzero(np.isfinite(times))
    order = sorted(known.tolist(), key=lambda one: (cameras[one], times[one], str(names[one])))
    for one, other in itertools.pairwise(order):
        if cameras[one] == cameras[other] and times[other] - times[one] <= PAUSE:
            pairs.append((one, other))

    originals = {(name.parent, name.stem.lower()): place for place, name in enumerate(names)}
    clips: dict[tuple[PurePosixPath, str], list[int]] = {}
    for place, name in enumerate(names):
        stem = COPY.sub("", name.stem)
        if stem != name.stem:
            pairs.append((originals.setdefault((name.parent, stem.lower()), place), place))
        clip = COUNTER.sub("", stem)
        if clip != stem and not CAMERAS_NAMES.match(clip) and not np.isfinite(times[place]):
            clips.setdefault((name.parent, clip.lower()), []).append(place)
    count = Counter(folder for folder, _ in clips)
    for (folder, _), members in clips.items():
        if count[folder] >= FEWEST_CLIPS:
            pairs += itertools.pairwise(members)
    return np.array(pairs, np.int64).reshape(-1, 2)


def by_camera(photographs: Photographs) -> Grouping:
    """Group images of one make and model of camera; those that do not say are one group, too."""
    return Grouping(_numbered(photographs.cameras))


def by_folder(photographs: Photographs) -> Grouping:
    """Group images of one folder."""
    return Grouping(_numbered([str(PurePosixPath(name).parent) for name in photographs.listing.names]))


WAYS: dict[str, Callable[[Photographs], Grouping]] = {"series": by_series, "camera": by_camera, "folder": by_folder}
"""What images can be grouped by without a column of a table."""


def groups_by(way: str, listing: Listing) -> Grouping:
    """Group a listing's images, and say how many groups there are.

    Args:
        way: A key of `WAYS`.
        listing: The images.

    Raises:
        DataError: There is no such way, or all images are of one group.
    """
    if way not in WAYS:
        raise DataError(f"the data have no column {way!r}; without one, images are grouped by {listed(WAYS)}")
    found = WAYS[way](Photographs(listing))
    if not len(listing):
        return found
    sizes = np.bincount(found.groups)
    if len(sizes) == 1:
        raise DataError(f"all {len(listing)} images are of one {way}, so that they cannot be divided by it")
    if way != "series":
        return found
    if sizes.max() == 1:
        note = "no series were found, so that a split by series is one at random"
    else:
        note = f"{len(listing):,} images are of {len(sizes):,} series, the largest of {sizes.max():,}"
    return Grouping(found.groups, (note, *found.notes))


def times_of(listing: Listing) -> np.ndarray | None:
    """float64 (n,) of seconds: when each image was taken, as the files say; None where none of them does.

    Args:
        listing: Images without times of their own.

    Raises:
        DataError: Some do not say.
    """
    times = Photographs(listing).times
    unknown = np.flatnonzero(np.isnan(times))
    if len(unknown) == len(times):
        return None
    if len(unknown):
        raise DataError(
            f"a split by time needs the time of every image, and {len(unknown)} of {len(times)} files do not say when "
            f"they were taken, first {listing.names[unknown[0]]}: give a table with the columns path, label and time"
        )
    return times


def _chain(members: np.ndarray) -> np.ndarray:
    """int64 (n - 1, 2): pairs that join images to one group."""
    return np.stack([members[:-1], members[1:]], axis=1)


def _connected(pairs: np.ndarray, count: int) -> np.ndarray:
    """int64 (count,): the component of each image, where pairs, int64 (n, 2), hang together."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(pairs), np.int8), tuple(pairs.T)), shape=(count, count))
    return _numbered(connected_components(edges, directed=False)[1].tolist())


def _numbered(keys: Sequence[object]) -> np.ndarray:
    """int64 (n,): equal keys have one number, counted from 0 as they first occur."""
    number_of: dict[object, int] = {}
    return np.array([number_of.setdefault(key, len(number_of)) for key in keys], np.int64)
