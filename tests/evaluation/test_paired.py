import numpy as np
import pytest

from keras_resnet.evaluation.paired import paired_difference


@pytest.mark.parametrize(
    ("lost", "won", "images", "expected"),
    [
        (4, 1, 100, (-3.0, -8.0, 2.1)),  # Bonett and Price's interval by hand: -3/102 ± 1.96 √((7/102 - (3/102)²)/102)
        (0, 0, 300, (0.0, -0.92, 0.92)),
    ],
)
def test_the_interval_of_a_paired_difference(
    lost: int, won: int, images: int, expected: tuple[float, float, float]
) -> None:
    first, second = np.zeros((2, images), bool)
    first[:lost], second[lost : lost + won] = True, True

    difference, interval = paired_difference(first, second)

    assert (difference, *interval) == pytest.approx(expected, abs=0.1)
