import io
import json
import shutil
import zipfile
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import DataError, MissingExtraError, ModelError, UsageError
from keras_resnet.exports import export as exporting
from keras_resnet.exports import tflite
from keras_resnet.exports.export import Exported, export_run, export_saved_model, export_tflite
from keras_resnet.exports.formats import FORMATS, Format
from keras_resnet.exports.material import Material
from keras_resnet.exports.onnx import onnx_model
from keras_resnet.exports.saved_model import decoded, write_saved_model
from keras_resnet.exports.tflite import check_integer, float_graph, write_stamped, write_tflite
from keras_resnet.exports.verify import verify
from keras_resnet.images.decode import decode
from keras_resnet.inference.onnx_file import stamped
from keras_resnet.inference.predictors import KerasPredictor, TFLitePredictor, open_predictor
from keras_resnet.models.resnet import build
from keras_resnet.models.spec import ResNetSpec
from keras_resnet.models.variants import spec
from keras_resnet.plain_paths import plain_path
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.quantize.graph import Graph, short_name
from keras_resnet.quantize.post_training import Quantization, quantize
from keras_resnet.runs.run import Run
from keras_resnet.stamp import read_stamp
from keras_resnet.training.fit import fit
from keras_resnet.weights.files import variables_by_path
from tests.shared import TINY

pytest.importorskip("ai_edge_litert", reason="the extra 'edge' is not installed")

PLAIN = Quantization(ranges="minmax", equalize=False, correct_bias=False)
"""Other ways: tests/quantize."""


@pytest.fixture(scope="module")
def exported(finished_run: Run, tiny_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    folder = tmp_path_factory.mktemp("exports") / "[a] *?"  # which TensorFlow takes for a pattern
    return {
        name: exporting.export(
            finished_run,
            folder / one.path,
            name,
            data=tiny_data,
            # All ways are tried once; the other formats write what is found by the same function.
            quantization=PLAIN if "ranges" in one.arguments and name != "tflite-int8" else None,
        )
        for name, one in FORMATS.items()
        if all(find_spec(module) for module, _ in one.needs)
    }


@pytest.mark.parametrize(
    "file_format", [name for name, one in FORMATS.items() if all(find_spec(m) for m, _ in one.needs)]
)
def test_an_exported_file_opens_alone_and_agrees_with_its_model(
    file_format: str, exported: dict[str, Exported], finished_run: Run, tiny_data: ImageData
) -> None:
    images = tiny_data.test.read(slice(None))
    expected = open_predictor(finished_run).logits(images)

    predictor = open_predictor(exported[file_format].path)
    found = predictor.logits(images)

    assert predictor.preprocessing == finished_run.preprocessing
    assert found.dtype == np.float32
    tolerance = FORMATS[file_format].tolerance
    if tolerance is None:
        assert predictor.task.agreement(expected, found) >= 0.95
        assert np.abs(found - expected).max() < 0.1 * np.ptp(expected)
    else:
        np.testing.assert_allclose(found, expected, atol=tolerance * np.ptp(expected))


def test_no_two_formats_have_a_title_or_a_path_in_common(exported: dict[str, Exported]) -> None:
    assert len({one.title for one in FORMATS.values()} | {"Keras"}) == len(FORMATS) + 1
    assert len({one.path for one in FORMATS.values()}) == len(FORMATS)
    assert [result.predictor.name for result in exported.values()] == [FORMATS[name].title for name in exported]


def test_formats_have_short_forms(finished_run: Run, tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(exporting, "export", lambda *given, data: asked.append((*given, data)))

    export_tflite(finished_run, "float.tflite", format="float", data=tiny_data)
    export_tflite(finished_run, "int8.tflite", data=tiny_data)
    export_saved_model(finished_run, "folder", data="digits")

    assert asked == [
        (finished_run, "float.tflite", "tflite-float", tiny_data),
        (finished_run, "int8.tflite", "tflite-int8", tiny_data),
        (finished_run, "folder", "saved_model", "digits"),
    ]


@pytest.mark.parametrize(("path", "fits"), [("a.weights.h5", True), ("a.h5", False), (".weights.h5", False)])
def test_a_files_whole_ending_must_be_its_formats(path: str, fits: bool, tmp_path: Path) -> None:
    some = Format("model.weights.h5", "weights", lambda *_: None)

    with nullcontext() if fits else pytest.raises(UsageError, match=r"whose name ends in \.weights\.h5"):
        some.check_target(tmp_path / path)


def test_a_file_that_fails_is_called_by_the_name_it_was_to_have(
    finished_run: Run, tiny_data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = build(spec("oneblock"), preprocessing=finished_run.preprocessing, classifier_activation=None, seed=9)
    wrong = replace(
        FORMATS["saved_model"], write=lambda of, path: write_saved_model(other, of.preprocessing, path) and ()
    )
    monkeypatch.setitem(FORMATS, "wrong", wrong)

    with pytest.raises(ModelError, match=f"^{tmp_path / 'mine'} is not the model it came from"):
        export_run(finished_run, "wrong", tmp_path / "mine", data=tiny_data)


def test_verification_reports_what_it_compared(exported: dict[str, Exported], tiny_data: ImageData) -> None:
    for file_format, result in exported.items():
        assert result.verification.images == len(tiny_data.validation) + len(tiny_data.train) == 240
        assert result.verification.agreement >= (0.9 if (FORMATS[file_format].tolerance or 1) > 1e-3 else 1)
        assert result.verification.logit_range > 0


def test_the_int8_file_takes_pixels_minus_128_and_gives_int8(exported: dict[str, Exported]) -> None:
    predictor = exported["tflite-int8"].predictor
    assert isinstance(predictor, TFLitePredictor)

    assert predictor.input["dtype"] == predictor.output["dtype"] == np.int8
    assert predictor.input["quantization"] == (1.0, -128)
    assert predictor.input["shape"].tolist() == [1, 8, 8, 1]


def test_labels_can_be_unzipped_from_a_tflite_file(exported: dict[str, Exported]) -> None:
    with zipfile.ZipFile(exported["tflite-int8"].path) as archive:
        assert archive.read("labels.txt").decode().split() == list("0123456789")


def test_the_saved_model_takes_raw_bytes_and_gives_probabilities(
    exported: dict[str, Exported], tiny_data: ImageData
) -> None:
    images = tiny_data.test.read(slice(0, 3))
    with plain_path(exported["saved_model"].path) as path:
        serving = tf.saved_model.load(str(path)).signatures["serving_default"]

    outputs = serving(image=tf.constant(images))

    np.testing.assert_allclose(outputs["probabilities"].numpy().sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(tf.nn.softmax(outputs["logits"]), outputs["probabilities"], rtol=1e-5)


@pytest.mark.parametrize(
    ("shortcut", "channels", "side"),
    [
        ("projection", 1, 9),
        ("identity_pad", 3, 16),
        pytest.param("projection", 3, 16, marks=pytest.mark.slow),
        pytest.param("identity_pad", 1, 9, marks=pytest.mark.slow),
    ],
)
def test_every_kind_of_shortcut_becomes_all_integer(shortcut: str, channels: int, side: int, tmp_path: Path) -> None:
    names = ("a", "b", "c")
    preprocessing = Preprocessing(Fit((side, side), channels), (120.0,) * channels, (60.0,) * channels, names)
    small = spec("resnet8", depths=(1, 1), widths=(8, 16), stem_width=8)
    options = {"classifier_activation": None, "shortcut": shortcut, "seed": 1}
    model = build(small, preprocessing=preprocessing, **options)
    images = np.random.default_rng(0).integers(0, 256, (40, side, side, channels)).astype(np.uint8)

    write_tflite(model, preprocessing, tmp_path / "model.tflite", calibration=images, how=PLAIN)

    found = TFLitePredictor(tmp_path / "model.tflite", preprocessing).logits(images)
    expected = model(images.astype(np.float32)).numpy()
    assert np.abs(found - expected).max() < 0.1 * np.ptp(expected)


def test_weights_are_the_same_numbers_in_the_file_whether_converted_as_constants_or_as_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = build(spec("oneblock"), input_shape=(8, 8, 1), num_classes=3, classifier_activation=None, seed=1)
    small = float_graph(model, (8, 8, 1))
    monkeypatch.setattr(tflite, "MOST_AS_CONSTANTS", 0)
    large = float_graph(model, (8, 8, 1))

    def numbers(content: bytes) -> list[bytes]:
        return sorted(one.values.tobytes() for one in Graph(content).tensors if one.values is not None)

    assert numbers(small) == numbers(large)
    assert [step.operator for step in Graph(small).steps] == [step.operator for step in Graph(large).steps]
    for graph in (Graph(small), Graph(large)):
        assert short_name(graph.tensor(graph.steps[-1].output).name) == "logits"


def test_a_network_with_an_imagenet_stem_becomes_all_integer_and_three_times_smaller(tmp_path: Path) -> None:
    preprocessing = Preprocessing(Fit((70, 70), 3), (120.0,) * 3, (60.0,) * 3, ("a", "b"))
    small = spec("resnet18", depths=(1, 1), widths=(16, 64), stem_width=16)
    model = build(small, preprocessing=preprocessing, classifier_activation=None, seed=1)
    images = np.random.default_rng(0).integers(0, 256, (4, 70, 70, 3)).astype(np.uint8)

    whole, integer = tmp_path / "float.tflite", tmp_path / "model.tflite"
    write_tflite(model, preprocessing, whole)
    write_tflite(model, preprocessing, integer, calibration=images, how=PLAIN)

    assert read_stamp(integer) == preprocessing
    assert whole.stat().st_size > 3 * integer.stat().st_size


SMALL = {"depths": (1, 1), "widths": (16, 32), "stem_width": 8}
D = {"stem": "deep", "shortcut": "avgpool_projection"}
FAMILIES = {
    # between them, all that convolutions, shortcuts, stems and attention can be
    "bottleneck, ResNet-D, blurred, SE, grouped": ResNetSpec(
        "net", "bottleneck", **SMALL, **D, antialias=True, attention="se", bottleneck_ratio=0.5, groups=4
    ),
    "preact bottleneck, ECA, dilated": ResNetSpec(
        "net", "preact_bottleneck", (1, 1, 1), (16, 32, 32), "imagenet", 8, attention="eca"
    ),
    # the same by themselves
    "bottleneck, dilated": ResNetSpec("net", "bottleneck", (1, 1, 1), (16, 32, 32), "imagenet", 8),
    "ResNet-D, blurred": ResNetSpec("net", "bottleneck", **SMALL, **D, antialias=True),
    "ResNet-RS, grouped": ResNetSpec(
        "net", "bottleneck", **SMALL, **D | {"stem": "deep_strided"}, attention="se", bottleneck_ratio=0.5, groups=4
    ),
    "basic, ECA": ResNetSpec("net", "basic", **SMALL, stem="deep", attention="eca"),
    "preact bottleneck": ResNetSpec("net", "preact_bottleneck", **SMALL, stem="imagenet"),
}


QUICK = ("bottleneck, ResNet-D, blurred, SE, grouped", "preact bottleneck, ECA, dilated")


def enliven(model: keras.Model, images: np.ndarray) -> None:
    """Let all branches count, and normalise by the statistics of these images."""
    random = np.random.default_rng(1)
    for name, variable in variables_by_path(model).items():
        if name.endswith("gamma"):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        elif name.endswith(("beta", "bias")):
            variable.assign(random.normal(0, 0.2, variable.shape))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # the moving statistics become those of these images at once
    model(images.astype(np.float32), training=True)


@pytest.mark.parametrize(
    "family", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]
)
def test_every_family_becomes_a_float_and_an_all_integer_file_and_onnx(family: str, tmp_path: Path) -> None:
    preprocessing = Preprocessing(Fit((40, 40), 3), (127.5,) * 3, (127.5,) * 3, tuple("abcdefg"))
    options = {"classifier_activation": None, "output_stride": 8 if "dilated" in family else None, "seed": 0}
    model = build(FAMILIES[family], preprocessing=preprocessing, **options)
    images = np.random.default_rng(0).integers(0, 256, (16, 40, 40, 3)).astype(np.uint8)
    enliven(model, images)

    write_tflite(model, preprocessing, tmp_path / "float.tflite")
    # What `write_tflite` and `write_onnx` do, but that the model is converted once.
    graph = float_graph(model, preprocessing.input_shape)
    integers = quantize(graph, images, PLAIN).content
    check_integer(integers)
    write_stamped(integers, preprocessing, tmp_path / "int8.tflite")

    expected = model(images.astype(np.float32)).numpy()
    assert np.abs(expected - expected[0]).max() > 0.1 * np.ptp(expected), "the images make a difference"
    for name, tolerance in (("float", 1e-4), ("int8", 0.05)):
        found = TFLitePredictor(tmp_path / f"{name}.tflite", preprocessing).logits(images)
        assert np.abs(found - expected).max() < tolerance * np.ptp(expected), name
    if find_spec("onnxruntime") is None:
        return
    for name, content, tolerance in (("float", graph, 1e-4), ("int8", integers, 0.08)):
        (tmp_path / f"{name}.onnx").write_bytes(stamped(onnx_model(content, "softmax"), preprocessing))
        found = open_predictor(tmp_path / f"{name}.onnx").logits(images)
        assert np.abs(found - expected).max() < tolerance * np.ptp(expected), f"ONNX {name}"


def copied(file_format: str, exported: dict[str, Exported], seen: list[np.ndarray] | None = None) -> Format:
    """A format whose file is written already."""

    def write(material: Material, path: Path) -> tuple[str, ...]:
        source = exported[file_format].path
        shutil.copytree(source, path) if source.is_dir() else shutil.copy(source, path)
        if seen is not None and material.calibration is not None:
            seen.append(material.calibration)
        return ()

    return replace(FORMATS[file_format], write=write)


def test_calibration_sees_training_images_only(
    exported: dict[str, Exported],
    finished_run: Run,
    tiny_data: ImageData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[np.ndarray] = []
    monkeypatch.setitem(FORMATS, "tflite-int8", copied("tflite-int8", exported, seen))

    export_tflite(finished_run, tmp_path / "model.tflite", data=tiny_data)

    train = {image.tobytes() for image in tiny_data.train.read(slice(None))}
    assert len(seen[0]) == len(tiny_data.train)
    assert {image.tobytes() for image in seen[0]} <= train


def test_a_model_with_a_floating_point_tensor_is_not_integer(exported: dict[str, Exported]) -> None:
    with pytest.raises(ModelError, match="not all integer"):
        check_integer(exported["tflite-float"].path.read_bytes())


def test_a_file_that_is_not_its_model_is_refused(
    exported: dict[str, Exported], finished_run: Run, tiny_data: ImageData
) -> None:
    images = tiny_data.validation.read(slice(None))
    other = build(spec("oneblock"), preprocessing=finished_run.preprocessing, classifier_activation=None, seed=9)
    stranger = KerasPredictor(other, finished_run.preprocessing)

    for file_format, result in exported.items():
        with pytest.raises(ModelError, match="is not the model it came from"):
            verify(result.predictor, stranger, images, tolerance=FORMATS[file_format].tolerance)


def test_a_file_with_another_preprocessing_is_refused(
    exported: dict[str, Exported], finished_run: Run, tiny_data: ImageData
) -> None:
    reference = open_predictor(finished_run)
    reference.preprocessing = Preprocessing(Fit((8, 8), 1), (1.0,), (2.0,), finished_run.preprocessing.class_names)

    with pytest.raises(ModelError, match="another preprocessing"):
        verify(exported["saved_model"].predictor, reference, tiny_data.validation.read(slice(None)), tolerance=1e-3)


def test_what_cannot_be_exported_is_refused(finished_run: Run, tmp_path: Path) -> None:
    run, _ = Run.start(
        tmp_path / "run", {"recipe": {"model": "resnet8", "epochs": 4, "tta": "none"}, "data": {"name": "digits"}}
    )
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_text("")

    with pytest.raises(UsageError, match="is not finished: 0 of 4 epochs are done"):
        export_run(run.path, "tflite-int8")
    with pytest.raises(UsageError, match="the format must be one of"):
        export_run(finished_run, "coreml")
    with pytest.raises(UsageError, match=r"ends in \.tflite"):
        export_run(finished_run, "tflite-int8", tmp_path / "model.bin")
    with pytest.raises(UsageError, match=r"holds other files and no saved_model\.pb"):
        export_run(finished_run, "saved_model", tmp_path / "photos")
    assert (tmp_path / "photos" / "me.jpg").exists()


def test_without_the_runtime_the_extra_is_named(
    finished_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(MissingExtraError, match=r"pip install 'keras-resnet-kit\[edge\]'"):
        exporting.export_run(finished_run, "tflite-int8", tmp_path / "model.tflite")


def test_a_file_that_fails_its_verification_leaves_what_was_there(
    exported: dict[str, Exported],
    finished_run: Run,
    tiny_data: ImageData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ModelError("is not the model it came from")

    (tmp_path / "model.tflite").write_bytes(b"the good old file")
    monkeypatch.setattr(exporting, "verify", refuse)

    for file_format, name in {"tflite-int8": "model.tflite", "saved_model": "saved_model"}.items():
        monkeypatch.setitem(FORMATS, file_format, copied(file_format, exported))
        with pytest.raises(ModelError):
            export_run(finished_run, file_format, tmp_path / name, data=tiny_data)

    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]
    assert (tmp_path / "model.tflite").read_bytes() == b"the good old file"


def test_other_data_than_the_runs_own_do_not_calibrate_it(finished_run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="are not the data that"):
        export_tflite(
            finished_run, tmp_path / "model.tflite", data=load_data(Source("digits", image_size=8, limit=200))
        )


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A run on a folder of images, and where the folder is now."""
    root = tmp_path_factory.mktemp("moved")
    random = np.random.default_rng(0)
    for label, colour in (("blue", (20, 40, 200)), ("red", (210, 20, 10))):
        (root / "photos" / label).mkdir(parents=True)
        for number in range(15):
            pixels = np.clip(np.array(colour) + random.integers(-20, 20, (8, 8, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / "photos" / label / f"{number:02}.png")
    data = Source(f"folder:{root / 'photos'}", image_size=8)
    run = fit(TINY.but(epochs=1, batch_size=8), data, root / "run", verbose=False)
    (root / "photos").rename(root / "elsewhere")
    return run, root / "elsewhere"


def test_a_run_whose_images_are_gone_is_exported_on_those_that_it_keeps(
    moved: tuple[Run, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, folder = moved
    kept = run.kept_images()
    assert kept is not None
    train = load_data(Source(f"folder:{folder}", image_size=8)).train.read(slice(None))
    assert {image.tobytes() for image in kept} <= {image.tobytes() for image in train}

    found = export_tflite(run, tmp_path / "model.tflite", quantization=PLAIN)

    assert found.verification.images == len(kept) == len(train)
    assert f"calibrating and verifying on the {len(kept)} images that the run keeps" in caplog.text


def test_a_run_whose_images_were_moved_is_exported_on_all_of_them_where_they_are(
    moved: tuple[Run, Path], image_folder: Path, tmp_path: Path
) -> None:
    run, folder = moved

    found = export_tflite(run, tmp_path / "model.tflite", data=f"folder:{folder}", quantization=PLAIN)

    kept = run.kept_images()
    assert kept is not None
    assert found.verification.images > len(kept), "the validation images, too"
    with pytest.raises(DataError, match="have changed since it was trained"):
        export_tflite(run, tmp_path / "other.tflite", data=f"folder:{image_folder}")


@pytest.mark.parametrize("content", [b"", b"no archive", None], ids=["empty", "text", "of another shape"])
def test_damaged_images_of_a_run_are_named(content: bytes | None, moved: tuple[Run, Path], tmp_path: Path) -> None:
    run = Run(shutil.copytree(moved[0].path, tmp_path / "run"))
    if content is None:
        run.keep_images(np.zeros((3, 4, 4, 3), np.uint8))
    else:
        (run.path / "sample.npz").write_bytes(content)

    with pytest.raises(ModelError, match=r"sample\.npz is damaged"):
        export_saved_model(run, tmp_path / "saved")


def test_reading_a_run_downloads_nothing(finished_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(shutil.copytree(finished_run.path, tmp_path / "run"))
    config = json.loads((run.path / "config.json").read_text())
    config["data"] = {"name": "tfds:mnist"}
    (run.path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))

    with pytest.raises(DataError, match=r"names tfds:mnist, which is not there: .* Reading a run downloads nothing"):
        export_saved_model(run, tmp_path / "saved")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("resize", "crop_fraction", "channels"), [("bilinear", None, 3), ("bicubic", 0.875, 3), ("bilinear", 0.8, 1)]
)
def test_a_saved_model_takes_encoded_images_and_prepares_them_as_training_did(
    resize: str, crop_fraction: float | None, channels: int
) -> None:
    fit = Fit((24, 20), channels, resize=resize, crop_fraction=crop_fraction)
    random = np.random.default_rng(0)
    for height, width in ((61, 90), (90, 61), (20, 24)):
        pixels = np.kron(random.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3)), np.ones((4, 4, 1)))
        stream = io.BytesIO()
        Image.fromarray(pixels[:height, :width].astype(np.uint8)).convert("RGB" if channels == 3 else "L").save(
            stream, "PNG"
        )
        expected = decode(stream.getvalue(), fit)

        found = decoded(tf.constant(stream.getvalue()), fit).numpy()

        assert found.shape == fit.shape
        assert np.abs(found - expected).max() <= 1


def test_a_saved_models_two_signatures_agree(exported: dict[str, Exported], tiny_data: ImageData) -> None:
    pixels = tiny_data.test.read(slice(0, 5))
    files = []
    for image in pixels:
        stream = io.BytesIO()
        Image.fromarray(image[..., 0]).save(stream, "PNG")
        files.append(stream.getvalue())
    with plain_path(exported["saved_model"].path) as plain:
        loaded = tf.saved_model.load(str(plain))

    by_pixels = loaded.signatures["serving_default"](image=tf.constant(pixels))
    by_files = loaded.signatures["serving_encoded"](encoded=tf.constant(files))

    assert set(by_files) == {"logits", "probabilities"}
    np.testing.assert_allclose(by_files["logits"], by_pixels["logits"], atol=1e-5)
