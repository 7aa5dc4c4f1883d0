"""The folder of a user's own `fit` is a run like any other; the model is exported at its end."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_resnet
from keras_resnet.callbacks import ExactCheckpoint, Export, MovingAverage
from keras_resnet.callbacks.exact_checkpoint import Place
from keras_resnet.callbacks.run_folder import RunFolder
from keras_resnet.cli.main import main
from keras_resnet.data.images import ImageData
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.runs.run import Run
from tests.callbacks.test_exact_checkpoint import batches, network


def fitted(data: ImageData, folder: Path, *others: keras.callbacks.Callback, epochs: int) -> keras.Model:
    model, train = network(data, keras.optimizers.Adam(0.01)), batches(data)
    saving = ExactCheckpoint(folder, data=train, monitor="val_accuracy")
    callbacks = [saving, MovingAverage(0.5), *others]
    model.fit(train, validation_data=data.validation.batches(32), epochs=epochs, callbacks=callbacks, verbose=0)
    return model


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return keras_resnet.load_data(keras_resnet.Source("digits", image_size=8, limit=300))


@pytest.mark.usefixtures("undrawn")
def test_evaluate_predict_and_export_take_the_folder_of_a_users_fit(
    digits: ImageData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exports = Export(tmp_path / "mine", "tflite-float")
    model = fitted(digits, tmp_path / "mine", exports, epochs=3)
    run = Run.at(tmp_path / "mine", finished=True)

    found = keras_resnet.evaluate(run)  # on the run's own test images, which it finds again

    test = digits.test
    expected = np.argmax(model.predict(test.batches(64), verbose=0), axis=1)
    np.testing.assert_array_equal(found.logits.argmax(1), expected)
    assert found.metrics.images == len(test)
    assert run.preprocessing.class_names == digits.class_names
    assert [row["epoch"] for row in run.metrics()] == [1, 2, 3]
    assert run.kept is not None
    assert run.kept["metric"] == "accuracy"
    assert run.kept["value"] == max(row["val_accuracy"] for row in run.metrics()) or run.kept["value"] > 0
    assert exports.exported is not None
    assert exports.exported.path == run.exports / "model_float.tflite"
    np.testing.assert_array_equal(exports.exported.predictor.logits(test.read(slice(None))).argmax(1), expected)

    commands = ["evaluate"], ["export", "--format", "tflite-int8"], ["report", "--no-look"]
    for arguments in ([name, str(run.path), *options] for name, *options in commands):
        assert main(arguments) == 0, capsys.readouterr().err
    assert json.loads((run.path / "evaluation" / "evaluation.json").read_text())["images"] == len(test)
    assert (run.exports / "model_int8.tflite").is_file()
    report = (run.path / "report.html").read_text()
    assert f"got {found.metrics.correct} right" in report
    assert "model_int8.tflite" in report
    assert "A script&#39;s own" in report or "A script's own" in report


def test_of_data_of_others_it_has_the_class_names_and_what_is_done_to_pixels(
    image_folder: Path, tmp_path: Path
) -> None:
    raw = keras.utils.image_dataset_from_directory(image_folder, image_size=(8, 8), batch_size=6, verbose=False, seed=0)
    data = raw.map(lambda images, labels: (images / 255, labels))
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8, 8, 3)), keras.layers.Flatten(name="flat"), keras.layers.Dense(3, "softmax", name="dense")]
    model = keras.Sequential(layers, name="plain")
    model.compile("sgd", "sparse_categorical_crossentropy")
    names = ("0", "1", "2")
    scaled = keras_resnet.Preprocessing(keras_resnet.Fit((8, 8), 3), (0.0,) * 3, (255.0,) * 3, names)

    for folder, preprocessing in (("raw", None), ("scaled", scaled)):
        saving = ExactCheckpoint(tmp_path / folder, data=data, preprocessing=preprocessing)
        model.fit(data, epochs=1, callbacks=[saving], verbose=0)

    assert Run.at(tmp_path / "raw").preprocessing.class_names == tuple(raw.class_names)
    images = np.concatenate([batch.numpy() for batch, _ in raw]).round().astype(np.uint8)
    expected = model.predict(images.astype(np.float32) / 255, verbose=0)
    found = keras_resnet.predict(Run.at(tmp_path / "scaled"), images)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)


def test_another_training_in_the_folder_is_refused(digits: ImageData, tmp_path: Path) -> None:
    fitted(digits, tmp_path / "mine", epochs=1)

    with pytest.raises(UsageError, match=r"holds a finished run .*epochs 1, now 2\). Train into another folder"):
        fitted(digits, tmp_path / "mine", epochs=2)


def test_an_export_that_would_come_too_early_is_refused(digits: ImageData, tmp_path: Path) -> None:
    model, train = network(digits), batches(digits)
    saving = ExactCheckpoint(tmp_path / "mine", data=train)
    callbacks = [saving, Export(tmp_path / "mine", "saved_model"), MovingAverage()]

    with pytest.raises(UsageError, match="Export must come after MovingAverage"):
        model.fit(train, callbacks=callbacks, verbose=0)
    early = keras.callbacks.EarlyStopping("loss", restore_best_weights=True)
    with pytest.raises(UsageError, match="Export must come after EarlyStopping"):
        model.fit(train, callbacks=[Export(tmp_path / "mine", "saved_model"), early], verbose=0)
    with pytest.raises(UsageError, match="give calibration="):
        Export(tmp_path / "mine", "tflite-int8")


def test_a_kill_between_the_last_checkpoint_and_the_model_leaves_nothing_out(
    digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            fitted(digits, tmp_path / "mine", epochs=1)
    assert Run.at(tmp_path / "mine").status == "unfinished"

    model = fitted(digits, tmp_path / "mine", epochs=1)

    run = Run.at(tmp_path / "mine", finished=True)
    found = keras_resnet.predict(run, digits.test.read(slice(0, 8)))
    np.testing.assert_allclose(found.probabilities, model.predict(digits.test.read(slice(0, 8)), verbose=0), atol=1e-5)


def killed(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("best", "../../other.safetensors", "best must be the name of a file"),
        ("epoch", -1, "epoch must be a whole number of at least 0"),
        ("rows", [{"loss": "many"}], "a number in hexadecimal"),
        ("states", {}, "states"),
    ],
)
def test_a_checkpoints_state_of_others_is_checked(name: str, value: object, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Place.from_json(Place().to_json() | {name: value}, "state.json")
    with pytest.raises(ModelError, match="was written by another version of this package: state.json differs in"):
        Place.from_json({"epoch": 1}, "state.json")
    assert Place.from_json(Place(epoch=3).to_json(), "state.json") == Place(epoch=3)
