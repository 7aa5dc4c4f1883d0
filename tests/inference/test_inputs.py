import io
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
    }.items():
        with pytest.raises(DataError, match=message):
            image_batch(images, FIT)
    with pytest.raises(DataError, match="takes images of 3 channels; received 1"):
        image_batch(np.zeros((6, 8), np.uint8), FIT)
    stream = io.BytesIO()
    Image.fromarray(PIXELS[0]).save(stream, "PNG")
    assert image_batch(stream.getvalue(), FIT).shape == (1, 6, 8, 3)
