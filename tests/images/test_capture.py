import io

import pytest
from PIL import Image

from keras_resnet.images.capture import Capture, capture
from tests.zoo.images import png_header_only


def photograph(taken: str = "", make: str = "", model: str = "", fraction: str = "", form: str = "JPEG") -> bytes:
    """A small photograph with these tags."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0110] = make, model
    tags.get_ifd(0x8769).update({0x9003: taken, 0x9291: fraction})
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, form, exif=tags)
    return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_a_photograph_says_when_and_with_what_it_was_taken(form: str) -> None:
    content = photograph("1970:01:02 00:00:05", "Apple", "iPhone 7", "25", form)
    assert capture(content) == Capture(86_405.25, "Apple iPhone 7")


def test_where_only_the_date_of_the_file_is_known_it_is_taken() -> None:
    tags, file = Image.Exif(), io.BytesIO()
    tags[0x0110], tags[0x0132] = "Scanner", "1970:01:02 00:00:05"
    Image.new("RGB", (8, 8)).save(file, "TIFF", exif=tags)
    assert capture(file.getvalue()) == Capture(86_405, "Scanner")


def test_a_maker_is_named_once() -> None:
    assert capture(photograph(make="Canon", model="Canon EOS 550D")).camera == "Canon EOS 550D"
    assert capture(photograph(make="NIKON CORPORATION", model="D70")).camera == "NIKON CORPORATION D70"


@pytest.mark.parametrize("taken", ["0000:00:00 00:00:00", "yesterday", "", "2024:13:45 99:00:00"])
def test_a_time_that_is_none_is_not_made_up(taken: str) -> None:
    assert capture(photograph(taken, "Canon")).time is None


def test_what_says_nothing_or_is_broken_gives_nothing() -> None:
    whole = photograph("1970:01:02 00:00:05", "Apple", "iPhone 7")
    broken = whole[:30] + bytes(255 - one for one in whole[30:80]) + whole[80:]
    for content in (b"", b"no image", whole[:20], broken, png_header_only(4, 4)):
        assert capture(content) == Capture()


def test_line_breaks_and_control_characters_of_a_name_are_left_out() -> None:
    assert capture(photograph(make="A\x1b[31m", model="B\nC")).camera == "A[31m BC"
