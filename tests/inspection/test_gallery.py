"""Which images of each class are shown."""

import tracemalloc

import numpy as np

from keras_resnet.inspection.gallery import MOST_PICTURES, PER_CLASS, gallery
from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.multi_label import MultiLabel


def classes(count: int) -> tuple[str, ...]:
    return tuple(f"class {number}" for number in range(count))


def test_the_most_and_the_least_typical_image_lead_and_chance_gives_the_others() -> None:
    random = np.random.default_rng(0)
    looks = random.integers(95, 105, (40, 4, 4, 3)).astype(np.uint8)
    looks[7] = 100
    looks[[11, 30]] = [[[[0] * 3]], [[[255] * 3]]]
    everyone = Classification(classes(2)), np.ones(40, np.int64)

    (found,) = gallery(looks, np.arange(100, 140), *everyone, seed=3)

    assert found.remarks == ("most typical", "least typical", "least typical", *[""] * (PER_CLASS - 3))
    assert set(found.positions[1:3]) == {111, 130}
    assert len(set(found.positions)) == PER_CLASS
    assert gallery(looks, np.arange(100, 140), *everyone, seed=3) == (found,)
    assert gallery(looks, np.arange(100, 140), *everyone, seed=4) != (found,)


def test_the_largest_classes_come_first_and_those_without_images_are_left_out() -> None:
    labels = np.zeros((6, 3), np.uint8)
    labels[:2, 0] = labels[1:6, 2] = 1  # the second image has both

    found = gallery(np.arange(6)[:, None], np.arange(6), MultiLabel(classes(3)), labels)

    assert [one.label for one in found] == [2, 0]
    assert sorted(found[0].positions) == [1, 2, 3, 4, 5]
    assert sorted(found[1].positions) == [0, 1]


def test_many_classes_have_fewer_pictures_each() -> None:
    labels = np.arange(3 * MOST_PICTURES) % (MOST_PICTURES // 2)
    some = gallery(labels[:, None], np.arange(len(labels)), Classification(classes(MOST_PICTURES // 2)), labels)
    many = gallery(np.arange(400)[:, None], np.arange(400), Classification(classes(400)), np.arange(400))

    assert {len(one.positions) for one in some} == {2}
    assert len(many) == MOST_PICTURES
    assert {one.remarks for one in many} == {("most typical",)}


def test_no_table_of_images_by_classes_is_made() -> None:
    labels = np.arange(100_000) % 1000
    looks, task = labels[:, None].astype(np.uint8), Classification(classes(1000))

    tracemalloc.start()
    gallery(looks, np.arange(len(labels)), task, labels)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 20e6  # the table would have 100 MB
