"""`fit` over two devices of one machine, which for the tests are two logical ones of the CPU."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.callbacks.checkpoint import CheckpointStore
from keras_resnet.data.images import ImageData
from keras_resnet.errors import UsageError
from keras_resnet.runs.run import Run
from keras_resnet.training.fit import fit
from keras_resnet.training.loop import Saving
from keras_resnet.training.recipe import Recipe
from tests.shared import TINY
from tests.training.test_resume import assert_same_end, copying

SYNCHRONISED = TINY.but(epochs=2, sync_batchnorm=True, ema=0.9, accumulate=2)


@pytest.fixture(
    scope="module", params=[True, pytest.param(False, marks=pytest.mark.slow)], ids=["synchronised", "each by itself"]
)
def two(request: pytest.FixtureRequest, tiny_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run over two devices; beside it, `killed`, as it was in the middle of its second epoch."""
    path, recipe = tmp_path_factory.mktemp("two") / "run", SYNCHRONISED.but(sync_batchnorm=request.param)
    with copying(path, {9: path.with_name("killed")}):
        return fit(recipe, tiny_data, path, verbose=False, distribute="mirrored", saving=Saving(steps=2))


def test_two_devices_have_the_loss_curve_of_one_at_the_same_batch(
    two: Run, tiny_data: ImageData, tmp_path: Path
) -> None:
    if not two.config["recipe"]["sync_batchnorm"]:
        pytest.skip("normalised by other statistics")
    one = fit(SYNCHRONISED, tiny_data, tmp_path / "one", verbose=False)

    looks = [CheckpointStore(run.checkpoints).load(pytest.fail) for run in (one, two)]
    losses = [look.tensors["Guard/losses"] for look in looks if look]
    assert len(losses[0]) == len(losses[1]) >= 2, "at the ends of epochs"
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-5)
    for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
        np.testing.assert_allclose(
            [row[name] for row in two.metrics()], [row[name] for row in one.metrics()], atol=1e-4
        )


def test_a_run_over_two_devices_is_resumed_bit_by_bit(two: Run, tiny_data: ImageData, tmp_path: Path) -> None:
    killed = shutil.copytree(two.path.with_name("killed"), tmp_path / "run")

    again = fit(Recipe(**two.config["recipe"]), tiny_data, killed, verbose=False, distribute="mirrored")

    assert_same_end(again, two)


def test_a_batch_that_devices_cannot_share_is_refused(tiny_data: ImageData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a batch of 31 cannot be shared out among 2 replicas"):
        fit(TINY.but(batch_size=31), tiny_data, tmp_path / "run", verbose=False, distribute="mirrored")


def test_a_way_to_distribute_that_there_is_not_is_refused(tiny_data: ImageData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="distribute must be one of"):
        fit(TINY, tiny_data, tmp_path / "run", verbose=False, distribute="horovod")

    assert not (tmp_path / "run").exists()
