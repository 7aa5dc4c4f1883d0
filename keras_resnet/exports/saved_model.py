"""A SavedModel: raw pixels in, logits and probabilities out, no Keras needed to run it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import keras

from keras_resnet.atomic import write_folder_with
from keras_resnet.plain_paths import plain_path
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.stamp import write_stamp
from keras_resnet.tasks.table import task

if TYPE_CHECKING:
    import tensorflow as tf


def write_saved_model(model: keras.Model, preprocessing: Preprocessing, path: Path) -> Path:
    """Export a model as a SavedModel folder.

    Its signature `serving_default` takes `image`, uint8 (batch, height, width, channels); `serving_encoded` takes
    `encoded`, strings (batch,): JPEG or PNG files of any size, which TensorFlow decodes and resizes as the
    preprocessing says, to within a level of what Pillow makes of them. It does not turn photographs by their
    EXIF data, nor lay what is transparent over a background. Both give `logits` and `probabilities`, float32 (batch,
    number of classes).

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

    def serve_encoded(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tf.map_fn(lambda one: decoded(one, preprocessing.fit), encoded, fn_output_signature=tf.float32)
        return serve(pixels)

    def write(folder: Path) -> None:
        archive = keras.export.ExportArchive()
        archive.track(model)
        spec = tf.TensorSpec((None, *preprocessing.input_shape), tf.uint8, name="image")
        archive.add_endpoint("serve", serve, input_signature=[spec])
        if preprocessing.fit.channels in (1, 3):
            strings = tf.TensorSpec((None,), tf.string, name="encoded")
            archive.add_endpoint("serving_encoded", serve_encoded, input_signature=[strings])
        with plain_path(folder) as plain:
            archive.write_out(str(plain), verbose=False)
        write_stamp(folder, preprocessing)

    write_folder_with(path, write)
    return path


def decoded(content: tf.Tensor, fit: Fit) -> tf.Tensor:
    """An image file as the pixels that a network takes, by TensorFlow's operators alone.

    Args:
        content: A string.
        fit: How the image becomes pixels.

    Returns:
        float32 (*fit.shape), whole numbers in 0–255.
    """
    import tensorflow as tf

    image = tf.io.decode_image(content, channels=fit.channels, expand_animations=False)
    image.set_shape((None, None, fit.channels))
    height, width = fit.size
    whole = tf.constant((height, width))
    if fit.crop_fraction is not None:
        sides = tf.cast(tf.shape(image)[:2], tf.float64)
        wanted = tf.constant([int(height / fit.crop_fraction), int(width / fit.crop_fraction)], tf.float64)
        scale = tf.reduce_max(wanted / sides)
        whole = tf.maximum(whole, tf.cast(sides * scale + 1e-9, tf.int32))
    # Pillow resizes across, then down, and rounds to a byte after each.
    resized = tf.cast(image, tf.float32)
    for size in ((tf.shape(image)[0], whole[1]), (whole[0], whole[1])):
        resized = tf.clip_by_value(tf.round(tf.image.resize(resized, size, fit.resize, antialias=True)), 0.0, 255.0)
    # Halves are rounded to the even number, as Python rounds where images are decoded for training.
    offset = tf.cast(tf.round(tf.cast(whole - (height, width), tf.float32) / 2), tf.int32)
    return tf.slice(resized, [offset[0], offset[1], 0], [height, width, fit.channels])
