"""Whole networks of keras.applications, random weights, through our maps into ours: the same logits."""

import hashlib
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnet.errors import ModelError
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.weights import keras_applications
from keras_resnet.weights.pretrained import fetch

SLOW = [
    pytest.param(name, marks=pytest.mark.slow) for name in ("resnet101v1", "resnet152v1", "resnet101v2", "resnet152v2")
]
X = np.random.default_rng(0).uniform(-1, 1, (2, 65, 65, 3)).astype("float32")


def reference(name: str) -> keras.Model:
    """Random weights, biases and statistics too, scaled so that the signal stays of a size."""
    builder = getattr(keras.applications, keras_applications.FILES[name][0].builder)
    model = builder(weights=None, input_shape=(65, 65, 3), classes=10, classifier_activation=None)
    random = np.random.default_rng(1)
    model.set_weights(
        [
            random.normal(0, (2 / weight[..., 0].size) ** 0.5, weight.shape)
            if weight.ndim > 1
            else random.uniform(0.2, 0.6, weight.shape)
            for weight in model.get_weights()
        ]
    )
    return model


@pytest.mark.parametrize("name", ["resnet50v1", "resnet50v2", *SLOW])
def test_logits_are_those_of_keras_applications(name: str, tmp_path: Path) -> None:
    model = reference(name)
    model.save(tmp_path / "theirs.h5")

    ours = build(spec(name), 10, input_shape=(65, 65, 3), weights=tmp_path / "theirs.h5", classifier_activation=None)

    expected = model.predict(X, verbose=0)
    assert np.abs(expected).max() > 0.1
    assert np.abs(ours.predict(X, verbose=0) - expected).max() < 1e-4 * max(1, np.abs(expected).max())


def test_a_published_file_is_known_by_its_content_and_turned_to_rgb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(65, 65, 3))
    theirs.save_weights(tmp_path / "published.weights.h5")
    path = tmp_path / "published.h5"
    theirs.save(path)
    row = keras_applications.FILES["resnet50v1"]
    known = replace(row[1], md5=hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setitem(keras_applications.FILES, "resnet50v1", (row[0], known))
    # Keras builds the network that it fills from the file; here it is filled already.
    monkeypatch.setattr(keras.applications, "ResNet50", lambda weights, include_top: keras.models.load_model(weights))
    monkeypatch.setattr("keras_resnet.weights.pretrained._from_keras", lambda url: path)

    ours = build(spec("resnet50v1"), input_shape=(65, 65, 3), weights="keras", include_top=False)

    np.testing.assert_allclose(ours(X), theirs(X[..., ::-1]), atol=1e-4)
    assert fetch("resnet50v1", "keras", include_top=False) == path
    with pytest.raises(ModelError, match="is not the published file: its md5 is"):
        fetch("resnet50v1", "keras", include_top=True)


def test_weights_for_the_other_striding_are_refused(tmp_path: Path) -> None:
    keras.applications.ResNet50(weights=None, include_top=False).save(tmp_path / "theirs.h5")

    with pytest.raises(ModelError, match="resnet50 strides in the 3×3 and would predict wrongly: use ResNet50V1"):
        build(spec("resnet50"), weights=tmp_path / "theirs.h5", include_top=False)
