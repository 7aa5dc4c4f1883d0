import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnet.callbacks.checkpoint import CheckpointStore
from keras_resnet.callbacks.progress import Progress
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import from_arrays, load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import DataError, UsageError
from keras_resnet.runs.run import Run
from keras_resnet.stamp import read_stamp
from keras_resnet.training.fit import fit
from keras_resnet.training.loop import TrainingLoop
from keras_resnet.training.recipe import Recipe
from keras_resnet.weights.files import read_tensors
from keras_resnet.weights.pixels import affine
from tests.shared import TINY, TINY_SOURCE, TRAINED


def test_a_finished_run_holds_what_its_layout_promises(finished_run: Run) -> None:
    files = {path.relative_to(finished_run.path).as_posix() for path in finished_run.path.rglob("*") if path.is_file()}

    assert {
        "run.json",
        "config.json",
        "environment.json",
        "data.json",
        "split.csv",
        "preprocessing.json",
        "metrics.csv",
        "metrics.jsonl",
        "checkpoints/000013/tensors.safetensors",
        "checkpoints/000013/state.json",
        "checkpoints/000013/SHA256SUMS",
        "model.keras",
    } <= files
    assert finished_run.status == "finished"
    assert finished_run.config["recipe"]["epochs"] == 12
    assert finished_run.config["data"]["limit"] == 300


def test_it_learns(finished_run: Run) -> None:
    rows = finished_run.metrics()

    assert [row["epoch"] for row in rows] == list(range(1, 13))
    assert [row["step"] for row in rows] == list(range(6, 73, 6))
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert rows[-1]["val_accuracy"] > 0.5
    lasting, warming = 72, 6  # updates
    last = TRAINED.learning_rate * (1 + np.cos(np.pi * (lasting - 1 - warming) / (lasting - warming))) / 2
    assert rows[-1]["learning_rate"] == pytest.approx(last, rel=1e-3)


def test_the_model_is_a_plain_keras_file_with_the_preprocessing_inside(finished_run: Run) -> None:
    model = keras.models.load_model(finished_run.model)

    assert read_stamp(finished_run.model) == finished_run.preprocessing
    assert model.input_shape == (None, 8, 8, 1)
    assert model.output_shape == (None, 10)
    found = affine((type(layer).__name__, layer.get_config()) for layer in model.layers)
    assert found is not None
    assert found[0] == pytest.approx(finished_run.preprocessing.mean)
    assert found[1] == pytest.approx(finished_run.preprocessing.std)
    with zipfile.ZipFile(finished_run.model) as archive:
        assert not json.loads(archive.read("config.json")).get("compile_config"), "no training state travels along"


def test_the_model_has_the_best_weights(finished_run: Run) -> None:
    checkpoint = CheckpointStore(finished_run.checkpoints).load(pytest.fail)
    assert checkpoint is not None
    tensors, _ = read_tensors(finished_run.checkpoints / checkpoint.state.best)
    model = keras.models.load_model(finished_run.model)

    np.testing.assert_array_equal(model.get_layer("stem_conv").kernel, tensors["stem_conv/kernel"])


def test_normalisation_is_that_of_the_training_images(finished_run: Run, tiny_data: ImageData) -> None:
    pixels = tiny_data.train.read(slice(None))

    assert finished_run.preprocessing.mean == (round(pixels.mean()),)
    assert finished_run.preprocessing.std == (round(pixels.std()),)


def test_an_interrupted_run_is_not_finished_and_a_finished_one_is_not_repeated(
    finished_run: Run, tiny_data: ImageData
) -> None:
    before = finished_run.model.stat().st_mtime_ns

    with pytest.raises(UsageError, match="holds a finished run"):
        fit(TRAINED, tiny_data, finished_run.path, verbose=False)

    assert finished_run.model.stat().st_mtime_ns == before


def test_data_that_changed_between_two_tries_are_refused(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = TINY.but(batch_size=8, epochs=1)
    source = Source(f"folder:{image_folder}", image_size=8)
    monkeypatch.setattr(Progress, "on_epoch_end", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, source, tmp_path / "run", verbose=False)
    monkeypatch.undo()
    (image_folder / "red" / "00.png").unlink()

    with pytest.raises(DataError, match="have changed since it began"):
        fit(recipe, source, tmp_path / "run", verbose=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, "num_classes must be a whole number of at least 1; received 0"),
        ({"num_classes": 7}, "do not fit the model: 10 classes in the data, num_classes=7"),
    ],
)
def test_a_number_of_classes_that_does_not_fit_is_refused_before_anything_is_written(
    options: dict[str, int], message: str, tiny_data: ImageData, tmp_path: Path
) -> None:
    with pytest.raises((UsageError, DataError), match=message):
        fit(TINY, tiny_data, tmp_path / "run", verbose=False, **options)

    assert not (tmp_path / "run").exists()


def test_images_too_small_for_the_network_are_refused_before_they_are_read(tmp_path: Path) -> None:
    recipe = TINY.but(model="resnet8")
    with pytest.raises(UsageError, match=r"too small for resnet8"):
        fit(recipe, Source(f"folder:{tmp_path / 'not there'}", image_size=3), tmp_path / "run", verbose=False)


def test_arrays_are_trained_on_and_batches_may_exceed_the_data(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2
    images = (random.integers(0, 60, (60, 8, 6, 3)) + labels[:, None, None, None] * 150).astype(np.uint8)
    recipe = Recipe(model="oneblock", epochs=1, batch_size=512, augment="none")

    run = fit(recipe, from_arrays(images, labels, ["dark", "light"]), tmp_path / "run", verbose=False)

    assert run.preprocessing.fit.size == (8, 6)
    assert run.metrics()[0]["step"] == 1


def test_progress_says_what_is_trained_and_what_is_left(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(TINY.but(batch_size=8, epochs=2), Source(f"folder:{image_folder}", image_size=8), tmp_path / "run")

    shown = capsys.readouterr().err
    assert "oneblock on shapes: 3 classes, 25 train, 4 validation, 7 test images of 8×8×3" in " ".join(shown.split())
    assert "epoch 1/2  loss" in shown
    assert " left" in shown


def test_the_same_seed_trains_the_same_network(tiny_data: ImageData, tmp_path: Path) -> None:
    recipe = TINY.but(epochs=1)

    one = fit(recipe, tiny_data, tmp_path / "one", verbose=False)
    again = fit(recipe, load_data(TINY_SOURCE), tmp_path / "again", verbose=False)

    expected, found = (CheckpointStore(run.checkpoints).load(pytest.fail) for run in (one, again))
    assert expected is not None
    assert found is not None
    for key in expected.tensors:
        if key.startswith(("model/", "optimizer/", "Guard/")):
            np.testing.assert_array_equal(found.tensors[key], expected.tensors[key], err_msg=key)


def test_overwriting_without_a_folder_replaces_the_default_one(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = Source(f"folder:{image_folder}", image_size=8)
    first = fit(TINY.but(epochs=1, batch_size=8), source, verbose=False)
    monkeypatch.setattr(TrainingLoop, "run_to_end", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))

    with pytest.raises(KeyboardInterrupt):
        fit(TINY.but(epochs=1, batch_size=8), source, overwrite=True, verbose=False)

    assert first.path == Path("saved_models/oneblock-shapes")
    assert [path.name for path in Path("saved_models").iterdir()] == [first.path.name]
    assert first.status == "unfinished", "a new run"
    assert not first.model.exists()
