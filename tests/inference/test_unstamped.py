"""A Keras model that this package did not save predicts, is evaluated and exported as its graph says."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_resnet.errors import UsageError
from keras_resnet.inference.predict import predict
from keras_resnet.inference.predictors import KerasPredictor, open_predictor
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.weights import pixels

OWN = Preprocessing(Fit((16, 16), 3), (10.0, 20.0, 30.0), (40.0, 50.0, 60.0), ("ant", "bee"))
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)


def network(**options: Any) -> keras.Model:
    return build(spec("oneblock"), 2, input_shape=(16, 16, 3), seed=1, **options)


def test_a_model_built_with_a_preprocessing_predicts_by_name(tmp_path: Path) -> None:
    model = network(preprocessing=OWN)

    found = predict(model, IMAGES)

    assert found.class_names == ("ant", "bee")
    np.testing.assert_allclose(found.probabilities, model(IMAGES), atol=1e-6)


def test_a_file_that_keras_saved_predicts_as_its_graph_normalises(tmp_path: Path) -> None:
    model = network(preprocessing=OWN)
    model.save(tmp_path / "mine.keras")

    found = predict(tmp_path / "mine.keras", IMAGES)
    named = predict(tmp_path / "mine.keras", IMAGES, preprocessing=OWN)

    assert found.class_names == ("0", "1")
    assert named.class_names == ("ant", "bee")
    for one in (found, named):
        np.testing.assert_allclose(one.probabilities, model(IMAGES), atol=1e-6)
    assert open_predictor(tmp_path / "mine.keras").preprocessing.mean == pytest.approx(OWN.mean, abs=1e-3)


def test_what_the_user_says_of_a_model_that_does_not_normalise_comes_before_its_first_layer() -> None:
    bare = network()

    found = predict(bare, IMAGES, preprocessing=OWN)

    expected = bare((IMAGES - np.array(OWN.mean, np.float32)) / np.array(OWN.std, np.float32))
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(predict(bare, IMAGES).probabilities, bare(IMAGES.astype(np.float32)), atol=1e-5)


def test_a_model_that_was_trained_on_pixels_of_another_scale_is_refused_unless_its_normalisation_is_said() -> None:
    model, ones = network(), IMAGES / 255.0
    norm = model.get_layer("stem_bn")
    seen = np.asarray(keras.Model(model.input, norm.input)(ones))
    norm.moving_mean.assign(seen.mean(axis=(0, 1, 2)))
    norm.moving_variance.assign(seen.var(axis=(0, 1, 2)))
    unit = Preprocessing(Fit((16, 16), 3), (0.0,) * 3, (255.0,) * 3, ("ant", "bee"))

    with pytest.raises(UsageError, match=r"e\+04 times the variance .* say it by preprocessing="):
        predict(model, IMAGES)
    np.testing.assert_allclose(predict(model, IMAGES, preprocessing=unit).probabilities, model(ones), atol=1e-5)
    dull = np.full((1, 16, 16, 3), 128, np.uint8) + np.arange(3, dtype=np.uint8)
    assert predict(model, dull, preprocessing=unit).probabilities.shape == (1, 2), "a wall is a photograph, too"


def adapted() -> keras.layers.Normalization:
    """A normalisation that has seen pixels of mean 60 and deviation 30."""
    layer = keras.layers.Normalization()
    layer.adapt(np.array([30.0, 90.0]).reshape(2, 1, 1, 1) * np.ones((1, 1, 1, 3)))
    return layer


class OwnCode(keras.Model):
    """Divides pixels by 255, which its configuration does not tell."""

    def call(self, inputs: Any) -> Any:
        return inputs / 255.0


LAYERS = keras.layers
INSIDE: dict[str, tuple[Callable[[], list[Any]], float, float]] = {
    "rescaling": (lambda: [keras.Sequential([LAYERS.Rescaling(1 / 255)])], 0, 255),
    "normalisation": (lambda: [keras.Sequential([LAYERS.Normalization(mean=10.0, variance=400.0)])], 10, 20),
    "adapted": (lambda: [keras.Sequential([adapted()])], 60, 30),
    "augmented first": (lambda: [keras.Sequential([LAYERS.RandomFlip()]), LAYERS.Rescaling(1 / 255)], 0, 255),
    "two levels": (
        lambda: [keras.Sequential([keras.Sequential([LAYERS.Rescaling(1 / 255)]), LAYERS.Rescaling(2.0, -1.0)])],
        127.5,
        127.5,
    ),
    "before the rest of a functional model": (
        lambda: [keras.Sequential([keras.Input((16, 16, 3)), LAYERS.Rescaling(1 / 255), LAYERS.Conv2D(4, 3)])],
        0,
        255,
    ),
}


def beginning_with(*first: Any) -> keras.Model:
    """A classifier of two classes."""
    inputs = x = keras.Input((16, 16, 3))
    for layer in (*first, keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)):
        x = layer(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("case", INSIDE)
def test_a_normalisation_inside_a_model_inside_is_seen(case: str) -> None:
    first, mean, std = INSIDE[case]
    model = beginning_with(*first())
    said = Preprocessing(OWN.fit, (float(mean),) * 3, (float(std),) * 3, ("ant", "bee"))

    found = open_predictor(model)

    assert found.preprocessing.mean == pytest.approx((mean,) * 3, abs=1e-3)
    assert found.preprocessing.std == pytest.approx((std,) * 3, rel=1e-3)
    logits = model(IMAGES.astype(np.float32), training=False)
    for one in (found, open_predictor(model, said)):  # which does not normalise a second time
        np.testing.assert_allclose(one.logits(IMAGES), logits, rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match="normalises its input itself"):
        open_predictor(model, OWN)


def test_where_a_model_begins_with_code_of_others_it_is_said_that_nothing_is_known_of_its_pixels(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for model in (beginning_with(OwnCode(name="mine")), beginning_with(keras.Sequential([OwnCode(name="mine")]))):
        for said, what in ((None, "It gets pixels of 0–255"), (OWN, "0–255, less .* divided by .* as preprocessing=")):
            caplog.clear()
            open_predictor(model, said)
            assert re.search(f"begins with mine, a model whose code is its own: .*{what}", caplog.text)
    caplog.clear()
    open_predictor(network())
    assert not caplog.text


@pytest.mark.parametrize(
    ("activation", "outputs", "task", "names"),
    [("sigmoid", 3, "multi-label", ("0", "1", "2")), (None, 3, "classification", ("0", "1", "2"))],
)
def test_the_graphs_end_says_what_the_outputs_are(
    activation: str | None, outputs: int, task: str, names: tuple[str, ...]
) -> None:
    model = build(spec("oneblock"), outputs, input_shape=(16, 16, 3), classifier_activation=activation)

    predictor = open_predictor(model)

    assert isinstance(predictor, KerasPredictor)
    assert (predictor.task.name, predictor.preprocessing.class_names) == (task, names)


def test_a_thousand_outputs_are_imagenets_classes() -> None:
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Dense(1000)(keras.layers.GlobalAveragePooling2D()(inputs)))

    assert open_predictor(model).preprocessing.class_names[0] == "tench"


@pytest.mark.parametrize(
    ("model", "preprocessing", "message"),
    [
        (
            lambda: network(include_top=False),
            None,
            r"give a row of outputs for each, .*are \[\(None, 16, 16, 3\), \(None",
        ),
        (
            lambda: build(spec("oneblock"), 2, input_shape=(None, None, 3)),
            None,
            "images of any size: give preprocessing=",
        ),
        (
            lambda: build(spec("oneblock"), 2, input_shape=(8, 8, 3)),
            OWN,
            r"takes images of \(8, 8, 3\); preprocessing= s",
        ),
        (
            lambda: network(preprocessing=Preprocessing(OWN.fit, (0.0,) * 3, (255.0,) * 3, ("a", "b"))),
            OWN,
            r"normalises its input itself, by mean .* and std .*; preprocessing= says \(10.0, 20.0, 30.0\)",
        ),
        (
            lambda: "model".encode,
            None,
            "a model is a path, a run or a keras.Model; received builtin_function_or_method",
        ),
    ],
    ids=["no classes", "any size", "another size", "another normalisation", "no model"],
)
def test_what_does_not_fit_is_refused(model: Any, preprocessing: Preprocessing | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        predict(model(), IMAGES, preprocessing=preprocessing)


@pytest.mark.parametrize("order", ["bgr", "rgb"])
@pytest.mark.parametrize("said", [False, True])
def test_the_first_kernel_of_caffes_weights_tells_what_pixels_it_reads(
    order: str, said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    inputs = keras.Input((16, 16, 3))
    first = keras.layers.Conv2D(64, 7, strides=2, use_bias=False)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(first(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    sums = pixels._caffe_sums() / 49
    first.kernel.assign(np.broadcast_to(sums if order == "bgr" else sums[::-1], (7, 7, 3, 64)))
    means = np.array(pixels.CONVENTIONS["caffe"].mean, np.float32)
    preprocessing = Preprocessing(Fit((16, 16), 3), tuple(map(float, means)), (1.0,) * 3, ("0", "1"))

    found = predict(model, IMAGES, preprocessing=preprocessing if said else None)

    given = IMAGES - means
    np.testing.assert_allclose(found.logits, model(given[..., ::-1] if order == "bgr" else given), atol=1e-3)
    assert said or "has the first kernel that was trained in Caffe" in caplog.text
