"""A trained network for images of one's own, whatever file it lies in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np

from keras_resnet.data.sources.listing import Listing
from keras_resnet.errors import UsageError
from keras_resnet.images.decode import decode
from keras_resnet.inference.predictors import KerasPredictor, open_predictor
from keras_resnet.models.recognition import network_of_file
from keras_resnet.models.resnet import build
from keras_resnet.preprocessing import Fit, Preprocessing
from keras_resnet.runs.run import is_run
from keras_resnet.transfer.features import image_features
from keras_resnet.weights.pixels import CONVENTIONS, pixels_of
from keras_resnet.weights.pretrained import is_name

SIDE = 224
CROP_FRACTION = 0.875


def trained_network(
    weights: str | os.PathLike[str], model: str | None = None, *, weights_preprocessing: str = ""
) -> tuple[keras.Model, Fit]:
    """A network with its weights, which takes pixels of 0–255, and how images become these.

    Args:
        weights: A run's folder, a `.keras` file with its preprocessing, or weights as `build` takes them, which get
            images of 224×224.
        model: The network, where `weights` is a name or a file of weights; None: the file's own.
        weights_preprocessing: What pixels a file of weights needs, where it does not say it: see `build`.

    Raises:
        UsageError: What pixels the weights need is not known, the network of a name is not said, or the file is no
            Keras model.
        ModelError: The weights cannot be had or do not fit.
    """
    path = Path(weights)
    if is_run(path) or (path.suffix == ".keras" and model is None):
        predictor = open_predictor(path)
        if not isinstance(predictor, KerasPredictor):
            raise UsageError(f"{path} is no Keras model, whose features could be had: give a run or a .keras file")
        return predictor.model, predictor.preprocessing.fit
    if model is None and is_name(weights):
        raise UsageError(f"weights {str(weights)!r} are there for several networks: name one by model (--model)")
    name = model or network_of_file(path)
    pixels = pixels_of(name, weights, weights_preprocessing)
    if pixels is None:
        raise UsageError(
            f"{weights} does not say what pixels it needs: say it by weights_preprocessing (--weights-preprocessing): "
            + ", ".join(CONVENTIONS)
        )
    fit = Fit((SIDE, SIDE), 3, crop_fraction=CROP_FRACTION)
    network = build(
        name,
        preprocessing=Preprocessing(fit, *pixels.for_channels(3), ("0", "1")),
        weights=weights,
        weights_preprocessing=weights_preprocessing,
        head="reset",
        classifier_activation=None,
        seed=0,
    )
    return network, fit


def seeing(
    network: keras.Model, fit: Fit, progress: Callable[[int, int], None] | None = None
) -> Callable[[Listing, np.ndarray], np.ndarray]:
    """What a network sees in the images of a source, for `inspect_data`.

    Args:
        network, fit: As `trained_network` gives them.
        progress: Called with the images that are done and all images.

    Example:
        >>> import keras_resnet
        >>> network, fit = keras_resnet.trained_network("saved_models/photos")  # doctest: +SKIP
        >>> sees = keras_resnet.seeing(network, fit)  # doctest: +SKIP
        >>> found = keras_resnet.inspect_data("folder:photos", seeing=sees)  # doctest: +SKIP
    """

    def sees(listing: Listing, positions: np.ndarray) -> np.ndarray:
        def images() -> Iterator[np.ndarray]:
            for position in positions.tolist():
                yield decode(listing.contents.read(position), fit, name=listing.names[position])

        def told(done: int, _: int) -> None:
            if progress:
                progress(done, len(positions))

        return image_features(network, images(), progress=told)

    return sees
