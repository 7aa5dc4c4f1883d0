"""The operations of a SavedModel, looked through before any of them runs: a stranger's file must not touch ours.

A graph may read files, write them, call Python or open connections, and TensorFlow runs parts of it while it loads. A
network needs none of that: it computes with numbers, and its only state is its variables. So two kinds of operations
are refused: those that TensorFlow itself declares to have state, other than variables and random numbers, and those
that take text, which in practice is the name of a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_resnet.errors import ModelError
from keras_resnet.regular_files import read_bytes

if TYPE_CHECKING:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

VARIABLES = """VarHandleOp ReadVariableOp AssignVariableOp AssignAddVariableOp AssignSubVariableOp VarIsInitializedOp
    ResourceGather ResourceGatherNd DisableCopyOnRead"""
CALLS = "StatefulPartitionedCall If While Case"  # of functions, whose operations are looked at as well
RANDOM = """RandomUniform RandomUniformInt RandomStandardNormal ParameterizedTruncatedNormal TruncatedNormal
    RandomShuffle Multinomial RandomGamma RngSkip RngReadAndSkip StatefulUniform StatefulStandardNormalV2
    StatefulTruncatedNormal"""
DECODERS = "DecodeImage"  # of `serving_encoded`: it takes an image's bytes, and opens no file
HARMLESS = frozenset([*VARIABLES.split(), *CALLS.split(), *RANDOM.split(), DECODERS, "Assert"])
"""Operations with state, or that take text, that networks have."""

OUTSIDE = {
    "ImmutableConst": "maps a file into memory",
    "EncodeProto": "reads a file of descriptions",
    "PyFuncStateless": "calls Python",
    "MlirPassthroughOp": "holds a program of its own",
    "DebugIdentity": "writes tensors to a URL",
    "DebugNanCount": "writes figures to a URL",
    "DebugNumericSummary": "writes figures to a URL",
    "Copy": "may write tensors to a URL",
    "CopyHost": "may write tensors to a URL",
    "Abort": "ends the process",
}
"""Operations that TensorFlow declares to have neither state nor text as input: they name it in attributes."""

SAVER = frozenset(
    ["SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename", "StringJoin", "StaticRegexFullMatch"]
)
"""Every SavedModel has these, in two functions that are run only by who gives them a file's name."""


def check_saved_graph(folder: Path) -> None:
    """Refuse a SavedModel whose graph could do more than compute, or whose fingerprint is damaged.

    Args:
        folder: With `saved_model.pb` in it.

    Raises:
        ModelError: The file is damaged, or has such an operation; the message names it.
        OSError: It cannot be read.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    try:
        saved = SavedModel.FromString(read_bytes(folder / "saved_model.pb"))
    except DecodeError as error:
        raise ModelError(f"{folder} cannot be read as a SavedModel: {error}") from None
    _check_fingerprint(folder)
    for meta in saved.meta_graphs:
        if not meta.HasField("object_graph_def"):  # TensorFlow would run the restoring part of its graph
            raise ModelError(f"{folder} is a SavedModel of TensorFlow 1, which this package does not write")
        _check_graph(meta, folder)


def _check_fingerprint(folder: Path) -> None:
    """Refuse what TensorFlow would load after a traceback in its log. It does without a fingerprint, too."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef

    try:
        FingerprintDef.FromString(read_bytes(folder / "fingerprint.pb"))
    except FileNotFoundError:
        return
    except DecodeError as error:
        raise ModelError(
            f"{folder} cannot be read as a SavedModel: fingerprint.pb is damaged ({error}), and other parts "
            "may be: copy the folder anew, or remove that file if the model is known to be whole"
        ) from None


def _check_graph(meta: Any, folder: Path) -> None:
    functions = {one.signature.name: one for one in meta.graph_def.library.function}
    saving = _saving_calls(meta)
    savers = _reached([node for node in meta.graph_def.node if node.name in saving], functions)
    others = [node for node in meta.graph_def.node if node.name not in saving]
    others += [node for name, one in functions.items() if name not in savers for node in one.node_def]
    # What the objects of the model call by name may be called, whatever else calls it.
    named = {*meta.object_graph_def.concrete_functions}
    for one in meta.object_graph_def.nodes:
        named |= {*one.function.concrete_functions, one.bare_concrete_function.concrete_function_name}
    called = _reached(others, functions) | _closure(named & functions.keys(), functions)
    for name, one in functions.items():
        allowed = HARMLESS | SAVER if name in savers and name not in called else HARMLESS
        _check_nodes(one.node_def, allowed, functions, folder)
    _check_nodes(meta.graph_def.node, HARMLESS, functions, folder)


def _saving_calls(meta: Any) -> set[str]:
    """The nodes that save and restore: they cannot run unless a file's name is fed in, since that is a placeholder."""
    nodes = {node.name: node for node in meta.graph_def.node}
    found = set()
    for tensor in (meta.saver_def.save_tensor_name, meta.saver_def.restore_op_name):
        node = nodes.get(tensor.partition(":")[0])
        source = nodes.get(node.input[0].partition(":")[0]) if node is not None and node.input else None
        if node is not None and source is not None and source.op == "Placeholder":
            found.add(node.name)
    return found


def _reached(nodes: Iterable[NodeDef], functions: dict[str, Any]) -> set[str]:
    """The functions that nodes call, and those that these call."""
    return _closure({name for node in nodes for name in _functions_of(node)} & functions.keys(), functions)


def _closure(names: set[str], functions: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        inside = {called for node in functions[name].node_def for called in _functions_of(node)}
        waiting |= (inside & functions.keys()) - found
    return found


def _functions_of(node: NodeDef) -> set[str]:
    names = {node.op}  # a function may be called like an operation
    for value in node.attr.values():
        names.add(value.func.name)
        names |= {one.name for one in value.list.func}
    return names


def _check_nodes(nodes: Iterable[NodeDef], allowed: frozenset[str], functions: dict[str, Any], folder: Path) -> None:
    for node in nodes:
        if node.op in functions or node.op in allowed:
            continue
        if reason := _reason_against(node.op):
            raise ModelError(
                f"{folder} is refused: its graph has the operation {node.op} ({node.name}), which {reason}; a network "
                "computes with numbers alone"
            )


def _reason_against(operation: str) -> str | None:
    # There is no public way to what TensorFlow knows of an operation without making one.
    from tensorflow.core.framework.types_pb2 import DT_STRING
    from tensorflow.python.framework import op_def_registry

    if operation in OUTSIDE:
        return OUTSIDE[operation]
    known = op_def_registry.get(operation)
    if known is None:
        return "this TensorFlow does not have"
    if any(argument.type == DT_STRING for argument in known.input_arg):
        return "takes text, such as the name of a file"
    return "may change something outside of the network" if known.is_stateful else None
