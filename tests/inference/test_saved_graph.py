"""SavedModels with operations that reach out of the graph: refused by name, before anything runs."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from keras_resnet.errors import ModelError
from keras_resnet.inference.predictors import SavedModelPredictor
from keras_resnet.inference.saved_graph import check_saved_graph
from keras_resnet.preprocessing import Fit, Preprocessing

PREPROCESSING = Preprocessing(Fit((2, 2), 1), (127.0,), (74.0,), ("a", "b"))


class Network(tf.Module):
    """Logits from pixels, with a look aside."""

    def __init__(self, aside: Callable[[tf.Tensor], tf.Tensor]) -> None:
        super().__init__()
        self.kernel = tf.Variable(tf.ones((4, 2)))
        self.aside = aside

    @tf.function(input_signature=[tf.TensorSpec((None, 2, 2, 1), tf.uint8, name="image")], autograph=False)
    def serve(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        flat = tf.reshape(tf.cast(image, tf.float32), (-1, 4))
        return {"logits": self.aside(flat @ self.kernel)}


def saved(folder: Path, aside: Callable[[tf.Tensor], tf.Tensor]) -> Path:
    network = Network(aside)
    tf.saved_model.save(network, str(folder), signatures={"serving_default": network.serve.get_concrete_function()})
    return folder


def times(logits: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """The logits; the number is computed, too."""
    return logits + 0.0 * tf.cast(number, tf.float32)


def length(text: tf.Tensor) -> tf.Tensor:
    return tf.strings.length(text)


def written(logits: tf.Tensor, path: str) -> tf.Tensor:
    with tf.control_dependencies([tf.io.write_file(path, "x")]):
        return tf.identity(logits)


def restored(logits: tf.Tensor, path: str) -> tf.Tensor:
    (found,) = tf.raw_ops.RestoreV2(prefix=path, tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32])
    return times(logits, tf.reduce_sum(found))


def branched(logits: tf.Tensor, path: str) -> tf.Tensor:
    return tf.cond(tf.reduce_sum(logits) > 0, lambda: written(logits, path), lambda: logits)


def looped(logits: tf.Tensor, path: str) -> tf.Tensor:
    def more(number: tf.Tensor, so_far: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return number + 1, times(so_far, length(tf.io.read_file(path)))

    return tf.while_loop(lambda number, _: number < 2, more, (0, logits))[1]


ASIDE: dict[str, Callable[[tf.Tensor, str], tf.Tensor]] = {
    "ReadFile": lambda logits, path: times(logits, length(tf.io.read_file(path))),
    "WriteFile": written,
    "MatchingFiles": lambda logits, path: times(logits, tf.size(tf.io.matching_files(path))),
    "EagerPyFunc": lambda logits, _: tf.reshape(tf.py_function(lambda x: x, [logits], tf.float32), (-1, 2)),
    "PyFunc": lambda logits, _: tf.reshape(tf.numpy_function(lambda x: x, [logits], tf.float32), (-1, 2)),
    "ImmutableConst": lambda logits, path: times(
        logits, tf.raw_ops.ImmutableConst(dtype=tf.float32, shape=[], memory_region_name=path)
    ),
    "PrintV2": lambda logits, path: _printed(logits, path),
    "RestoreV2": restored,
}


def _printed(logits: tf.Tensor, path: str) -> tf.Tensor:
    with tf.control_dependencies([tf.print("x", output_stream=f"file://{path}")]):
        return tf.identity(logits)


@pytest.mark.parametrize("operation", ASIDE)
def test_an_operation_that_reaches_out_of_the_graph_is_refused_by_name(operation: str, tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    folder = saved(tmp_path / "model", lambda logits: ASIDE[operation](logits, path))

    with pytest.raises(ModelError, match=rf"model is refused: its graph has the operation {operation} \("):
        SavedModelPredictor(folder, PREPROCESSING)

    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(("aside", "operation"), [(branched, "WriteFile"), (looped, "ReadFile")])
def test_branches_and_loops_are_looked_at(
    aside: Callable[[tf.Tensor, str], tf.Tensor], operation: str, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "model", lambda logits: aside(logits, str(tmp_path / "file")))

    with pytest.raises(ModelError, match=f"the operation {operation} "):
        check_saved_graph(folder)


def test_what_a_network_needs_is_let_through(tmp_path: Path) -> None:
    def aside(logits: tf.Tensor) -> tf.Tensor:
        tf.debugging.assert_less(tf.reduce_max(logits), 1e9)
        noise = tf.random.uniform(())
        return tf.cond(noise < 2, lambda: logits, lambda: tf.while_loop(lambda x: True, lambda x: x, [logits])[0])

    predictor = SavedModelPredictor(saved(tmp_path / "model", aside), PREPROCESSING)

    assert predictor.logits(np.ones((1, 2, 2, 1), np.uint8)).tolist() == [[4.0, 4.0]]


def test_a_model_that_keras_exports_is_let_through(tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((8, 8, 3)), layers.Conv2D(2, 3), layers.BatchNormalization(), layers.Dropout(0.5)]
    )
    model.export(tmp_path / "model", verbose=False)

    check_saved_graph(tmp_path / "model")


def changed(folder: Path, change: Callable[[SavedModel], None]) -> Path:
    file = folder / "saved_model.pb"
    content = SavedModel.FromString(file.read_bytes())
    change(content)
    file.write_bytes(content.SerializeToString())
    return folder


def feed_a_name(content: SavedModel) -> None:
    """Let a constant stand where the file's name is fed in, so that the saver would run."""
    (node,) = (node for node in content.meta_graphs[0].graph_def.node if node.name == "saver_filename")
    node.op = "Const"


def serve_the_saver(content: SavedModel) -> None:
    """Let the model's objects call the function that restores."""
    meta = content.meta_graphs[0]
    (name,) = (one.signature.name for one in meta.graph_def.library.function if "restore" in one.signature.name)
    one = next(one for one in meta.object_graph_def.nodes if one.WhichOneof("kind") == "function")
    one.function.concrete_functions[0] = name


def call_the_saver(content: SavedModel) -> None:
    """Let a function of the network call the function that restores, as an operation."""
    library = content.meta_graphs[0].graph_def.library.function
    (name,) = (one.signature.name for one in library if "restore" in one.signature.name)
    next(one for one in library if "serve" in one.signature.name).node_def.add(op=name, name="aside")


@pytest.mark.parametrize("change", [feed_a_name, serve_the_saver, call_the_saver])
def test_the_savers_operations_are_refused_where_they_could_run(
    change: Callable[[SavedModel], None], tmp_path: Path
) -> None:
    folder = saved(tmp_path / "model", lambda logits: logits)
    check_saved_graph(folder)

    with pytest.raises(
        ModelError, match=r"has the operation (RestoreV2|ShardedFilename|SaveV2|StaticRegexFullMatch|StringJoin) "
    ):
        check_saved_graph(changed(folder, change))


def test_a_graph_of_tensorflow_1_and_an_unknown_operation_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", lambda logits: logits)

    def unknown(content: SavedModel) -> None:
        content.meta_graphs[0].graph_def.node.add(op="Telephone", name="aside")

    with pytest.raises(ModelError, match=r"the operation Telephone \(aside\), which this TensorFlow does not have"):
        check_saved_graph(changed(folder, unknown))
    with pytest.raises(ModelError, match="a SavedModel of TensorFlow 1"):
        check_saved_graph(changed(folder, lambda content: content.meta_graphs[0].ClearField("object_graph_def")))
    (folder / "saved_model.pb").write_bytes(b"\xff" * 20)
    with pytest.raises(ModelError, match="cannot be read as a SavedModel"):
        check_saved_graph(folder)
