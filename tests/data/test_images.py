import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_resnet.data.loading import from_arrays, load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.data.stores import EncodedImages, at_size
from keras_resnet.errors import DataError


def loaded(folder: Path, cache: str) -> EncodedImages:
    store = load_data(Source(f"folder:{folder}", image_size=10), cache=cache).train.images
    assert isinstance(store, EncodedImages)
    return store


def edit(path: Path) -> None:
    """Show something else in a file of the same length and time."""
    before = path.stat()
    Image.new("RGB", (12, 10)).save(path)
    path.write_bytes(path.read_bytes().ljust(before.st_size, b"\0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


READINGS: dict[str, tuple[str, Callable[[EncodedImages], np.ndarray]]] = {
    "nothing is kept": ("none", lambda store: store.read(np.arange(36))),
    "crops come from the files": ("memory", lambda store: store.read_boxes(np.arange(36), np.full((36, 4), 4))),
    "another size comes from the files": ("memory", lambda store: at_size(store, (6, 6)).read(np.arange(36))),
}


@pytest.mark.parametrize(("cache", "read"), READINGS.values(), ids=[name.replace(" ", "-") for name in READINGS])
def test_an_image_that_is_edited_after_it_was_read_is_refused(
    image_folder: Path, cache: str, read: Callable[[EncodedImages], np.ndarray]
) -> None:
    store = loaded(image_folder, cache)
    expected = read(store)
    kept = (image_folder / "green" / "03.png").read_bytes()
    edit(image_folder / "green" / "03.png")

    with pytest.raises(DataError, match=r"green/03.png has changed since .* SHA-256 is \w+, was \w+\. Restore it and"):
        read(store)

    (image_folder / "green" / "03.png").write_bytes(kept)  # only its time has changed
    np.testing.assert_array_equal(read(store), expected)


def test_an_edited_image_does_not_take_the_place_of_lost_pixels(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_RESNET_CACHE", str(tmp_path / "cache"))
    store = loaded(image_folder, "disk")
    edit(image_folder / "green" / "03.png")
    before = store.read(np.arange(36))  # the cached pixels are still those that were read

    os.truncate(next((tmp_path / "cache").rglob("*.pixels")), 10 * 300)

    np.testing.assert_array_equal(store.read(np.arange(15)), before[:15])
    with pytest.raises(DataError, match="green/03.png has changed"):
        store.read(np.arange(36))


def test_an_image_that_has_vanished_is_named_with_what_to_do(image_folder: Path) -> None:
    store = loaded(image_folder, "none")
    (image_folder / "green" / "03.png").unlink()

    with pytest.raises(DataError, match=r"cannot read green/03.png: No such file.* Restore it and .*--overwrite"):
        store.read(np.arange(36))


def test_a_split_is_of_its_own_data_whatever_else_is_made_of_it() -> None:
    data = from_arrays(np.zeros((30, 8, 8, 1), np.uint8), np.arange(30) % 2, ("a", "b"))
    given = data.train

    other = replace(data, name="another")

    assert given.whole is data
    assert other.train.whole is other
