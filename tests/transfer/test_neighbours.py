import numpy as np
import pytest

from keras_resnet.errors import DataError
from keras_resnet.transfer.neighbours import nearest, vote_of_neighbours


def test_the_nearest_point_the_same_way_however_long_they_are() -> None:
    features = np.array([[1.0, 0], [10, 10], [0, 3], [-1, 0]])
    order, alike = nearest(features, np.array([[0.1, 0.0], [0, 5]]), 3)

    assert order.tolist() == [[0, 1, 2], [2, 1, 0]]
    np.testing.assert_allclose(alike[0], [1, np.sqrt(0.5), 0], atol=1e-6)
    assert nearest(features, features, 9)[0].shape == (4, 4), "there are no more"
    with pytest.raises(DataError, match="of one network"):
        nearest(features, np.zeros((1, 3)), 1)


def test_each_image_is_left_out_of_its_own_vote() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    apart = random.normal(size=(40, 8)) * 0.1 + np.where(labels, 1, -1)[:, None]
    assert (vote_of_neighbours(apart, labels) == labels).all()

    alone = np.array([0] * 39 + [1])
    assert vote_of_neighbours(apart, alone)[-1] == 0, "the only one of its class votes for it itself"
    by_chance = vote_of_neighbours(random.normal(size=(200, 50)), np.arange(200) % 2)
    assert abs((by_chance == np.arange(200) % 2).mean() - 0.5) < 0.15


def test_copies_vote_for_each_other() -> None:
    features = np.ones((8, 3))
    assert vote_of_neighbours(features, np.array([0, 0, 0, 0, 0, 0, 0, 1]), 3).tolist() == [0] * 8


def test_the_more_alike_counts_more() -> None:
    features = np.array([[1.0, 0], [1, 0.01], [1, 2], [1, 2.1]])
    assert vote_of_neighbours(features, np.array([0, 0, 1, 1]), 3)[0] == 0, "two of three say the other"
