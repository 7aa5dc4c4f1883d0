import io

import numpy as np
import pytest
from PIL import Image

from keras_resnet.data.sources.listing import bitmap


@pytest.mark.parametrize("shape", [(8, 8), (5, 7), (5, 7, 1), (3, 5, 3), (4, 6, 3), (1, 1, 1), (2, 1, 3)])
def test_an_image_becomes_the_bmp_file_that_pillow_writes(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    expected = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if shape[2:] == (1,) else pixels).save(expected, "BMP")

    assert bitmap(pixels) == expected.getvalue()
