"""Which images of each class are shown."""

import numpy as np

from keras_resnet.inspection.gallery import MOST_PICTURES, PER_CLASS, gallery


def test_the_most_and_the_least_typical_image_lead_and_chance_gives_the_others() -> None:
    random = np.random.default_rng(0)
    looks = random.integers(95, 105, (40, 4, 4, 3)).astype(np.uint8)
    looks[7] = 100
    looks[[11, 30]] = [[[[0] * 3]], [[[255] * 3]]]
    everyone = np.ones((40, 1), bool)

    (found,) = gallery(looks, np.arange(100, 140), everyone, seed=3)

    assert found.remarks == ("most typical", "least typical", "least typical", *[""] * (PER_CLASS - 3))
    assert set(found.positions[1:3]) == {111, 130}
    assert len(set(found.positions)) == PER_CLASS
    assert gallery(looks, np.arange(100, 140), everyone, seed=3) == (found,)
    assert gallery(looks, np.arange(100, 140), everyone, seed=4) != (found,)


def test_the_largest_classes_come_first_and_those_without_images_are_left_out() -> None:
    membership = np.zeros((6, 3), bool)
    membership[:2, 0] = membership[1:6, 2] = True  # the second image has both

    found = gallery(np.arange(6)[:, None], np.arange(6), membership)

    assert [one.label for one in found] == [2, 0]
    assert sorted(found[0].positions) == [1, 2, 3, 4, 5]
    assert sorted(found[1].positions) == [0, 1]


def test_many_classes_have_fewer_pictures_each() -> None:
    labels = np.arange(3 * MOST_PICTURES) % (MOST_PICTURES // 2)
    some = gallery(labels[:, None], np.arange(len(labels)), labels[:, None] == np.arange(MOST_PICTURES // 2))
    many = gallery(np.arange(400)[:, None], np.arange(400), np.eye(400, dtype=bool))

    assert {len(one.positions) for one in some} == {2}
    assert len(many) == MOST_PICTURES
    assert {one.remarks for one in many} == {("most typical",)}
