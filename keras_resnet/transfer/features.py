"""What a network makes of images before its classifier. It is computed once: kept on disk by weights and pixels."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_resnet.atomic import storage_errors
from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.data.cache import cache_folder
from keras_resnet.data.images import Split
from keras_resnet.errors import KerasResNetError, StorageError, UsageError
from keras_resnet.weights.files import DIGEST, read_tensors, tensor_digest
from keras_resnet.weights.saving import write_tensors

logger = logging.getLogger(__name__)

BATCH = 32
"""Images that are computed at once."""
DIGEST_BYTES = 16
"""Of the SHA-256 of an image's pixels, by which its features are found again."""


def pooled(network: keras.Model) -> keras.Model:
    """The part of a network up to what its classifier reads, which has the same layers.

    Args:
        network: Whose last `Dense` layer is its classifier.

    Returns:
        From the network's input to float (batch, features).

    Raises:
        UsageError: The network has no `Dense` layer.
    """
    dense = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
    if not dense:
        raise UsageError(f"{network.name} has no classifier (a Dense layer), before which its features would be")
    with deep_recursion():
        return keras.Model(network.input, dense[-1].input, name=f"{network.name}_features")


def image_features(
    network: keras.Model,
    images: Split | Iterable[np.ndarray],
    *,
    mirrored: bool = False,
    cached: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """What the classifier of a network reads of each image.

    Args:
        network: It takes the images' pixels, 0–255.
        images: A split, or images one after the other, uint8 (height, width, channels), all of one size.
        mirrored: Of the images with left and right exchanged.
        cached: Look in the cache folder (`$KERAS_RESNET_CACHE`) for what was computed before, and leave there what is
            computed now.
        progress: Called with the images that are done and, of a split, all images; else 0.

    Returns:
        float32 (images, features), in their order.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data("digits", limit=100)
        >>> network = keras_resnet.ResNet8(num_classes=10, input_shape=(16, 16, 1), seed=0)
        >>> keras_resnet.image_features(network, digits.test, cached=False).shape
        (20, 64)
    """
    model = pooled(network)
    total = len(images) if isinstance(images, Split) else 0

    @tf.function(input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)], autograph=False)
    def call(pixels: tf.Tensor) -> tf.Tensor:
        return tf.cast(model(tf.cast(pixels, tf.float32), training=False), tf.float32)

    kept = _Kept(model) if cached else None
    known = kept.read() if kept else {}
    computed: dict[bytes, np.ndarray] = {}
    found: list[np.ndarray] = []
    try:
        for batch in _batches(images):
            pixels = np.ascontiguousarray(batch[:, :, ::-1] if mirrored else batch)
            digests = [hashlib.sha256(image).digest()[:DIGEST_BYTES] for image in pixels]
            new = [number for number, digest in enumerate(digests) if digest not in known]
            if new:
                rows = call(tf.constant(pixels[new])).numpy()
                fresh = {digests[number]: row for number, row in zip(new, rows, strict=True)}
                known |= fresh
                computed |= fresh
            found += [known[digest] for digest in digests]
            if progress:
                progress(len(found), total)
    finally:  # also where it was interrupted: it goes on from there
        if kept and computed:
            kept.write(known)
    width = model.output_shape[-1]
    return np.stack(found) if found else np.zeros((0, width), np.float32)


def _batches(images: Split | Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    if isinstance(images, Split):
        for begin in range(0, len(images), BATCH):
            yield images.read(np.arange(begin, min(begin + BATCH, len(images))))
        return
    one_by_one = iter(images)
    while batch := list(islice(one_by_one, BATCH)):
        yield np.stack(batch)


class _Kept:
    """The features on disk of one network with its weights: a file. One that is damaged is computed again."""

    def __init__(self, model: keras.Model) -> None:
        graph = hashlib.sha256(json.dumps(model.get_config(), sort_keys=True, default=str).encode()).hexdigest()
        weights = tensor_digest({f"{number:06d}": one.numpy() for number, one in enumerate(model.weights)})
        name = hashlib.sha256(f"{graph} {weights}".encode()).hexdigest()[:32]
        self.path: Path = cache_folder() / "features" / f"{name}.safetensors"
        self.width = model.output_shape[-1]

    def read(self) -> dict[bytes, np.ndarray]:
        if not self.path.is_file():
            return {}
        try:
            tensors, _ = read_tensors(self.path)
            digests, features = tensors["digests"], tensors["features"]
        except (KerasResNetError, KeyError) as error:
            logger.warning("%s is computed again: %s", self.path, error)
            return {}
        if digests.shape != (len(features), DIGEST_BYTES) or features.shape[1:] != (self.width,):
            return {}
        return dict(zip((digest.tobytes() for digest in digests), features, strict=True))

    def write(self, known: dict[bytes, np.ndarray]) -> None:
        digests = np.frombuffer(b"".join(known), np.uint8).reshape(-1, DIGEST_BYTES)
        tensors = {"digests": digests, "features": np.stack(list(known.values()))}
        try:
            with storage_errors(self.path.parent):
                self.path.parent.mkdir(parents=True, exist_ok=True)
            write_tensors(tensors, self.path, {DIGEST: tensor_digest(tensors)})
        except StorageError as error:
            logger.warning("features are not kept for the next time: %s", error)
