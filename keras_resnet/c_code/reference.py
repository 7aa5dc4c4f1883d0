"""LiteRT's reference kernels: what the C code must equal, to the last bit."""

from __future__ import annotations

from copy import copy

import numpy as np

from keras_resnet.quantize.graph import Graph, Step


def reference(content: bytes, batch: np.ndarray) -> np.ndarray:
    """What the reference kernels make of inputs.

    Args:
        content: The FlatBuffer.
        batch: Inputs (n, …), of the type of the graph's input, without its first side of one.

    Returns:
        Outputs (n, …), of the type of the graph's output.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    results = []
    for one in batch:
        interpreter.set_tensor(taken["index"], one[None])
        interpreter.invoke()
        results.append(interpreter.get_tensor(given["index"])[0])
    return np.stack(results)


def table(graph: Graph, step: Step) -> np.ndarray:
    """What an operator makes of each number that its one input may hold.

    Args:
        graph: The graph.
        step: Of one input and one output, each number of which is made of one number.

    Returns:
        256 bytes as int8, in the order of the input's bits read as 0 to 255.
    """
    numbers = np.arange(256, dtype=np.uint8).view(graph.tensor(step.inputs[0]).dtype)
    return reference(_alone(graph, step, len(numbers)), numbers[None])[0].view(np.int8)


def _alone(graph: Graph, step: Step, count: int) -> bytes:
    """A graph of one operator of another, for so many numbers."""
    import flatbuffers

    flat, schema = copy(graph.flat.operators[step.number]), graph.schema
    code = graph.model.operatorCodes[flat.opcodeIndex]
    flat.opcodeIndex, flat.inputs, flat.outputs = 0, [0], [1]
    tensors = [copy(graph.flat.tensors[number]) for number in (step.inputs[0], step.output)]
    for tensor in tensors:
        tensor.shape, tensor.shapeSignature, tensor.buffer = [1, count], None, 0
    subgraph, model = schema.SubGraphT(), schema.ModelT()
    subgraph.tensors, subgraph.operators, subgraph.inputs, subgraph.outputs = tensors, [flat], [0], [1]
    model.version, model.operatorCodes, model.subgraphs = graph.model.version, [code], [subgraph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(1 << 10)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
