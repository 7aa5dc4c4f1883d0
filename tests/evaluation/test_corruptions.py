import colorsys
import io

import numpy as np
import pytest
from PIL import Image
from scipy import stats

import keras_resnet
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.corruptions import BETWEEN, CORRUPTIONS, PUBLISHED, SEVERITIES, corrupt


def scene(side: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """A picture with edges and surfaces, uint8 (side, side, channels)."""
    random = np.random.default_rng(seed)
    few = random.integers(0, 256, (4, 4, channels), np.uint8)
    picture = np.kron(few, np.ones((side // 4, side // 4, 1), np.uint8))
    return np.clip(picture + random.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)


PICTURE = scene(32)
LARGE = scene(96)  # nearer to 224 pixels than to 32


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((one.astype(float) - other) ** 2)))


def test_there_are_the_papers_fifteen_and_four_more() -> None:
    families = {family: [name for name in PUBLISHED if CORRUPTIONS[name].family == family] for family in
                ("noise", "blur", "weather", "digital")}  # fmt: skip

    assert {family: len(names) for family, names in families.items()} == {
        "noise": 3, "blur": 4, "weather": 4, "digital": 4
    }  # fmt: skip
    assert set(CORRUPTIONS) - set(PUBLISHED) == {"speckle_noise", "gaussian_blur", "spatter", "saturate"}
    assert all(len(row.large) == len(row.small) == 5 for row in CORRUPTIONS.values())


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(32, 32, 3), (9, 14, 1), (100, 88, 3), (3, 3, 3)])
def test_images_of_every_size_get_worse_and_repeat(name: str, shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    seen = images.copy()

    worse = corrupt(images, name, 5, seed=3)

    np.testing.assert_array_equal(images, seen)
    assert (worse.shape, worse.dtype) == (images.shape, np.uint8)
    np.testing.assert_array_equal(worse, corrupt(images, name, 5, seed=3))
    np.testing.assert_array_equal(worse[1], corrupt(images[1:], name, 5, seed=3)[0])  # whatever is beside it
    np.testing.assert_array_equal(worse[1], corrupt(images[1], name, 5, seed=3))
    if not (name == "saturate" and shape[2] == 1) and min(shape) > 3:
        assert not np.array_equal(worse, images)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_black_and_white_images_do_not_end_it(name: str) -> None:
    for value in (0, 255):
        for severity in SEVERITIES:
            corrupt(np.full((1, 16, 16, 3), value, np.uint8), name, severity)


RANDOM = ["gaussian_noise", "shot_noise", "impulse_noise", "glass_blur", "motion_blur", "snow", "frost", "fog",
          "elastic_transform", "speckle_noise", "spatter"]  # fmt: skip


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_what_is_random_depends_on_the_seed(name: str) -> None:
    same = np.array_equal(corrupt(PICTURE, name, 4, seed=0), corrupt(PICTURE, name, 4, seed=1))

    assert same == (name not in RANDOM)


# By the published numbers, severities of four are no ladder; and these pictures' squares meet those of pixelate.
LADDERS = sorted(CORRUPTIONS.keys() - {"elastic_transform", "glass_blur", "saturate", "spatter", "pixelate"})


@pytest.mark.parametrize("name", LADDERS)
@pytest.mark.parametrize("image", [PICTURE, LARGE], ids=["small", "large"])
def test_the_fifth_severity_is_worse_than_the_first(name: str, image: np.ndarray) -> None:
    first, fifth = (
        np.mean([distance(corrupt(image, name, severity, seed), image) for seed in range(3)]) for severity in (1, 5)
    )

    assert fifth > (1.05 if name in ("fog", "frost") else 1.2) * first


def test_noise_has_the_published_strength() -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)

    assert np.std(corrupt(grey, "gaussian_noise", 3)) == pytest.approx(0.08 * 255, rel=0.03)
    assert np.std(corrupt(grey, "shot_noise", 2)) == pytest.approx(255 * np.sqrt(128 / 255 / 250), rel=0.03)
    assert np.std(corrupt(grey, "speckle_noise", 1)) == pytest.approx(0.06 * 128, rel=0.03)
    hit = corrupt(grey, "impulse_noise", 5)
    assert (hit != 128).mean() == pytest.approx(0.07, abs=0.01)
    assert set(np.unique(hit)) == {0, 128, 255}
    assert (hit == 255).sum() / (hit != 128).sum() == pytest.approx(0.5, abs=0.06)
    large = np.full((BETWEEN, BETWEEN, 3), 128, np.uint8)
    assert (corrupt(large, "impulse_noise", 5) != 128).mean() == pytest.approx(0.27, abs=0.01)


def test_noise_is_normal_and_other_in_every_image() -> None:
    first, second = (np.full((32, 32, 3), value, np.uint8) for value in (128, 129))
    noise = corrupt(first, "gaussian_noise", 1).astype(float) - 128

    assert abs(stats.kurtosis(noise.ravel())) < 0.3
    assert abs(stats.skew(noise.ravel())) < 0.15
    other = corrupt(second, "gaussian_noise", 1).astype(float) - 129
    assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 0.1


def test_brightness_and_saturation_are_those_of_hsv() -> None:
    brighter, duller, stronger = (
        corrupt(PICTURE, name, severity) for name, severity in (("brightness", 4), ("saturate", 1), ("saturate", 5))
    )
    for row, column in [(0, 0), (5, 20), (17, 3), (31, 31)]:
        hue, saturation, value = colorsys.rgb_to_hsv(*PICTURE[row, column] / 255)
        expected = [
            colorsys.hsv_to_rgb(hue, saturation, min(value + 0.2, 1)),
            colorsys.hsv_to_rgb(hue, saturation * 0.3, value),
            colorsys.hsv_to_rgb(hue, min(saturation * 2.5 + 0.2, 1), value),
        ]

        for found, colour in zip((brighter, duller, stronger), expected, strict=True):
            np.testing.assert_allclose(found[row, column], 255 * np.array(colour), atol=1)


def test_contrast_and_jpeg_are_computed_as_published() -> None:
    means = PICTURE.mean(axis=(0, 1))
    np.testing.assert_allclose(corrupt(PICTURE, "contrast", 2), (PICTURE - means) * 0.5 + means, atol=1)

    stream = io.BytesIO()
    Image.fromarray(LARGE).save(stream, "JPEG", quality=18)
    np.testing.assert_array_equal(corrupt(LARGE, "jpeg_compression", 2), np.asarray(Image.open(stream)))


def test_pixelated_images_have_fewer_pixels() -> None:
    found = corrupt(np.kron(scene(8), np.ones((20, 20, 1), np.uint8)), "pixelate", 2)  # of 160 pixels 80

    np.testing.assert_array_equal(found, np.kron(found[::2, ::2], np.ones((2, 2, 1), np.uint8)))


def test_a_point_becomes_a_disk_or_a_line() -> None:
    point = np.zeros((96, 96, 3), np.uint8)
    point[48, 48] = 255

    disk = corrupt(point, "defocus_blur", 3)[..., 0]
    rows, columns = np.nonzero(disk)
    assert 5.5 <= np.hypot(rows - 48, columns - 48).max() < 7.5  # a radius of 6, softened
    assert disk[48, 48] == 255 // 113  # the pixels of that disk

    line = corrupt(np.minimum(point * 9, 255), "motion_blur", 1)[..., 0].astype(float)
    rows, columns = np.nonzero(line)
    assert len(rows) > 5
    assert np.linalg.svd(np.stack([rows - 48.0, columns - 48.0]))[1][1] < 3  # no wider than the rounding
    near = np.hypot(rows - 48, columns - 48)
    assert stats.spearmanr(near, line[rows, columns]).statistic < -0.95  # half a Gaussian


def test_the_zoom_keeps_the_middle_and_a_plain_image() -> None:
    plain = np.full((40, 40, 3), 77, np.uint8)

    np.testing.assert_array_equal(corrupt(plain, "zoom_blur", 5), plain)


def test_glass_and_elastic_move_pixels_but_make_no_colours() -> None:
    binary = np.where(scene(32) > 127, 255, 0).astype(np.uint8)

    moved = corrupt(binary, "glass_blur", 1)  # its blur of 0.05 pixels is none

    assert set(np.unique(moved)) == {0, 255}
    assert distance(moved, binary) > 5
    plain = np.full((64, 64, 3), 200, np.uint8)
    np.testing.assert_array_equal(corrupt(plain, "elastic_transform", 5), plain)


def test_fog_and_frost_are_laid_over_an_image() -> None:
    fog = corrupt(PICTURE, "fog", 5).astype(float)
    assert fog.std() < 0.8 * PICTURE.std()
    black = np.zeros((96, 96, 3), np.uint8)
    frost = corrupt(black, "frost", 5).astype(float)
    assert 40 < frost.mean() < 160  # 0.75 of a texture that is neither black nor white
    assert frost[..., 2].mean() > frost[..., 0].mean()  # bluish
    assert frost.std() > 15


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no corruption 'gausian_noise'; did you mean 'gaussian_noise'"):
        corrupt(PICTURE, "gausian_noise", 1)
    with pytest.raises(UsageError, match="severity must be 1–5 and seed 0 or more; received 6 and 0"):
        corrupt(PICTURE, "fog", 6)
    with pytest.raises(DataError, match=r"expected images of uint8 .* received float64\(32, 32, 3\)"):
        corrupt(PICTURE / 255, "fog", 1)
    assert keras_resnet.corrupt is corrupt
