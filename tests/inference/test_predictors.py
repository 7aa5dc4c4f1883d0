import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnet.errors import ModelError, StorageError, UsageError
from keras_resnet.exports.saved_model import write_saved_model
from keras_resnet.inference.predict import predict
from keras_resnet.inference.predictors import KerasPredictor, open_predictor
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import spec
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.runs.run import Run
from keras_resnet.stamp import write_stamp


def test_a_run_its_folder_and_its_keras_file_are_the_same_model(finished_run: Run) -> None:
    images = np.random.default_rng(0).integers(0, 256, (70, 8, 8, 1)).astype(np.uint8)  # more than a batch

    found = [open_predictor(source).logits(images) for source in (finished_run, finished_run.path, finished_run.model)]

    assert found[0].shape == (70, 10)
    assert found[0].dtype == np.float32
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_the_size_on_disk_is_the_files(finished_run: Run) -> None:
    assert open_predictor(finished_run).size_in_bytes == finished_run.model.stat().st_size


def test_a_model_in_memory_has_no_size_and_needs_as_many_names_as_outputs() -> None:
    preprocessing = Preprocessing(Fit((8, 8), 1), (0.0,), (1.0,), ("a", "b"))
    model = build(spec("resnet8"), preprocessing=preprocessing, classifier_activation=None)

    assert KerasPredictor(model, preprocessing).size_in_bytes is None
    other = Preprocessing(Fit((8, 8), 1), (0.0,), (1.0,), ("a", "b", "c"))
    with pytest.raises(ModelError, match="has 2 outputs; classification of 3 classes needs 3"):
        KerasPredictor(model, other)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    preprocessing = Preprocessing(Fit((8, 8), 1), (0.0,), (1.0,), ("a", "b"))
    (tmp_path / "notes.txt").write_text("")
    for name in ("torn.keras", "torn.tflite"):
        (tmp_path / name).write_bytes(b"torn")
        write_stamp(tmp_path / name, preprocessing)
    (tmp_path / "torn_saved_model").mkdir()
    (tmp_path / "torn_saved_model" / "saved_model.pb").write_bytes(b"torn")
    write_stamp(tmp_path / "torn_saved_model", preprocessing)
    (tmp_path / "foreign.keras").write_bytes(b"anything")

    for name, message in {
        "missing": "there is no model",
        "notes.txt": "is none of these: run folder, .keras file, SavedModel folder, .tflite file",
        "torn.keras": "cannot be read as a Keras model",
        "torn.tflite": "cannot be read as a TFLite model",
        "torn_saved_model": "cannot be read as a SavedModel",
        "foreign.keras": "does not say how its input is prepared",
    }.items():
        with pytest.raises(ModelError, match=message):
            open_predictor(tmp_path / name)


def test_an_unfinished_run_has_no_model_yet(tmp_path: Path) -> None:
    Run.start(
        tmp_path / "run", {"recipe": {"model": "resnet8", "epochs": 4, "tta": "none"}, "data": {"name": "digits"}}
    )

    with pytest.raises(UsageError, match="not finished: 0 of 4 epochs"):
        open_predictor(tmp_path / "run")


def test_a_model_of_an_unknown_task_is_refused_by_its_name() -> None:
    preprocessing = Preprocessing(Fit((8, 8), 1), (127.0,), (74.0,), ("a", "b"), task="detection")
    model = build(spec("resnet8"), preprocessing=preprocessing, classifier_activation=None)

    with pytest.raises(ModelError, match="the model was trained for a task that is unknown here.*received 'detection'"):
        KerasPredictor(model, preprocessing)


@pytest.mark.parametrize(("task", "activation"), [("classification", "softmax"), ("multi-label", "sigmoid")])
@pytest.mark.parametrize("within", ["layer of its own", "dense layer", "softmax layer"])
def test_an_activation_at_the_end_of_a_model_is_not_applied_twice(task: str, activation: str, within: str) -> None:
    preprocessing = Preprocessing(Fit((8, 8), 1), (0.0,), (1.0,), ("a", "b", "c"), task)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 64)(inputs))
    if within == "dense layer":
        outputs = keras.layers.Dense(3, activation)(features)
    else:
        last = keras.layers.Softmax() if (within, activation) == ("softmax layer", "softmax") else None
        outputs = (last or keras.layers.Activation(activation))(keras.layers.Dense(3)(features))
    model = keras.Model(inputs, outputs)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype(np.uint8)

    found = predict(KerasPredictor(model, preprocessing), images).probabilities

    np.testing.assert_allclose(found, model(images.astype(np.float32)).numpy(), atol=1e-6)


@pytest.mark.parametrize("name", ["model.keras", "model.tflite", "run/model.keras", "saved_model/variables/index"])
def test_a_pipe_in_the_place_of_a_model_or_inside_one_is_refused_at_once(name: str, tmp_path: Path) -> None:
    run, _ = Run.start(
        tmp_path / "run", {"recipe": {"model": "resnet8", "epochs": 4, "tta": "none"}, "data": {"name": "digits"}}
    )
    run.finish()
    (tmp_path / "saved_model" / "variables").mkdir(parents=True)
    (tmp_path / "saved_model" / "saved_model.pb").touch()
    write_stamp(tmp_path / "saved_model", Preprocessing(Fit((8, 8), 1), (0.0,), (1.0,), ("a", "b")))
    os.mkfifo(tmp_path / name)
    top = tmp_path / name.split("/")[0]

    with pytest.raises(ModelError, match="it is a named pipe, not a regular file"):
        open_predictor(top)


def test_a_model_whose_description_would_fill_the_memory_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (2**26 + 1))
    write_stamp(tmp_path / "bomb.keras", Preprocessing(Fit((8, 8), 1), (0.0,), (1.0,), ("a", "b")))

    with pytest.raises(ModelError, match=r"bomb\.keras.*its config\.json would inflate to 67,108,865 bytes"):
        open_predictor(tmp_path / "bomb.keras")


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    preprocessing = Preprocessing(Fit((8, 8), 1), (127.0,), (74.0,), ("a", "b"))
    row = ResNetSpec("tiny", "basic", (1,), (8,), "cifar", stem_width=8)
    model = build(row, preprocessing=preprocessing, classifier_activation=None)
    return write_saved_model(model, preprocessing, tmp_path_factory.mktemp("saved") / "model")


PARTS = ("saved_model.pb", "fingerprint.pb", "variables/variables.index", "variables/variables.data-00000-of-00001")


@pytest.mark.parametrize("part", PARTS)
def test_a_damaged_part_of_a_saved_model_is_named(part: str, saved_model: Path, tmp_path: Path) -> None:
    shutil.copytree(saved_model, tmp_path / "m")
    content = (saved_model / part).read_bytes()
    open_predictor(tmp_path / "m")

    for torn in (content[: len(content) // 2], content[:40] + bytes([content[40] ^ 1]) + content[41:]):
        (tmp_path / "m" / part).write_bytes(torn)
        with pytest.raises(ModelError, match=f"m is damaged: {part} is not what was written"):
            open_predictor(tmp_path / "m")


@pytest.mark.parametrize("part", PARTS)
def test_a_saved_model_without_digests_that_is_cut_is_one_error(part: str, saved_model: Path, tmp_path: Path) -> None:
    shutil.copytree(saved_model, tmp_path / "m")
    (tmp_path / "m" / "assets.extra" / "SHA256SUMS").unlink()
    open_predictor(tmp_path / "m")
    content = (saved_model / part).read_bytes()
    (tmp_path / "m" / part).write_bytes(content[: len(content) // 2])

    with pytest.raises(ModelError, match="m cannot be read as a SavedModel"):
        open_predictor(tmp_path / "m")


def test_what_fails_at_the_first_call_fails_when_a_file_is_opened(
    finished_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, kind, message in (
        (ValueError("odd kernel"), ModelError, r"model\.keras is damaged, its network cannot be run: odd kernel"),
        (MemoryError(), StorageError, r"the memory does not suffice to run .*model\.keras"),
    ):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(KerasPredictor, "logits", fail)
        with pytest.raises(kind, match=message):
            open_predictor(finished_run.model)


def test_a_preprocessing_for_images_that_the_network_does_not_take_is_refused() -> None:
    preprocessing = Preprocessing(Fit((8, 8), 1), (127.0,), (74.0,), ("a", "b"))
    model = build(spec("resnet8"), preprocessing=preprocessing, classifier_activation=None)
    fully = build(spec("resnet8"), 2, input_shape=(None, None, 1), classifier_activation=None)

    with pytest.raises(ModelError, match=r"takes images of \(8, 8, 1\); its preprocessing gives \(9, 8, 1\)"):
        KerasPredictor(model, replace(preprocessing, fit=Fit((9, 8), 1)))
    assert KerasPredictor(fully, preprocessing).logits(np.zeros((1, 8, 8, 1), np.uint8)).shape == (1, 2)
    coloured = build(spec("resnet8"), 2, input_shape=(None, None, 3), classifier_activation=None)
    vast = Preprocessing(Fit((16_384, 16_384), 3), (127.0,) * 3, (74.0,) * 3, ("a", "b"))
    with pytest.raises(ModelError, match="asks for images of .16384, 16384, 3., which is more than"):
        KerasPredictor(coloured, vast)


def test_a_flipped_bit_of_a_keras_file_is_noticed(finished_run: Run, tmp_path: Path) -> None:
    with zipfile.ZipFile(finished_run.model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = bytearray(members["model.weights.h5"])
    weights[-5] ^= 1
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:  # whose own sums fit
        for name, content in (members | {"model.weights.h5": bytes(weights)}).items():
            archive.writestr(name, content)

    with pytest.raises(ModelError, match=r"m\.keras is damaged: model\.weights\.h5 is not what was written"):
        open_predictor(tmp_path / "m.keras")


def test_a_layer_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 1))
    padded = keras.layers.ZeroPadding2D(50_000, name="wide")(inputs)
    keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(padded))).save(tmp_path / "m.keras")
    write_stamp(tmp_path / "m.keras", Preprocessing(Fit((8, 8), 1), (127.0,), (74.0,), ("a", "b")))

    with pytest.raises(ModelError, match=r"m\.keras: wide gives \(100008, 100008, 1\), more than"):
        open_predictor(tmp_path / "m.keras")
