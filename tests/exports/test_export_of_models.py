"""Models that no run belongs to: trained by their user's own `fit`, of this package's networks or others."""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_resnet
from keras_resnet.callbacks import ExactCheckpoint, Export, Guard, MovingAverage
from keras_resnet.cli.main import main
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import from_arrays
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.exports.export import export, export_saved_model, export_tflite
from keras_resnet.inference.predictors import open_predictor
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.quantize.post_training import Quantization
from keras_resnet.weights import pixels
from tests.exports.outlier import enliven, lead_by_one_channel

pytest.importorskip("ai_edge_litert", reason="the extra 'edge' is not installed")

COLOURS = np.array([(200, 30, 30), (30, 200, 30), (30, 30, 200)])
LABELS = np.arange(60) % 3
IMAGES = np.clip(
    COLOURS[LABELS][:, None, None] + np.random.default_rng(0).integers(-30, 30, (60, 8, 8, 3)), 0, 255
).astype(np.uint8)
NAMES = ("red", "green", "blue")


def foreign() -> keras.Model:
    """A network of other layers than ours, which normalises by itself and ends in a softmax."""
    layers = keras.layers
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 127.5, -1)(x)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(layers.Activation("relu")(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = foreign()
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(IMAGES, LABELS, batch_size=12, epochs=12, verbose=0)
    assert model.evaluate(IMAGES, LABELS, verbose=0)[1] > 0.95
    return model


def test_a_model_of_the_users_own_fit_becomes_all_integer(trained: keras.Model, tmp_path: Path) -> None:
    data = from_arrays(IMAGES, LABELS, class_names=NAMES)

    exported = export_tflite(trained, tmp_path / "mine.tflite", calibration=data.train)

    assert exported.verification.images == len(data.train)
    assert open_predictor(exported.path).name == "TFLite INT8"
    found = keras_resnet.predict(exported.path, IMAGES)
    assert np.mean(found.logits.argmax(1) == trained.predict(IMAGES, verbose=0).argmax(1)) >= 0.95
    assert found.class_names == NAMES
    assert keras_resnet.evaluate(exported.path, (IMAGES, LABELS)).metrics.images == 60


def test_the_class_names_of_a_data_set_come_along_when_it_calibrates_or_evaluates(
    trained: keras.Model, image_folder: Path, tmp_path: Path
) -> None:
    photos = keras.utils.image_dataset_from_directory(image_folder, image_size=(8, 8), batch_size=5, verbose=False)
    batches = photos.map(lambda images, labels: (images, keras.ops.one_hot(labels, 3))).prefetch(1)

    exported = export(trained, tmp_path / "mine.tflite", calibration=batches)
    found = keras_resnet.evaluate(trained, batches)

    names = ("blue", "green", "red")
    assert keras_resnet.predict(exported.path, IMAGES[:1]).class_names == names
    assert found.predictor.task.class_names == names
    assert found.metrics.images == 36
    # A file that was exported without images has numbers for names; these are the data set's.
    bare = export(trained, tmp_path / "bare.tflite", "tflite-float").predictor
    assert bare.task.class_names == ("0", "1", "2")
    again = keras_resnet.evaluate(bare, batches)
    assert again.predictor.task.class_names == names
    assert again.metrics.correct == found.metrics.correct


def test_a_model_with_names_of_its_own_keeps_them(image_folder: Path) -> None:
    """Data that have the same classes in another order are counted in the model's."""
    own = keras_resnet.Preprocessing(keras_resnet.Fit((8, 8), 3), (0.0,) * 3, (255.0,) * 3, ("red", "green", "blue"))
    model = build(spec("oneblock"), preprocessing=own, seed=0)
    data = keras_resnet.load_data(keras_resnet.Source(f"folder:{image_folder}", image_size=8), whole=True)

    found = keras_resnet.evaluate(model, data)

    assert found.predictor.task.class_names == ("red", "green", "blue")
    assert found.labels.tolist() == (2 - data.test.labels).tolist()


def test_with_data_the_file_has_their_class_names_and_is_verified_on_held_out_images(
    trained: keras.Model, tmp_path: Path
) -> None:
    data = from_arrays(IMAGES, LABELS, class_names=NAMES)

    exported = export(trained, tmp_path / "mine.tflite", "tflite-float", data=data)

    assert exported.predictor.task.class_names == NAMES
    assert exported.verification.images == len(data.train) + len(data.validation) + len(data.test)
    np.testing.assert_allclose(
        exported.predictor.task.probabilities(exported.predictor.logits(IMAGES)),
        trained.predict(IMAGES, verbose=0),
        atol=1e-4,
    )


def test_a_saved_model_needs_no_images(trained: keras.Model, tmp_path: Path) -> None:
    exported = export_saved_model(trained, tmp_path / "mine")

    assert exported.verification.images == 8
    logits = exported.predictor.logits(IMAGES[:4])
    np.testing.assert_allclose(keras.ops.softmax(logits), trained.predict(IMAGES[:4], verbose=0), atol=1e-5)


def test_the_command_exports_a_keras_file_beside_it(
    trained: keras.Model, image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained.save(tmp_path / "mine.keras")

    assert main(["export", str(tmp_path / "mine.keras"), "--format", "tflite-int8"]) == 2
    assert "calibrated on training images" in capsys.readouterr().err
    code = main(["export", str(tmp_path / "mine.keras"), "--format", "tflite-int8", "--data", f"folder:{image_folder}"])

    assert code == 0, capsys.readouterr().err
    assert f"wrote {tmp_path / 'mine-int8.tflite'}" in capsys.readouterr().out.replace("\n", "")
    assert open_predictor(tmp_path / "mine-int8.tflite").task.class_names == ("blue", "green", "red")

    for name in ("mine.keras", "mine-int8.tflite"):
        assert main(["evaluate", str(tmp_path / name), "--data", f"folder:{image_folder}"]) == 0
        assert "top-1" in capsys.readouterr().out
        (folder,) = (tmp_path / f"{Path(name).stem}-evaluation").iterdir()
        assert json.loads((folder / "evaluation.json").read_text())["images"] == 36


@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float16", marks=pytest.mark.slow)])
def test_a_model_of_mixed_precision_is_exported_in_float32(precision: str, tmp_path: Path) -> None:
    model = build(spec("oneblock"), 3, input_shape=(8, 8, 3), precision=precision, seed=0)  # type: ignore[arg-type]

    exported = export(model, tmp_path / "mine.tflite", "tflite-float")

    expected = keras_resnet.float32_copy(model)(IMAGES.astype(np.float32)).numpy()
    np.testing.assert_allclose(
        exported.predictor.task.probabilities(exported.predictor.logits(IMAGES)), expected, atol=1e-4
    )


def test_a_runs_file_may_be_calibrated_with_other_images(
    finished_run: keras_resnet.Run, tiny_data: ImageData, tmp_path: Path
) -> None:
    exported = export(finished_run, tmp_path / "mine.tflite", calibration=tiny_data.train.read(slice(0, 20)))

    assert exported.verification.images == 20


def test_layers_of_keras_applications_go_the_whole_way_of_their_users_own_fit(
    image_folder: Path, tmp_path: Path
) -> None:
    """Batches of Keras, our augmentation and callbacks; then a verified file, evaluation and prediction."""
    keras.backend.clear_session()
    photos = keras.utils.image_dataset_from_directory(image_folder, image_size=(32, 32), batch_size=18, verbose=False)
    augmentation = keras_resnet.Augmentation("crop-flip", mixup=0.2, num_classes=3, seed=0)
    train = photos.map(augmentation, num_parallel_calls=tf.data.AUTOTUNE)
    inputs = keras.Input((32, 32, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    whole = keras.applications.MobileNet(weights=None, input_tensor=scaled, alpha=0.25, include_top=False)
    pooled = keras.layers.GlobalAveragePooling2D()(whole.get_layer("conv_pw_2_relu").output)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(pooled))
    rate = keras_resnet.schedules.Cosine(0.01, epochs=1, steps_per_epoch=len(train))
    model.compile(keras_resnet.optimizers.SGD(rate, momentum=0.9), "categorical_crossentropy", run_eagerly=True)
    exports = Export(tmp_path / "mine", "tflite-int8", calibration=photos)
    callbacks = [ExactCheckpoint(tmp_path / "mine", data=train), MovingAverage(0.5), Guard(), augmentation, exports]

    model.fit(train, callbacks=callbacks, verbose=0)

    names = ("blue", "green", "red")
    data = keras_resnet.load_data(keras_resnet.Source(f"folder:{image_folder}", image_size=32))
    said = keras_resnet.Preprocessing(keras_resnet.Fit((32, 32), 3), (127.5,) * 3, (127.5,) * 3, names)
    found = keras_resnet.evaluate(model, data.validation, preprocessing=said)
    assert found.metrics.images == len(data.validation)
    assert found.predictor.task.class_names == names
    assert "validation split" in found.data_name
    assert exports.exported is not None
    assert exports.exported.verification.images == 36
    asked = keras_resnet.predict(exports.exported.path, [image_folder / "red"])
    assert asked.class_names == names
    expected = model.predict(data.train.read(slice(0, 5)).astype(np.float32), verbose=0)
    of_file = keras_resnet.predict(exports.exported.path, data.train.read(slice(0, 5)))
    np.testing.assert_allclose(of_file.probabilities, expected, atol=0.05)
    of_run = keras_resnet.evaluate(tmp_path / "mine", photos.prefetch(1))
    assert of_run.metrics.images == 36
    assert of_run.predictor.task.class_names == names
    with pytest.raises(UsageError, match="on its script's own data: pass the data set again"):
        keras_resnet.evaluate(tmp_path / "mine")
    with pytest.raises(UsageError, match="give calibration="):
        export(tmp_path / "mine", format="tflite-int8")
    assert export(tmp_path / "mine", format="tflite-float").verification.images == 8


@pytest.mark.parametrize("format", ["c", "onnx"])
def test_a_network_with_caffes_weights_which_reads_blue_first_becomes_a_file(format: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    inputs = keras.Input((8, 8, 3))
    first = keras.layers.Conv2D(64, 7, strides=2, padding="same", use_bias=False)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(first(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    first.kernel.assign(np.broadcast_to(pixels._caffe_sums() / 49, (7, 7, 3, 64)))
    how = None if format == "onnx" else Quantization("minmax", False, False)

    exported = export(model, tmp_path / f"network.{format}", format, calibration=IMAGES, quantization=how)

    given = IMAGES[..., ::-1] - np.array(pixels.CONVENTIONS["caffe"].mean[::-1], np.float32)
    expected = np.asarray(model(given))
    np.testing.assert_allclose(exported.predictor.logits(IMAGES), expected, atol=0.02 * np.ptp(expected))


def test_what_cannot_be_exported_is_refused_by_one_line(trained: keras.Model, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="say where to write the file: path="):
        export(trained, format="tflite-float")
    with pytest.raises(UsageError, match=r"give calibration= \(a split, an array, a tf.data.Dataset, paths\) or data="):
        export(trained, tmp_path / "mine.tflite")
    export(trained, tmp_path / "mine.tflite", "tflite-float")
    with pytest.raises(UsageError, match="is an exported file already"):
        export(tmp_path / "mine.tflite", tmp_path / "again.tflite", "tflite-float")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.tflite"]


def test_layers_are_widened_until_no_more_is_lost_than_may_be(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)  # with some others the file is good enough without
    model = keras_resnet.ResNet8(num_classes=10, input_shape=(12, 12, 3))
    enliven(model)
    lead_by_one_channel(model)
    images = np.random.default_rng(0).integers(0, 256, (60, 12, 12, 3), np.uint8)
    how = keras_resnet.Quantization(ranges="minmax", equalize=False, correct_bias=False)
    options = {"calibration": images}
    with pytest.raises(ModelError, match="is not the model it came from"):
        keras_resnet.export(model, tmp_path / "plain.tflite", quantization=how, **options)

    allowed = replace(how, max_drop=5)
    wider = keras_resnet.export(model, tmp_path / "wider.tflite", quantization=allowed, **options)

    assert wider.verification.agreement >= 0.95
    assert any("layers are of 16 bits" in one for one in wider.remarks)


def test_weights_that_are_no_numbers_are_not_exported(tmp_path: Path) -> None:
    model = keras_resnet.ResNet8(num_classes=10, input_shape=(8, 8, 3))
    layer = next(one for one in model.layers if isinstance(one, keras.layers.Dense))
    layer.bias.assign(np.full(10, np.nan))

    with pytest.raises(ModelError, match=f"weights that are no numbers, in .*{layer.name}"):
        keras_resnet.export(model, tmp_path / "model.tflite", "tflite-float")
    assert not (tmp_path / "model.tflite").exists()


def test_what_will_hurt_is_said_with_the_file(tmp_path: Path) -> None:
    model = keras_resnet.ResNet8(num_classes=10, input_shape=(8, 8, 3))
    enliven(model)
    norm = [one for one in model.layers if isinstance(one, keras.layers.BatchNormalization)][1]
    norm.moving_variance.assign(np.where(np.arange(norm.gamma.shape[0]) < 2, 0.0, 1.0))
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)

    remarks = "\n".join(keras_resnet.export(model, tmp_path / "model.tflite", calibration=images).remarks)

    assert f"2 channels of {norm.name} had no variance in the training" in remarks
    assert "12 different calibration images are few" in remarks
    assert "the logits are" in remarks
