"""Layers that are computed more finely than in eight bits."""

from collections.abc import Callable

import numpy as np
import pytest

from keras_resnet.exports.tflite import check_integer, float_graph
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.quantize.equalization import neighbour
from keras_resnet.quantize.graph import Graph, weighted
from keras_resnet.quantize.post_training import Quantization, Quantized, above_noise, logits_of, quantize
from keras_resnet.quantize.widening import candidates, sensitivity, widen_until, widened
from tests.exports.outlier import enliven

pytest.importorskip("ai_edge_litert", reason="the extra 'edge' is not installed")

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 12, 12, 3), np.uint8)


@pytest.fixture(scope="module")
def content() -> bytes:
    """A graph in which a channel that nobody reads leads the range of a tensor."""
    network = spec("resnet8", depths=(1, 1), widths=(16, 32), attention="se")
    model = build(network, input_shape=(12, 12, 3), num_classes=4, classifier_activation=None, seed=1)
    enliven(model)
    graph = Graph(float_graph(model, (12, 12, 3)))
    first, second = next(pair for step in weighted(graph) if (pair := neighbour(graph, step)))
    for number, factor in ((first.inputs[1], 300), (first.inputs[2], 300), (second.inputs[1], 0)):
        values = graph.tensor(number).values
        assert values is not None
        changed = values.copy()
        changed[(..., 3) if factor == 0 else 3] *= factor
        graph.set_values(number, changed)
    return graph.packed()


@pytest.fixture(scope="module")
def quantized(content: bytes) -> Quantized:
    return quantize(content, IMAGES, Quantization("minmax", False, False))


@pytest.fixture(scope="module")
def measure(content: bytes) -> Callable[[bytes], float]:
    exact = logits_of(content, IMAGES)
    return lambda graph: above_noise(exact, logits_of(graph, IMAGES))


@pytest.mark.parametrize(("target", "gain"), [("int16", 5.0), ("float", 12.0)])
def test_with_all_layers_wide_little_noise_is_left(
    quantized: Quantized, measure: Callable[[bytes], float], target: str, gain: float
) -> None:
    numbers = candidates(Graph(quantized.content))

    found = widened(quantized.content, Graph(quantized.origin), numbers, target)

    assert measure(found) > measure(quantized.content) + gain
    graph = Graph(found)
    assert graph.tensor(graph.input).dtype == graph.tensor(graph.output).dtype == np.int8
    if target == "int16":
        check_integer(found)
        biases = [graph.tensor(step.inputs[2]) for step in weighted(graph)]
        assert all(one.dtype == np.int64 for one in biases[1:-1])


def test_one_wide_tensor_changes_its_step_and_its_readers_alone(quantized: Quantized) -> None:
    graph = Graph(quantized.content)
    number = candidates(graph)[2]
    found = Graph(widened(quantized.content, Graph(quantized.origin), [number], "int16"))

    of_16_bits = {step.operator for step in found.steps if found.tensor(step.output).dtype == np.int16}
    assert "QUANTIZE" in of_16_bits
    wide = sum(found.tensor(step.output).dtype == np.int16 for step in found.steps if step.operator != "QUANTIZE")
    assert wide == 1 + len(graph.readers(number))
    assert len(found.steps) > len(graph.steps)


def test_layers_are_widened_from_the_most_sensitive_one_until_it_is_enough(
    quantized: Quantized, measure: Callable[[bytes], float]
) -> None:
    exact = Graph(quantized.origin)
    order = sensitivity(quantized.content, exact, "int16", measure)
    gains = [gain for _, gain in order]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > 3
    wanted = measure(quantized.content) + gains[0] - 0.01

    found = widen_until(quantized.content, exact, "int16", measure, lambda graph: measure(graph) >= wanted)
    impossible = widen_until(quantized.content, exact, "int16", measure, lambda graph: False)

    assert found is not None
    content, names = found
    assert names == [Graph(quantized.content).tensor(order[0][0]).name]
    assert measure(content) >= wanted
    assert impossible is None
