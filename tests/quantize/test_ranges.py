import numpy as np
import pytest

from keras_resnet.quantize.ranges import METHODS, Seen


def seen(values: np.ndarray) -> Seen:
    return Seen(float(values.min()), float(values.max()), values.astype(np.float32), np.zeros(1), np.zeros(3))


def squared_error(values: np.ndarray, low: float, high: float) -> float:
    """Of rounding to 256 steps between two ends, zero being one of them."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    zero = round(low / scale)
    return float(np.mean((np.clip(np.rint(values / scale), zero, zero + 255) * scale - values) ** 2))


@pytest.mark.parametrize("one_sided", [False, True])
def test_a_rare_outlier_is_cut_off_by_all_but_the_whole_range(one_sided: bool) -> None:
    values = np.random.default_rng(0).normal(size=100_000)
    values = np.abs(values) if one_sided else values
    values[0] = 25.0
    whole = METHODS["minmax"](seen(values))

    assert whole == (values.min(), 25.0)
    for name in ("percentile", "mse", "octav"):
        low, high = METHODS[name](seen(values))
        assert 2 < high < 24, name
        assert low == pytest.approx(0, abs=1e-4) if one_sided else low < -1
        assert squared_error(values[1:], low, high) < 0.95 * squared_error(values[1:], *whole), name


def test_octav_finds_the_clip_with_the_least_error() -> None:
    """For normal numbers of 8 bits that is 3.92 standard deviations (Banner et al., 2019, table 1: 3.92)."""
    values = np.random.default_rng(0).normal(size=400_000)

    low, high = METHODS["octav"](seen(values))

    assert high == pytest.approx(3.92, abs=0.1)
    assert low == -high


def test_the_least_squared_error_is_the_least_of_those_that_are_tried() -> None:
    values = np.random.default_rng(0).laplace(size=50_000)
    values = np.concatenate([values, [40.0, -30.0]])

    chosen = METHODS["mse"](seen(values))

    errors = [squared_error(values, -30 * share, 40 * share) for share in np.linspace(0.3, 1, 15)]
    assert squared_error(values, *chosen) <= min(errors) * 1.001


def test_numbers_that_are_all_zero_have_a_range() -> None:
    zeros = seen(np.zeros(10))

    for name, choose in METHODS.items():
        low, high = choose(zeros)
        assert np.isfinite([low, high]).all(), name
