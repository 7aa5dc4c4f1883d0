"""Real trainings made ill on purpose, and healthy ones, of which nothing may be said."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.evaluation.report import labels_fit
from keras_resnet.explanation.diagnosis import diagnose
from keras_resnet.explanation.history import History
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.training.network import preprocessing_for
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.recipes import recipe_for
from keras_resnet.weights.first_normalisation import first_statistics
from tests.explanation.training_rows import Training, network

ONE_BLOCK = "oneblock"
HEALTHY = Recipe(epochs=20, batch_size=32, learning_rate=0.05, augment="shift")


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return load_data(Source("digits", image_size=8, limit=400))


@pytest.fixture(scope="module")
def traced(digits: ImageData) -> Training:
    return Training(network(digits), digits)


@pytest.fixture
def training(traced: Training) -> Training:
    """Of ResNet-8 with the weights that it begins with."""
    traced.begin_again()
    return traced


def codes(recipe: Recipe, training: Training) -> list[str]:
    symptoms = diagnose(History.of(training.rows(recipe), len(training.data.validation)))
    print(*symptoms, sep="\n")
    return [one.code for one in symptoms]


def test_of_a_healthy_training_nothing_is_said(training: Training) -> None:
    assert codes(HEALTHY, training) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_of_the_demos_recipe_nothing_is_said(seed: int) -> None:
    data = load_data(Source("digits", seed=seed))

    assert codes(recipe_for("digits").but(seed=seed), Training(network(data), data)) == []


def test_a_learning_rate_far_too_high_makes_numbers_that_are_none(training: Training) -> None:
    assert "exploding-gradients" in codes(HEALTHY.but(learning_rate=10.0, epochs=6), training)


def test_a_learning_rate_far_too_low_is_told_by_weights_that_hardly_move(training: Training) -> None:
    rows = training.rows(HEALTHY.but(learning_rate=1e-5, epochs=8))

    found = diagnose(History.of(rows))

    assert [one.code for one in found] == ["not-learning"]
    assert "the learning rate is too low" in found[0].text


def test_labels_that_say_nothing_are_blamed_and_no_rate(digits: ImageData) -> None:
    random = np.random.default_rng(0)
    train_split = replace(digits.train, labels=random.permutation(digits.train.labels))
    data = replace(digits, splits={**digits.splits, "train": train_split})
    rows = Training(network(data, ONE_BLOCK), data).rows(HEALTHY.but(epochs=4))

    found = {one.code: one.text for one in diagnose(History.of(rows), lambda: labels_fit(data))}

    assert list(found) == ["wrong-labels", "not-learning"]
    assert "where guessing has 10%, which may be chance" in found["wrong-labels"]
    assert_no_rate_is_advised(found)


def test_parts_that_are_frozen_at_random_weights_are_blamed_and_no_rate(digits: ImageData) -> None:
    model = network(digits)
    for layer in model.layers:
        layer.trainable = layer.name == "head_dense"
    rows = Training(model, digits).rows(HEALTHY.but(epochs=4))

    found = {one.code: one.text for one in diagnose(History.of(rows), lambda: labels_fit(digits))}

    assert next(iter(found)) == "frozen-parts"
    assert "no gradient reaches stem, stage1, stage2 and stage3" in found["frozen-parts"]
    assert "not-learning" in found
    assert_no_rate_is_advised(found)


def test_pixels_that_trained_weights_do_not_know_are_blamed_and_no_rate(digits: ImageData) -> None:
    good = network(digits, ONE_BLOCK)
    Training(good, digits).rows(HEALTHY.but(epochs=4))
    right = preprocessing_for(Recipe(), digits)
    wrong = replace(right, std=tuple(15 * std for std in right.std))
    model = build(spec(ONE_BLOCK), preprocessing=wrong, classifier_activation=None, seed=0)
    model.set_weights(good.get_weights())
    for layer in model.layers:  # else its statistics would become those of these pixels
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    first = first_statistics(model, digits.train.read(slice(0, 32)))
    assert first is not None
    assert first.variance == pytest.approx(1 / 15**2, rel=0.3)
    rows = Training(model, digits).rows(HEALTHY.but(epochs=4))

    found = {one.code: one.text for one in diagnose(History.of(rows, first=first), lambda: labels_fit(digits))}

    assert next(iter(found)) == "wrong-normalisation"
    assert f"{first.variance:.3g} times the variance" in found["wrong-normalisation"]
    assert_no_rate_is_advised(found)


def assert_no_rate_is_advised(found: dict[str, str]) -> None:
    said = " ".join(found.values()).lower()
    assert not [words for words in ("lower", "tenth", "ten times", "warmup", "find-lr", "clip") if words in said]


def test_a_batch_of_two_is_too_small_to_normalise_by(training: Training) -> None:
    assert codes(HEALTHY.but(batch_size=2, epochs=2), training) == ["batch-too-small"]


@pytest.mark.slow
def test_twenty_images_trained_on_for_long_are_learnt_by_heart(digits: ImageData) -> None:
    few = replace(digits.train, indices=digits.train.indices[:20], labels=digits.train.labels[:20])
    data = replace(digits, splits={**digits.splits, "train": few})

    assert "overfitting" in codes(HEALTHY.but(epochs=60, augment="none"), Training(network(data), data))


def test_a_bias_that_kills_relus_is_seen(training: Training) -> None:
    training.model.get_layer("stage1_block1_bn1").beta.assign(np.full(16, -10.0))
    rows = training.rows(HEALTHY.but(epochs=3))

    found = {one.code: one.text for one in diagnose(History.of(rows))}

    assert "50% in stage1" in found["dead-relu"]


def test_gradients_vanish_in_sigmoids_without_shortcuts(digits: ImageData) -> None:
    found = codes(HEALTHY.but(epochs=3), Training(plain(digits, "sigmoid", scale=1.0), digits))

    assert "vanishing-gradients" in found


def test_gradients_explode_in_large_weights_without_normalisation(digits: ImageData) -> None:
    # Poole et al., 2016: in tanh networks of large weights outputs stay bounded and gradients grow layer by layer.
    # At a rate that changes nothing, so that only the gradients tell.
    found = codes(HEALTHY.but(epochs=3, learning_rate=1e-30), Training(plain(digits, "tanh", scale=10_000.0), digits))

    assert "exploding-gradients" in found


def plain(data: ImageData, activation: str, scale: float) -> keras.Model:
    """Ten convolutions upon each other."""
    layers = keras.layers
    x = inputs = keras.Input(data.train.images.shape)
    x = layers.Rescaling(1 / 255)(x)
    for number, name in enumerate(["stem", *(f"stage{n}_block1" for n in range(1, 10))]):
        weights = keras.initializers.VarianceScaling(scale, seed=number)
        x = layers.Conv2D(8, 3, padding="same", activation=activation, kernel_initializer=weights, name=f"{name}_conv")(
            x
        )
    x = layers.GlobalAveragePooling2D(name="head_pool")(layers.ReLU(name="head_relu")(x))
    head = layers.Dense(len(data.class_names), kernel_initializer=keras.initializers.RandomNormal(0, 0.1, seed=0))
    head.name = "head_dense"
    return keras.Model(inputs, head(x))
