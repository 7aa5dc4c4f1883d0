"""Files that are right pass; files broken on purpose do not, and it is said why."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnet.errors import ModelError, UsageError
from keras_resnet.exports import evidence as module
from keras_resnet.exports import tflite
from keras_resnet.exports.evidence import Evidence, gather
from keras_resnet.exports.layers import layers_of, weights_of
from keras_resnet.exports.material import Material
from keras_resnet.exports.micro import write_micro
from keras_resnet.exports.onnx import onnx_model
from keras_resnet.exports.openvino import write_openvino
from keras_resnet.exports.page import page
from keras_resnet.exports.tflite import write_stamped
from keras_resnet.exports.verification import write_evidence
from keras_resnet.inference.kernels import Kernels
from keras_resnet.inference.onnx_file import stamped
from keras_resnet.inference.predictors import KerasPredictor, open_predictor
from keras_resnet.inference.runtimes import Answered
from keras_resnet.models.resnet import build
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.quantize.graph import Graph, short_name, weighted
from keras_resnet.quantize.post_training import Quantization, quantize
from tests.exports.outlier import lead_by_one_channel
from tests.shared import shared_data

pytest.importorskip("ai_edge_litert", reason="the extra 'edge' is not installed")

PLAIN = Quantization(ranges="minmax", equalize=False, correct_bias=False)
CLASSES = ("bee", "ant", "<b>wasp</b>", "fly")
READY = Preprocessing(Fit((16, 16), 3), (0.0, 0.0, 0.0), (60.0, 55.0, 50.0), CLASSES)


_CONVERTED: dict[tuple[object, ...], bytes] = {}


def float_graph(model: keras.Model, input_shape: tuple[int, int, int]) -> bytes:
    """As that of `exports.tflite`, which takes most of a test's time, but once for a network and its weights."""
    key = (model.to_json(), input_shape, *(weight.tobytes() for weight in model.get_weights()))
    if key not in _CONVERTED:
        _CONVERTED[key] = tflite.float_graph(model, input_shape)
    return _CONVERTED[key]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each runtime in a process of its own takes seconds: tests/inference/test_runtimes.py has that."""

    monkeypatch.setattr(module, "float_graph", float_graph)

    def ask(name: str, path: Path, images: np.ndarray) -> Answered:
        return Answered(name, open_predictor(path).logits(images), "", {1: (1.0, 2.0, 3.0)})

    monkeypatch.setattr(module, "ask", ask)
    monkeypatch.setattr(module, "runtimes_for", lambda path: ["litert"])


def pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Of four classes, told by which corner is coloured."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, count)
    images = random.integers(60, 120, (count, 16, 16, 3))
    colours = ((90, 0, 0), (0, 90, 0), (0, 0, 90), (90, 90, 0))
    for image, label in zip(images, labels, strict=True):
        image[(label // 2) * 8 :, (label % 2) * 8 :] += np.array(colours[label])
    return np.clip(images, 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def reference() -> KerasPredictor:
    model = build("resnet8", num_classes=4, preprocessing=READY, classifier_activation=None, seed=0)
    model.compile(keras.optimizers.Adam(0.003), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = pictures(192, 1)
    model.fit(images.astype(np.float32), labels, batch_size=32, epochs=8, verbose=0)
    return KerasPredictor(model, READY)


@pytest.fixture(scope="module")
def content(reference: KerasPredictor) -> bytes:
    return quantize(float_graph(reference.model, (16, 16, 3)), pictures(64, 1)[0], PLAIN).content


IMAGES, LABELS = pictures(96, 2)


def verified(reference: KerasPredictor, content: bytes, folder: Path, ready: Preprocessing = READY) -> Evidence:
    write_stamped(content, ready, folder / "model.tflite")
    return gather(folder / "model.tflite", reference, IMAGES, LABELS)


def titles(found: Evidence) -> set[str]:
    return {one.title for one in found.causes}


def test_a_file_that_is_right_passes_with_nothing_to_say_against_it(
    reference: KerasPredictor, content: bytes, tmp_path: Path
) -> None:
    found = verified(reference, content, tmp_path)

    assert found.passes, found.failures
    assert found.causes == ()
    assert found.model_right is not None
    assert found.model_right > 90
    assert found.floats == ()
    assert found.operators["CONV_2D"] == 9
    assert len(found.layers) == len(Graph(content).steps)
    assert min(one.noise for one in found.layers) > 20
    assert max(one.cut for one in found.layers) < 0.05
    shown = page(found, IMAGES)
    assert "It passes." in shown
    assert "<script" not in shown


def test_white_pixels_are_at_the_end_of_their_range_and_not_beyond_it(
    reference: KerasPredictor, content: bytes, tmp_path: Path
) -> None:
    write_stamped(content, READY, tmp_path / "model.tflite")
    white = np.full_like(IMAGES[:8], 255)

    found = gather(tmp_path / "model.tflite", reference, white, None, max_drop=100)

    assert found.layers[0].cut == 0
    assert found.layers[0].operator in ("MUL", "SUB", "ADD")


def test_an_equalised_file_passes_as_well(reference: KerasPredictor, tmp_path: Path) -> None:
    graph = float_graph(reference.model, (16, 16, 3))
    equalised = quantize(graph, pictures(64, 1)[0], replace(PLAIN, equalize=True, correct_bias=True)).content

    found = verified(reference, equalised, tmp_path)

    assert found.passes
    assert found.causes == ()
    assert min(one.noise for one in found.layers) > 15


def test_layers_that_are_all_zero_are_the_models_too(tmp_path: Path) -> None:
    untrained = build("resnet8", num_classes=4, preprocessing=READY, classifier_activation=None, seed=0)
    write_stamped(
        quantize(float_graph(untrained, (16, 16, 3)), IMAGES[:16], PLAIN).content, READY, tmp_path / "model.tflite"
    )

    found = gather(tmp_path / "model.tflite", KerasPredictor(untrained, READY), IMAGES, LABELS, max_drop=100)

    assert not {"weights are not the model's", "weights of fewer than eight bits"} & titles(found)


def changed(content: bytes, layer: int, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """A graph in which the weights of one layer are others."""
    graph = Graph(content)
    number = list(weighted(graph))[layer].inputs[1]
    values = graph.tensor(number).values
    assert values is not None
    graph.set_values(number, change(values).astype(values.dtype))
    return graph.packed()


def shuffled(values: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).permutation(values.ravel()).reshape(values.shape)


def quantized_with(reference: KerasPredictor, images: np.ndarray, model: keras.Model | None = None) -> bytes:
    return quantize(float_graph(model or reference.model, (16, 16, 3)), images, PLAIN).content


def test_shuffled_weights_are_found_in_their_layer(reference: KerasPredictor, content: bytes, tmp_path: Path) -> None:
    found = verified(reference, changed(content, 4, shuffled), tmp_path)

    assert not found.passes
    (cause,) = [one for one in found.causes if one.title == "weights are not the model's"]
    graph = Graph(content)
    assert cause.text.startswith(short_name(graph.tensor(list(weighted(graph))[4].output).name))
    assert "and 1 more" not in cause.text


def test_swapped_channels_are_found(reference: KerasPredictor, content: bytes, tmp_path: Path) -> None:
    found = verified(reference, changed(content, 0, lambda values: values[..., ::-1]), tmp_path)

    assert not found.passes
    assert "red and blue are swapped" in titles(found)


def test_another_normalisation_is_found(reference: KerasPredictor, tmp_path: Path) -> None:
    other = replace(READY, mean=(120.0, 110.0, 100.0))
    model = build("resnet8", num_classes=4, preprocessing=other, classifier_activation=None)
    own = {one.path: one for one in reference.model.weights}
    for one in model.weights:
        if one.path in own:
            one.assign(own[one.path])

    found = verified(reference, quantized_with(reference, pictures(64, 1)[0], model), tmp_path)

    assert not found.passes
    assert "another normalisation" in titles(found)


def test_swapped_labels_are_found(reference: KerasPredictor, content: bytes, tmp_path: Path) -> None:
    graph = Graph(content)
    last = list(weighted(graph))[-1]
    for number in last.inputs[1:3]:
        values = graph.tensor(number).values
        assert values is not None
        graph.set_values(number, values[[1, 0, 2, 3]])
    found = verified(reference, graph.packed(), tmp_path)
    named = verified(reference, content, tmp_path, replace(READY, class_names=("ant", "bee", *CLASSES[2:])))

    assert not found.passes
    (cause,) = [one for one in found.causes if one.title == "classes are swapped"]
    assert cause.text.startswith("bee becomes ant; ant becomes bee")
    assert "other class names, or another order of them" in titles(named)


def test_calibration_on_black_images_is_found(tmp_path: Path) -> None:
    """By MLPerf Tiny's network, which real pictures have taught: a toy's activations hardly depend on them."""
    folder = shared_data("mlperf-tiny")
    trained = open_predictor(keras.models.load_model(folder / "pretrainedResnet.h5", compile=False))
    assert isinstance(trained, KerasPredictor)
    with np.load(folder / "cifar10_raw_half.npz") as given:
        images, labels = given["x"][:120], given["y"].ravel()[:120].astype(np.int64)
    graph = float_graph(trained.model, (32, 32, 3))
    write_stamped(
        quantize(graph, np.zeros((8, 32, 32, 3), np.uint8), PLAIN).content,
        trained.preprocessing,
        tmp_path / "model.tflite",
    )

    found = gather(tmp_path / "model.tflite", trained, images, labels)

    assert "points lower" in found.failures[0]
    assert {"numbers are cut off", "the noise begins at one layer"} <= titles(found)


def test_an_outlier_channel_is_found(reference: KerasPredictor, tmp_path: Path) -> None:
    model = keras.models.clone_model(reference.model)
    model.set_weights(reference.model.get_weights())
    lead_by_one_channel(model)
    outlier = KerasPredictor(model, READY)

    write_stamped(quantized_with(outlier, pictures(64, 1)[0]), READY, tmp_path / "model.tflite")
    found = gather(tmp_path / "model.tflite", outlier, IMAGES, LABELS, max_drop=0.5)

    assert "one channel is much larger than all others" in titles(found)
    assert min(one.noise for one in found.layers) < 10


def test_another_resizing_is_found(reference: KerasPredictor, content: bytes, tmp_path: Path) -> None:
    other = replace(READY, fit=replace(READY.fit, resize="bicubic", crop_fraction=0.875))

    found = verified(reference, content, tmp_path, other)

    assert not found.passes
    (cause,) = [one for one in found.causes if one.title == "images are resized otherwise"]
    assert "16×16×3, bicubic, the centre of 0.875" in cause.text


def test_a_layer_of_four_bits_is_found(reference: KerasPredictor, content: bytes, tmp_path: Path) -> None:
    found = verified(reference, changed(content, 4, lambda values: np.rint(values / 18.2) * 18), tmp_path)

    (cause,) = [one for one in found.causes if one.title == "weights of fewer than eight bits"]
    graph = Graph(content)
    assert cause.text.startswith(short_name(graph.tensor(list(weighted(graph))[4].output).name))
    assert not found.passes


def onnx_of(content: bytes, path: Path) -> Path:
    path.write_bytes(stamped(onnx_model(content, "softmax"), READY))
    return path


def test_layers_of_an_onnx_file_have_the_noise_that_those_of_its_tflite_file_have(
    reference: KerasPredictor, content: bytes, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    tflite = verified(reference, content, tmp_path)

    integers = gather(onnx_of(content, tmp_path / "integers.onnx"), reference, IMAGES, LABELS)
    exact = float_graph(reference.model, (16, 16, 3))
    floats = gather(onnx_of(exact, tmp_path / "floats.onnx"), reference, IMAGES, LABELS)

    assert [(one.name, one.operator) for one in integers.layers] == [(one.name, one.operator) for one in tflite.layers]
    np.testing.assert_allclose(
        [one.noise for one in integers.layers], [one.noise for one in tflite.layers], rtol=0, atol=0.2
    )
    assert min(one.noise for one in floats.layers) > 100
    assert max(one.cut for one in floats.layers) == 0
    assert integers.macs == floats.macs == tflite.macs > 0
    assert "The worst layers" in page(integers, IMAGES)


@pytest.mark.parametrize("as_integers", [True, False])
def test_shuffled_weights_of_an_onnx_file_are_found_in_their_layer(
    as_integers: bool, reference: KerasPredictor, content: bytes, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    right = content if as_integers else float_graph(reference.model, (16, 16, 3))
    path = onnx_of(changed(right, 4, shuffled), tmp_path / "model.onnx")

    found = gather(path, reference, IMAGES, LABELS)

    assert not found.passes
    (cause,) = [one for one in found.causes if one.title == "weights are not the model's"]
    graph = Graph(right)
    assert cause.text.startswith(short_name(graph.tensor(list(weighted(graph))[4].output).name))
    assert "and 1 more" not in cause.text


def test_what_an_onnx_file_cuts_off_is_found(reference: KerasPredictor, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    dark = quantize(float_graph(reference.model, (16, 16, 3)), pictures(8, 1)[0] // 8, PLAIN).content

    found = gather(onnx_of(dark, tmp_path / "model.onnx"), reference, IMAGES, LABELS, max_drop=100)

    assert "numbers are cut off" in titles(found)


def test_a_file_whose_parts_do_not_fit_together_is_refused_though_its_digest_is_right(
    reference: KerasPredictor, content: bytes, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
    model = onnx_model(content, "softmax")
    kernel = next(node.input[1] for node in model.graph.node if node.op_type == "Conv")
    scale = next(node.input[1] for node in model.graph.node if node.output[0] == kernel)
    held = next(one for one in model.graph.initializer if one.name == scale)
    held.CopyFrom(onnx.numpy_helper.from_array(np.ones(2, np.float32), scale))
    (tmp_path / "model.onnx").write_bytes(stamped(model, READY))
    exact = Graph(float_graph(reference.model, (16, 16, 3)))

    with pytest.raises(ModelError, match="cannot be looked into"):
        weights_of(tmp_path / "model.onnx", exact)
    with pytest.raises(ModelError, match="cannot be looked into"):
        layers_of(tmp_path / "model.onnx", exact, IMAGES[:2], lambda what, done, total: None)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e38])
def test_weights_that_are_not_finite_are_noise_alone(bad: float, reference: KerasPredictor, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    exact = float_graph(reference.model, (16, 16, 3))
    path = onnx_of(changed(exact, 1, lambda values: np.full_like(values, bad)), tmp_path / "model.onnx")

    layers = layers_of(path, Graph(exact), IMAGES[:2], lambda what, done, total: None)

    assert min(one.noise for one in layers) < -100


def test_layers_of_an_openvino_network_are_the_models(reference: KerasPredictor, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")
    write_openvino(Material(reference.model, READY), tmp_path / "openvino")

    found = gather(tmp_path / "openvino", reference, IMAGES, LABELS)

    assert found.passes, found.failures
    assert sum(one.operator == "CONV_2D" for one in found.layers) == 9
    assert min(one.noise for one in found.layers) > 100

    other = keras.models.clone_model(reference.model)
    other.set_weights([shuffled(one) if one.ndim == 4 else one for one in reference.model.get_weights()])
    write_openvino(Material(other, READY), tmp_path / "openvino")
    causes = gather(tmp_path / "openvino", reference, IMAGES, None).causes
    (cause,) = [one for one in causes if one.title == "weights are not the model's"]
    assert cause.is_fatal
    assert "and 6 more" in cause.text


def test_hostile_names_stay_text_on_the_page(reference: KerasPredictor, content: bytes, tmp_path: Path) -> None:
    found = verified(reference, changed(content, 4, shuffled), tmp_path)
    shown = page(found, IMAGES)

    assert "<b>wasp</b>" not in shown
    assert "It does not pass." in shown
    assert shown.count("<figure>") == min(24, len(found.disagreements))


def test_what_a_runtime_did_not_fuse_is_on_the_page_and_in_the_evidence(
    reference: KerasPredictor, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = Kernels({"QLinearConv": 8, "Conv": 1}, ("1 Conv in floats (<i>stem</i>)",))

    def ask(name: str, path: Path, images: np.ndarray) -> Answered:
        return Answered(name, open_predictor(path).logits(images), kernels=kernels)

    monkeypatch.setattr(module, "ask", ask)
    found = verified(reference, content, tmp_path)

    assert found.to_dict()["runtimes"][0]["unfused"] == ("1 Conv in floats (<i>stem</i>)",)
    shown = page(found, IMAGES)
    assert "runs 8 QLinearConv, 1 Conv" in shown
    assert "1 Conv in floats (&lt;i&gt;stem&lt;/i&gt;)" in shown


def test_without_labels_agreement_decides(reference: KerasPredictor, content: bytes, tmp_path: Path) -> None:
    write_stamped(content, READY, tmp_path / "model.tflite")
    found = gather(tmp_path / "model.tflite", reference, IMAGES, None)
    write_stamped(changed(content, 4, shuffled), READY, tmp_path / "model.tflite")
    broken = gather(tmp_path / "model.tflite", reference, IMAGES, None)

    assert found.passes
    assert found.runtimes[0].difference is None
    assert any("weights are not the model's" in one for one in broken.failures)


def test_what_no_runtime_runs_is_refused(reference: KerasPredictor, tmp_path: Path) -> None:
    write_stamped(float_graph(reference.model, (16, 16, 3)), READY, tmp_path / "model.tflite")
    with pytest.raises(UsageError, match="none of which is installed"):
        gather(tmp_path / "model.tflite", reference, IMAGES, LABELS, runtimes=[])
    with pytest.raises(UsageError, match="no images"):
        gather(tmp_path / "model.tflite", reference, IMAGES[:0], None)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("m_1/bn_1/add;m_1/bn_1/mul;m_1/conv_7_1/convolution1", "conv_7_1"),
        ("m_1/relu/Relu;m_1/add_1/Add", "relu"),
        ("StatefulPartitionedCall:0", "logits"),
        ("PartitionedCall:0", "logits"),
    ],
)
def test_a_layer_is_called_by_the_one_with_weights(name: str, short: str) -> None:
    assert short_name(name) == short


@pytest.mark.parametrize(
    ("ready", "classes", "title"),
    [
        (replace(READY, fit=Fit((24, 24), 3)), 4, "images are resized otherwise"),
        (replace(READY, class_names=("a", "b", "c")), 3, "other class names, or another order of them"),
    ],
)
def test_a_file_of_another_size_or_with_other_classes_is_a_finding(
    reference: KerasPredictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ready: Preprocessing,
    classes: int,
    title: str,
) -> None:
    other = build("resnet8", num_classes=classes, preprocessing=ready, classifier_activation=None, seed=2)
    random = np.random.default_rng(0)
    if classes == 4:  # as a child that was given images of the wrong size
        monkeypatch.setattr(module, "ask", lambda name, path, images: Answered(name, None, "its process failed"))
    else:
        logits = random.normal(size=(len(IMAGES), 3)).astype(np.float32)
        monkeypatch.setattr(module, "ask", lambda name, path, images: Answered(name, logits))
    side = ready.fit.size[0]
    calibration = random.integers(0, 256, (4, side, side, 3), np.uint8)
    content = quantize(float_graph(other, (side, side, 3)), calibration, PLAIN).content

    found = verified(reference, content, tmp_path, ready)

    assert not found.passes
    assert title in titles(found)
    assert "It does not pass." in page(found, IMAGES)


def test_a_c_array_of_another_network_does_not_pass(reference: KerasPredictor, tmp_path: Path) -> None:
    folder = tmp_path / "tflm"
    write_micro(Material(reference.model, READY, pictures(16, 1)[0], PLAIN), folder)
    right = gather(folder, reference, IMAGES, LABELS)
    text = (folder / "model_data.cc").read_text()
    begin = text.index("0x")
    (folder / "model_data.cc").write_text(f"{text[:begin]}0x77{text[begin + 4 :]}")

    found = gather(folder, reference, IMAGES, LABELS)

    assert right.passes, right.failures
    assert not found.passes
    assert titles(found) == {"the C array is another network"}


def test_evidence_of_two_files_lies_side_by_side(reference: KerasPredictor, content: bytes, tmp_path: Path) -> None:
    found = verified(reference, content, tmp_path)
    other = replace(found, file=str(tmp_path / "other.tflite"))

    first = write_evidence(found, IMAGES, tmp_path, tmp_path / "model.tflite")
    second = write_evidence(other, IMAGES, tmp_path, tmp_path / "model.tflite")
    again = write_evidence(found, IMAGES, tmp_path, tmp_path / "model.tflite")

    assert [one.name for one in first] == ["verification.html", "verification.json"]
    assert [one.name for one in second] == ["other.tflite-verification.html", "other.tflite-verification.json"]
    assert again == first
