"""By how many steps of its output the INT8 file of a model trained for integers differs from the model.

python scripts/steps_apart.py saved_models/aware --data tfds:cifar10 --data-dir PREPARED
python scripts/steps_apart.py saved_models/floats --calibrate --data tfds:cifar10 --data-dir PREPARED
python scripts/steps_apart.py resnet50.keras --calibrate --photographs FOLDER --images 8

The file is run by LiteRT's reference kernels on the first test images. With --calibrate a run or .keras file of floats
is made ready for integers first, and not trained on. Of photographs, every fourth one calibrates, and the first of the
others are compared.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np


def images_of(options: argparse.Namespace, fit: Any) -> tuple[Any, np.ndarray]:
    """What calibrates, and images that are compared."""
    import keras_resnet
    from keras_resnet.inference.inputs import image_batch

    if options.photographs:
        images = image_batch(options.photographs, fit)
        calibrates = np.arange(len(images)) % 4 == 0
        return images[calibrates], images[~calibrates][: options.images]
    data = keras_resnet.load_data(options.data, data_dir=options.data_dir, cache="none", fit=fit)
    return data.train, data.test.read(slice(0, options.images))


def run(options: argparse.Namespace) -> int:
    import keras_resnet
    from keras_resnet.cli.tables import table
    from keras_resnet.inference.predictors import TFLitePredictor, open_predictor
    from keras_resnet.stamp import read_stamp

    model = open_predictor(options.model)
    calibration, images = images_of(options, model.preprocessing.fit)
    if options.calibrate:
        model = open_predictor(keras_resnet.quantize_aware(model.model, calibration), model.preprocessing)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "aware.tflite"
        keras_resnet.export(model.model, path, "tflite-int8", calibration=images, preprocessing=model.preprocessing)
        file = TFLitePredictor(path, read_stamp(path), reference=True)
        given = file.logits(images)
    exact, step = model.logits(images), file.output["quantization"][0]
    apart = np.abs(np.rint(given / step) - np.rint(exact / step)).astype(int)
    counts = np.bincount(apart.ravel())
    rows = [(str(steps), f"{count:,}", f"{100 * count / apart.size:.2f} %") for steps, count in enumerate(counts)]
    table(f"{apart.size:,} logits of {len(images):,} images", ("steps apart", "logits", "share"), rows)
    same = np.mean(given.argmax(axis=1) == exact.argmax(axis=1))
    print(f"decided alike: {100 * same:.2f} %; the logits span {np.ptp(exact) / step:.0f} steps")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a run or a .keras file")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", help="a source of images")
    source.add_argument("--photographs", metavar="FOLDER", help="image files instead, which need no labels")
    parser.add_argument("--data-dir", help="where TensorFlow Datasets has prepared it")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--calibrate", action="store_true", help="make a model of floats ready for integers first")
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
