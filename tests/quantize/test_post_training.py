"""Post-training quantisation of real `.tflite` graphs, made once for the module."""

from importlib.util import find_spec

import numpy as np
import pytest

from keras_resnet.errors import UsageError
from keras_resnet.exports.tflite import check_integer, float_graph
from keras_resnet.models.resnet import build
from keras_resnet.quantize.equalization import equalize
from keras_resnet.quantize.graph import ALIGNMENT, Graph, macs, weighted
from keras_resnet.quantize.post_training import Quantization, above_noise, corrected, logits_of, quantize
from keras_resnet.quantize.ranges import observe

pytest.importorskip("ai_edge_litert", reason="the extra 'edge' is not installed")

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def model() -> object:
    return build("resnet8", input_shape=(8, 8, 3), num_classes=5, classifier_activation=None, seed=3)


@pytest.fixture(scope="module")
def content(model: object) -> bytes:
    return float_graph(model, (8, 8, 3))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plain(content: bytes) -> bytes:
    return quantize(content, IMAGES, Quantization(ranges="minmax", equalize=False, correct_bias=False)).content


def test_a_graph_is_read_and_written_again_with_aligned_constants(content: bytes) -> None:
    graph = Graph(content)
    again = graph.packed()

    np.testing.assert_array_equal(logits_of(again, IMAGES), logits_of(content, IMAGES))
    assert graph.tensor(graph.input).shape == (1, 8, 8, 3)
    assert graph.tensor(graph.output).shape == (1, 5)
    for tensor in Graph(again).tensors:
        if tensor.values is not None and tensor.values.nbytes >= ALIGNMENT and np.ptp(tensor.values):
            assert again.index(tensor.values.tobytes()) % ALIGNMENT == 0, tensor.name


def test_multiply_accumulates_are_those_of_the_model(content: bytes) -> None:
    stem, first = 8 * 8 * 16 * 27, 2 * 8 * 8 * 16 * 9 * 16
    second, third = (side**2 * width * (9 * width // 2 + 9 * width + width // 2) for side, width in ((4, 32), (2, 64)))

    assert sum(macs(Graph(content)).values()) == stem + first + second + third + 64 * 5


def test_equalised_channels_compute_the_same_and_are_more_even(content: bytes) -> None:
    graph = Graph(content)
    for one in weighted(graph):  # uneven as after a training
        weights = graph.tensor(one.inputs[1]).values
        assert weights is not None
        factors = np.geomspace(0.1, 10, len(weights)).astype(np.float32)
        graph.set_values(one.inputs[1], weights * factors.reshape(-1, *[1] * (weights.ndim - 1)))
    before = graph.packed()

    pairs = equalize(graph)

    assert pairs == 3, "the two layers of each block; what a shortcut reads as well is left"
    expected = logits_of(before, IMAGES)
    np.testing.assert_allclose(logits_of(graph.packed(), IMAGES), expected, rtol=1e-4, atol=1e-4 * np.ptp(expected))


def test_a_quantised_graph_is_all_integer_takes_exact_pixels_and_is_near(content: bytes, plain: bytes) -> None:
    check_integer(plain)
    taken = Graph(plain).tensor(Graph(plain).input)
    assert (taken.scales.tolist(), taken.zeros.tolist(), taken.dtype) == ([1.0], [-128], np.int8)
    assert above_noise(logits_of(content, IMAGES), logits_of(plain, IMAGES)) > 15


def test_what_is_not_said_is_tried_and_the_best_is_taken(content: bytes) -> None:
    found = quantize(content, IMAGES, Quantization(correct_bias=False))

    assert len(found.noise) == 8
    assert found.noise[found.how] == max(found.noise.values())
    exact = logits_of(content, IMAGES)
    assert above_noise(exact, logits_of(found.content, IMAGES)) == pytest.approx(found.noise[found.how])
    assert found.how.in_words in found.remarks[0]


def test_corrected_biases_take_back_the_mean_error_of_rounded_weights(content: bytes, plain: bytes) -> None:
    graph, spoiled = Graph(content), Graph(plain)
    step = next(weighted(spoiled))
    weights = spoiled.tensor(step.inputs[1])
    assert weights.values is not None
    spoiled.set_values(weights.number, np.clip(weights.values.astype(np.int16) + 6, -127, 127).astype(np.int8))
    exact = logits_of(content, IMAGES)
    before = above_noise(exact, logits_of(spoiled.packed(), IMAGES))

    after = above_noise(exact, logits_of(corrected(spoiled.packed(), graph, observe(content, IMAGES)), IMAGES))

    assert after > before + 3


def test_pixels_may_go_in_as_they_are(content: bytes) -> None:
    how = Quantization(ranges="minmax", equalize=False, correct_bias=False, io="uint8")
    graph = Graph(quantize(content, IMAGES, how).content)
    taken = graph.tensor(graph.input)

    assert (taken.dtype, taken.scales.tolist(), taken.zeros.tolist()) == (np.uint8, [1.0], [0])
    assert graph.tensor(graph.output).dtype == np.uint8


@pytest.mark.skipif(find_spec("litert_quantizer") is None, reason="the extra 'quantizer' is not installed")
def test_the_other_engine_gives_nearly_the_same(content: bytes, plain: bytes) -> None:
    how = Quantization(ranges="minmax", equalize=False, correct_bias=False, engine="litert-quantizer")
    found = quantize(content, IMAGES, how).content

    check_integer(found)
    ours, theirs = logits_of(plain, IMAGES), logits_of(found, IMAGES)
    assert np.abs(ours - theirs).max() <= 3 * Graph(plain).tensor(Graph(plain).output).scales[0]


def test_layers_are_not_widened_in_a_file_with_other_types_at_its_ends() -> None:
    with pytest.raises(UsageError, match="leave io out, or max_drop"):
        Quantization(io="uint8", max_drop=1.0)


@pytest.mark.parametrize("wrong", [{"ranges": "max"}, {"io": "int16"}, {"engine": "onnx"}])
def test_choices_that_there_are_not_are_refused(wrong: dict[str, str]) -> None:
    (name,) = wrong
    with pytest.raises(UsageError, match=f"^{name} must be one of"):
        Quantization(**wrong)  # type: ignore[arg-type]
