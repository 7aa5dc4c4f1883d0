import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_resnet.data import cache, reading
from keras_resnet.data.cache import DiskCache, pixel_cache
from keras_resnet.data.images import EncodedImages, ImageData
from keras_resnet.data.loading import load_data, merge
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import DataError, StorageError, UsageError
from keras_resnet.images import decode
from keras_resnet.images.image_file import Header
from keras_resnet.preprocessing import Fit

FIT = Fit((3, 4), 3)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_RESNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def numbered(*numbers: int) -> dict[str, np.ndarray]:
    return {hashlib.sha256(bytes([n])).hexdigest(): np.full(FIT.shape, n, np.uint8) for n in numbers}


def filled(folder: Path, pixels: dict[str, np.ndarray]) -> np.ndarray:
    disk = DiskCache(folder, FIT)
    for digest, image in pixels.items():
        disk.add(digest, None if disk.holds(digest) else image)
    return disk.finish(list(pixels))[np.arange(len(pixels))]


def decodings(monkeypatch: pytest.MonkeyPatch) -> list[Fit]:
    """How each image that is decoded from now on becomes pixels."""
    found: list[Fit] = []

    def counting(image: Image.Image, header: Header, fit: Fit) -> np.ndarray:
        found.append(fit)
        return really(image, header, fit)

    really = decode.pixels_of
    for module in (reading, decode):
        monkeypatch.setattr(module, "pixels_of", counting)
    return found


def pixels_of(data: ImageData) -> np.ndarray:
    return merge(data).read(slice(None))


@pytest.mark.parametrize("where", ["memory", "disk", "none"])
def test_the_pixels_are_the_same_wherever_they_are_kept(
    image_folder: Path, kept: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(f"folder:{image_folder}", image_size=10)
    expected = load_data(source)

    data = load_data(source, cache=where)
    found = decodings(monkeypatch)

    np.testing.assert_array_equal(pixels_of(data), pixels_of(expected))
    assert data.fingerprint == expected.fingerprint
    assert len(found) == (36 if where == "none" else 0)


def test_what_is_on_disk_is_not_decoded_again(image_folder: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(f"folder:{image_folder}", image_size=10)
    before = pixels_of(load_data(source, cache="disk"))
    (image_folder / "red" / "00.png").write_bytes((image_folder / "blue" / "00.png").read_bytes())
    found = decodings(monkeypatch)

    after = load_data(source, cache="disk")

    assert found == [], "the changed file has the content of one that is known"
    assert (pixels_of(after) != before).any()
    load_data(Source(f"folder:{image_folder}", image_size=11), cache="disk")
    assert len(found) in (35, 36), "another size is another decoding; of the two alike one may do for both"


def test_new_images_are_added_and_the_old_ones_kept(tmp_path: Path) -> None:
    filled(tmp_path, numbered(1, 2))

    both = filled(tmp_path, numbered(2, 3, 1))

    assert both[:, 0, 0, 0].tolist() == [2, 3, 1]
    assert len(list(tmp_path.rglob("*.index"))) == 2
    filled(tmp_path, numbered(1, 2, 3))
    assert len(list(tmp_path.rglob("*.pixels"))) == 2, "nothing new, no new file"


def test_a_file_that_was_cut_off_is_not_used(tmp_path: Path) -> None:
    filled(tmp_path, numbered(1, 2))
    file = next(tmp_path.rglob("*.pixels"))
    file.write_bytes(file.read_bytes()[:-1])

    assert not DiskCache(tmp_path, FIT).holds(next(iter(numbered(1))))
    assert filled(tmp_path, numbered(1, 2))[:, 0, 0, 0].tolist() == [1, 2]


def test_images_that_do_not_fit_are_refused_for_memory_and_decoded_when_wanted_for_auto(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache, "memory_for_images", lambda: 100)

    with pytest.raises(DataError, match="3 images of 3×4 need 0.0 GiB .* use --cache disk or none"):
        pixel_cache("memory", 3, FIT)
    assert pixel_cache("auto", 3, FIT).finish([]) is None
    assert pixel_cache("auto", 2, FIT).finish([]) is not None
    with pytest.raises(UsageError, match="cache must be one of .* received 'ram'"):
        pixel_cache("ram", 1, FIT)


def test_crops_come_from_the_files_even_if_pixels_are_kept(image_folder: Path) -> None:
    data = load_data(Source(f"folder:{image_folder}", image_size=6))
    store = data.train.images
    assert isinstance(store, EncodedImages)
    assert store.sizes.tolist() == [[10, 12]] * 36

    whole = load_data(Source(f"folder:{image_folder}", image_size=10)).train.images.refitted(Fit((10, 12), 3))
    parts = store.refitted(Fit((4, 5), 3)).read_boxes(np.array([3, 30]), np.array([[2, 1, 4, 5], [6, 7, 4, 5]]))

    full = whole.read(np.array([3, 30]))
    np.testing.assert_array_equal(parts[0], full[0, 2:6, 1:6])
    np.testing.assert_array_equal(parts[1], full[1, 6:10, 7:12])


def test_reading_that_fails_leaves_no_file_without_an_index(image_folder: Path, kept: Path) -> None:
    (image_folder / "red" / "05.png").write_bytes(b"torn")
    source = Source(f"folder:{image_folder}", image_size=10)

    with pytest.raises(DataError, match="cannot read 1 of 36"):
        load_data(source, cache="disk")

    files = [path for path in kept.rglob("*") if path.is_file()]
    assert sorted(path.suffix for path in files) == [".index", ".pixels"], "the others' pixels, for the next try"
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in files), "others may read both"


def test_interrupted_reading_leaves_nothing(image_folder: Path, kept: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_data(Source(f"folder:{image_folder}", image_size=10), interrupt, cache="disk")

    assert not [path for path in kept.rglob("*") if path.is_file()]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("moment", ["while images are read", "at the end"])
def test_a_full_disk_leaves_nothing(
    moment: str, image_folder: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = DiskCache.__init__

    def on_a_full_disk(self: DiskCache, *arguments: Any) -> None:
        made(self, *arguments)
        self.file.close()
        buffered = -1 if moment == "at the end" else 0
        self.file = open("/dev/full", "wb", buffering=buffered)  # noqa: SIM115

    monkeypatch.setattr(DiskCache, "__init__", on_a_full_disk)

    with pytest.raises(StorageError, match=r"cannot write .*/pixels-.*: No space left on device"):
        load_data(Source(f"folder:{image_folder}", image_size=10), cache="disk")

    assert not [path for path in kept.rglob("*") if path.is_file()]


def test_an_index_that_is_being_written_or_damaged_is_passed_over(tmp_path: Path) -> None:
    filled(tmp_path, numbered(1))
    folder = next(tmp_path.rglob("*.index")).parent
    (folder / ".half.index").write_bytes(b"")
    (folder / "odd.index").write_bytes(b"\xff\xfe")
    (folder / "alone.index").write_text("abc")

    assert DiskCache(tmp_path, FIT).holds(next(iter(numbered(1))))
