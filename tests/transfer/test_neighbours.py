import numpy as np
import pytest

from keras_resnet import likeness
from keras_resnet.errors import DataError
from keras_resnet.transfer.neighbours import classify_by_neighbours, nearest, vote_of_neighbours


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


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_blocks_of_rows_give_what_all_rows_give(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(0).normal(size=(20, 5))
    whole = nearest(features, features[:7], 4)
    monkeypatch.setattr(likeness, "BLOCK", rows * 20)
    blocks = nearest(features, features[:7], 4)

    assert blocks[0].tolist() == whole[0].tolist()
    np.testing.assert_allclose(blocks[1], whole[1], atol=1e-6)


def test_likenesses_are_never_in_memory_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = []
    parted = np.partition
    monkeypatch.setattr(
        np, "partition", lambda array, *how, **more: largest.append(array.size) or parted(array, *how, **more)
    )
    monkeypatch.setattr(likeness, "BLOCK", 1000)
    vote_of_neighbours(np.random.default_rng(0).normal(size=(100, 3)), np.arange(100) % 2)

    assert max(largest) == 1000
    assert len(largest) == 10


def test_new_images_get_the_class_of_their_nearest_with_its_share_of_the_votes() -> None:
    features = np.array([[1.0, 0], [1, 0], [0, 1], [-1, 0]])
    labels = np.array([2, 0, 1, 3])
    found, shares = classify_by_neighbours(features, labels, np.array([[3.0, 0], [0, 2]]), voters=3)

    assert shares.shape == (2, 4)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    far = np.exp(-1 / 0.07)
    np.testing.assert_allclose(shares[0], np.array([1, far, 1, 0]) / (2 + far))
    assert found.tolist() == [0, 1]
    assert classify_by_neighbours(features, labels, features[2:], voters=1)[1].tolist() == np.eye(4)[[1, 3]].tolist()


@pytest.mark.parametrize("images", [0, 2])
def test_who_votes_has_a_label(images: int) -> None:
    with pytest.raises(DataError, match=f"received {images} images, {images // 2} labels"):
        classify_by_neighbours(np.ones((images, 3)), np.zeros(images // 2, np.int64), np.ones((1, 3)))
