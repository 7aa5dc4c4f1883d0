"""Networks of other families: their published sizes, the pixels they take, and how they are trained."""

import random
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnet.data.images import ImageData
from keras_resnet.display import Display
from keras_resnet.errors import StoppedError, UsageError
from keras_resnet.experiments.networks import FAMILIES
from keras_resnet.experiments.trained import from_scratch, trained
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.training.fit import plan
from keras_resnet.training.recipe import Recipe
from tests.shared import ONE_BLOCK, TINY
from tests.training.moments import stopping_after
from tests.training.test_resume import assert_same_end


def prepared(side: int, channels: int = 3, mean: float = 0.0, deviation: float = 1.0) -> Preprocessing:
    return Preprocessing(Fit((side, side), channels), (mean,) * channels, (deviation,) * channels, tuple("0123456789"))


def built(name: str, preprocessing: Preprocessing, seed: int = 0) -> keras.Model:
    return FAMILIES[name].network(name).build(preprocessing, seed)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("vgg16", 14_714_688 + 5_130),
        pytest.param("mobilenet", 2_257_984 + 12_810, marks=pytest.mark.slow),
        pytest.param("efficientnet", 5_919_312 + 12_810, marks=pytest.mark.slow),
        pytest.param("densenet", 7_037_504 + 10_250, marks=pytest.mark.slow),
        pytest.param("inception", 21_802_784 + 20_490, marks=pytest.mark.slow),
    ],
)
def test_networks_of_keras_have_their_documented_size_on_small_images(name: str, numbers: int) -> None:
    model = built(name, prepared(32))

    assert model.count_params() == numbers, "the documented one without the top, and a classifier of ten"
    assert model.output_shape == (None, 10)


def test_lenet_5_has_the_papers_size_on_images_of_any_size() -> None:
    assert built("lenet5", prepared(32, 1)).count_params() == 61_706
    assert built("lenet5", prepared(8, 1)).count_params() == 61_706
    assert built("lenet5", prepared(100, 1)).count_params() == 61_706


def test_a_network_normalises_raw_pixels_itself() -> None:
    raw = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    normalised = (raw - 120) / 60

    given = built("lenet5", prepared(32, mean=120.0, deviation=60.0))(raw)

    np.testing.assert_allclose(given, built("lenet5", prepared(32))(normalised), atol=1e-4)


@pytest.mark.parametrize("name", ["lenet5", "vit"])
def test_the_seed_alone_draws_the_weights(name: str) -> None:
    before = random.getstate()
    first, same, other = (built(name, prepared(32), seed) for seed in (1, 1, 2))

    assert random.getstate() == before
    for one, again in zip(first.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(one, again)
    assert any(not np.array_equal(*pair) for pair in zip(first.get_weights(), other.get_weights(), strict=True))


def test_the_transformer_knows_where_a_patch_lies_and_takes_sides_that_patches_do_not_divide() -> None:
    model = built("vit", prepared(32, 1, deviation=64.0))
    image = np.zeros((1, 32, 32, 1), np.float32)
    image[:, :4, :4] = 255

    assert not np.allclose(model(image), model(np.roll(image, 8, axis=2)), atol=1e-4)
    assert built("vit", prepared(33)).output_shape == (None, 10)


def test_normalisations_settle_in_few_steps() -> None:
    momenta = {
        layer.momentum
        for layer in built("mobilenet", prepared(32)).layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert momenta == {0.9}


def test_a_network_that_was_stopped_goes_on_to_the_same_bits_and_a_finished_one_is_left(
    tiny_data: ImageData, tmp_path: Path
) -> None:
    recipe = TINY.but(epochs=2)
    with Display(False) as display:
        whole = trained("lenet5", recipe, tiny_data, tmp_path / "whole", display)
        with stopping_after(8), pytest.raises(StoppedError):
            trained("lenet5", recipe, tiny_data, tmp_path / "parted", display)
        parted = trained("lenet5", recipe, tiny_data, tmp_path / "parted", display)
        assert_same_end(parted, whole)

        written = parted.model.stat().st_mtime_ns
        assert trained("lenet5", recipe, tiny_data, tmp_path / "parted", display).model.stat().st_mtime_ns == written
        with pytest.raises(UsageError, match="recipe.epochs 2, now 3"):
            trained("lenet5", TINY, tiny_data, tmp_path / "parted", display)
        with pytest.raises(UsageError, match="other settings"):
            trained(ONE_BLOCK.name, recipe, tiny_data, tmp_path / "parted", display)
    assert whole.network == "lenet5"
    assert whole.config["recipe"]["optimizer"] == "adam"
    assert not (whole.path / "start.keras").exists()


def test_what_builds_or_begins_a_residual_network_is_left_out_or_refused(tiny_data: ImageData) -> None:
    recipe = Recipe(dropout=0.2, stochastic_depth=0.1, epochs=7, jitter=0.4)

    shared = from_scratch(recipe)

    assert (shared.dropout, shared.stochastic_depth, shared.epochs, shared.jitter) == (0, 0, 7, 0.4)
    with pytest.raises(UsageError, match="lenet5 is built and trained without 'stochastic_depth', 'dropout'"):
        plan(recipe, tiny_data, network=FAMILIES["lenet5"].network("lenet5"))
    tuned = from_scratch(Recipe(weights="imagenet", learning_rate=1e-4, freeze_batchnorm=True, seed=5))
    assert (tuned.weights, tuned.learning_rate, tuned.freeze_batchnorm, tuned.seed) == ("", 0.05, False, 5)
