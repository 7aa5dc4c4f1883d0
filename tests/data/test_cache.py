import errno
import hashlib
import os
import resource
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.data import cache, reading
from keras_resnet.data.cache import DiskCache, pixel_cache
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import load_data, merge
from keras_resnet.data.sources.source import Source
from keras_resnet.data.stores import EncodedImages
from keras_resnet.errors import DataError, StorageError, UsageError
from keras_resnet.images import decode
from keras_resnet.images.image_file import ImageFile
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
    images, lost = disk.finish(list(pixels)).read(np.arange(len(pixels)))
    assert not len(lost)
    return images


def written(folder: Path) -> tuple[Path, Path]:
    """The one index and the one file of pixels of a cache."""
    (index,), (pixels,) = folder.rglob("*.index"), folder.rglob("*.pixels")
    return index, pixels


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def decodings(monkeypatch: pytest.MonkeyPatch) -> list[Fit]:
    """How each image that is decoded from now on becomes pixels."""
    found: list[Fit] = []

    def counting(file: ImageFile, fit: Fit) -> np.ndarray:
        found.append(fit)
        return really(file, fit)

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


DAMAGE = {
    "the pixels emptied": lambda index, pixels: pixels.write_bytes(b""),
    "both emptied": lambda index, pixels: (index.write_bytes(b""), pixels.write_bytes(b"")),
    "the pixels cut off": lambda index, pixels: pixels.write_bytes(pixels.read_bytes()[:-1]),
    "an image less": lambda index, pixels: pixels.write_bytes(pixels.read_bytes()[: -10 * 10 * 3]),
    "the pixels gone": lambda index, pixels: pixels.unlink(),
    "a folder for the pixels": lambda index, pixels: (pixels.unlink(), pixels.mkdir()),
    "a line of the index less": lambda index, pixels: index.write_bytes(index.read_bytes()[:-74]),
    "the index is no text": lambda index, pixels: index.write_bytes(b"\xff" * 36 * 74),
    "the index of another layout": lambda index, pixels: index.write_bytes(index.read_bytes().replace(b" ", b"\n")),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=[name.replace(" ", "-") for name in DAMAGE])
def test_a_damaged_cache_is_made_anew_with_a_word(
    image_folder: Path,
    kept: Path,
    damage: Callable[[Path, Path], object],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source(f"folder:{image_folder}", image_size=10)
    before = pixels_of(load_data(source, cache="disk"))
    damage(*written(kept))
    found = decodings(monkeypatch)

    np.testing.assert_array_equal(pixels_of(load_data(source, cache="disk")), before)

    assert len(found) == 36
    (said,) = caplog.messages
    assert "damaged" in said
    load_data(source, cache="disk")
    assert len(found) == 36, "the new files are whole"
    assert len(list(kept.rglob("*.index"))) == 1


def test_what_is_lost_while_it_is_used_is_decoded_again(
    image_folder: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(f"folder:{image_folder}", image_size=10)
    data = load_data(source, cache="disk")
    before = pixels_of(data)
    index, pixels = written(kept)
    found = decodings(monkeypatch)

    os.truncate(pixels, 30 * 300 - 1)  # a process that had the file mapped would end here

    np.testing.assert_array_equal(pixels_of(data), before)
    np.testing.assert_array_equal(data.train.images.read(np.array([35, 2, 35])), before[[35, 2, 35]])
    assert len(found) == 7 + 2
    assert len(caplog.messages) == 1
    assert not index.exists()
    assert not pixels.exists()


@pytest.mark.parametrize(("suffix", "place"), [(".pixels", 7 * 300), (".pixels", -1), (".index", 74 * 5 + 72)])
def test_a_bit_that_has_changed_is_noticed_and_the_image_decoded_again(
    image_folder: Path,
    kept: Path,
    suffix: str,
    place: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source(f"folder:{image_folder}", image_size=10)
    before = pixels_of(load_data(source, cache="disk"))
    flip(written(kept)[1].with_suffix(suffix), place)
    data = load_data(source, cache="disk")
    found = decodings(monkeypatch)

    np.testing.assert_array_equal(pixels_of(data), before)
    np.testing.assert_array_equal(pixels_of(data), before)

    assert len(found) == 2
    assert len(caplog.messages) == 1
    found.clear()
    np.testing.assert_array_equal(pixels_of(load_data(source, cache="disk")), before)
    assert len(found) == 36, "made anew"
    assert len(caplog.messages) == 1


def test_pixels_are_compared_with_their_checksums_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, numbered(1, 2, 3))
    store = DiskCache(tmp_path, FIT).finish(list(numbered(1, 2, 3)))
    compared = []
    really = zlib.crc32
    monkeypatch.setattr(zlib, "crc32", lambda content: compared.append(content) or really(content))

    for _ in range(2):
        store.read(np.array([0, 2]))

    assert [int(image[0, 0, 0]) for image in compared] == [1, 3]


def test_a_disk_that_is_full_gives_one_line_and_keeps_no_part(image_folder: Path, kept: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(StorageError, match=f"cannot write {kept}.*large.*another folder by KERAS_RESNET_CACHE"):
            load_data(Source(f"folder:{image_folder}", image_size=100), cache="disk")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert not [path for path in kept.rglob("*") if path.is_file()]


def test_a_disk_that_is_full_at_the_last_moment_keeps_no_part_either(
    image_folder: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        load_data(Source(f"folder:{image_folder}", image_size=10), cache="disk")

    assert not [path for path in kept.rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_written_is_refused_unless_it_holds_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"cannot write .*file.*: Not a directory.*another --cache"):
        DiskCache(tmp_path / "file", FIT)
    filled(tmp_path, numbered(1, 2))

    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    assert filled(tmp_path, numbered(2, 1))[:, 0, 0, 0].tolist() == [2, 1]
    with pytest.raises(StorageError, match="Read-only file system"):
        filled(tmp_path, numbered(3))


def test_processes_that_fill_a_cache_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    one = DiskCache(tmp_path, FIT)
    one.add(*next(iter(numbered(1).items())))
    other = DiskCache(tmp_path, FIT)  # it must not take the unfinished file for one that was left behind
    for cached in (one, other):
        for digest, image in numbered(1, 2).items():
            cached.add(digest, image)

    for cached in (other, one):
        assert cached.finish(list(numbered(2, 1))).read(np.arange(2))[0][:, 0, 0, 0].tolist() == [2, 1]
    assert filled(tmp_path, numbered(1, 2))[:, 0, 0, 0].tolist() == [1, 2]
    assert len(list(tmp_path.rglob("*.index"))) == 2


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    filled(tmp_path, numbered(1))
    left = written(tmp_path)[0].with_name("left.pixels")
    left.write_bytes(b"half")

    assert DiskCache(tmp_path, FIT).holds(next(iter(numbered(1))))
    assert not left.exists()


def test_files_of_another_layout_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, numbered(1))

    monkeypatch.setattr(cache, "LAYOUT", cache.LAYOUT + 1)

    assert not DiskCache(tmp_path, FIT).holds(next(iter(numbered(1))))


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


def test_an_index_that_is_being_written_or_damaged_is_passed_over(tmp_path: Path) -> None:
    filled(tmp_path, numbered(1))
    folder = next(tmp_path.rglob("*.index")).parent
    (folder / ".half.index").write_bytes(b"")
    (folder / "odd.index").write_bytes(b"\xff\xfe")
    (folder / "alone.index").write_text("abc")
    os.mkfifo(folder / "pipe.index")
    (folder / "pipe.pixels").write_bytes(bytes(36))

    assert DiskCache(tmp_path, FIT).holds(next(iter(numbered(1))))
