"""A SavedModel: raw pixels in, logits and probabilities out, no Keras needed to run it."""

from __future__ import annotations

from pathlib import Path

import keras

from keras_resnet.atomic import write_folder_with
from keras_resnet.plain_paths import plain_path
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.stamp import write_stamp
from keras_resnet.tasks.table import task


def write_saved_model(model: keras.Model, preprocessing: Preprocessing, path: Path) -> Path:
    """Export a model as a SavedModel folder.

    Its signature `serving_default` takes `image`, uint8 (batch, height, width, channels), and
    gives `logits` and `probabilities`, float32 (batch, number of classes).

    Args:
        model: Raw pixels in, logits out.
        preprocessing: Stored in the folder; its task says what makes probabilities of logits.
        path: The folder to write, replaced as a whole.

    Returns:
        The path.
    """
    import tensorflow as tf

    activation = keras.activations.get(task(preprocessing.task, preprocessing.class_names).activation)

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = model(tf.cast(image, tf.float32), training=False)
        return {"logits": logits, "probabilities": activation(logits)}

    def write(folder: Path) -> None:
        archive = keras.export.ExportArchive()
        archive.track(model)
        spec = tf.TensorSpec((None, *preprocessing.input_shape), tf.uint8, name="image")
        archive.add_endpoint("serve", serve, input_signature=[spec])
        with plain_path(folder) as plain:
            archive.write_out(str(plain), verbose=False)
        write_stamp(folder, preprocessing)

    write_folder_with(path, write)
    return path
