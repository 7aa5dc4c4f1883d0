"""By how many steps of its output the INT8 file of a model trained for integers differs from the model.

python scripts/steps_apart.py saved_models/aware --data tfds:cifar10 --data-dir PREPARED
python scripts/steps_apart.py saved_models/floats --calibrate --data tfds:cifar10 --data-dir PREPARED

The file is run by LiteRT's reference kernels on the first test images. With --calibrate a run or .keras file of floats
is made ready for integers first, and not trained on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np


def run(options: argparse.Namespace) -> int:
    import keras_resnet
    from keras_resnet.cli.tables import table
    from keras_resnet.inference.predictors import TFLitePredictor, open_predictor
    from keras_resnet.stamp import read_stamp

    data = keras_resnet.load_data(options.data, data_dir=options.data_dir, cache="none")
    model = open_predictor(options.model)
    if options.calibrate:
        model = open_predictor(keras_resnet.quantize_aware(model.model, data.train), model.preprocessing)
    images = data.test.read(slice(0, options.images))
    labels = np.asarray(data.test.labels[: options.images])
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
    right = [f"{100 * np.mean(one.argmax(axis=1) == labels):.2f} %" for one in (exact, given)]
    table("", ("", "right"), [("model", right[0]), ("file", right[1]), ("decided alike", f"{100 * same:.2f} %")])
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a run or a .keras file")
    parser.add_argument("--data", required=True, help="a source of images")
    parser.add_argument("--data-dir", help="where TensorFlow Datasets has prepared it")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--calibrate", action="store_true", help="make a model of floats ready for integers first")
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
