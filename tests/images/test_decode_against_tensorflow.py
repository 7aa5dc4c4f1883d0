"""What `tf.io.decode_image` makes of odd files, and what we make of them: why images are not read by it here."""

import struct
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet.images.decode import decode, decode_box
from keras_resnet.images.image_file import Header, ImageError, read_header
from keras_resnet.preprocessing import Fit
from tests.zoo.images import (
    ALPHA,
    RGB,
    bmp,
    chunk,
    encoded,
    exif,
    flipped,
    frame,
    gif,
    jpeg,
    over_white,
    packed,
    png,
    png_header_only,
    png_of,
    random,
    scan,
    smooth,
    tiff,
    upright,
    with_size,
)

PICTURE = smooth(16, 24)


def by_tensorflow(content: bytes, **options: Any) -> np.ndarray:
    return tf.io.decode_image(content, **options).numpy()


def refused_by_tensorflow(content: bytes, **options: Any) -> str:
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tf.io.decode_image(content, **options)
    return caught.value.message


def by_us(content: bytes, channels: int = 3) -> np.ndarray:
    return decode(content, Fit(read_header(content).upright, channels))


def refused_by_us(content: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        decode(content, Fit((4, 4), 3))
    return caught.value.code


def test_zero_bytes_and_a_truncated_jpeg_are_errors_to_both() -> None:
    assert "Input is empty" in refused_by_tensorflow(b"")
    assert refused_by_us(b"") == "empty"
    for cut in (60, 2):  # in the scan, and the end marker alone
        assert "Invalid JPEG data" in refused_by_tensorflow(jpeg(PICTURE)[:-cut])
        assert refused_by_us(jpeg(PICTURE)[:-cut]) == "truncated"


def test_a_corrupt_jpeg_that_libjpeg_only_warns_of_is_decoded_by_both() -> None:
    content = jpeg(random(16, 24, 3), restart_marker_blocks=1)
    last = content.rindex(b"\xff\xd4")
    broken = flipped(content, last + 20, 2)

    found = by_tensorflow(broken)

    assert np.abs(found.astype(int) - by_tensorflow(content)).max() > 20
    assert np.abs(by_us(broken).astype(int) - by_us(content)).max() > 20
    np.testing.assert_array_equal(found[:8], by_tensorflow(content)[:8])


def test_cmyk_becomes_rgb_by_the_naive_formula_in_both() -> None:
    ink = np.zeros((8, 8, 4), np.uint8) + np.array([200, 100, 50, 30], np.uint8)
    content = jpeg(Image.fromarray(ink, "CMYK"), quality=100)

    naive = (255 - np.array([200, 100, 50])) * (255 - 30) / 255

    for found in (by_tensorflow(content), by_us(content)):
        assert np.abs(found[4, 4] - naive).max() <= 2
    assert tf.io.decode_image(content).shape == (8, 8, 3)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_orientation_is_ignored_by_tensorflow_only(orientation: int) -> None:
    content = jpeg(PICTURE, exif=b"Exif\0\0" + exif(orientation))

    assert np.abs(by_tensorflow(content).astype(int) - PICTURE).max() <= 6
    assert np.abs(by_us(content).astype(int) - upright(orientation, PICTURE)).max() <= 4


def test_tensorflow_drops_the_low_byte_of_sixteen_bits_where_we_take_the_nearest() -> None:
    values = np.array([[0, 128, 129, 4095, 32896, 65535]], ">u2")

    assert by_tensorflow(png_of(values, 0)).ravel().tolist() == [0, 0, 0, 15, 128, 255]
    assert by_tensorflow(png_of(values, 0), dtype=tf.uint16).ravel().tolist() == values.ravel().tolist()
    assert by_us(png_of(values, 0), 1).ravel().tolist() == [0, 0, 1, 16, 128, 255]


def test_tensorflow_shows_the_colour_that_transparency_hides() -> None:
    content = png_of(np.dstack([RGB, ALPHA]), 6)

    np.testing.assert_array_equal(by_tensorflow(content, channels=3), RGB)
    assert np.abs(by_us(content).astype(int) - over_white(RGB, ALPHA)).max() <= 1
    assert (by_us(content)[:, 0] == 255).all()


def test_a_gif_has_four_dimensions_unless_told_otherwise() -> None:
    content = gif((20, 15), random(20, 15, below=128))

    assert by_tensorflow(content).shape == (1, 20, 15, 3)
    assert by_tensorflow(content, expand_animations=False).shape == (20, 15, 3)
    np.testing.assert_array_equal(by_tensorflow(content, expand_animations=False), by_us(content))


def test_the_channels_of_a_webp_must_be_its_own() -> None:
    plain = encoded(RGB, "WEBP", lossless=True)
    clear = encoded(np.dstack([RGB, ALPHA]), "WEBP", lossless=True, exact=True)

    assert by_tensorflow(plain).shape == (1, 5, 7, 3)  # four dimensions here too, which the table did not say
    assert by_tensorflow(clear, channels=4).shape == (1, 5, 7, 4)
    assert "does not match input" in refused_by_tensorflow(clear, channels=3)
    assert "does not match input" in refused_by_tensorflow(plain, channels=4)
    assert "only supports 3 or 4 channels" in refused_by_tensorflow(plain, channels=1)
    assert np.abs(by_us(clear).astype(int) - over_white(RGB, ALPHA)).max() <= 1
    assert by_us(plain, 1).shape == (5, 7, 1)


def test_tensorflow_reads_the_numbers_of_a_bmps_palette_as_grey() -> None:
    values = random(5, 7, below=2)
    colours = np.array([[10, 200, 30], [250, 0, 90]], np.uint8)
    table = np.dstack([colours[None, :, ::-1], np.zeros((1, 2, 1), np.uint8)]).tobytes()
    content = bmp((5, 7), 8, packed(values, 8)[::-1], palette=table)

    np.testing.assert_array_equal(by_tensorflow(content)[..., 0], values)
    np.testing.assert_array_equal(by_tensorflow(content, channels=3), np.dstack([values] * 3))
    assert "must be 0, 3 or 4 for BMP" in refused_by_tensorflow(content, channels=1)
    np.testing.assert_array_equal(by_us(content), colours[values])
    narrow = bmp((5, 7), 1, packed(values, 1)[::-1], palette=table)
    assert "must be 1, 3 or 4" in refused_by_tensorflow(narrow)
    np.testing.assert_array_equal(by_us(narrow), colours[values])


def test_tiff_heic_and_avif_are_formats_that_tensorflow_does_not_know() -> None:
    grey = tiff((5, 7), {258: 8}, RGB[..., 0].tobytes())
    for content in (grey, b"\0\0\0\x18ftypheic" + bytes(40), b"\0\0\0\x1cftypavif" + bytes(40)):
        assert "Unknown image file format" in refused_by_tensorflow(content)
    np.testing.assert_array_equal(by_us(grey, 1)[..., 0], RGB[..., 0])
    assert refused_by_us(b"\0\0\0\x18ftypheic" + bytes(40)) == "unsupported-format"


def test_both_go_by_the_content_and_neither_sees_a_name() -> None:
    # Even the wrong function of TensorFlow decodes a PNG.
    np.testing.assert_array_equal(tf.io.decode_jpeg(png_of(RGB, 2)).numpy(), RGB)
    np.testing.assert_array_equal(by_tensorflow(png_of(RGB, 2)), RGB)
    np.testing.assert_array_equal(by_us(png_of(RGB, 2)), RGB)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (with_size(jpeg(PICTURE), frame(jpeg(PICTURE)) + 5, ">HH", 65500, 65500), "Invalid JPEG data"),
        (png_header_only(23_171, 23_171), "PNG size too large for int"),  # just over 2^29 pixels
    ],
)
def test_bombs_are_refused_by_both_at_once(content: bytes, complaint: str) -> None:
    start = time.perf_counter()

    assert complaint in refused_by_tensorflow(content)
    assert refused_by_us(content) == "too-large"
    assert time.perf_counter() - start < 5


def test_rows_that_a_png_lacks_are_an_error_to_tensorflow_and_black_to_us() -> None:
    content = png((5, 7), 8, 0, packed(RGB[:3, :, 0], 8))

    assert "Invalid PNG data" in refused_by_tensorflow(content)
    assert by_us(content, 1)[..., 0].tolist() == [*RGB[:3, :, 0].tolist(), [0] * 7, [0] * 7]


def test_the_palette_of_a_png_is_resolved_by_both() -> None:
    content = png((1, 2), 8, 3, [b"\0\1"], before=chunk(b"PLTE", bytes([10, 20, 30, 40, 50, 60])))

    for found in (by_tensorflow(content), by_us(content)):
        assert found.tolist() == [[[10, 20, 30], [40, 50, 60]]]


# --- Where both read the same thing, they see the same bits ---

JPEGS: dict[str, Callable[[], bytes]] = {
    "4:4:4": lambda: jpeg(random(33, 47, 3)),
    "4:2:0": lambda: jpeg(random(33, 47, 3), subsampling=2, quality=70),
    "4:2:2": lambda: jpeg(random(33, 47, 3), subsampling=1, quality=30),
    "progressive": lambda: jpeg(random(33, 47, 3), progressive=True, subsampling=2),
    "restart markers": lambda: jpeg(random(33, 47, 3), restart_marker_blocks=2),
    "RGB kept": lambda: jpeg(random(33, 47, 3), keep_rgb=True),
    "grey": lambda: jpeg(random(33, 47)),
    "1×1": lambda: jpeg(random(1, 1, 3)),
    "1 row": lambda: jpeg(random(1, 40, 3), subsampling=2),
    "1 column": lambda: jpeg(random(40, 1, 3), subsampling=2),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_a_plain_jpeg_is_the_same_bits_as_tensorflows(kind: str) -> None:
    content = JPEGS[kind]()

    found = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE").numpy()

    np.testing.assert_array_equal(by_us(content), found)
    assert found.std() > 10 or found.size == 3


BOXES = ((0, 0, 20, 30), (0, 0, 1, 1), (3, 5, 7, 11), (19, 29, 1, 1), (8, 8, 12, 22), (0, 7, 20, 16), (5, 0, 3, 30))
"""Top, left, height, width in an upright image of 20×30."""

KEPT: dict[str, Callable[[np.ndarray, int], bytes]] = {
    "JPEG 4:4:4": lambda pixels, o: jpeg(pixels, exif=b"Exif\0\0" + exif(o)),
    "JPEG grey": lambda pixels, o: jpeg(pixels[..., 0], exif=b"Exif\0\0" + exif(o)),
    "PNG": lambda pixels, o: png_of(np.ascontiguousarray(pixels), 2, before=chunk(b"eXIf", exif(o))),
    "TIFF": lambda pixels, o: tiff(pixels.shape[:2], {258: [8] * 3, 262: 2, 277: 3, 274: o}, pixels.tobytes()),
}


@pytest.mark.parametrize("kind", KEPT)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_is_the_part_of_the_upright_image(kind: str, orientation: int) -> None:
    content = KEPT[kind](random(*((30, 20) if orientation > 4 else (20, 30)), 3), orientation)
    header = read_header(content)
    whole = by_us(content)

    assert whole.shape == (20, 30, 3)
    for top, left, height, width in BOXES:
        found = decode_box(content, header, (top, left, height, width), Fit((height, width), 3))
        np.testing.assert_array_equal(found, whole[top : top + height, left : left + width])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", JPEGS)
def test_any_box_of_any_jpeg_has_the_pixels_of_the_whole(kind: str, channels: int) -> None:
    content = JPEGS[kind]()
    header, whole, numbers = read_header(content), by_us(content, channels), np.random.default_rng(0)

    for _ in range(30):
        height, width = (int(numbers.integers(1, side + 1)) for side in whole.shape[:2])
        top, left = (
            int(numbers.integers(whole.shape[0] - height + 1)),
            int(numbers.integers(whole.shape[1] - width + 1)),
        )
        found = decode_box(content, header, (top, left, height, width), Fit((height, width), channels))
        np.testing.assert_array_equal(found, whole[top : top + height, left : left + width])


def test_a_box_that_tensorflow_refuses_is_decoded_by_pillow() -> None:
    broken = jpeg(random(40, 48, 3))[:-20] + png_of(RGB, 2)[50:70]  # no marker at its end

    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.io.decode_and_crop_jpeg(broken, (32, 8, 8, 16), channels=3)
    found = decode_box(broken, read_header(broken), (32, 8, 8, 16), Fit((8, 16), 3))

    np.testing.assert_array_equal(found, by_us(broken)[32:, 8:24])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_brought_to_a_size_is_the_part_brought_to_it(orientation: int) -> None:
    content = jpeg(smooth(*((30, 20) if orientation > 4 else (20, 30))), exif=b"Exif\0\0" + exif(orientation))
    header = read_header(content)
    top, left, height, width = 3, 5, 14, 22
    part = Image.fromarray(by_us(content)[top : top + height, left : left + width])

    for size in ((7, 11), (28, 9), (14, 40)):
        found = decode_box(content, header, (top, left, height, width), Fit(size, 3))
        expected = np.asarray(part.resize(size[::-1], Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(found - expected).max() <= 1  # rounded once more or less where the image is turned


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_of_a_large_jpeg_is_decoded_small_and_shows_the_same(orientation: int) -> None:
    small = smooth(20, 30) if orientation < 5 else smooth(30, 20)
    content = jpeg(small.repeat(32, axis=0).repeat(32, axis=1), exif=b"Exif\0\0" + exif(orientation))
    seen = upright(orientation, small)

    found = decode_box(content, read_header(content), (4 * 32, 6 * 32, 12 * 32, 18 * 32), Fit((12, 18), 3))

    assert np.abs(found.astype(int) - seen[4:16, 6:24]).max() <= 4


def test_a_header_tells_which_files_are_decoded_in_part() -> None:
    kinds = {"JPEG": jpeg(PICTURE), "grey": jpeg(PICTURE[..., 0]), "PNG": png_of(PICTURE, 2)}
    ink = jpeg(Image.fromarray(np.zeros((8, 8, 4), np.uint8), "CMYK"))

    assert [read_header(kinds[kind]).decodes_in_part for kind in kinds] == [True, True, False]
    assert not read_header(ink).decodes_in_part
    assert isinstance(read_header(ink), Header)


def test_a_box_of_a_truncated_jpeg_is_an_error_with_the_images_name() -> None:
    content = jpeg(random(64, 64, 3))
    header = read_header(content)
    cut = content[: scan(content) + 200]

    for fit in (Fit((64, 64), 3), Fit((4, 4), 3)):  # by TensorFlow and by Pillow
        with pytest.raises(ImageError, match=r"cannot read cat\.jpg"):
            decode_box(cut, header, (0, 0, 64, 64), fit, name="cat.jpg")
    with pytest.raises(ImageError, match=r"cannot read cat\.jpg"):
        decode(cut, Fit((64, 64), 3), name="cat.jpg")


def test_a_length_beyond_the_end_of_a_png_is_damage_to_tensorflow_only() -> None:
    content = png_of(RGB, 2)
    data = content.index(b"IDAT") - 4
    longer = content[:data] + struct.pack(">I", 1 << 30) + content[data + 4 :]

    assert "Invalid PNG data" in refused_by_tensorflow(longer)
    np.testing.assert_array_equal(by_us(longer), RGB)  # the pixels are all there
