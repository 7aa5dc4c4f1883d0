"""A training that goes on with a trained network: for integers, with less in it, or from a teacher."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.data.images import ImageData
from keras_resnet.errors import DataError, StoppedError, UsageError
from keras_resnet.inference.predictors import open_predictor
from keras_resnet.models.quantization_aware import is_quantization_aware
from keras_resnet.runs.run import Run
from keras_resnet.training import start
from keras_resnet.training.configuration import configure
from keras_resnet.training.fit import fit
from keras_resnet.training.loop import Saving
from keras_resnet.training.recipe import Recipe
from tests.shared import TINY, TRAINED
from tests.training.moments import stopping_after
from tests.training.test_resume import assert_same_end

SHORT = TINY.but(epochs=2, learning_rate=0.01, warmup_epochs=0)


def accuracy(run: Run, data: ImageData) -> float:
    predictor = open_predictor(run)
    images, labels = data.test.read(slice(0, None)), np.asarray(data.test.labels)
    return float(np.mean(predictor.logits(images).argmax(axis=1) == labels))


@pytest.fixture(scope="module")
def begun(finished_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `aware` began with."""
    return shutil.copytree(finished_run.path, tmp_path_factory.mktemp("begun") / "run")


@pytest.fixture(scope="module")
def aware(begun: Path, tiny_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(SHORT.but(qat=str(begun)), tiny_data, tmp_path_factory.mktemp("aware") / "run", verbose=False)


def test_a_run_is_trained_on_for_integers_and_its_file_agrees(
    aware: Run, finished_run: Run, tiny_data: ImageData, tmp_path: Path
) -> None:
    model = open_predictor(aware)
    assert is_quantization_aware(model.model)  # type: ignore[attr-defined]
    assert model.preprocessing == finished_run.preprocessing
    assert accuracy(aware, tiny_data) >= accuracy(finished_run, tiny_data) - 0.1
    assert not (aware.path / start.FILE).exists()
    begun = start.start_of(SHORT.but(qat=str(finished_run.path)), tiny_data)
    assert begun is not None
    before = {one.path: one.numpy() for one in begun.network().weights}
    after = _weights(aware)
    moved = [path for path, one in before.items() if not np.array_equal(one, after[path])]
    assert any(path.endswith("kernel") for path in moved)
    assert any(path.endswith("high") for path in moved)  # ranges follow the batches
    done = keras_resnet.export(aware, tmp_path / "aware.tflite", "tflite-int8", data=tiny_data)
    assert done.verification.agreement >= 0.98


def _weights(run: Run) -> dict[str, np.ndarray]:
    return {one.path: one.numpy() for one in keras.models.load_model(run.model).weights}


@pytest.mark.parametrize("stopped_at", [8, pytest.param(3, marks=pytest.mark.slow)])
def test_such_a_run_stopped_and_continued_ends_bit_identical_though_its_beginning_is_gone(
    stopped_at: int, aware: Run, begun: Path, tiny_data: ImageData, tmp_path: Path
) -> None:
    recipe = SHORT.but(qat=str(begun))
    with stopping_after(stopped_at), pytest.raises(StoppedError):
        fit(recipe, tiny_data, tmp_path / "run", saving=Saving(steps=1), verbose=False)
    begun.rename(tmp_path / "elsewhere")
    try:
        again = fit(recipe, tiny_data, tmp_path / "run", verbose=False)
    finally:
        (tmp_path / "elsewhere").rename(begun)
    assert_same_end(again, aware)


def test_channels_are_removed_and_a_teacher_is_learned_from(
    finished_run: Run, tiny_data: ImageData, tmp_path: Path
) -> None:
    recipe = SHORT.but(prune=str(finished_run.path), keep=0.6, teacher=str(finished_run.path), learning_rate=0.1)
    run = fit(recipe, tiny_data, tmp_path / "small", verbose=False)
    small, whole = (keras.models.load_model(one.model).count_params() for one in (run, finished_run))
    assert small < 0.8 * whole
    assert run.config["teacher"] == start.digest_of(str(finished_run.path))
    again = fit(recipe.but(teacher=""), tiny_data, tmp_path / "alone", verbose=False)
    assert not np.array_equal(next(iter(_weights(run).values())), next(iter(_weights(again).values())))


def test_weights_become_zero_and_stay_so_in_the_file(finished_run: Run, tiny_data: ImageData, tmp_path: Path) -> None:
    recipe = SHORT.but(prune=str(finished_run.path), sparsity=0.5)
    run = fit(recipe, tiny_data, tmp_path / "sparse", verbose=False)
    found = keras_resnet.sparsity(keras.models.load_model(run.model))
    assert set(found.layers.values()) & {0.5}


def test_what_does_not_fit_together_is_refused(finished_run: Run, tiny_data: ImageData, tmp_path: Path) -> None:
    path = str(finished_run.path)
    for wrong, message in (
        ({"qat": path, "prune": path, "keep": 0.5}, "prune it first"),
        ({"prune": path}, "keep"),
        ({"keep": 0.5}, "--prune"),
        ({"qat": path, "precision": "bfloat16"}, "precision"),
        ({"sparsity": 0.5, "sparsity_pattern": "2:4"}, "leave out sparsity"),
    ):
        with pytest.raises(UsageError, match=message):
            Recipe(**wrong)  # type: ignore[arg-type]
    file = keras_resnet.export(finished_run, tmp_path / "a.tflite", "tflite-float", data=tiny_data).path
    with pytest.raises(UsageError, match="exported file"):
        fit(SHORT.but(teacher=str(file)), tiny_data, tmp_path / "run", verbose=False)
    others = keras_resnet.from_arrays(np.zeros((40, 8, 8, 1), np.uint8), np.arange(40) % 3)
    with pytest.raises(DataError, match="tells 10 classes"):
        fit(SHORT.but(qat=path), others, tmp_path / "run", verbose=False)


def test_the_settings_and_data_of_the_run_are_taken_with_a_lower_rate(finished_run: Run) -> None:
    found = configure(qat=str(finished_run.path))
    assert found.recipe.learning_rate == pytest.approx(0.02 * TRAINED.learning_rate)
    assert found.recipe.epochs == 2  # a tenth of 12, rounded up
    assert (found.recipe.model, found.recipe.batch_size) == (TRAINED.model, TRAINED.batch_size)
    assert found.source.settings == finished_run.config["data"]
    longer = configure(prune=str(finished_run.path), keep=0.5, epochs=9, learning_rate=0.3)
    assert (longer.recipe.epochs, longer.recipe.learning_rate, longer.recipe.keep) == (9, 0.3, 0.5)
    assert configure(qat=str(finished_run.path), data="folder:elsewhere").source.name.endswith("/elsewhere")
    assert configure(qat=str(finished_run.path), limit=30).source.settings == {**found.source.settings, "limit": 30}
