"""Kill a tiny training again and again, continue it, and compare its end with one that was never killed.

python scripts/fault_campaign.py                         # 200 kills
python scripts/fault_campaign.py --kills 1000 --seed 7
python scripts/fault_campaign.py --kills 10 --small      # of two blocks: half the time
python scripts/fault_campaign.py --own-fit               # a script's own model.fit, with all callbacks of the package

First one at every write of a checkpoint in the middle of an epoch, before it, after it, and with half of the
bytes written; then half at a random time, half at a random write. All are SIGKILL. Every training is killed
until it comes to its end between two kills, or after five of them is let go. It survived if each new start
went on and the end has the same bits: weights, optimizer, moving average, normalisation statistics, random
state and metrics. Trainings are forked from a process that has imported TensorFlow and not used it, so that
each does not pay the import.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

TIMES = {"seconds", "images_per_second", "clocks", "log_bytes"}
KILLS_A_RUN = 5
WRITES = "writes.json"
MIDDLE = 4
"""The checkpoint whose every write is killed, the first being written before any update."""
WAYS = ("before it", "half of it", "after it")


Train = Callable[[Path], None]
"""Two epochs on 100 digits, with everything that has a state, and a checkpoint every update, into a run folder."""


def by_recipe(out: Path, model: str = "resnet8") -> None:
    """By a recipe."""
    from keras_resnet.data.sources.source import Source
    from keras_resnet.training.fit import fit
    from keras_resnet.training.loop import Saving
    from keras_resnet.training.recipe import Recipe

    two_blocks()
    recipe = Recipe(
        model=model,
        epochs=2,
        batch_size=16,
        learning_rate=0.05,
        augment="shift",
        mixup=0.2,
        dropout=0.3,
        stochastic_depth=0.2,
        ema=0.9,
        accumulate=2,
        class_weights="balanced",
    )
    fit(recipe, Source("digits", image_size=8, limit=100), out, verbose=False, saving=Saving(steps=1))


def by_own_fit(out: Path, model: str = "resnet8") -> None:
    """By `model.fit`, as anyone's script calls it."""
    import keras

    import keras_resnet
    from keras_resnet import callbacks

    two_blocks()
    data = keras_resnet.load_data(keras_resnet.Source("digits", image_size=8, limit=100))
    train = data.train.batches(16, augment="shift", mixup=0.2, class_weights="balanced", seed=0)
    network = keras_resnet.build(model, 10, input_shape=(8, 8, 1), dropout=0.3, stochastic_depth=0.2, seed=0)
    rate = keras_resnet.schedules.Cosine(0.05, epochs=2, warmup=1, steps_per_epoch=len(train))
    network.compile(
        keras_resnet.optimizers.SGD(rate, momentum=0.9, weight_decay=1e-4),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    stopping = keras.callbacks.EarlyStopping(patience=5)
    network.fit(
        train,
        validation_data=data.validation.batches(64),
        epochs=2,
        callbacks=[
            callbacks.ExactCheckpoint(out, data=train, steps=1, monitor="val_accuracy", states=[stopping]),
            callbacks.MovingAverage(0.9),
            callbacks.Guard(every=2),
            callbacks.Diagnosis(out, data.validation, every=2, report=False),
            stopping,
        ],
        verbose=0,
    )


def two_blocks() -> None:
    """Name the network of `--small`: of two blocks, of which the second may be left out."""
    from keras_resnet.models.spec import ResNetSpec
    from keras_resnet.models.variants import VARIANTS, Variant

    spec = ResNetSpec("twoblocks", "basic", (2,), (16,), "cifar", stem_width=8)
    VARIANTS[spec.name] = Variant("TwoBlocks", "Of the campaign.", spec)


def end_of(out: Path) -> str:
    """A digest of everything a finished run ended with, times aside."""
    from keras_resnet.callbacks.checkpoint import CheckpointStore
    from keras_resnet.runs.run import Run

    run = Run.at(out, finished=True)
    checkpoint = CheckpointStore(run.checkpoints).load(print)
    assert checkpoint is not None
    digest = hashlib.sha256()
    for name, tensor in sorted(checkpoint.tensors.items()):
        if name.split("/")[-1] not in TIMES:
            digest.update(name.encode() + tensor.tobytes())
    rest = [checkpoint.state.to_json(), run.log.rows(), run.metrics()]
    digest.update(json.dumps(without_times(rest), sort_keys=True).encode())
    return digest.hexdigest()


def is_finished(out: Path) -> bool:
    """Whether a kill came too late for a run to be continued."""
    from keras_resnet.runs.run import Run, is_run

    return is_run(out) and Run(out).status == "finished"


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(one) for key, one in value.items() if key not in TIMES}
    return [without_times(one) for one in value] if isinstance(value, list) else value


def dying_at_write(number: int, how: str) -> Callable[[], tuple[int, list[int]]]:
    """Kill this process at its `number`-th change of a file.

    Returns:
        What gives the number of changes so far, and those before each checkpoint.
    """
    count = 0

    def counted(change: Callable[..., Any], half: Callable[..., Any] | None = None) -> Callable[..., Any]:
        def instead(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == number:
                if how == "after it":
                    change(*arguments, **options)
                elif how == "half of it" and half:
                    half(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*arguments, **options)

        return instead

    write = Path.write_bytes
    Path.write_bytes = counted(write, lambda path, content: write(path, content[: len(content) // 2]))  # type: ignore[method-assign]
    Path.unlink = counted(Path.unlink)  # type: ignore[method-assign]
    for name in ("replace", "fsync", "truncate", "chmod", "pwrite"):
        setattr(os, name, counted(getattr(os, name)))
    shutil.rmtree = counted(shutil.rmtree)  # type: ignore[assignment]
    tempfile.mkdtemp = counted(tempfile.mkdtemp)  # type: ignore[assignment]
    from keras_resnet.callbacks.checkpoint import CheckpointStore
    from keras_resnet.runs.record import Record

    def half_a_line(record: Record, row: dict[str, Any]) -> None:
        with open(record.path, "ab") as file:
            file.write(json.dumps(row).encode()[:20])

    Record.add = counted(Record.add, half_a_line)  # type: ignore[method-assign]
    saves: list[int] = []
    save = CheckpointStore.save

    def counted_save(*arguments: Any, **options: Any) -> None:
        saves.append(count)
        save(*arguments, **options)

    CheckpointStore.save = counted_save  # type: ignore[method-assign]
    return lambda: (count, saves)


def in_child(out: Path, train: Train, number: int = 0, how: str = "", kill_after: float | None = None) -> int:
    """Train in a forked process, which is killed at a write or after some seconds. Returns its wait status: 0 or 9."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            changes = dying_at_write(number, how)
            train(out)
            (out / WRITES).write_text(json.dumps(changes()))
            code = 0
        os._exit(code)
    if kill_after is not None:
        deadline = time.monotonic() + kill_after
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def main() -> int:
    """The campaign; 0 if every training ended identically."""
    from keras_resnet.cli.quiet import quiet

    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--kills", type=int, default=200)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--small", action="store_true", help="train two blocks, and not a ResNet-8")
    command.add_argument("--own-fit", action="store_true", help="train by model.fit with callbacks, not by a recipe")
    options = command.parse_args()
    train: Train = partial(
        by_own_fit if options.own_fit else by_recipe, model="twoblocks" if options.small else "resnet8"
    )
    with quiet():
        return campaign(options.kills, options.seed, train)


def campaign(wanted: int, seed: int, train: Train) -> int:
    """Kill so many times. Returns the exit code."""
    # All that a training imports, so that children need not; nothing of it may be used here.
    import sklearn.datasets  # noqa: F401

    import keras_resnet.training.fit  # noqa: F401

    numbers = random.Random(seed)
    kills = {"at a random time": 0, "before a write": 0, "half of a write": 0, "after a write": 0}
    runs = finished = identical = 0
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        if in_child(Path(folder) / "whole", train):
            print("fault campaign: the training fails without any kill", file=sys.stderr)
            return 1
        seconds = time.monotonic() - began
        expected = end_of(Path(folder) / "whole")
        writes, saves = json.loads((Path(folder) / "whole" / WRITES).read_text())
        first, last = saves[MIDDLE : MIDDLE + 2]
        each = [(number, how) for number in range(first + 1, last + 1) for how in WAYS]
        each = each if len(each) <= wanted else []
        while sum(kills.values()) < wanted:
            out = Path(folder) / f"run-{runs}"
            runs += 1
            status = -1
            for attempt in range(min(KILLS_A_RUN, wanted - sum(kills.values()))):
                if each and attempt == 0:  # the numbers are those of a training from its beginning
                    number, how = each.pop(0)
                    kind, status = how.replace("it", "a write"), in_child(out, train, number=number, how=how)
                elif numbers.random() < 0.5:
                    kind, status = "at a random time", in_child(out, train, kill_after=numbers.uniform(0, seconds))
                else:
                    how = numbers.choice(WAYS)
                    kind = how.replace("it", "a write")
                    status = in_child(out, train, number=numbers.randint(1, writes), how=how)
                if status != signal.SIGKILL or is_finished(out):
                    kills[kind] += status == signal.SIGKILL
                    break
                kills[kind] += 1
                if each:
                    break  # one kill a training, or these would take long
            if status == signal.SIGKILL:
                status = 0 if is_finished(out) else in_child(out, train)
            finished += status == 0
            same = status == 0 and end_of(out) == expected
            identical += same
            if not same:
                kept = Path(tempfile.mkdtemp(prefix="fault-campaign-")) / "run"
                shutil.copytree(out, kept)
                print(f"run {runs}: status {status}, another end; kept in {kept}", file=sys.stderr)
            shutil.rmtree(out, ignore_errors=True)
            print(f"{sum(kills.values())} of {wanted} kills, {identical} of {runs} runs identical",
                  file=sys.stderr)  # fmt: skip
    total = sum(kills.values())
    print(
        f"a training changes files {writes} times, {last - first} of them for one checkpoint; kills: "
        + ", ".join(f"{count} {kind}" for kind, count in kills.items())
    )
    print(f"{total} kills in {runs} trainings: {finished} came to their end, {identical} of them identical")
    return 0 if identical == runs else 1


if __name__ == "__main__":
    sys.exit(main())
