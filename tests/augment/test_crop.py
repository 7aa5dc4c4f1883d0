import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet.augment.crop import ResizedCrop, crop_resize, flip, pad_crop
from keras_resnet.augment.randomness import SampleRandom
from keras_resnet.errors import UsageError


def batch(count: int, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (count, 8, 10, 3)).astype(dtype)


def random(count: int) -> SampleRandom:
    return SampleRandom(4, tf.constant(1), tf.range(count))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_it_equals_padding_cropping_and_mirroring_image_by_image(flip: bool, dtype: str) -> None:
    images, numbers = batch(64, dtype), random(64)
    tops, lefts = numbers.integer("crop top", 0, 4).numpy(), numbers.integer("crop left", 0, 4).numpy()
    mirrored = numbers.uniform("flip").numpy() < 0.5

    found = pad_crop(tf.constant(images), numbers, margin=2, flip=flip).numpy()

    for image, result, top, left, mirror in zip(images, found, tops, lefts, mirrored, strict=True):
        crop = np.pad(image, ((2, 2), (2, 2), (0, 0)))[top : top + 8, left : left + 10]
        np.testing.assert_array_equal(result, crop[:, ::-1] if flip and mirror else crop)
    assert found.dtype == images.dtype


def test_half_of_the_images_are_mirrored_and_every_shift_is_as_likely() -> None:
    ramp = np.tile(np.arange(1, 12, dtype=np.uint8)[None, :, None], (11, 1, 1)) * 20
    images = tf.constant(np.repeat(ramp[None], 20_000, axis=0))

    found = pad_crop(images, random(20_000), margin=2, flip=True).numpy()

    middle = found[:, 5, :, 0].astype(int)
    mirrored = middle[:, 4] > middle[:, 6]
    assert mirrored.mean() == pytest.approx(0.5, abs=0.015)
    shifts = np.where(mirrored, 120 - middle[:, 5], middle[:, 5] - 120) // 20
    np.testing.assert_allclose(np.bincount(shifts + 2) / 20_000, 0.2, atol=0.015)


def test_mirroring_alone_mirrors_half() -> None:
    images = batch(2000)

    found = flip(tf.constant(images), random(2000)).numpy()

    mirrored = (found == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert mirrored.mean() == pytest.approx(0.5, abs=0.04)
    np.testing.assert_array_equal(found[~mirrored], images[~mirrored])


def test_parts_have_the_sizes_shapes_and_places_that_were_asked_for() -> None:
    height, width = 400, 600
    crop = ResizedCrop(scale=(0.1, 0.5), ratio=(0.5, 2.0))

    top, left, tall, wide = crop.boxes(tf.tile([[height, width]], (20_000, 1)), random(20_000)).numpy().T

    area = tall * wide / (height * width)
    assert (area.min(), area.max()) == pytest.approx((0.1, 0.5), abs=0.005)
    assert np.mean(area) == pytest.approx(0.3, abs=0.01), "uniform but for the few that did not fit"
    logs = np.log(wide / tall)
    assert (logs.min(), logs.max()) == pytest.approx((np.log(0.5), np.log(2)), abs=0.02)
    assert abs(np.mean(logs)) < 0.05
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + tall <= height).all()
    assert (left + wide <= width).all()
    assert np.mean((top / (height - tall))[tall < 300]) == pytest.approx(0.5, abs=0.01)
    assert np.mean((left / (width - wide))[wide < 500]) == pytest.approx(0.5, abs=0.01)


def test_a_part_that_never_fits_is_the_largest_centre_of_an_allowed_shape() -> None:
    sizes = tf.constant([[100, 1000], [1000, 100], [1, 1]])

    boxes = ResizedCrop(scale=(1.0, 1.0)).boxes(sizes, random(3)).numpy().tolist()

    assert boxes == [[0, 433, 100, 133], [433, 0, 133, 100], [0, 0, 1, 1]]


def test_a_part_is_enlarged_as_pillow_enlarges_it() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 12, 15, 3)).astype(np.uint8)
    boxes = [(0, 0, 12, 15), (2, 3, 5, 7), (11, 14, 1, 1), (0, 5, 12, 10)]

    found = crop_resize(tf.constant(images), tf.constant(boxes), (24, 30)).numpy()

    for image, result, (top, left, tall, wide) in zip(images, found, boxes, strict=True):
        part = Image.fromarray(image[top : top + tall, left : left + wide])
        inside = np.asarray(part.resize((30, 24), Image.Resampling.BILINEAR)).astype(int)
        # At the rim of the part the image's own next pixel shows; Pillow knows only the part.
        margin = (24 // tall + 1, 30 // wide + 1)
        rim = np.s_[margin[0] : -margin[0], margin[1] : -margin[1]]
        assert np.abs(result.astype(int) - inside)[rim].max(initial=0) <= 1


@pytest.mark.parametrize(
    "ranges", [{"scale": (0, 1)}, {"scale": (0.5, 0.2)}, {"scale": (0.5, 1.1)}, {"ratio": (2, 1)}, {"ratio": (0, 1)}]
)
def test_ranges_that_cannot_be_are_refused(ranges: dict[str, tuple[float, float]]) -> None:
    with pytest.raises(UsageError, match="must be two"):
        ResizedCrop(**ranges)
