"""What a first training gives: this package's choices beside Keras's own guide to transfer learning.

python scripts/compare_first_training.py csv:sign-digits-groups.csv --split group --weights resnet50v1.h5
python scripts/compare_first_training.py csv:sign-digits-groups.csv --test-where "camera=Canon EOS 550D" --weights …
python scripts/compare_first_training.py tfds:cifar10 --data-dir PREPARED --images 500 --tests 2000 --weights …

Contenders:
default     what `keras-resnet train SOURCE` chooses
probe       a linear probe of the weights
scratch     what it chooses where there are no weights
guide       keras.applications.ResNet50 with the weights, as keras.io/guides/transfer_learning trains it: 150×150
            pixels, mirrored and rotated by up to a tenth of a turn, average pooling, dropout 0.2, a classifier by Adam
            while the network is frozen, then all of it at 1e-5 with its normalisation kept. Two thirds of its time
            are for the first, as two of the guide's three epochs. It has as many seconds as the slowest of the others.

All have the same test images, and the guide also trains on those that choose an epoch for ours. An interval is the
95 % Wilson interval.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CONTENDERS = ("default", "probe", "scratch", "guide")
SIDE = 150
BATCH = 64


def table_of(options: argparse.Namespace, folder: Path) -> str:
    """The source, divided as it was asked for: the one given, or a table of the same images beside it."""
    if options.test_where:
        column, value = options.test_where.split("=", 1)
        given = Path(options.source.removeprefix("csv:")).resolve()
        with open(given, newline="") as file:
            rows = list(csv.DictReader(file))
        if column not in rows[0] or not any(row[column] == value for row in rows):
            sys.exit(f"no row of {given} has {column}={value}")
        rows = [
            {
                "path": str(given.parent / row["path"]),
                "label": row["label"],
                "split": "test" if row[column] == value else "train",
            }
            for row in rows
        ]
    elif options.images:
        import numpy as np
        from PIL import Image

        import keras_resnet

        given = keras_resnet.load_data(options.source, data_dir=options.data_dir, seed=options.seed, cache="none")
        rows = []
        for part, count in (("train", options.images), ("test", options.tests)):
            split = given.splits[part]
            for number in range(min(count, len(split))):
                path = folder / f"{part}-{number}.png"
                Image.fromarray(split.read(np.array([number]))[0]).save(path)
                label = given.class_names[split.labels[number]]
                rows.append({"path": str(path), "label": label, "split": part})
    else:
        return str(options.source)
    path = folder / "images.csv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "split"])
        writer.writeheader()
        writer.writerows(rows)
    return f"csv:{path}"


def ours(contender: str, source: str, options: argparse.Namespace, folder: Path) -> tuple[int, int]:
    """Train as the command line does.

    Returns:
        How many test images are told right, and of how many.
    """
    from keras_resnet.cli import main

    words = ["train", source, "--seed", str(options.seed), "--out", str(folder / contender), "--overwrite"]
    words += ["--split", options.split] if options.split else []
    words += ["--linear-probe"] if contender == "probe" else []
    os.environ["KERAS_RESNET_WEIGHTS"] = str(folder / ("none" if contender == "scratch" else "weights"))
    code = main(words)
    if code:
        sys.exit(code)
    found = json.loads((folder / contender / "evaluation" / "evaluation.json").read_text())
    return found["correct"], found["images"]


def guide(source: str, options: argparse.Namespace, seconds: float) -> tuple[int, int]:
    """Train as Keras's guide does.

    Returns:
        As `ours`.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    import keras_resnet

    began = time.perf_counter()
    keras.utils.set_random_seed(options.seed)
    data = keras_resnet.load_data(source, image_size=SIDE, split=options.split or "class", seed=options.seed)
    network = keras.applications.ResNet50(weights=str(options.weights))
    base = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(SIDE, SIDE, 3))
    base.set_weights(network.get_weights()[:-2])

    def pixels(*parts: Any) -> tuple[Any, Any]:
        images = np.concatenate([np.stack(list(read(part))) for part in parts])
        return images, np.concatenate([part.labels for part in parts])

    def read(part: Any) -> Any:
        for images, _ in part.batches(BATCH, labels="int"):
            yield from images.numpy()

    train, labels = pixels(data.train, data.validation)
    batches = tf.data.Dataset.from_tensor_slices((train, labels)).shuffle(len(train), seed=options.seed).batch(BATCH)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.RandomFlip("horizontal", seed=1)(inputs)
    x = keras.layers.RandomRotation(0.1, seed=2)(x)
    x = x[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    x = keras.layers.GlobalAveragePooling2D()(base(x, training=False))
    x = keras.layers.Dropout(0.2, seed=3)(x)
    model = keras.Model(inputs, keras.layers.Dense(len(data.class_names))(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    class Until(keras.callbacks.Callback):
        def __init__(self, share: float) -> None:
            super().__init__()
            self.end = began + share * seconds

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if time.perf_counter() > self.end:
                self.model.stop_training = True

    for trainable, rate, share in ((False, 1e-3, 2 / 3), (True, 1e-5, 1.0)):
        base.trainable = trainable
        model.compile(keras.optimizers.Adam(rate), loss)
        done = model.fit(batches, epochs=1000, callbacks=[Until(share)], verbose=0)
        print(f"guide: {'all' if trainable else 'classifier'}, {len(done.epoch)} epochs", file=sys.stderr)
    tests, answers = pixels(data.test)
    right = model.predict(tests, batch_size=BATCH, verbose=0).argmax(axis=1) == answers
    return int(right.sum()), len(right)


def run(options: argparse.Namespace) -> int:
    from scipy.stats import binomtest

    from keras_resnet.cli.tables import table

    rows, longest = [], options.seconds
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(options.out or kept)
        for name in ("weights", "none", "caches"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        link = folder / "weights" / f"resnet50v1{Path(options.weights).suffix}"
        if not link.exists():
            link.symlink_to(Path(options.weights).resolve())
        # Nothing comes from elsewhere: no weights, and no features of an earlier run.
        os.environ |= {"HF_HUB_OFFLINE": "1"}
        os.environ |= {name: str(folder / "caches") for name in ("HF_HOME", "KERAS_HOME", "KERAS_RESNET_CACHE")}
        source = table_of(options, folder)
        for contender in options.contenders:
            began = time.perf_counter()
            if contender == "guide":
                right, images = guide(source, options, longest)
            else:
                right, images = ours(contender, source, options, folder)
            seconds = time.perf_counter() - began
            longest = max(longest, seconds)
            interval = binomtest(right, images).proportion_ci(method="wilson")
            bounds = f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"
            share = f"{100 * right / images:.2f} %"
            rows.append((contender, f"{right} of {images}", share, bounds, f"{seconds:.0f} s"))
            table(options.source, ("contender", "right", "top-1", "95 % interval", "took"), rows)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="as `keras-resnet train` takes it")
    parser.add_argument("--weights", required=True, help="ResNet-50 as keras.applications saves it, of ImageNet")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--split", help="as `keras-resnet train` takes it: group, time")
    parser.add_argument("--test-where", metavar="COLUMN=VALUE", help="rows of a table that are the test")
    parser.add_argument("--images", type=int, default=0, help="only so many training images, and --tests test images")
    parser.add_argument("--tests", type=int, default=2000)
    parser.add_argument("--data-dir", help="where TensorFlow Datasets has prepared the source")
    parser.add_argument("--seconds", type=float, default=0.0, help="for the guide, at least")
    parser.add_argument("--out", help="where runs go (default: nowhere)")
    parser.add_argument("--seed", type=int, default=0)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
