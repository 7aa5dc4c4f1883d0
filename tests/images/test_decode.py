import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_resnet.errors import DataError
from keras_resnet.images.decode import decode, decode_box, resize_array, small_copy
from keras_resnet.images.image_file import read_header
from keras_resnet.preprocessing import Fit


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def picture(mode: str = "RGB", size: tuple[int, int] = (6, 4)) -> Image.Image:
    random = np.random.default_rng(1)
    return Image.fromarray(random.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)).convert(mode)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "WEBP", "TIFF"])
def test_lossless_formats_give_their_exact_pixels(file_format: str) -> None:
    image = picture()
    options = {"lossless": True} if file_format == "WEBP" else {}

    found = decode(encoded(image, file_format, **options), Fit((4, 6), 3))

    np.testing.assert_array_equal(found, np.asarray(image))


def test_a_small_copy_is_upright_and_in_proportion() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    content = encoded(picture(size=(60, 20)).resize((600, 200)), "PNG", exif=turned)

    assert small_copy(content, 96).shape == (96, 32, 3)
    assert small_copy(encoded(picture("L", (300, 1)), "PNG"), 30).shape == (1, 30, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) * 10)
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = {
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
        5: lambda a: a.T, 6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a.T, 2), 8: np.rot90,
    }[orientation](np.asarray(image))  # fmt: skip

    found = decode(encoded(image, "PNG", exif=exif), Fit(turned.shape, 1))

    np.testing.assert_array_equal(found[..., 0], turned)


def test_transparency_is_shown_over_white() -> None:
    image = Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    image.putpixel((0, 0), (200, 0, 0, 255))
    image.putpixel((1, 0), (200, 0, 0, 127))

    found = decode(encoded(image, "PNG"), Fit((4, 4), 3))

    assert found[0, 0].tolist() == [200, 0, 0]
    assert found[3, 3].tolist() == [255, 255, 255]
    assert found[0, 1].tolist() == pytest.approx([228, 128, 128], abs=1)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "GIF"])
def test_a_palette_is_resolved_to_its_colours(file_format: str) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 200, 30] + [0] * 762)

    assert decode(encoded(image, file_format), Fit((4, 4), 3))[2, 2].tolist() == [10, 200, 30]


def test_a_sixteen_bit_grey_keeps_its_scale() -> None:
    values = np.array([[0, 257, 32896, 65535]], np.uint16)

    found = decode(encoded(Image.fromarray(values), "PNG"), Fit((1, 4), 1))

    assert found[0, :, 0].tolist() == [0, 1, 128, 255]


def test_one_bit_grey_and_cmyk_images_become_rgb() -> None:
    assert decode(encoded(Image.new("1", (4, 4), 1), "PNG"), Fit((4, 4), 3)).tolist() == [[[255] * 3] * 4] * 4
    cmyk = decode(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95), Fit((8, 8), 3))
    assert cmyk[4, 4].tolist() == pytest.approx([255, 0, 0], abs=3)


def test_colour_becomes_grey_by_luminance() -> None:
    assert decode(encoded(Image.new("RGB", (4, 4), (255, 0, 0)), "PNG"), Fit((4, 4), 1))[0, 0, 0] == 76


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])

    assert decode(content, Fit((4, 4), 3))[0, 0].tolist() == [255, 0, 0]


def test_shrinking_averages_so_that_fine_patterns_become_grey() -> None:
    checkers = Image.fromarray((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8))

    found = decode(encoded(checkers, "PNG"), Fit((8, 8), 1))

    assert found.min() > 110
    assert found.max() < 145


def test_arrays_are_resized_as_files_are() -> None:
    image = picture(size=(9, 7))

    found = resize_array(np.asarray(image)[None], Fit((5, 4), 3))

    np.testing.assert_array_equal(found[0], decode(encoded(image, "PNG"), Fit((5, 4), 3)))


def test_a_number_of_channels_that_files_do_not_have_is_refused() -> None:
    content, fit = encoded(picture(), "JPEG"), Fit((4, 4), 4)

    with pytest.raises(DataError, match="1 or 3 channels; 4 were asked for"):
        decode(content, fit)
    with pytest.raises(DataError, match="1 or 3 channels; 4 were asked for"):
        decode_box(content, read_header(content), (0, 0, 2, 2), fit)


@pytest.mark.parametrize(("size", "fraction"), [((8, 8), 0.875), ((8, 8), 1.0), ((6, 10), 0.75)])
@pytest.mark.parametrize("resize", ["bilinear", "bicubic"])
def test_a_crop_keeps_the_aspect_ratio_and_takes_the_centre(
    size: tuple[int, int], fraction: float, resize: str
) -> None:
    image = picture(size=(40, 25))
    height, width = size

    found = decode(encoded(image, "PNG"), Fit(size, 3, resize=resize, crop_fraction=fraction))

    scale = max(int(width / fraction) / 40, int(height / fraction) / 25)
    whole = image.resize((int(40 * scale + 1e-9), int(25 * scale + 1e-9)), getattr(Image.Resampling, resize.upper()))
    top, left = round((whole.height - height) / 2), round((whole.width - width) / 2)
    np.testing.assert_array_equal(found, np.asarray(whole)[top : top + height, left : left + width])
    squeezed = decode(encoded(image, "PNG"), Fit(size, 3, resize=resize))
    assert np.abs(squeezed.astype(int) - found).max() > 10


def test_arrays_are_cropped_as_files_are() -> None:
    image = picture(size=(30, 20))
    fit = Fit((12, 12), 3, resize="bicubic", crop_fraction=0.9)

    found = resize_array(np.asarray(image)[None], fit)

    np.testing.assert_array_equal(found[0], decode(encoded(image, "PNG"), fit))
    assert resize_array(np.asarray(image)[None], Fit((20, 30), 3, crop_fraction=0.5)).shape == (1, 20, 30, 3)
