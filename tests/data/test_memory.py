from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.augment.policies import policy
from keras_resnet.data import memory
from keras_resnet.data.batches import evaluation_batches, training_batches
from keras_resnet.data.cache import MemoryCache
from keras_resnet.data.images import Split
from keras_resnet.data.loading import from_arrays
from keras_resnet.data.memory import ALIGNMENT, aligned, aligned_empty, as_tensor
from keras_resnet.data.stores import ArrayImages
from keras_resnet.preprocessing import Fit
from tests.tasks.classes import classes

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)


def misaligned() -> np.ndarray:
    start = aligned_empty((PIXELS.size + 1,))[1:]
    start[...] = PIXELS.ravel()
    return start.reshape(PIXELS.shape)


def operations(dataset: tf.data.Dataset) -> set[str]:
    """Operations in the functions of a dataset and of those it is made of."""
    found = {op.type for function in dataset._functions() for op in function.function.graph.get_operations()}
    return found.union(*(operations(part) for part in dataset._inputs()), set())


def test_aligned_memory_begins_where_tensorflow_reads() -> None:
    for size in (1, 63, 64, 65, 1000):
        assert aligned_empty((size, 3)).ctypes.data % ALIGNMENT == 0
    assert misaligned().ctypes.data % ALIGNMENT == 1


def test_pixels_are_copied_only_from_elsewhere() -> None:
    copy = aligned(misaligned())
    np.testing.assert_array_equal(copy, PIXELS)
    assert aligned(copy) is copy


def test_more_pixels_than_memory_is_for_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_for_images", lambda: 100)
    pixels = misaligned()
    assert aligned(pixels) is pixels


def test_a_tensor_is_the_same_memory() -> None:
    pixels = aligned(PIXELS)
    tensor = as_tensor(pixels)
    assert tensor is not None
    assert "CPU" in tensor.device
    pixels[3, 2, 1, 0] ^= 255
    np.testing.assert_array_equal(tensor, pixels)


def test_memory_that_tensorflow_would_end_the_process_over_makes_no_tensor() -> None:
    assert as_tensor(misaligned()) is None
    assert as_tensor(aligned(PIXELS)[:, ::2]) is None
    frozen = aligned(PIXELS).copy()
    frozen.flags.writeable = False
    assert as_tensor(frozen) is None
    assert as_tensor(aligned_empty((0, 4, 4, 3))) is None


def test_a_pipeline_of_images_in_memory_calls_no_python_and_gives_the_batches_of_one_that_does() -> None:
    here, elsewhere = (
        Split(ArrayImages(pixels), np.arange(1, 40, 2), np.arange(20) % 3, classes(3))
        for pixels in (aligned(PIXELS), misaligned())
    )
    for make in (
        lambda split: training_batches(split, 8, policy("crop-flip"), seed=3, epochs=2),
        lambda split: evaluation_batches(split, 8),
    ):
        shared, called = make(here), make(elsewhere)
        assert not any("PyFunc" in name for name in operations(shared))
        assert any("PyFunc" in name for name in operations(called))
        batches = list(shared)
        for ours, theirs in zip(batches, called, strict=True):
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(one, other)
        assert len(batches) > 2


def test_arrays_and_cached_files_lie_where_tensorflow_reads() -> None:
    data = from_arrays(misaligned(), np.arange(40) % 2)
    assert as_tensor(data.train.images.held) is not None

    cache = MemoryCache(3, Fit((6, 5), 3))
    cache.add("a", PIXELS[0])
    assert as_tensor(cache.finish(["a"])) is not None
