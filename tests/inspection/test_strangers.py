import numpy as np
import pytest

from keras_resnet.inspection.strangers import FEWEST, strangers


def directions(images: int, spread: float, seed: int = 0) -> np.ndarray:
    """Vectors about one of two directions."""
    random = np.random.default_rng(seed)
    centres = np.eye(2, 50)[np.arange(images) % 2]
    return centres + spread * random.normal(size=(images, 50))


def test_what_is_like_no_other_is_found_the_strangest_first() -> None:
    vectors = directions(80, 0.03)
    vectors[7] = np.eye(50)[9] + 0.6 * vectors[7]
    vectors[30] = np.eye(50)[10]

    found, alike, usual = strangers(vectors)

    assert found.tolist() == [30, 7]
    assert alike[0] < 0.2 < alike[1] < usual - 0.2
    assert usual > 0.9


@pytest.mark.parametrize("spread", [0.01, 0.1, 1.0])
def test_nothing_is_strange_where_all_are_as_different(spread: float) -> None:
    assert not len(strangers(directions(80, spread))[0])


def test_of_few_images_nothing_is_said() -> None:
    vectors = directions(FEWEST - 1, 0.03)
    vectors[3] = np.eye(50)[9]
    assert not len(strangers(vectors)[0])
