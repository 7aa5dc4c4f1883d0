"""ResNet-18 on CIFAR-10 in six steps: data, network, optimizer and schedule, training, evaluation, use.

It is the training of `keras-resnet train --recipe quick-reference-cifar10`, in Keras's own words. A script that was
stopped or killed goes on where it was if it is started again.

python scripts/quick_reference_cifar10.py
python scripts/quick_reference_cifar10.py --data-dir PREPARED --limit 512 --epochs 2
"""

import argparse
import os
import sys
from collections.abc import Sequence

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # several times as fast on some processors; before TensorFlow

import keras
import tensorflow as tf

import keras_resnet

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)  # of CIFAR-10's red, green, blue; pixels of 0–1
EPOCHS, BATCH, SEED = 100, 128, 0


def read_data(source: keras_resnet.Source) -> tuple[keras_resnet.ImageData, tf.data.Dataset, tf.data.Dataset]:
    """Step 1: images; training batches, padded by 4, cropped and mirrored; and the images that choose the epoch."""
    images = keras_resnet.load_data(source)
    train = images.train.batches(BATCH, augment="crop-flip", seed=SEED)
    return images, train, images.validation.batches(2 * BATCH)


def build_network(images: keras_resnet.ImageData) -> keras.Model:
    """Step 2: ResNet-18 with a first convolution of 3×3, whole pixels in and logits out; it normalises by itself."""
    mean, std = (tuple(255 * value for value in values) for values in (MEAN, STD))
    preprocessing = keras_resnet.Preprocessing(keras_resnet.Fit((32, 32), 3), mean, std, images.class_names)
    return keras_resnet.ResNet18(preprocessing=preprocessing, stem="cifar", classifier_activation=None, seed=SEED)


def compile_network(model: keras.Model, epochs: int, steps_per_epoch: int) -> None:
    """Step 3: cross-entropy; SGD with momentum, which decays all weights; a tenth of the rate each 30 of 100 epochs."""
    every = 30 * epochs / EPOCHS
    rate = keras_resnet.schedules.Step(0.1, epochs=epochs, every=every, factor=0.1, steps_per_epoch=steps_per_epoch)
    optimizer = keras_resnet.optimizers.SGD(rate, momentum=0.9, weight_decay=5e-4, decayed="all")
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"])


def main(arguments: Sequence[str] | None = None) -> None:
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--data", default="tfds:cifar10", help="any source of images (default: tfds:cifar10)")
    command.add_argument("--data-dir", help="a folder with the data as TensorFlow Datasets prepares them")
    command.add_argument("--limit", type=int, help="use at most so many images of each split")
    command.add_argument("--epochs", type=int, default=EPOCHS, help=f"default: {EPOCHS}; other numbers move the steps")
    command.add_argument("--out", default="saved_models/quick-reference-cifar10", help="default: %(default)s")
    options = command.parse_args(arguments)

    # Step 1: data.
    source = keras_resnet.Source(
        options.data, data_dir=options.data_dir, limit=options.limit, image_size=32, channels=3, seed=SEED
    )
    images, train, validation = read_data(source)
    print(f"{len(images.train)} training, {len(images.validation)} validation, {len(images.test)} test images")

    # Step 2: network.
    model = build_network(images)
    print(f"{model.count_params():,} parameters, statistics of batch normalisation included")

    # Step 3: loss, optimizer and schedule.
    compile_network(model, options.epochs, len(train))

    # Step 4: training, on batches that come shuffled. Each epoch is saved; at the end the model has the best weights.
    saving = keras_resnet.callbacks.ExactCheckpoint(options.out, data=train, monitor="val_accuracy")
    model.fit(train, validation_data=validation, epochs=options.epochs, callbacks=[saving], shuffle=False)

    # Step 5: evaluation, on images that the training has not used.
    found = keras_resnet.evaluate(model, images)
    for one in found.metrics.classes:
        print(f"{one.name}: precision {one.precision:.3f}, recall {one.recall:.3f}, F1 {one.f1:.3f}")
    print(found.metrics.confusion)  # a row for each true class, a column for each predicted one
    print(f"accuracy {found.metrics.top1:.2%} of {found.metrics.images} images")

    # Step 6: use. A file for devices, verified, which the same `predict` asks as it does the model.
    file = keras_resnet.export_tflite(keras_resnet.Run(options.out)).path
    name, probability = keras_resnet.predict(file, images.test.read([0])).top(0)[0]
    print(f"wrote {file}; of the first test image it says {name}, with a probability of {probability:.3f}")


if __name__ == "__main__":
    try:
        main()
    except keras_resnet.KerasResNetError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
