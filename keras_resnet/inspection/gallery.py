"""A few images of each class to look at: some by chance, the most and the least typical one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_resnet.tasks.task import Task

MOST_PICTURES = 320
"""Pictures of all classes together: they take about 1.5 MB on a page."""
PER_CLASS = 8
"""Pictures of a class, where classes are few."""
MOST_COMPARED = 500
"""Images of a class among which the most and the least typical are looked for."""


@dataclass(frozen=True)
class ClassPictures:
    """The images of a class that are shown.

    Args:
        label: The number of the class.
        positions: Of the images, by what they are.
        remarks: What each of them is: `most typical`, `least typical`, or empty for one by chance.
    """

    label: int
    positions: tuple[int, ...]
    remarks: tuple[str, ...]


def gallery(
    features: np.ndarray, positions: np.ndarray, task: Task, labels: np.ndarray, seed: int = 0
) -> tuple[ClassPictures, ...]:
    """Choose images of each class; of hundreds of classes one each, of more the largest classes.

    Typical is what lies near the middle of its class: of some of its images, by thumbnails or by what a trained network
    sees.

    Args:
        features: (n, …): thumbnails or vectors.
        positions: int (n,): of these images in their listing.
        task: What the labels mean.
        labels: Of these images, as the task has them.
        seed: Of what is chosen by chance.

    Returns:
        The largest classes first; those without images are left out.

    Example:
        >>> import numpy as np
        >>> from keras_resnet.inspection.gallery import gallery
        >>> from keras_resnet.tasks.classification import Classification
        >>> features, labels = np.array([[0.0], [1.0], [9.0]]), np.array([0, 0, 0])
        >>> found = gallery(features, np.array([5, 6, 7]), Classification(("cat", "dog")), labels)
        >>> found[0].positions, found[0].remarks
        ((6, 5, 7), ('most typical', 'least typical', 'least typical'))
    """
    counts = task.images_of_classes(labels)
    largest = [label for label in np.argsort(-counts, kind="stable").tolist() if counts[label]][:MOST_PICTURES]
    each = min(PER_CLASS, MOST_PICTURES // max(1, len(largest)))
    random = np.random.default_rng(seed)
    return tuple(_of_class(label, features, positions, task.members(labels, label), each, random) for label in largest)


def _of_class(
    label: int,
    features: np.ndarray,
    positions: np.ndarray,
    members: np.ndarray,
    each: int,
    random: np.random.Generator,
) -> ClassPictures:
    chosen = random.permutation(members)[:MOST_COMPARED]
    looks = features[chosen].reshape(len(chosen), -1).astype(np.float32)
    nearness = np.linalg.norm(looks - looks.mean(axis=0), axis=1).argsort(kind="stable")
    ends = {"most typical": nearness[:1], "least typical": nearness[1:][-(each // 3) :] if each // 3 else nearness[:0]}
    extreme = np.concatenate(list(ends.values()))
    others = np.setdiff1d(np.arange(len(chosen)), extreme)[: max(0, each - len(extreme))]  # in a random order
    remarks = [remark for remark, some in ends.items() for _ in some] + [""] * len(others)
    return ClassPictures(label, tuple(positions[chosen[np.concatenate([extreme, others])]].tolist()), tuple(remarks))
