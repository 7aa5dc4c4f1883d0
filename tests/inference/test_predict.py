from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_resnet.data.images import ImageData
from keras_resnet.errors import DataError
from keras_resnet.images.decode import decode
from keras_resnet.inference.predict import Predictions, predict
from keras_resnet.preprocessing import Fit
from keras_resnet.runs.run import Run
from keras_resnet.tasks.classification import Classification
from keras_resnet.tasks.multi_label import MultiLabel


def test_files_of_any_size_are_asked_about_as_the_decoder_sees_them(
    finished_run: Run, tiny_data: ImageData, tmp_path: Path
) -> None:
    pixels = tiny_data.test.read(slice(0, 3))
    small, large = [], []
    for number, image in enumerate(pixels):
        small.append(tmp_path / f"{number}.png")
        Image.fromarray(image[..., 0]).convert("RGB").save(small[-1])
        large.append(tmp_path / f"{number}-large.png")
        Image.fromarray(image[..., 0]).resize((40, 30)).save(large[-1])

    of_pixels = predict(finished_run, pixels)

    np.testing.assert_array_equal(predict(finished_run, small).probabilities, of_pixels.probabilities)
    decoded = np.stack([decode(path, Fit((8, 8), 1)) for path in large])
    np.testing.assert_array_equal(
        predict(finished_run, large).probabilities, predict(finished_run, decoded).probabilities
    )
    np.testing.assert_allclose(of_pixels.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert of_pixels.class_names == tuple("0123456789")


def test_the_top_classes_are_in_order() -> None:
    predictions = Predictions(Classification(("a", "b", "c")), np.log([[0.2, 0.7, 0.1], [0.4, 0.3, 0.3]]))

    assert predictions.labels == ["b", "a"]
    assert predictions.top(0, 2) == [("b", pytest.approx(0.7)), ("a", pytest.approx(0.2))]


def test_of_several_classes_all_that_are_likely_are_named() -> None:
    predictions = Predictions(MultiLabel(("a", "b", "c")), np.array([[2.0, -1.0, 1.0], [-2.0, -1.0, -3.0]]))

    assert predictions.labels == ["a|c", ""]
    assert predictions.probabilities[0] == pytest.approx(1 / (1 + np.exp([-2.0, 1.0, -1.0])))
    assert [name for name, _ in predictions.top(1, 2)] == ["b", "a"]


def test_images_that_cannot_be_asked_about_are_refused(finished_run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images were given"):
        predict(finished_run, [])
    with pytest.raises(DataError, match="nowhere.png"):
        predict(finished_run, [tmp_path / "nowhere.png"])
    with pytest.raises(DataError, match="takes images of 1 channels; received 3"):
        predict(finished_run, np.full((2, 8, 8, 3), 9, np.uint8))
