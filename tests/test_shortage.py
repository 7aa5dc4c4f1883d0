"""Errors of libraries, in their own words, and what has run out."""

import errno
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors import SafetensorError

from keras_resnet.callbacks.checkpoint import CheckpointStore
from keras_resnet.callbacks.place import Place
from keras_resnet.errors import ModelError, StorageError
from keras_resnet.runs.run import Run
from keras_resnet.shortage import shortage
from keras_resnet.weights.keras_archive import load_archive

ONEDNN = "Operation received an exception:Status: {}, message: {}, in file tensorflow/core/kernels/mkl/mkl_conv.cc:1"
PLACE = "{{function_node __wrapped__SaveV2}} /run/.unfinished/variables/part-0"

MEMORY = {
    "Python": MemoryError(),
    "the system": OSError(errno.ENOMEM, "Cannot allocate memory"),
    "TensorFlow": tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[2,3]"),
    "TensorFlow, in no words": tf.errors.ResourceExhaustedError(None, None, "SomeAllocator is at its end"),
    "oneDNN, a primitive": tf.errors.AbortedError(None, None, ONEDNN.format(1, "could not create a primitive")),
    "oneDNN, a memory": tf.errors.AbortedError(None, None, ONEDNN.format(1, "could not create a memory object")),
    "oneDNN, running": tf.errors.AbortedError(None, None, ONEDNN.format(5, "could not execute a primitive")),
    "C++": tf.errors.InternalError(None, None, "std::bad_alloc"),
    "a Python call of tf.data": tf.errors.UnknownError(None, None, "MemoryError: Unable to allocate 2 GiB"),
    "XLA": RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 81 bytes."),
    "LiteRT": RuntimeError("Failed to allocate memory for tensors"),
    "CUDA": tf.errors.InternalError(None, None, "failed to allocate 2.0G: CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
    "cuDNN": tf.errors.InternalError(None, None, "cuDNN launch failure: CUDNN_STATUS_ALLOC_FAILED"),
}
DISK = {
    "the system": OSError(errno.ENOSPC, "No space left on device"),
    "the largest file": OSError(errno.EFBIG, "File too large"),
    "TensorFlow": tf.errors.ResourceExhaustedError(None, None, f"{PLACE}; No space left on device [Op:SaveV2]"),
    "TensorFlow, a quota": tf.errors.ResourceExhaustedError(None, None, f"{PLACE}; Disk quota exceeded"),
    "h5py": RuntimeError("Can't decrement id ref count (errno = 28, error message = 'No space left on device')"),
}
NEITHER = {
    "too many open files": tf.errors.ResourceExhaustedError(None, None, f"{PLACE}; Too many open files"),
    "a forbidden file": PermissionError(errno.EACCES, "Permission denied"),
    "a convolution that oneDNN lacks": tf.errors.AbortedError(
        None, None, ONEDNN.format(3, "could not create a primitive descriptor for a convolution")
    ),
    "another worker": tf.errors.UnavailableError(None, None, "Socket closed"),
    "a mistake": ValueError("shapes do not fit"),
    "ours, which quotes": ModelError("x.keras is damaged: out of memory"),
    "ours": StorageError("out of memory, even with 1 image at a time"),
    "a wish": KeyboardInterrupt("out of memory"),
}


@pytest.mark.parametrize("name", MEMORY)
def test_a_lack_of_memory_is_known_by_whoever_reports_it(name: str) -> None:
    assert shortage(MEMORY[name]) == "memory"


@pytest.mark.parametrize("name", DISK)
def test_a_full_disk_is_not_taken_for_a_lack_of_memory(name: str) -> None:
    assert shortage(DISK[name]) == "disk"


@pytest.mark.parametrize("name", NEITHER)
def test_other_errors_are_neither(name: str) -> None:
    assert shortage(NEITHER[name]) is None


def test_a_checkpoint_that_memory_does_not_suffice_for_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CheckpointStore(tmp_path)
    store.save({"model/x": np.zeros(2, np.float32)}, Place(parts=1))

    def without_memory(*_: object, **__: object) -> None:
        raise SafetensorError("Cannot allocate memory (os error 12)")

    monkeypatch.setattr("keras_resnet.weights.files.safe_open", without_memory)
    with pytest.raises(StorageError, match=r"the memory does not suffice to read .*000001/tensors"):
        store.load(pytest.fail)

    assert [path.name for path in tmp_path.iterdir()] == ["000001"]


def test_a_full_disk_where_a_model_is_unpacked_is_not_a_damaged_model(
    finished_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keras.models, "load_model", full)

    with pytest.raises(StorageError, match=r"a disk is full: .*No space left.* to read .*model\.keras"):
        load_archive(finished_run.model)
