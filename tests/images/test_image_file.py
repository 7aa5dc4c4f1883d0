import zlib
from pathlib import Path

import pytest
from PIL import Image

from keras_resnet.errors import DataError
from keras_resnet.images import image_file
from keras_resnet.images.decode import decode
from keras_resnet.images.image_file import ImageError
from keras_resnet.preprocessing import Fit
from tests.images.test_decode import encoded, picture
from tests.zoo.images import RGB, png_of


def test_a_system_that_refuses_makes_a_file_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(png_of(RGB, 2))

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ImageError, match="Permission denied") as caught:
        decode(path, Fit((4, 4), 3))
    assert caught.value.code == "unreadable"


def test_a_file_of_too_many_bytes_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(image_file.MOST_BYTES + 1)  # a hole: it takes no room on the disk
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it was read"))

    with pytest.raises(ImageError, match="536,870,913 bytes are more than 536,870,912") as caught:
        decode(path, Fit((4, 4), 3))
    assert caught.value.code == "too-large"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello, I am no image", "not an image of a known format"),
        (encoded(picture(size=(64, 64)), "JPEG")[:-300], "truncated"),
        (encoded(picture(size=(64, 64)), "PNG")[:200], ""),
        (encoded(picture(), "PNG")[:20], ""),
    ],
)
def test_a_damaged_image_is_named_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=f"cannot read damaged.png: .*{reason}"):
        decode(content, Fit((4, 4), 3), name="damaged.png")


def test_a_decompression_bomb_is_refused_from_its_header() -> None:
    content = bytearray(encoded(Image.new("1", (8, 8)), "PNG"))
    content[16:24] = (100_000).to_bytes(4, "big") * 2  # width and height
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")

    with pytest.raises(DataError, match=r"cannot read .*pixels"):
        decode(bytes(content), Fit((4, 4), 3), name="bomb.png")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read .*gone.png: No such file"):
        decode(tmp_path / "gone.png", Fit((4, 4), 3))
