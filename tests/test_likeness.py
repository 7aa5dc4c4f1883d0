import numpy as np
import pytest

from keras_resnet import likeness
from keras_resnet.likeness import closest_others


def test_the_closest_point_the_same_way_and_are_never_the_image_itself() -> None:
    order, alike = closest_others(np.array([[1.0, 0], [3, 3], [0, 2], [5, 0]]), 2)

    assert order[0].tolist() == [3, 1]
    assert order[2].tolist()[0] == 1
    assert order[3].tolist() == [0, 1]
    np.testing.assert_allclose(alike[0], [1, np.sqrt(0.5)], atol=1e-6)
    np.testing.assert_allclose(alike[2], [np.sqrt(0.5), 0], atol=1e-6)


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_blocks_of_rows_give_what_all_rows_give(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 5))
    whole = closest_others(vectors, 4)
    monkeypatch.setattr(likeness, "BLOCK", rows * 20)
    blocks = closest_others(vectors, 4)

    assert blocks[0].tolist() == whole[0].tolist()
    np.testing.assert_allclose(blocks[1], whole[1], atol=1e-6)


def test_of_those_that_are_as_much_alike_the_first_come_and_there_are_no_more_than_there_are() -> None:
    same = np.ones((5, 3))

    assert closest_others(same, 2)[0].tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]
    assert closest_others(same, 9)[0].shape == (5, 4)
    assert closest_others(same[:1], 3)[0].shape == (1, 0)
