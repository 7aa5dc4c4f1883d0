import numpy as np
import pytest

from keras_resnet.errors import ModelError
from keras_resnet.exports.tflite import float_graph
from keras_resnet.models.resnet import build
from keras_resnet.quantize.graph import Graph

pytest.importorskip("ai_edge_litert", reason="the extra 'edge' is not installed")


def _structure(content: bytes) -> list[int]:
    """Where no constant lies: any numbers are weights."""
    free = np.ones(len(content), bool)
    for buffer in Graph(content).model.buffers:
        held = b"" if buffer.data is None else bytes(buffer.data)
        if len(held) > 64:
            begin = content.index(held)
            free[begin - 4 : begin + len(held)] = False
    return [int(one) for one in np.flatnonzero(free)[8:-4]]


def test_a_graph_that_is_damaged_where_no_runtime_looks_is_one_error() -> None:
    content = float_graph(
        build("resnet8", num_classes=2, input_shape=(8, 8, 3), classifier_activation=None, seed=0), (8, 8, 3)
    )
    random, refused = np.random.default_rng(0), 0
    structure = _structure(content)

    for _ in range(60):
        damaged = bytearray(content)
        at = int(random.choice(structure))
        damaged[at : at + 4] = random.integers(0, 256, 4).astype(np.uint8).tobytes()
        try:
            Graph(bytes(damaged))
        except ModelError:  # and no other
            refused += 1

    assert refused > 5
