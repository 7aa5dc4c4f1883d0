"""Scales as integers: what LiteRT's kernels prepare, so that the C code can round as they do."""

import numpy as np
import pytest

from keras_resnet.c_code.arithmetic import RELU, RELU6, Factor, limits, of_dense, of_filters
from keras_resnet.errors import ModelError
from keras_resnet.quantize.graph import Tensor


def tensor(scales: list[float], zero: int = 0, shape: tuple[int, ...] = (1, 4)) -> Tensor:
    zeros = np.full(len(scales), zero, np.int64)
    return Tensor(0, "", shape, np.dtype(np.int8), np.array(scales, np.float32), zeros, 0, None)


@pytest.mark.parametrize(
    ("real", "multiplier", "shift"),
    [(1.0, 2**30, 1), (0.5, 2**30, 0), (0.75, 3 * 2**29, 0), (1 - 2**-40, 2**30, 1), (0.0, 0, 0), (2.0**-40, 0, 0)],
)
def test_a_factor_is_31_bits_and_a_shift(real: float, multiplier: int, shift: int) -> None:
    assert Factor.of(real) == Factor(multiplier, shift)


def test_a_factor_that_kernels_cannot_shift_is_refused() -> None:
    with pytest.raises(ModelError, match="4.29e\\+09 times the scale"):
        Factor.of(2.0**32)


def test_a_mean_divides_its_multiplier_without_losing_bits() -> None:
    found = Factor.of(0.7).over(49)

    assert found.multiplier * 2.0 ** (found.shift - 31) == pytest.approx(0.7 / 49, rel=1e-8)
    assert found.multiplier == (Factor.of(0.7).multiplier << 5) // 49


def test_one_scale_for_all_outputs_of_a_dense_layer_is_multiplied_in_float32() -> None:
    taken, given = tensor([0.1]), tensor([0.3])
    one, several = tensor([0.7], shape=(2, 4)), tensor([0.7, 0.7], shape=(2, 4))

    assert of_dense(taken, several, given) == of_filters(taken, several, given)
    assert of_dense(taken, one, given)[0] != of_filters(taken, one, given)[0]


def test_activations_let_through_what_stands_for_0_and_6() -> None:
    given = tensor([0.05], zero=-20)

    assert limits(0, given) == (-128, 127)
    assert limits(RELU, given) == (-20, 127)
    assert limits(RELU6, given) == (-20, 100)
    with pytest.raises(KeyError):
        limits(4, given)
