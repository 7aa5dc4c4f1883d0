import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_resnet.data.loading import load_data, merge
from keras_resnet.data.sources.folder import list_folder
from keras_resnet.data.sources.source import Source
from keras_resnet.data.stores import EncodedImages
from keras_resnet.images import decode, image_file
from keras_resnet.images.budget import MemoryBudget
from keras_resnet.inspection.looks import inspect_images
from keras_resnet.preprocessing import Fit
from tests.zoo.images import encoded, smooth

SIDE = 48


class WatchedBudget(MemoryBudget):
    """Notes what was asked for, and the most that was held at a time."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self.asked: list[int] = []
        self.most = self.held = 0
        self._lock = threading.Lock()

    @contextmanager
    def room(self, amount: int) -> Iterator[None]:
        with super().room(amount):
            with self._lock:
                self.asked.append(amount)
                self.held += min(amount, self.total)
                self.most = max(self.most, self.held)
            try:
                yield
            finally:
                with self._lock:
                    self.held -= min(amount, self.total)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of twelve images of every format, 48×48."""
    for label in ("dark", "light"):
        (tmp_path / label).mkdir()
        for number in range(12):
            kind = ("png", "jpg", "webp", "tif", "gif", "bmp")[number % 6]
            picture = Image.fromarray(smooth(SIDE, SIDE) // (1 + (label == "dark")))
            picture.save(tmp_path / label / f"{number}.{kind}")
    return tmp_path


def budget(monkeypatch: pytest.MonkeyPatch, images: float) -> WatchedBudget:
    """Room for so many of the images, and eight threads that want it."""
    watched = WatchedBudget(int(images * 8 * SIDE**2))
    monkeypatch.setattr(image_file, "DECODING", watched)
    monkeypatch.setattr(decode, "DECODING", watched)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    return watched


def read(folder: Path) -> list[np.ndarray]:
    data = load_data(Source(f"folder:{folder}", image_size=8), cache="none")
    return [merge(data).read(slice(None))]


def look(folder: Path) -> list[np.ndarray]:
    return [inspect_images(list_folder(folder)).thumbnails]


def cut(folder: Path) -> list[np.ndarray]:
    store = load_data(Source(f"folder:{folder}", image_size=8)).train.images
    assert isinstance(store, EncodedImages)
    return [store.read_boxes(np.arange(24), np.array([box] * 24)) for box in ((8, 8, 16, 16), (0, 0, 48, 48))]


@pytest.mark.parametrize("images", [0.5, 1, 2.5])
@pytest.mark.parametrize(("work", "decodings"), [(read, 48), (look, 24), (cut, 24 + 48)])
def test_all_threads_together_hold_no_more_than_the_budget_and_decode_the_same(
    folder: Path,
    work: Callable[[Path], list[np.ndarray]],
    decodings: int,
    images: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = work(folder)
    watched = budget(monkeypatch, images)

    found = work(folder)

    assert len(watched.asked) == decodings
    assert sum(watched.asked[:24]) > watched.total
    assert 0 < watched.most <= watched.total
    assert watched.held == watched.taken == 0
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_image_that_cannot_be_decoded_gives_its_room_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in folder.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:-40])
    watched = budget(monkeypatch, 1)

    inspection = inspect_images(list_folder(folder))

    assert len(inspection.failures) == 4
    assert watched.taken == 0
    for error in inspection.failures.values():
        assert error.__traceback__ is None, "it would keep the pixels in memory"
        assert error.__context__ is None


def test_what_a_jpeg_takes_is_counted_at_the_size_that_it_is_decoded_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(**options: bool) -> int:
        watched = budget(monkeypatch, 1000)
        content = encoded(Image.fromarray(smooth(16, 16)).resize((256, 256)), "JPEG", **options)
        decode.decode(content, Fit((16, 16), 3))
        return watched.asked[0] - len(content)

    assert asked() == 8 * 32**2  # an eighth of 256×256
    assert asked(progressive=True) == 8 * 32**2 + 6 * 256**2  # of which libjpeg holds all, whatever comes of it


def test_who_waits_is_served_in_turn() -> None:
    shared, order = MemoryBudget(10), []

    def take(name: str, amount: int) -> None:
        with shared.room(amount):
            order.append(name)

    with ThreadPoolExecutor(3) as pool:
        with shared.room(6):
            waiting = []
            for name, amount in (("large", 1000), ("small", 1)):
                waiting.append(pool.submit(take, name, amount))
                while len(shared._waiting) < len(waiting):
                    pass
            assert order == [], "the small one would fit, and must not pass the large one for ever"
        for future in waiting:
            future.result(timeout=10)
    assert order == ["large", "small"]
    assert shared.taken == 0


def test_a_wait_that_is_interrupted_holds_up_nobody() -> None:
    shared = MemoryBudget(10)

    class Interrupted(threading.Condition):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    def interrupted() -> bool:
        with pytest.raises(KeyboardInterrupt), shared.room(8):
            pytest.fail("it is taken")
        return True

    with ThreadPoolExecutor(1) as pool:
        with shared.room(5):
            patient, shared._changed = shared._changed, Interrupted()
            assert pool.submit(interrupted).result(timeout=10)
            shared._changed = patient
        with shared.room(10):
            assert shared.taken == 10
    assert shared.taken == 0


def test_a_thread_cannot_wait_for_itself() -> None:
    shared = MemoryBudget(10)

    with shared.room(1), pytest.raises(AssertionError, match="holds memory"), shared.room(1):
        pytest.fail("it would wait for ever where the budget is spent")
    with shared.room(10):
        assert shared.taken == 10
