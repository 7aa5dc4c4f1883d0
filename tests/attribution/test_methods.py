"""Maps of a network that has learned to find stripes are where the stripes are, and of no other network."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.stats import spearmanr

from keras_resnet.attribution.explain import Explanations, explain
from keras_resnet.attribution.methods import METHODS
from keras_resnet.attribution.perturbation import log_odds, random_masks
from keras_resnet.errors import UsageError
from keras_resnet.exports.export import export_tflite
from keras_resnet.inference.predictors import KerasPredictor, open_predictor
from keras_resnet.models.fusion import fuse_batchnorm
from keras_resnet.models.quantization_aware import quantization_aware
from keras_resnet.preprocessing import Fit, Preprocessing
from tests.attribution.striped import CORNER, PREPROCESSING, SIDE, share_in, striped, trained

CORNERS = [(0, 0), (0, CORNER), (CORNER, 0), (CORNER, CORNER)]


def maps(model: object, image: np.ndarray, method: str = "grad-cam", **options: object) -> Explanations:
    return explain(model, image, method, check=False, samples=300, preprocessing=PREPROCESSING, **options)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return trained()


@pytest.mark.parametrize("method", METHODS)
def test_stripes_in_a_corner_draw_the_mass_there(method: str, model: keras.Model) -> None:
    places = CORNERS[1:3]
    images = np.stack([striped(number % 2, *corner, seed=number + 1000) for number, corner in enumerate(places)])

    found = maps(model, images, method)

    # The patch with its margin is a fifth of the image.
    for number, (one, corner) in enumerate(zip(found, places, strict=True)):
        assert one.maps[0].class_name == PREPROCESSING.class_names[number % 2]
        assert one.maps[0].probability > 0.9
        assert share_in(one.maps[0].values, *corner) > 0.5
        assert max(CORNERS, key=lambda place, one=one: share_in(one.maps[0].values, *place)) == corner


def test_of_two_patches_each_class_has_its_own(model: keras.Model) -> None:
    image = striped(0, 0, 0, seed=5)
    image[CORNER:, CORNER:] = striped(1, CORNER, CORNER)[CORNER:, CORNER:]

    across, down = maps(model, image, classes=["across", 1])[0].maps

    assert (across.class_name, down.class_name) == ("across", "down")
    assert share_in(across.values, 0, 0) > 0.8
    assert share_in(down.values, CORNER, CORNER) > 0.8


@pytest.mark.parametrize(
    "method", ["grad-cam", "occlusion", pytest.param("integrated-gradients", marks=pytest.mark.slow)]
)
def test_random_weights_destroy_the_map(method: str, model: keras.Model) -> None:
    """The sanity check of Adebayo et al. 2018, by the rank correlation of the maps."""
    image, random = striped(0, 4, 12, seed=7), np.random.default_rng(0)
    shuffled = trained()
    for layer in shuffled.layers:
        layer.set_weights([random.permutation(one.ravel()).reshape(one.shape) for one in layer.get_weights()])

    own, again, other = (
        maps(one, image, method, classes="across")[0].maps[0].values.ravel() for one in (model, trained(), shuffled)
    )

    assert spearmanr(own, again).statistic == pytest.approx(1)
    assert abs(spearmanr(own, other).statistic) < 0.5


def test_a_map_is_the_same_of_a_model_in_a_model_and_of_a_saved_one(model: keras.Model, tmp_path: Path) -> None:
    image = striped(1, 10, 3, seed=9)
    inputs = keras.Input((SIDE, SIDE, 3))
    outer = keras.Model(inputs, model(keras.layers.Identity()(inputs)))
    model.save(tmp_path / "saved.keras")

    raw = replace(PREPROCESSING, mean=(0.0,) * 3, std=(1.0,) * 3)  # the model inside normalises

    expected = maps(model, image)
    for other, pixels in ((outer, raw), (tmp_path / "saved.keras", PREPROCESSING)):
        found = explain(other, image, "grad-cam", check=False, preprocessing=pixels)

        np.testing.assert_allclose(found[0].maps[0].values, expected[0].maps[0].values, atol=1e-5)
        assert found.layer.endswith("pooled")


def test_a_map_is_the_same_where_normalisations_are_folded() -> None:
    random = np.random.default_rng(0)
    layers = [keras.layers.Conv2D(8, 3, name="conv"), keras.layers.BatchNormalization(), keras.layers.ReLU()]
    model = keras.Sequential(
        [keras.Input((SIDE, SIDE, 3)), *layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    )
    layers[1].set_weights([random.uniform(0.5, 1.5, 8) for _ in range(4)])
    image = random.integers(0, 256, (SIDE, SIDE, 3))

    first, second = (maps(one, image, classes=1) for one in (model, fuse_batchnorm(model)))

    assert second.layer.endswith("conv")
    np.testing.assert_allclose(first[0].maps[0].values, second[0].maps[0].values, rtol=1e-3, atol=1e-5)
    assert first[0].maps[0].values.max() > 0


def test_both_classes_of_one_sigmoid_are_explained() -> None:
    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers, keras.layers.Dense(1, activation="sigmoid")])
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3))

    for method in ("integrated-gradients", "occlusion"):
        no, yes = explain(model, image, method, classes=[0, 1], check=False)[0].maps

        assert np.abs(yes.values).max() > 0
        np.testing.assert_allclose(no.values, -yes.values, rtol=1e-4, atol=1e-6)


def test_an_exported_file_is_explained_by_its_answers_and_gradients_are_refused(
    model: keras.Model,
    tmp_path: Path,
) -> None:
    path = tmp_path / "model.tflite"
    export_tflite(model, path, format="float", preprocessing=PREPROCESSING)
    image = striped(0, 2, 14, seed=11)

    for method in ("occlusion", "rise"):
        of_file = explain(path, image, method, check=False, samples=50)[0].maps[0]
        of_model = explain(model, image, method, check=False, samples=50, preprocessing=PREPROCESSING)[0].maps[0]

        np.testing.assert_allclose(of_file.values, of_model.values, rtol=1e-2, atol=1e-3)
    assert [one.method for one in explain(path, image, check=False)[0].maps] == ["occlusion"]
    with pytest.raises(
        UsageError, match=r"grad-cam needs gradients, and .*model\.tflite \(TFLite float\) gives answers"
    ):
        explain(path, image, "grad-cam")
    with pytest.raises(UsageError, match="ablation-cam needs feature maps"):
        explain(path, image, ["occlusion", "ablation-cam"])


def test_a_model_that_is_trained_for_integers_is_explained_by_its_answers(model: keras.Model) -> None:
    image = striped(0, 2, 14, seed=11)
    logits = KerasPredictor(model, PREPROCESSING).model
    aware = quantization_aware(logits, np.stack([striped(label, 8, 8, label) for label in range(3)]))

    (found,) = explain(aware, image, check=False, preprocessing=PREPROCESSING)[0].maps

    assert found.method == "occlusion"
    assert share_in(found.values, 2, 14) > 0.5
    with pytest.raises(UsageError, match="trained for integers: it rounds, which has no gradients"):
        explain(aware, image, "grad-cam", preprocessing=PREPROCESSING)


def test_rise_repeats_by_its_seed(model: keras.Model) -> None:
    image = striped(0, 2, 14)

    first, again, other = (maps(model, image, "rise", seed=seed)[0].maps[0].values for seed in (3, 3, 4))

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_masks_show_half_of_each_pixel_on_average_and_are_smooth() -> None:
    masks = random_masks(2000, (32, 24), np.random.default_rng(0))

    assert masks.min() >= 0
    assert masks.max() <= 1
    np.testing.assert_allclose(masks.mean(axis=0), 0.5, atol=0.06)
    assert np.abs(np.diff(masks, axis=1)).max() < 0.5


def test_log_odds_are_those_of_the_probabilities() -> None:
    class Told(KerasPredictor):
        def __init__(self) -> None: ...

        def logits(self, images: np.ndarray) -> np.ndarray:
            return np.array([[1.0, 2.0, 500.0], [0.0, 0.0, 0.0]])

    told = Told()
    told.task = open_predictor(trained(), PREPROCESSING).task

    np.testing.assert_allclose(
        log_odds(told, np.zeros(2), [1, 2]), [[-498, 498 - np.log1p(np.exp(-1))], [-np.log(2)] * 2]
    )


def test_foreign_models_without_a_known_mean_are_covered_by_the_images_own_colour() -> None:
    layers = [keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])

    found = explain(model, np.full((8, 8, 3), 77), "occlusion", classes=0, check=False)
    known = Preprocessing(Fit((8, 8), 3), (10.0,) * 3, (1.0,) * 3, ("a", "b"))

    assert np.abs(found[0].maps[0].values).max() < 1e-5, "of one colour, covering changes nothing"
    found = explain(model, np.full((8, 8, 3), 77), "occlusion", classes=0, check=False, preprocessing=known)
    assert np.abs(found[0].maps[0].values).max() > 1e-2
