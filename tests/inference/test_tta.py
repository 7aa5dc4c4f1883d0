import numpy as np
import pytest

from keras_resnet.errors import UsageError
from keras_resnet.inference.tta import views_of

IMAGES = np.arange(2 * 6 * 7 * 1).reshape(2, 6, 7, 1)


def test_a_flip_is_the_image_and_its_mirror_image() -> None:
    plain, mirrored = views_of(IMAGES, "flip", (6, 7))

    np.testing.assert_array_equal(plain, IMAGES)
    np.testing.assert_array_equal(mirrored[0, 0, :, 0], [6, 5, 4, 3, 2, 1, 0])
    assert [view is IMAGES for view in views_of(IMAGES, "none", (6, 7))] == [True]


def test_ten_crops_are_corners_and_centre_and_their_mirror_images() -> None:
    views = views_of(IMAGES, "ten-crop", (4, 5))

    assert [view.shape for view in views] == [(2, 4, 5, 1)] * 10
    assert [int(view[0, 0, 0, 0]) for view in views[:5]] == [0, 2, 14, 16, 8]
    for plain, mirrored in zip(views[:5], views[5:], strict=True):
        np.testing.assert_array_equal(mirrored, plain[:, :, ::-1])


def test_unknown_views_are_refused() -> None:
    with pytest.raises(UsageError, match="must be one of 'none', 'flip', 'ten-crop'; received 'five'"):
        views_of(IMAGES, "five", (4, 5))
