"""`scripts/quick_reference_cifar10.py` and the recipe of the same name are one training, said in two ways."""

from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.data.batches import training_batches
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.models.resnet import build
from keras_resnet.training.configuration import source_for
from keras_resnet.training.distribution import distribution
from keras_resnet.training.network import CompiledNetwork, preprocessing_for
from keras_resnet.training.recipes import recipe
from keras_resnet.weights.files import variables_by_path
from tests.shared import ONE_BLOCK, script_module, shared_data

RECIPE = recipe("quick-reference-cifar10")
DIGITS = Source("digits", image_size=32, channels=3, limit=300)
"""In place of CIFAR-10: digits drawn as it would be."""
STEPS = 10


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return script_module("quick_reference_cifar10")


@pytest.fixture(scope="module")
def images() -> ImageData:
    return load_data(DIGITS)


@pytest.fixture(scope="module")
def by_recipe(images: ImageData) -> CompiledNetwork:
    made = CompiledNetwork(RECIPE, preprocessing_for(RECIPE, images), images.task, distribution("none"))
    made.compile(head=False, parts=1, size=0, steps=STEPS)
    return made


@pytest.fixture(scope="module")
def by_script(script: ModuleType, images: ImageData) -> keras.Model:
    model = script.build_network(images)
    script.compile_network(model, 100, STEPS)
    return model


def test_both_build_the_examples_network_with_the_same_initial_weights(
    by_recipe: CompiledNetwork, by_script: keras.Model
) -> None:
    assert by_script.get_config() == by_recipe.network.get_config()
    assert sum(int(np.prod(one.shape)) for one in by_script.trainable_variables) == 11_173_962
    assert by_script.get_layer("stem_conv").kernel.shape == (3, 3, 3, 64)
    assert by_script.get_layer("stage1_block1_conv1").output.shape == (None, 32, 32, 64), "no pooling, no stride before"
    theirs = variables_by_path(by_recipe.network)
    for name, one in variables_by_path(by_script).items():
        np.testing.assert_array_equal(one.numpy(), theirs[name].numpy())


def test_both_normalise_by_the_examples_numbers(script: ModuleType, by_script: keras.Model, images: ImageData) -> None:
    preprocessing = preprocessing_for(RECIPE, images)

    assert by_script.preprocessing == preprocessing
    np.testing.assert_allclose(np.divide(preprocessing.mean, 255), [0.4914, 0.4822, 0.4465])
    np.testing.assert_allclose(np.divide(preprocessing.std, 255), [0.2023, 0.1994, 0.2010])
    normalised = keras.Model(by_script.input, by_script.get_layer("normalization").output)
    white = normalised.predict(np.full((1, 32, 32, 3), 255, np.uint8), verbose=0)
    np.testing.assert_allclose(white[0, 0, 0], (1 - np.array(script.MEAN)) / script.STD, rtol=1e-5)


def test_both_have_the_examples_optimizer_and_rates(by_recipe: CompiledNetwork, by_script: keras.Model) -> None:
    optimizer = by_script.optimizer
    rate = optimizer.get_config()["learning_rate"]

    optimizer.build(by_script.trainable_variables)
    assert optimizer.get_config() == by_recipe.optimizer.get_config()
    assert (optimizer.momentum, optimizer.nesterov, optimizer.weight_decay) == (0.9, False, 5e-4)
    assert all(map(optimizer.decays, by_script.trainable_variables)), "PyTorch decays all of `model.parameters()`"
    assert rate["config"]["steps"] == 100 * STEPS
    for epoch, expected in {0: 0.1, 29: 0.1, 30: 0.01, 59: 0.01, 60: 0.001, 89: 0.001, 90: 1e-4, 99: 1e-4}.items():
        for made in (optimizer, by_recipe.optimizer):
            assert float(made.rate_after(epoch * STEPS)) == pytest.approx(expected, rel=1e-5)


def test_other_epochs_move_the_steps_of_both_alike(script: ModuleType) -> None:
    small = keras.Sequential([keras.layers.Dense(2)])
    for epochs, steps in ((7, 10), (1, 1), (200, 3)):
        script.compile_network(small, epochs, steps)

        schedule = small.optimizer.get_config()["learning_rate"]["config"]
        assert schedule["every"] == max(1, round(RECIPE.but(epochs=epochs).decay_every * steps))


def test_both_show_the_same_augmented_batches(script: ModuleType, images: ImageData) -> None:
    _, train, validation = script.read_data(DIGITS)
    theirs = training_batches(images.train, RECIPE.batch_size, RECIPE.policy, seed=RECIPE.seed, epochs=2)

    ours = iter(train)
    for (shown, labels, *_), epoch in zip(theirs, range(2), strict=False):
        mine = next(ours)
        np.testing.assert_array_equal(shown, mine[0], f"epoch {epoch}")
        np.testing.assert_array_equal(labels, mine[1])
        ours = iter(train)
    assert shown.shape == (128, 32, 32, 3)
    assert sum(len(batch[0]) for batch in validation) == len(images.validation)
    assert not RECIPE.policy.mixing


@pytest.mark.slow  # both say the same training, as is shown above
def test_the_script_trains_evaluates_exports_and_ends_as_the_recipe(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def small(**options: Any) -> keras.Model:
        return build(ONE_BLOCK, **options)

    monkeypatch.setattr(keras_resnet, "ResNet18", small)
    command = ["--data", "digits", "--limit", "300", "--epochs", "2", "--out", str(tmp_path / "script")]

    script.main(command)

    said = capsys.readouterr().out
    assert "210 training, 30 validation, 60 test images" in said
    assert "of 60 images" in said
    assert f"wrote {tmp_path / 'script' / 'exports' / 'model_int8.tflite'}" in said
    short = RECIPE.but(model=ONE_BLOCK.name, epochs=2)
    run = keras_resnet.fit(short, source_for(short, "digits", channels=3, limit=300), tmp_path / "run", verbose=False)
    of_script = keras.models.load_model(keras_resnet.Run(tmp_path / "script").model)
    theirs = variables_by_path(keras.models.load_model(run.model))
    for name, one in variables_by_path(of_script).items():
        np.testing.assert_allclose(one.numpy(), theirs[name].numpy(), rtol=1e-5, atol=1e-6, err_msg=name)

    script.main(command)

    assert "is finished: nothing is trained" in capsys.readouterr().err


@pytest.mark.slow
def test_the_script_runs_on_some_images_of_cifar10_and_its_numbers_are_theirs(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared_data("tfds/cifar10_jpeg/1.0.0")

    script.main(["--data-dir", str(folder), "--limit", "512", "--epochs", "1", "--out", str(tmp_path / "run")])

    assert "of 512 images" in capsys.readouterr().out
    run = keras_resnet.Run(tmp_path / "run")
    assert run.status == "finished"
    assert run.preprocessing.class_names[0] == "airplane"
    images, _, _ = script.read_data(Source("tfds:cifar10", data_dir=str(folder), limit=512, image_size=32, channels=3))
    pixels = images.train.read(slice(None)) / 255
    np.testing.assert_allclose(pixels.mean(axis=(0, 1, 2)), script.MEAN, atol=0.03)
    np.testing.assert_allclose(pixels.std(axis=(1, 2)).mean(axis=0), script.STD, atol=0.03)  # within images, on average
