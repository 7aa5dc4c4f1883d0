"""Training behind a frozen part: the same as with it in every step, in less time."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnet.augment.policies import policy
from keras_resnet.callbacks.checkpoint import CheckpointStore
from keras_resnet.data.images import ImageData
from keras_resnet.runs.run import Run
from keras_resnet.training import loop
from keras_resnet.training.behind_frozen import FILE, cut, stays_the_same
from keras_resnet.training.fit import fit
from keras_resnet.training.loop import Saving
from keras_resnet.training.recipe import Recipe
from tests.shared import TINY


class Killed(Exception):
    """Stands for a kill."""


@pytest.fixture
def recipe(finished_run: Run) -> Recipe:
    return TINY.but(weights=str(finished_run.model), frozen="stem", freeze_batchnorm=True, augment="none", epochs=2)


def weights(run: Run) -> dict[str, np.ndarray]:
    return {one.path: np.array(one) for one in keras.models.load_model(run.model).variables}


@pytest.fixture(scope="module")
def behind(finished_run: Run, tiny_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    options = {"frozen": "stem", "freeze_batchnorm": True, "augment": "none", "epochs": 2}
    folder = tmp_path_factory.mktemp("behind") / "run"
    return fit(TINY.but(weights=str(finished_run.model), **options), tiny_data, folder, verbose=False)


def test_it_ends_as_with_the_frozen_part_in_every_step(
    behind: Run,
    recipe: Recipe,
    finished_run: Run,
    tiny_data: ImageData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "cut", lambda *_: pytest.fail("the network is cut"))
    monkeypatch.setattr(loop, "stays_the_same", lambda *_: False)
    whole = fit(recipe, tiny_data, tmp_path / "whole", verbose=False)

    one, two, before = weights(behind), weights(whole), weights(finished_run)
    assert list(one) == list(two) == list(before)
    for name in one:
        np.testing.assert_allclose(one[name], two[name], atol=1e-5, err_msg=name)
        assert (one[name] == before[name]).all() == ("stem" in name or "bn" in name), name
    ends = [run.metrics()[-1] for run in (behind, whole)]
    assert ends[0]["loss"] == pytest.approx(ends[1]["loss"], abs=1e-5)
    assert ends[0]["val_loss"] == pytest.approx(ends[1]["val_loss"], abs=1e-5)
    assert not (behind.path / FILE).exists()


def test_after_a_kill_it_goes_on_without_the_weights_it_began_with(
    behind: Run, recipe: Recipe, tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shutil.copy(recipe.weights, tmp_path / "weights.keras")
    recipe = recipe.but(weights=str(file))
    save, left = CheckpointStore.save, iter(range(3))

    def killed(self: CheckpointStore, *arguments: object) -> None:
        save(self, *arguments)  # type: ignore[arg-type]
        if next(left) == 2:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "save", killed)
        with pytest.raises(Killed):
            fit(recipe, tiny_data, tmp_path / "run", verbose=False, saving=Saving(steps=3))
    assert (tmp_path / "run" / FILE).exists()
    (tmp_path / "weights.keras").unlink()

    run = fit(recipe, tiny_data, tmp_path / "run", verbose=False, saving=Saving(steps=3))

    expected = weights(behind)
    for name, one in weights(run).items():
        np.testing.assert_array_equal(one, expected[name], err_msg=name)


def test_the_parts_of_a_network_make_together_what_it_makes(finished_run: Run, tiny_data: ImageData) -> None:
    network = keras.models.load_model(finished_run.model)
    pixels = tiny_data.test.read(np.arange(4)).astype(np.float32)

    front, behind = cut(network, "stem")

    np.testing.assert_allclose(behind(front(pixels)), network(pixels), atol=1e-6)
    assert not any(layer.name.startswith("stem") for layer in behind.layers)


@pytest.mark.parametrize(
    ("changes", "augmented", "same"),
    [
        ({}, {}, True),
        ({"frozen": ""}, {}, False),
        ({}, {"jitter": 0.4}, False),
        ({}, {"mixup": 0.2}, False),
        ({"stochastic_depth": 0.1}, {}, False),
        ({"train_sizes": (8, 16)}, {}, False),
        ({"head_epochs": 1}, {}, False),
    ],
)
def test_what_makes_an_epoch_differ_from_another_rules_it_out(
    recipe: Recipe, changes: dict[str, object], augmented: dict[str, float], same: bool
) -> None:
    assert stays_the_same(recipe.but(**changes), policy("none", **augmented)) is same
    assert not stays_the_same(recipe, policy("flip"))
