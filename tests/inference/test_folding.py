from pathlib import Path

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.runs.run import Run


def test_a_run_its_folder_its_file_and_its_model_are_folded_and_predict_the_same(finished_run: Run) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, *finished_run.preprocessing.input_shape), dtype=np.uint8)
    expected = keras_resnet.predict(finished_run, images)
    plain = keras.models.load_model(finished_run.model)

    for model in (finished_run, finished_run.path, str(finished_run.model), plain):
        fused = keras_resnet.fuse_batchnorm(model)
        np.testing.assert_allclose(fused(images), plain(images), rtol=1e-4, atol=1e-4)
        assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in fused.layers)

        if model is not plain:  # a model that Keras read says nothing of its classes
            found = keras_resnet.predict(fused, images)
            assert found.class_names == expected.class_names
            np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-4, atol=1e-4)


def test_what_is_no_model_that_can_be_folded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a model is a path, a run or a keras.Model; received int"):
        keras_resnet.fuse_batchnorm(3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"a run's folder or a .keras file; received .*net.tflite"):
        keras_resnet.fuse_batchnorm(tmp_path / "net.tflite")
    with pytest.raises(ModelError, match="nowhere.keras"):
        keras_resnet.fuse_batchnorm(tmp_path / "nowhere.keras")
