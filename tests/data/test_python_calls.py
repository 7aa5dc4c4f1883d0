import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from keras_resnet.data import python_calls
from keras_resnet.data.python_calls import _Calls, call_python

SCRIPT = textwrap.dedent(
    """
    import io
    import numpy as np
    from PIL import Image
    from keras_resnet import policy
    from keras_resnet.preprocessing import Fit
    from keras_resnet.images.image_file import read_header
    from keras_resnet.data.images import Split
    from keras_resnet.data.stores import EncodedImages
    from keras_resnet.data.sources.listing import Blob
    from keras_resnet.data.batches import training_batches
    from keras_resnet.tasks.classification import Classification

    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 800, 3)).astype(np.uint8)).save(stream, "JPEG")
    files = [stream.getvalue()] * 96
    headers = tuple(read_header(content) for content in files)
    store = EncodedImages(Blob.of(files), tuple(map(str, range(96))), headers, Fit((224, 224), 3))
    split = Split(store, np.arange(96), np.arange(96) % 2, Classification(("a", "b")))
    kept = iter(training_batches(split, 24, policy("none"), seed=0, epochs=1000))
    print(next(kept)[0].shape)
    """
)


@pytest.mark.slow  # a process that imports TensorFlow; that calls come to an end is shown below
def test_a_script_that_keeps_an_iterator_over_files_ends() -> None:
    # In a fresh process, since it is the end of one that is tested. Four of four hung before.
    done = subprocess.run([sys.executable, "-c", SCRIPT], timeout=300, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["(24,", "224,", "224,", "3)"]
    assert "Traceback" not in done.stderr


def test_results_come_back_and_errors_go_through() -> None:
    numbers = tf.data.Dataset.range(1, 4)
    doubled = numbers.map(lambda number: call_python(lambda found: (found * 2).astype(np.uint8), [number]))
    assert list(doubled.as_numpy_iterator()) == [2, 4, 6]

    def fails(numbers: np.ndarray) -> np.ndarray:
        raise ValueError("no such image")

    with pytest.raises(tf.errors.InvalidArgumentError, match="no such image"):
        next(iter(numbers.map(lambda number: call_python(fails, [number]))))


def test_at_the_end_no_result_is_wanted_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _Calls()
    monkeypatch.setattr(python_calls, "_calls", calls)
    number = tf.constant(3)

    assert call_python(lambda found: np.array([found], np.uint8), [number]).numpy().tolist() == [3]
    calls.end()
    assert call_python(lambda _: pytest.fail("it was called"), [number]).numpy().tolist() == []
    assert calls.running == 0
