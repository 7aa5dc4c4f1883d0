"""Whole training steps, input pipeline included, against others': images per second, side by side.

python scripts/benchmark_training.py                          # ResNet-50 at 32×32, 64×64 and 224×224
python scripts/benchmark_training.py --sides 64 --batches 32 --rounds 15
python scripts/benchmark_training.py --stem cifar --sides 32 --batches 16      # the stem for small images
python scripts/benchmark_training.py --callbacks              # what our callbacks add to a bare `fit`
python scripts/benchmark_training.py --jax                    # bfloat16 at 224×224, on the accelerator at hand
python scripts/benchmark_training.py --jax --sides 32 --batches 8 --matrix 512      # the same anywhere

Contenders take turns, A B C A B C, in one process; what is compared are medians of their times, as ratios to
ours (above 1: ours is faster). Each step takes a batch from its pipeline (random images of ten classes in
memory, shuffled, shifted and mirrored), computes loss, gradient, momentum, weight decay and update, and hands
loss and accuracy out, in Keras by the very function that `fit` calls. Ours: `training_batches`, `build`, our
optimizer. keras.applications: its ResNet50 on batches that keras.layers augment in `tf.data`, SGD; it is v1, and
is compared with our v1, with the ImageNet stem at every size (it has no other: --stem cifar leaves it out).
PyTorch, where installed: a plain ResNet-50 (v1.5)
with the same augmentation by hand. `constant batch` is our step on one batch that lies ready: what the pipeline
takes from the two cores they share is the difference. Below stands which share of a step's time is spent
waiting for `next(batches)`.

--callbacks: ResNet-8 on the digits, batch 64, by `model.fit` without callbacks, and with those of the package; the time
of batches alone, from the first to the last of an epoch, without validation and checkpoints at epochs' ends. The first
epoch, in which functions are traced, does not count.

--jax: the step alone, on one batch, as a share of what the device does in a product of two square bfloat16 matrices.
"""

import argparse
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from benchmark_models import BLOCKS, Step, medians

from keras_resnet.cli.running import script_main

CLASSES = 10
NETWORK = "resnet50"


def examples(side: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, side, side, 3)).astype("uint8"), random.integers(0, CLASSES, count)


def our_batches(images: np.ndarray, labels: np.ndarray, batch: int) -> Any:
    from keras_resnet.augment.policies import policy
    from keras_resnet.data.batches import training_batches
    from keras_resnet.data.images import Split
    from keras_resnet.data.memory import aligned
    from keras_resnet.data.stores import ArrayImages
    from keras_resnet.tasks.classification import Classification

    split = Split(
        ArrayImages(aligned(images)), np.arange(len(images)), labels, Classification(tuple(map(str, range(CLASSES))))
    )
    return training_batches(split, batch, policy("crop-flip"), seed=0, epochs=1_000_000)


def our_model(side: int, network: str, precision: str, stem: str = "imagenet") -> Any:
    import keras

    import keras_resnet
    from keras_resnet.optimizers.by_name import optimizer as optimizer_named
    from keras_resnet.preprocessing import Fit, Preprocessing

    names = tuple(map(str, range(CLASSES)))
    preprocessing = Preprocessing(Fit((side, side), 3), (127.5,) * 3, (74.0,) * 3, names)
    model = keras_resnet.build(
        keras_resnet.spec(network),
        preprocessing=preprocessing,
        classifier_activation=None,
        stem=stem,
        precision=precision,
        seed=0,
    )
    optimizer = optimizer_named("sgd", 0.01, momentum=0.9, weight_decay=1e-4)
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def keras_batches(images: np.ndarray, labels: np.ndarray, batch: int) -> Any:
    import keras
    import tensorflow as tf

    side = images.shape[1]
    augment = keras.Sequential(
        [
            keras.layers.ZeroPadding2D(side // 8),
            keras.layers.RandomCrop(side, side),
            keras.layers.RandomFlip("horizontal"),
        ]
    )
    data = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images)).repeat()
    data = data.batch(batch, drop_remainder=True)
    return data.map(lambda x, y: (augment(x, training=True), y), tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def keras_model(side: int) -> Any:
    import keras

    inputs = keras.Input((side, side, 3))
    network = keras.applications.ResNet50(
        weights=None, input_shape=(side, side, 3), classes=CLASSES, classifier_activation=None
    )
    model = keras.Model(inputs, network(keras.layers.Rescaling(1 / 74, -127.5 / 74)(inputs)))
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=1e-4)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


def keras_step(model: Any, batches: Any) -> Step:
    """What `fit` calls for each batch, made by a fit of one."""
    model.fit(batches.take(1), verbose=0)
    iterator = iter(batches)
    return lambda: float(model.train_function(iterator)["loss"])


def waiting(model: Any, batches: Any, steps: int) -> float:
    """Share of the time of `steps` steps that passes before `next(batches)` returns."""
    iterator, waited = iter(batches), 0.0
    next(iterator)
    start = time.perf_counter()
    for _ in range(steps):
        before = time.perf_counter()
        batch = next(iterator)
        waited += time.perf_counter() - before
        float(model.train_function(iter([batch]))["loss"])
    return waited / (time.perf_counter() - start)


def torch_step(images: np.ndarray, labels: np.ndarray, batch: int, compiled: bool, stem: str = "imagenet") -> Step:
    """The loop one writes in PyTorch."""
    import torch
    from torch.nn import functional
    from torch_resnet import ResNet

    torch.manual_seed(0)
    module = ResNet(*BLOCKS[NETWORK], CLASSES, stem).train().to(memory_format=torch.channels_last)
    called = torch.compile(module) if compiled else module
    optimizer = torch.optim.SGD(module.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)
    side, margin = images.shape[1], images.shape[1] // 8
    padded = functional.pad(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), (margin,) * 4)
    targets = torch.from_numpy(labels.astype(np.int64))

    def batches() -> Iterator[tuple[Any, Any]]:
        while True:
            for chosen in torch.randperm(len(images))[: len(images) // batch * batch].split(batch):
                offsets = torch.randint(0, 2 * margin + 1, (batch, 2)).tolist()
                cut = [
                    padded[i, :, top : top + side, left : left + side]
                    for i, (top, left) in zip(chosen.tolist(), offsets, strict=True)
                ]
                flips = torch.rand(batch).lt(0.5).tolist()
                x = torch.stack([part.flip(2) if flip else part for part, flip in zip(cut, flips, strict=True)])
                yield x.float().sub_(127.5).div_(74).contiguous(memory_format=torch.channels_last), targets[chosen]

    iterator = batches()

    def step() -> object:
        x, wanted = next(iterator)
        optimizer.zero_grad()
        logits = called(x)
        loss = functional.cross_entropy(logits, wanted)
        loss.backward()
        optimizer.step()
        return loss.item(), logits.argmax(1).eq(wanted).float().mean().item()

    return step


def compare(side: int, batch: int, options: argparse.Namespace) -> None:
    import keras

    from keras_resnet.cli.tables import table

    keras.utils.set_random_seed(0)
    images, labels = examples(side, max(4 * batch, 256))
    ours = our_batches(images, labels, batch)
    constant = ours.take(1).cache().repeat()
    models = {name: our_model(side, network, "float32", options.stem) for name, network in OURS.items()}
    steps: dict[str, Step] = {name: keras_step(model, ours) for name, model in models.items()}
    steps["ours, constant batch"] = keras_step(our_model(side, NETWORK, "float32", options.stem), constant)
    steps["ours, bfloat16"] = keras_step(our_model(side, NETWORK, "bfloat16", options.stem), ours)
    pipelines = {"ours": (models["ours"], ours)}
    if options.stem == "imagenet":  # keras.applications has no other
        pipelines["keras.applications"] = keras_model(side), keras_batches(images, labels, batch)
        steps["keras.applications"] = keras_step(*pipelines["keras.applications"])
    for compiled in (False, True) if importlib.util.find_spec("torch") else ():
        steps[f"PyTorch {'compiled' if compiled else 'eager'}"] = torch_step(
            images, labels, batch, compiled, options.stem
        )
    found = medians(steps, options.rounds, options.seconds)
    show(f"{NETWORK}, {options.stem} stem, {side}×{side}, batch {batch}, {options.rounds} rounds", batch, found)
    rows = []
    for name, (model, batches) in pipelines.items():
        shares = [100 * waiting(model, batches, 5) for _ in range(options.rounds)]
        rows.append((name, f"{statistics.median(shares):.2f} %", f"{min(shares):.2f} to {max(shares):.2f} %"))
    table(None, ("pipeline", "of a step spent waiting", "least to most"), rows)
    sys.stdout.flush()
    del models, steps, pipelines
    keras.backend.clear_session()


def compare_callbacks(options: argparse.Namespace) -> None:
    """Epochs of `fit` by turns: without callbacks, and with all that record, guard and save a training."""
    import tempfile
    import threading

    import keras

    import keras_resnet
    from keras_resnet import callbacks
    from keras_resnet.cli.tables import table

    digits = keras_resnet.load_data("digits")
    batch, epochs = 64, options.rounds + 1  # functions are traced in the first one
    names = ("fit without callbacks", "without the average", "with all callbacks")
    turns, failed = [threading.Event() for _ in names], list[BaseException]()
    times = {name: list[float]() for name in names}

    class Turn(keras.callbacks.Callback):
        """Lets an epoch begin when the trainings beside it wait, and notes how long its batches take.

        From the first batch to the end of the last one. To be the last callback.
        """

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number, self._began, self._epoch = number, 0.0, 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            turns[self.number].wait()
            turns[self.number].clear()
            self._epoch = epoch

        def on_train_batch_begin(self, number: int, logs: Any = None) -> None:
            self._began = self._began if number else time.perf_counter()

        def on_test_begin(self, logs: Any = None) -> None:
            if self._epoch:
                times[names[self.number]].append((time.perf_counter() - self._began) / self.params["steps"])

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            turns[(self.number + 1) % len(turns)].set()

    def train(number: int, folder: str) -> None:
        data = digits.train.batches(batch, augment="shift", seed=0)
        model = keras_resnet.ResNet8(num_classes=10, input_shape=digits.train.images.shape, seed=0)
        optimizer = keras_resnet.optimizers.SGD(0.01, momentum=0.9, weight_decay=1e-4)
        model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
        average = [callbacks.MovingAverage(0.99)]
        ours = [
            callbacks.ExactCheckpoint(folder, data=data, monitor="val_accuracy"),
            *(average if names[number] == "with all callbacks" else []),
            callbacks.Guard(),
            callbacks.Diagnosis(folder, digits.validation, report=False),
            callbacks.Progress(),
        ]
        chosen = [] if names[number] == "fit without callbacks" else ours
        validation = digits.validation.batches(256)
        try:
            model.fit(data, validation_data=validation, epochs=epochs, callbacks=[*chosen, Turn(number)], verbose=0)
        except BaseException as error:
            failed.append(error)
            for turn in turns:
                turn.set()

    with tempfile.TemporaryDirectory() as folder:
        # Each training is one call of `fit`, as it is for a user. They take turns epoch by epoch, so that the machine
        # is as fast for one as for the others.
        threads = [threading.Thread(target=train, args=(number, f"{folder}/{number}")) for number in range(len(names))]
        turns[0].set()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failed:
        raise failed[0]
    bare = times[names[0]]
    rows = []
    for name, seconds in times.items():
        ratios = [one / two for one, two in zip(bare, seconds, strict=True)]
        rate = batch / statistics.median(seconds)
        low, middle, high = (f"{one:.3f}" for one in statistics.quantiles(ratios, n=4))
        rows.append((name, f"{rate:.0f}", middle, f"{low} to {high}", f"{sum(bare) / sum(seconds):.3f}"))
    title = f"ResNet-8 on the digits, batch {batch}, {options.rounds} epochs of each by turns"
    table(title, ("contender", "images/s", "speed over bare fit", "middle half", "of all epochs together"), rows)


OURS = {"ours": NETWORK, "ours, v1": f"{NETWORK}v1"}


def show(title: str, batch: int, found: dict[str, tuple[float, list[float]]]) -> None:
    from benchmark_models import COUNTERPARTS

    from keras_resnet.cli.tables import table

    rows = [
        (
            f"{name} (against {COUNTERPARTS[name]})" if name in COUNTERPARTS else name,
            f"{1000 * median:.1f}",
            f"{batch / median:.1f}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
        )
        for name, (median, ratios) in found.items()
    ]
    table(title, ("contender", "median ms", "images/s", "time over ours", "least to most"), rows)


def run(options: argparse.Namespace) -> int:
    from keras_resnet.errors import UsageError

    if options.rounds < 7:
        raise UsageError(f"--rounds must be at least 7 for a median to mean something; received {options.rounds}")
    if options.callbacks:
        compare_callbacks(options)
        return 0
    sides = options.sides or ([224] if options.jax else [32, 64, 224])
    batches = options.batches or ([256] if options.jax else [64, 32, 8])
    if len(batches) not in (1, len(sides)):
        raise UsageError(f"--batches must be one number or one for each side; received {batches} for {sides}")
    batches = batches * len(sides) if len(batches) == 1 else batches
    for side, batch in zip(sides, batches, strict=True):
        if options.jax:
            from jax_steps import compare_jax

            show(*compare_jax(NETWORK, side, batch, options))
        else:
            compare(side, batch, options)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", help="of the images (default: 32 64 224; --jax: 224)")
    parser.add_argument("--batches", type=int, nargs="+", help="one for each side (default: 64 32 8; --jax: 256)")
    parser.add_argument("--stem", choices=("imagenet", "cifar"), default="imagenet", help="(default: imagenet)")
    parser.add_argument("--rounds", type=int, default=9, help="at least 7 (default: 9)")
    parser.add_argument("--seconds", type=float, default=0.3, help="least length of a turn (default: 0.3)")
    parser.add_argument("--callbacks", action="store_true", help="what our callbacks add to a bare fit")
    parser.add_argument("--jax", action="store_true", help="our step on JAX beside PyTorch's, in bfloat16")
    parser.add_argument("--matrix", type=int, default=8192, help="side of the matrices of --jax (default: 8192)")
    if "--jax" in sys.argv:
        os.environ["KERAS_BACKEND"] = "jax"  # before Keras is imported
    return script_main(parser, run)


if __name__ == "__main__":
    sys.exit(main())
