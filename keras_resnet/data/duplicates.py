"""Find duplicates: files with the same bytes, pictures that were saved again, and what a trained network takes for one.

Two pictures are compared by the gradients of their grey thumbnails, 14×14 across and 14×14 down, as one vector of
length 1. Saving again, resizing, brightening and slight cropping hardly turn that vector; another photograph of the
same object in front of the same wall does. How near two duplicates are depends on the data: handwritten digits are
nearer to each other than photographs of ships. So the usual distance of an image from its nearest neighbour is
measured first, and a pair counts as duplicates if it is several times nearer than that. Vectors are of whole numbers,
whose products are exact: which images are duplicates depends on no machine and on no order of the sums.

Mirrored copies and other crops turn that vector. What a trained network sees in them does not change so much. There,
what is usual differs from image to image, as hands of one series are nearer to each other than to others: a pair counts
where each of the two is several times nearer to the other than to its fifth neighbour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keras_resnet.likeness import closest_others

MOST_COMPARED = 100_000
"""Every image is compared with every other: twice as many images take four times as long."""
SAMPLE = 1000
"""Images by which the usual distance is measured."""
NEARER = 0.3
"""A pair is a duplicate if its distance is at most this share of the usual distance between nearest neighbours,"""
SURELY_NEAR, SURELY_FAR = 0.02, 0.15
"""but a pair at most as far apart as the first (1 - cosine) always is, and one farther apart than the second never is.
Both were measured on photographs of hands, CIFAR-10 and digits of 8×8 pixels, compared with copies saved again."""
KIN, KIN_NEIGHBOURS = 0.2, 20
"""Pictures are kin if their distance is at most this share of the distance of either from this neighbour, within the
same bounds: docs/log.md."""
OTHER_COLOURS = 0.4
"""Mean difference of colours, in standard deviations, at which pictures of the same shapes count as different."""
FAINT = 1.0
"""Mean gradient, of 255, below which a thumbnail shows too little to be compared."""
LENGTH = 4000
"""Of a vector of whole numbers. Sums of products up to its square, 1.6e7, are exact in float32, which ends at 2^24."""
COLOUR_STEPS = 32
"""Steps of a standard deviation to which colours are rounded."""
SIDE = 32
"""Of a thumbnail, in pixels."""
BLOCK = 1 << 24
"""Similarities that are in memory at a time."""
NEIGHBOURS = 5
"""The last of them says what is usual for an image, so that of a picture so many copies are found."""
CLOSER = 0.4
"""Two images look alike if their distance (1 - cosine) is less than this share of either's to its last neighbour.
Measured with the ResNet-50 of ImageNet and ten kinds of copies of 40 images: docs/log.md."""
SURELY_ALIKE = 0.002
"""A pair at most so far apart always does; different photographs, frames of a film too, are 0.016 or more."""
FEWEST = 30
"""Of fewer images it cannot be told what is usual among them."""


def exact_groups(digests: Sequence[bytes]) -> list[np.ndarray]:
    """Groups of positions with the same digest; digests that occur once are left out."""
    _, number = np.unique(np.array([*digests], dtype="S32"), return_inverse=True)
    return _groups(number)


def compared(count: int, seed: int = 0) -> np.ndarray:
    """Positions of the pictures that are compared, sorted: of more than `MOST_COMPARED`, a random choice.

    Args:
        count: How many pictures there are.
        seed: Of the choice.
    """
    if count <= MOST_COMPARED:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST_COMPARED, replace=False))


def near_groups(thumbnails: np.ndarray, seed: int = 0) -> list[np.ndarray]:
    """Groups of positions of pictures, each nearly the same as another of its group.

    Args:
        thumbnails: uint8 (n, 32, 32, 3). Of more than `MOST_COMPARED`, a random choice is compared.
        seed: Of that choice, and of the sample by which the usual distance is measured.
    """
    chosen = compared(len(thumbnails), seed)
    if len(chosen) < 2:
        return []
    if len(chosen) < len(thumbnails):
        thumbnails = thumbnails[chosen]
    random = np.random.default_rng(seed)
    shapes = _in_parts(_shapes, thumbnails)
    near = _near(shapes, random.permutation(len(shapes))[:SAMPLE])
    return [chosen[group] for group in _linked(thumbnails, shapes, np.full(len(shapes), near))]


def kin_groups(thumbnails: np.ndarray) -> list[np.ndarray]:
    """Groups of positions of pictures of one origin: copies, mirrored or not, and frames of a film.

    A pair is joined if it is several times nearer than either is to its twentieth neighbour. Copies that are all
    around do not change what is usual, up to twenty of a picture, and neighbouring frames are nearer than later ones.
    That finds more than `near_groups`, and now and then different pictures that are alike, which is no harm where a
    split keeps groups together. Groups are chains: the ends of a film may show different things.

    Args:
        thumbnails: uint8 (n, 32, 32, 3), at most `MOST_COMPARED`: each is compared with all.
    """
    if len(thumbnails) < 2:
        return []
    shapes = _in_parts(_shapes, thumbnails)
    near = np.clip(KIN * _usual(shapes), SURELY_NEAR, SURELY_FAR)
    return _linked(thumbnails, shapes, near, mirrored=True)


def alike_groups(vectors: np.ndarray) -> list[np.ndarray]:
    """Groups of positions of images, each nearly the same to a trained network as another of its group.

    Args:
        vectors: float (n, features), what the network sees in each.
    """
    if len(vectors) < FEWEST:
        return []
    order, alike = closest_others(vectors, NEIGHBOURS)
    usual = 1 - alike[:, -1]
    near = 1 - alike < np.maximum(CLOSER * np.minimum(usual[:, None], usual[order]), SURELY_ALIKE)
    first, place = np.nonzero(near)
    return _groups(_joined(np.arange(len(vectors)), first, order[first, place]))


def _linked(
    thumbnails: np.ndarray, shapes: np.ndarray, near: np.ndarray, *, mirrored: bool = False
) -> list[np.ndarray]:
    """Groups of positions of pictures that hang together.

    Args:
        thumbnails: Of n pictures.
        shapes: What `_shapes` makes of them.
        near: float (n,), how far apart two may be that are joined, the lesser of theirs.
        mirrored: Whether a picture and a mirror image are joined, too.
    """
    colours, component = _in_parts(_colours, thumbnails), np.arange(len(shapes))
    alike = (LENGTH**2 * (1 - near)).astype(np.float32)
    rows = max(1, BLOCK // len(shapes))
    for start in range(0, len(shapes), rows):
        for turned in (False, True)[: 1 + mirrored]:
            asked = slice(start, start + rows)
            block = _in_parts(_shapes, thumbnails[asked, :, ::-1]) if turned else shapes[asked]
            products = block @ shapes[start:].T
            first, second = np.nonzero((products >= alike[asked, None]) & (products >= alike[start:]))
            first, second = first + start, second + start
            unjoined = (first < second) & (component[first] != component[second])
            first, second = first[unjoined], second[unjoined]
            same = _same_colours(colours, first, second, turned=turned)
            component = _joined(component, first[same], second[same])
    return _groups(component)


def _usual(shapes: np.ndarray) -> np.ndarray:
    """float32 (n,): the distance of each picture from its twentieth neighbour, or from the last one there is."""
    count = min(KIN_NEIGHBOURS, len(shapes) - 1)
    rows, usual = max(1, BLOCK // len(shapes)), np.zeros(len(shapes), np.float32)
    for start in range(0, len(shapes), rows):
        products = shapes[start : start + rows] @ shapes.T
        places = np.arange(len(products))
        products[places, start + places] = -np.inf
        usual[start : start + rows] = 1 - np.partition(products, -count, axis=1)[:, -count] / LENGTH**2
    return usual


def _near(shapes: np.ndarray, sample: np.ndarray) -> float:
    """The distance up to which a pair of these images counts as duplicates."""
    distances = []
    for part in np.array_split(sample, max(1, len(sample) * len(shapes) // BLOCK)):
        distance = 1 - shapes[part] @ shapes.T / LENGTH**2
        # Without duplicates and the image itself: the distance of different images is wanted.
        distance[distance <= SURELY_NEAR] = np.inf
        distances.append(distance.min(axis=1))
    usual = float(np.median(np.concatenate(distances)))
    return float(np.clip(NEARER * usual, SURELY_NEAR, SURELY_FAR))


def _shapes(thumbnails: np.ndarray) -> np.ndarray:
    """float32 (n, 392) of whole numbers: gradients of grey 16×16 thumbnails, of `LENGTH` for each image.

    Of a faint image all are 0.
    """
    grey = _halved(thumbnails @ np.array([299, 587, 114], np.int32))  # in thousandths, exactly
    across, down = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2], grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    gradients = np.stack([across, down], axis=1).reshape(len(grey), -1).astype(np.float64)
    gradients[np.abs(gradients).mean(axis=1) < 1000 * FAINT] = 0
    gradients -= gradients.mean(axis=1, keepdims=True)
    lengths = np.maximum(np.linalg.norm(gradients, axis=1, keepdims=True), 1e-6)
    return np.rint(LENGTH * gradients / lengths).astype(np.float32)


def _colours(thumbnails: np.ndarray) -> np.ndarray:
    """float16 (n, 768): colours of 16×16 thumbnails, of mean 0 and standard deviation 1 for each image, rounded."""
    colours = _halved(thumbnails).reshape(len(thumbnails), -1).astype(np.float64)
    colours -= colours.mean(axis=1, keepdims=True)
    colours /= np.maximum(colours.std(axis=1, keepdims=True), 1)
    return (np.rint(COLOUR_STEPS * colours) / COLOUR_STEPS).astype(np.float16)


def _same_colours(colours: np.ndarray, first: np.ndarray, second: np.ndarray, *, turned: bool) -> np.ndarray:
    parts = max(1, len(first) * colours.shape[1] // BLOCK)
    differences = [
        np.abs((_turned_colours(colours[i]) if turned else colours[i]) - colours[j]).mean(axis=1, dtype=np.float32)
        for i, j in zip(np.array_split(first, parts), np.array_split(second, parts), strict=True)
    ]
    return np.concatenate(differences) < OTHER_COLOURS


def _turned_colours(colours: np.ndarray) -> np.ndarray:
    return colours.reshape(-1, 16, 16, 3)[:, :, ::-1].reshape(colours.shape)


def _halved(thumbnails: np.ndarray) -> np.ndarray:
    """Averages of 2×2 pixels."""
    count, height, width, *channels = thumbnails.shape
    return thumbnails.reshape(count, height // 2, 2, width // 2, 2, *channels).mean(axis=(2, 4), dtype=np.float32)


def _in_parts(describe: Callable[[np.ndarray], np.ndarray], thumbnails: np.ndarray) -> np.ndarray:
    """A description of all thumbnails, whose float intermediates never take more than some 50 MB."""
    return np.concatenate([describe(thumbnails[start : start + 4096]) for start in range(0, len(thumbnails), 4096)])


def _joined(component: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The number of each image's group, after the groups of each pair have been joined."""
    if not len(first):
        return component
    from scipy.sparse import coo_array  # which a prediction, that reads images too, need not wait for
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(first), bool), (component[first], component[second])), shape=(len(component),) * 2)
    return connected_components(links, directed=False)[1][component]


def _groups(number: np.ndarray) -> list[np.ndarray]:
    """Groups of two or more positions with the same number, in the order of their first positions."""
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order])) + 1
    return sorted((group for group in np.split(order, starts) if len(group) > 1), key=lambda group: int(group[0]))
