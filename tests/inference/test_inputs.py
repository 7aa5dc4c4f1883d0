import io
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet.errors import DataError
from keras_resnet.inference.inputs import files_in, image_batch
from keras_resnet.preprocessing import Fit

FIT = Fit((6, 8), 3)
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 3)).astype(np.uint8)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    (folder / ".cache").mkdir()
    paths = [folder / "b.png", folder / "more" / "a.PNG"]
    for path, pixels in zip(paths, PIXELS, strict=True):
        Image.fromarray(pixels).save(path)
    Image.fromarray(PIXELS[0]).save(folder / ".cache" / "thumbnail.png")
    (folder / "notes.txt").write_text("no image")
    return paths


def test_every_way_to_give_one_image_or_some_gives_the_same_batch(files: list[Path]) -> None:
    one, contents = PIXELS[:1], [path.read_bytes() for path in files]
    pictures = [Image.open(path) for path in files]

    for image in (files[0], str(files[0]), contents[0], bytearray(contents[0]), pictures[0], PIXELS[0], one,
                  tf.constant(PIXELS[0]), tf.constant(one), [files[0]], (contents[0],), iter([one])):  # fmt: skip
        np.testing.assert_array_equal(image_batch(image, FIT), one, err_msg=str(type(image)))
    for images in (files, map(str, files), contents, pictures, PIXELS, list(PIXELS), tf.constant(PIXELS),
                   files[0].parent, [files[0], contents[1]], {"a": files[0], "b": files[1]}.values()):  # fmt: skip
        np.testing.assert_array_equal(image_batch(images, FIT), PIXELS, err_msg=str(type(images)))
    assert files_in(files[0].parent) == files
    assert files_in(str(files[1])) == [files[1]]


@pytest.mark.parametrize(
    ("shape", "count"), [((6, 8), 1), ((6, 8, 1), 1), ((5, 6, 8), 5), ((5, 6, 8, 1), 5), ((16, 16, 1), 1)]
)
def test_grey_arrays_are_one_image_or_some_by_their_shape(shape: tuple[int, ...], count: int) -> None:
    assert image_batch(np.full(shape, 7, np.uint8), Fit((6, 8), 1)).shape == (count, 6, 8, 1)


def test_pillow_images_of_any_kind_are_decoded_as_their_files_are(tmp_path: Path) -> None:
    palette = Image.fromarray(PIXELS[0]).quantize(8)
    palette.info["transparency"] = 0
    turned = Image.fromarray(PIXELS[0])
    turned.getexif()[0x0112] = 6
    for name, picture in {"p.png": palette, "turned.png": turned}.items():
        picture.save(tmp_path / name, exif=picture.getexif(), transparency=picture.info.get("transparency"))
        np.testing.assert_array_equal(image_batch(Image.open(tmp_path / name), FIT), image_batch(tmp_path / name, FIT))
    for mode in ("1", "L", "LA", "RGBA", "CMYK", "I;16"):
        picture = Image.fromarray(PIXELS[0]).convert("L" if mode == "I;16" else mode)
        assert image_batch(picture.convert(mode) if mode == "I;16" else picture, FIT).shape == (1, 6, 8, 3), mode


def test_what_is_no_image_is_refused_by_its_kind(tmp_path: Path) -> None:
    for images, message in {
        5: "received int",
        None: "received NoneType",
        (): "no images were given",
        tmp_path: "holds no image file",
        b"text": "the bytes of an image",
        "s3://host/one.png": "s3://host/one.png is an address, and nothing is fetched",
        Path("https://host/one.png"): "https:/host/one.png is an address, and nothing is fetched",
    }.items():
        with pytest.raises(DataError, match=message):
            image_batch(images, FIT)
    with pytest.raises(DataError, match="takes images of 3 channels; received 1"):
        image_batch(np.zeros((6, 8), np.uint8), FIT)
    stream = io.BytesIO()
    Image.fromarray(PIXELS[0]).save(stream, "PNG")
    assert image_batch(stream.getvalue(), FIT).shape == (1, 6, 8, 3)


def test_transparent_arrays_are_laid_over_the_background_as_their_files_are() -> None:
    rng = np.random.default_rng(1)
    for mode, channels in {"RGBA": 3, "LA": 1}.items():
        pixels = rng.integers(0, 256, (2, 12, 16, channels + 1)).astype(np.uint8)
        fit = Fit((6, 8), channels, background="#204060")
        files = []
        for image in pixels:
            stream = io.BytesIO()
            Image.fromarray(image, mode).save(stream, "PNG")
            files.append(stream.getvalue())

        np.testing.assert_array_equal(image_batch(pixels[0], fit), image_batch(files[0], fit), err_msg=mode)
        np.testing.assert_array_equal(image_batch(pixels, fit), image_batch(files, fit), err_msg=mode)


def test_a_last_axis_as_the_model_takes_it_makes_one_image() -> None:
    for channels in (2, 4, 6):
        fit = Fit((6, 8), channels)
        pixels = np.arange(6 * 8 * channels, dtype=np.uint8).reshape(6, 8, channels)
        np.testing.assert_array_equal(image_batch(pixels, fit), pixels[None])
        np.testing.assert_array_equal(image_batch(pixels[None], fit), pixels[None])


@pytest.mark.parametrize(
    ("shape", "channels", "message"),
    [
        ((3, 16, 16), 3, r"received 1 of shape \(3, 16, 16\), which looks like channels first: .*images, 0, -1\)"),
        ((4, 16, 16), 4, r"looks like channels first: .*images, 0, -1\)"),
        ((2, 4, 16, 16), 4, r"received 16 of shape .* looks like channels first: .*images, 1, -1\)"),
        ((16, 16, 4), 1, r"takes images of 1 channels; received 4: the shape is \(16, 16, 4\)"),
        ((16, 16, 2), 3, "received 2"),
        ((7, 16, 16), 3, r"received 1: the shape is \(7, 16, 16\)"),
    ],
)
def test_other_channels_are_told_with_the_shape(shape: tuple[int, ...], channels: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        image_batch(np.zeros(shape, np.uint8), Fit((6, 8), channels))


def test_arrays_of_paths_and_open_files_are_taken(files: list[Path]) -> None:
    for paths in (np.array(list(map(str, files))), np.array(files, object), np.array([PIXELS[0], files[1]], object)):
        np.testing.assert_array_equal(image_batch(paths, FIT), PIXELS)
    np.testing.assert_array_equal(image_batch(np.array(str(files[1])), FIT), PIXELS[1:])
    with files[0].open("rb") as first, files[1].open("rb") as second:
        np.testing.assert_array_equal(image_batch([first, second], FIT), PIXELS)
        with pytest.raises(DataError, match="b.png: the file is empty"):
            image_batch(first, FIT)
    with pytest.raises(DataError, match="closed file"):
        image_batch(first, FIT)
    with files[0].open() as text, pytest.raises(DataError, match="must be opened in binary mode"):
        image_batch(text, FIT)


def test_images_without_an_order_are_refused_by_one_line(files: list[Path]) -> None:
    with pytest.raises(DataError, match=r"received a dict: give list\(images\.values\(\)\)"):
        image_batch({"a": files[0]}, FIT)
    with pytest.raises(DataError, match=r"received a set: give list\(images\)"):
        image_batch(set(files), FIT)


@pytest.mark.skipif(os.sep != "/", reason="such paths are right on Windows")
def test_separators_of_windows_are_understood_where_no_file_has_such_a_name(files: list[Path]) -> None:
    folder = files[0].parent
    written = f"{folder}\\more\\a.PNG"

    assert files_in(written) == [files[1]]
    assert files_in(f"{folder.parent}\\photos") == files
    Path(written).write_bytes(files[0].read_bytes())
    assert files_in(written) == [Path(written)]


def test_a_pattern_stands_for_the_files_that_are_called_so(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.jpg", "[a].png"):
        (tmp_path / name).write_bytes(b"")

    assert [file.name for file in files_in(tmp_path / "*.png")] == ["[a].png", "a.png", "b.png"]
    assert [file.name for file in files_in(tmp_path / "[a].png")] == ["[a].png"], "a file of this name is that file"
    with pytest.raises(DataError, match="no file is called as the pattern"):
        files_in(tmp_path / "*.gif")
