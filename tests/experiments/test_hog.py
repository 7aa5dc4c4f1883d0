import math

import numpy as np
import pytest

from keras_resnet.experiments.hog import CLIPPED, LEAST, ORIENTATIONS, hog


def by_loops(image: np.ndarray, cell: int) -> np.ndarray:
    """The definition, pixel by pixel."""
    pixels = image.astype(float)
    height, width, channels = pixels.shape
    rows, columns = height // cell, width // cell
    cells = np.zeros((rows, columns, ORIENTATIONS))
    for y in range(height):
        for x in range(width):
            gradients = [
                (
                    pixels[y, x + 1, c] - pixels[y, x - 1, c] if 0 < x < width - 1 else 0.0,
                    pixels[y + 1, x, c] - pixels[y - 1, x, c] if 0 < y < height - 1 else 0.0,
                )
                for c in range(channels)
            ]
            across, down = max(gradients, key=lambda one: one[0] ** 2 + one[1] ** 2)
            angle = math.degrees(math.atan2(down, across)) % 180
            for bin_ in range(ORIENTATIONS):
                apart = abs(angle - (10 + 20 * bin_))
                of_bin = max(0.0, 1 - min(apart, 180 - apart) / 20)
                for row in range(rows):
                    for column in range(columns):
                        of_row = max(0.0, 1 - abs(y - (row * cell + (cell - 1) / 2)) / cell)
                        of_column = max(0.0, 1 - abs(x - (column * cell + (cell - 1) / 2)) / cell)
                        cells[row, column, bin_] += math.hypot(across, down) / 255 * of_bin * of_row * of_column
    blocks = []
    for row in range(rows - 1):
        for column in range(columns - 1):
            block = cells[row : row + 2, column : column + 2].ravel()
            block = np.minimum(block / math.sqrt(block @ block + LEAST**2), CLIPPED)
            blocks.append(block / math.sqrt(block @ block + LEAST**2))
    return np.concatenate(blocks)


@pytest.mark.parametrize(("height", "width", "channels", "cell"), [(8, 10, 1, 2), (13, 16, 3, 2)])
def test_it_is_the_definition_pixel_by_pixel(height: int, width: int, channels: int, cell: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, channels)).astype(np.uint8)

    found = hog(images)

    assert found.dtype == np.float32
    assert found.shape == (2, (height // cell - 1) * (width // cell - 1) * 4 * ORIENTATIONS)
    np.testing.assert_allclose(found, [by_loops(image, cell) for image in images], atol=2e-5)


def test_light_changes_little_and_a_plain_image_has_nothing() -> None:
    image = np.random.default_rng(1).integers(60, 120, (1, 32, 32, 3)).astype(np.uint8)

    np.testing.assert_allclose(hog(2 * image), hog(image), atol=1e-3)
    np.testing.assert_allclose(hog(image + np.uint8(50)), hog(image), atol=1e-6)
    assert not hog(np.full((1, 32, 32, 3), 99, np.uint8)).any()
