import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from keras_resnet.images import resampling

SIZES = [
    ((384, 390), (224, 224)),  # a crop as it mostly is: across first
    ((427, 320), (224, 224)),  # much taller than wide: Pillow goes down first
    ((100, 120), (224, 224)),
    ((300, 80), (20, 200)),  # down first, and wider
    ((224, 224), (224, 224)),
    ((223, 640), (224, 7)),
    ((1, 1), (5, 3)),
    ((1, 90), (32, 32)),
    ((700, 2), (3, 3)),
]


@pytest.fixture
def compiled() -> None:
    pytest.importorskip("numba")


def noise(size: tuple[int, int], *, black_and_white: bool = False) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    return np.where(values > 127, 255, 0).astype(np.uint8) if black_and_white else values


def by_pillow(pixels: np.ndarray, size: tuple[int, int], resize: str) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], resampling.FILTERS[resize]))


@pytest.mark.parametrize("black_and_white", [False, True])  # where bicubic overshoots most
@pytest.mark.parametrize("resize", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("size", "wanted"), SIZES)
def test_the_compiled_resize_gives_the_bits_of_pillow(
    compiled: None, size: tuple[int, int], wanted: tuple[int, int], resize: str, black_and_white: bool
) -> None:
    pixels = noise(size, black_and_white=black_and_white)

    assert resampling._compiled() is not None
    np.testing.assert_array_equal(resampling.resized(pixels, wanted, resize), by_pillow(pixels, wanted, resize))


def test_any_small_size_to_any_other_gives_the_bits_of_pillow(compiled: None) -> None:
    random = np.random.default_rng(1)
    for height, width, high, wide in random.integers(1, 24, (200, 4)).tolist():
        pixels = noise((height, width))
        found = resampling.resized(pixels, (high, wide), "bicubic")
        np.testing.assert_array_equal(found, by_pillow(pixels, (high, wide), "bicubic"), f"{height}×{width}")


def test_a_part_of_a_wider_picture_is_resized_for_itself(compiled: None) -> None:
    whole = noise((60, 90))
    whole.setflags(write=False)

    found = resampling.resized(whole[5:55, 20:70], (24, 32), "bilinear")

    np.testing.assert_array_equal(found, by_pillow(whole[5:55, 20:70].copy(), (24, 32), "bilinear"))


def test_threads_resize_beside_one_another(compiled: None) -> None:
    pixels = [noise((60 + number, 90)) for number in range(16)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda one: resampling.resized(one, (50, 40), "bilinear"), pixels))

    for one, other in zip(found, pixels, strict=True):
        np.testing.assert_array_equal(one, by_pillow(other, (50, 40), "bilinear"))


def test_grey_pixels_keep_one_channel() -> None:
    pixels = noise((9, 8))[..., 0].copy()

    found = resampling.resized(pixels, (4, 5), "bilinear")

    np.testing.assert_array_equal(found, by_pillow(pixels, (4, 5), "bilinear"))


def test_without_numba_pillow_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise((60, 90))
    before = resampling.resized(pixels, (50, 40), "bicubic")
    monkeypatch.setitem(sys.modules, "keras_resnet.images.compiled_resize", None)
    resampling._compiled.cache_clear()

    try:
        assert resampling._compiled() is None
        np.testing.assert_array_equal(resampling.resized(pixels, (50, 40), "bicubic"), before)
    finally:
        resampling._compiled.cache_clear()
