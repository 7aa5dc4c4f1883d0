"""Train a small ResNet by one recipe with this package and with a plain PyTorch loop, and compare: accuracy and time.

python scripts/compare_with_torch.py --data-dir PREPARED --epochs 30 --out saved_models/against-torch
python scripts/compare_with_torch.py --data-dir PREPARED --model resnet20 --schedule cosine --epochs 10 --out OTHER
python scripts/compare_with_torch.py --data digits --epochs 2 --seeds 2 --out QUICK

The loop is `torch_cifar.py`: network, initial weights, augmentation and optimizer are PyTorch's own. Both sides have
the same training, validation and test images, full batches, the same number of updates and of threads. The epoch that
is best on the validation images is tested. Before the first training both networks get the same weights, and must give
the same logits, also after an update. The sides take turns. The same command again continues: finished trainings are
kept.

PyTorch may be installed for another Python, which --torch-python names: on Debian `apt-get install python3-torch` and
--torch-python /usr/bin/python3.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from keras_resnet.cli.running import script_main

if TYPE_CHECKING:
    from keras_resnet.data.images import ImageData
    from keras_resnet.training.recipe import Recipe

LOOP = Path(__file__).with_name("torch_cifar.py")
SAME = {"before": 1e-4, "after": 1e-3}
"""How far logits may be apart, as a share of the largest; an update has sums over whole batches, so they round more."""
SAME_RATE = 1e-4
"""As a share: our record has six digits."""
SHOWN = 64
"""Images that the networks are compared on."""
FREE = (
    "model", "epochs", "batch_size", "seed", "image_size", "pixel_mean", "pixel_std", "learning_rate", "schedule",
    "milestones", "decay_factor", "final_rate", "momentum", "nesterov", "weight_decay", "decayed",
    "decay_every",  # of another schedule
)  # fmt: skip
"""What a recipe may say; the loop does nothing else."""


class Training(TypedDict):
    """A finished training, and what it was made of. Seconds are of whole epochs, with their validation."""

    settings: dict[str, Any]
    accuracy: float
    epoch: int
    seconds: list[float]
    rates: list[float]
    validation: list[float]


@dataclass(frozen=True)
class Difference:
    """Of two means, ours minus the other one, with its 95 % interval by Welch's t."""

    mean: float
    low: float
    high: float

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def welch(ours: Sequence[float], others: Sequence[float]) -> Difference:
    """The difference of the means of independent trainings, whose deviations may differ.

    Args:
        ours, others: A figure of each training, two or more.
    """
    from scipy.stats import ttest_ind

    mean = float(np.mean(ours) - np.mean(others))
    if np.ptp(ours) == np.ptp(others) == 0:  # nothing varies: SciPy divides by zero
        return Difference(mean, mean, mean)
    interval = ttest_ind(ours, others, equal_var=False).confidence_interval(0.95)
    return Difference(mean, float(interval.low), float(interval.high))


def epoch_seconds(trainings: Sequence[Training]) -> float:
    """The median epoch of all; the first ones, in which functions are traced, count only if there are no others."""
    return statistics.median(
        second for one in trainings for second in (one["seconds"][1:] if len(one["seconds"]) > 1 else one["seconds"])
    )


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe as both sides train it.

    Raises:
        UsageError: It asks for something that the plain loop does not do.
    """
    from keras_resnet.errors import UsageError, listed
    from keras_resnet.models.variants import spec
    from keras_resnet.training.recipe import Recipe
    from keras_resnet.training.recipes import recipe

    changes: dict[str, Any] = {"model": options.model, "epochs": options.epochs, "batch_size": options.batch_size}
    if options.schedule:
        changes["schedule"] = options.schedule
    found = recipe(options.recipe).but(**changes)
    plain = Recipe(model=found.model, warmup_epochs=0).settings
    unknown = [name for name, value in found.settings.items() if name not in FREE and value != plain[name]]
    if found.schedule not in ("cosine", "multistep"):
        unknown.append("schedule")
    if unknown:
        raise UsageError(
            f"the plain loop of PyTorch does not know what {options.recipe} says of {listed(unknown, most=20)}: take "
            "cifar10-resnet20, whose steps and augmentation are those of the literature"
        )
    network = spec(found.model)
    if network.block != "basic" or network.shortcut not in ("identity_pad", "plain_projection"):
        raise UsageError(
            f"the plain loop of PyTorch has the small networks of basic blocks only; received {found.model}: take "
            "resnet8, resnet20, resnet32, resnet44, resnet56 or resnet110"
        )
    return found


def torch_version(python: str) -> str:
    """Which PyTorch a Python has.

    Raises:
        UsageError: It has none; the message says how to get it.
    """
    from keras_resnet.errors import UsageError

    remedy = (
        "install PyTorch and NumPy for some Python and name it by --torch-python: on Debian `apt-get install "
        "python3-torch` and --torch-python /usr/bin/python3, else `pip install torch numpy`"
    )
    command = [python, "-c", "import numpy, torch; print(torch.__version__)"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UsageError(f"cannot run {python}: {error.strerror or error}. To compare, {remedy}") from None
    if asked.returncode:
        problem = (asked.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise UsageError(f"{python} has no PyTorch that works ({problem}): {remedy}")
    return asked.stdout.strip()


class Comparison:
    """Two ways to train by one recipe on the same images.

    Args:
        recipe: Of both; its seed is that of the first training.
        data: The images.
        options: As the command line has them.
    """

    def __init__(self, recipe: Recipe, data: ImageData, options: argparse.Namespace) -> None:
        from keras_resnet.models.variants import spec
        from keras_resnet.training.network import preprocessing_for

        self.recipe, self.data, self.options = recipe, data, options
        self.out, self.preprocessing = Path(options.out), preprocessing_for(recipe, data)
        self._spec = asdict(spec(recipe.model))

    def settings(self, seed: int) -> dict[str, Any]:
        """What a training is made of, as it is kept with its figures."""
        own = {"images": self.data.fingerprint, "threads": self.options.threads, "seed": seed}
        return self.recipe.settings | own

    def check_networks(self) -> list[str]:
        """Give both networks the same weights and compare logits, before and after an update by the same images.

        With the initial weights, and with all normalisations moved: at first some are zero and would hide their branch.

        Raises:
            ModelError: They are not the same.
        """
        from keras_resnet.errors import ModelError
        from keras_resnet.training.distribution import distribution
        from keras_resnet.training.network import CompiledNetwork
        from keras_resnet.weights.files import variables_by_path

        images, labels = self.data.train.read(slice(0, SHOWN)), np.asarray(self.data.train.labels[:SHOWN])
        lines, random = [], np.random.default_rng(self.recipe.seed)
        for case in ("initial weights", "normalisations moved"):
            made = CompiledNetwork(self.recipe, self.preprocessing, self.data.task, distribution("none"))
            made.compile(head=False, parts=1, size=0, steps=1000)
            weights = variables_by_path(made.network)
            for name, variable in weights.items() if case == "normalisations moved" else ():
                if not name.endswith("kernel"):
                    around = 1.0 if name.endswith(("gamma", "variance")) else 0.0
                    variable.assign(around + random.uniform(-0.3, 0.3, variable.shape))
            arrays = {name: variable.numpy() for name, variable in weights.items()}
            with tempfile.TemporaryDirectory() as folder:
                result = Path(folder) / "logits.npz"
                self._call("check", arrays | {"images": images, "labels": labels}, self.recipe.seed, result)
                with np.load(result) as archive:
                    theirs = dict(archive)
            ours = {"before": np.asarray(made.network(images))}
            made.model.train_on_batch(images, self.data.task.targets(labels, np.arange(len(labels))))
            ours["after"] = np.asarray(made.network(images))
            apart = {when: float(np.abs(ours[when] - theirs[when]).max() / np.abs(ours[when]).max()) for when in SAME}
            lines.append(f"{case}: logits differ by {apart['before']:.1e}, after an update by {apart['after']:.1e}")
            if any(not apart[when] <= most for when, most in SAME.items()):
                raise ModelError(f"the two networks are not the same. With {lines[-1]} of the largest; at most {SAME}")
        return lines

    def train(self, side: str, seed: int) -> Training:
        """A training of one side, or what is kept of it.

        Args:
            side: `ours` or `torch`.
            seed: Of weights, order and augmentation.

        Raises:
            UsageError: What is kept was made otherwise.
        """
        from keras_resnet.atomic import write_json
        from keras_resnet.errors import UsageError
        from keras_resnet.json_files import read_json
        from keras_resnet.runs.run import differences

        path, settings = self.out / f"{side}-seed-{seed}.json", self.settings(seed)
        if path.exists():
            kept = read_json(path, Training)
            if changed := differences(kept["settings"], settings):
                raise UsageError(f"{path} was trained otherwise ({'; '.join(changed)}): give another --out")
            return kept
        print(f"{path.stem}:", file=sys.stderr, flush=True)
        found = self._ours(seed) if side == "ours" else self._torch(seed)
        write_json(path, {"settings": settings} | found)
        return read_json(path, Training)

    def _ours(self, seed: int) -> dict[str, Any]:
        import keras

        from keras_resnet.runs.run import Run, is_run
        from keras_resnet.training.fit import fit

        folder = self.out / f"ours-seed-{seed}"
        finished = is_run(folder) and Run(folder).status == "finished"
        run = Run(folder) if finished else fit(self.recipe.but(seed=seed), self.data, folder)
        rows, kept = run.metrics(), run.kept
        logits = keras.models.load_model(run.model).predict(self.data.test.read(slice(None)), batch_size=256, verbose=0)
        keras.backend.clear_session()
        return {
            "accuracy": float(np.mean(logits.argmax(1) == self.data.test.labels)),
            "epoch": kept["epoch"] if kept else len(rows),
            "seconds": [row["seconds"] for row in rows],
            "rates": [row["learning_rate"] for row in rows],
            "validation": [row["val_accuracy"] for row in rows],
        }

    def _torch(self, seed: int) -> Any:
        from keras_resnet.json_files import read_json

        arrays = {}
        for name, split in self.data.splits.items():
            arrays |= {f"{name}_images": split.read(slice(None)), f"{name}_labels": np.asarray(split.labels)}
        folder = self.out / "handed-over"
        shutil.rmtree(folder, ignore_errors=True)  # of a training that was killed
        folder.mkdir()
        self._call("train", arrays, seed, folder / "result.json")
        found = read_json(folder / "result.json", dict[str, Any])
        shutil.rmtree(folder)
        return found

    def _call(self, job: str, arrays: dict[str, np.ndarray], seed: int, result: Path) -> None:
        """Have the plain loop do something in a process of its own."""
        from keras_resnet.atomic import write_json
        from keras_resnet.errors import KerasResNetError
        from keras_resnet.training.loop import FEWEST_TO_CHOOSE

        chooses = len(self.data.validation) >= FEWEST_TO_CHOOSE  # else the last epoch counts, as in our trainings
        own = {"spec": self._spec, "classes": len(self.data.class_names), "chooses": chooses}
        write_json(result.with_name("settings.json"), self.settings(seed) | own)
        numbers = {"mean": np.array(self.preprocessing.mean), "std": np.array(self.preprocessing.std)}
        np.savez(result.with_name("arrays.npz"), **arrays, **numbers)
        files = [str(result.with_name(name)) for name in ("arrays.npz", "settings.json", result.name)]
        environment = os.environ | {"OMP_NUM_THREADS": str(self.options.threads)}
        environment.pop("PYTHONPATH", None)  # its packages are for this Python
        environment.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin starve one another on shared cores
        command, said = [self.options.torch_python, str(LOOP), job, *files], ""
        # What it says passes through this process, whose own standard error is kept from TensorFlow's messages.
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                for said in process.stderr:
                    print(said, end="", file=sys.stderr, flush=True)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise KerasResNetError(f"{LOOP.name} {job} ended with {process.returncode}: {said.strip()}")


def run(options: argparse.Namespace) -> int:
    from keras_resnet.atomic import write_json
    from keras_resnet.cli.tables import table
    from keras_resnet.errors import DataError, ModelError, UsageError

    if options.seeds < 2:
        raise UsageError(f"one training says nothing of chance: --seeds must be at least 2; received {options.seeds}")
    if options.threads < 1:
        raise UsageError(f"--threads must be at least 1; received {options.threads}")
    recipe, version = recipe_of(options), torch_version(options.torch_python)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    import keras_resnet
    from keras_resnet.training.configuration import source_for

    data = keras_resnet.load_data(source_for(recipe, options.data, data_dir=options.data_dir, limit=options.limit))
    if len(data.train) < recipe.batch_size:
        raise DataError(
            f"{len(data.train)} training images fill no batch of {recipe.batch_size}: raise --limit or lower "
            "--batch-size"
        )
    comparison = Comparison(recipe, data, options)
    comparison.out.mkdir(parents=True, exist_ok=True)
    checked = comparison.check_networks()
    print(*checked, sep="\n", flush=True)
    trainings: dict[str, list[Training]] = {"ours": [], "torch": []}
    for seed in range(recipe.seed, recipe.seed + options.seeds):
        for side, its in trainings.items():
            its.append(comparison.train(side, seed))
        ours, theirs = (its[-1]["rates"] for its in trainings.values())
        if not np.allclose(ours, theirs, rtol=SAME_RATE, atol=0):
            raise ModelError(f"the sides had other learning rates: ours {ours}, PyTorch {theirs}")

    rates = {side: [one["accuracy"] for one in its] for side, its in trainings.items()}
    seconds = {side: epoch_seconds(its) for side, its in trainings.items()}
    difference, ratio = welch(rates["ours"], rates["torch"]), seconds["torch"] / seconds["ours"]
    counts = {name: len(split) for name, split in data.splits.items()}
    titles = {"ours": "this package", "torch": f"PyTorch {version}"}
    rows = [
        (
            titles[side],
            f"{100 * statistics.mean(rates[side]):.2f} %",
            f"{100 * statistics.stdev(rates[side]):.2f}",
            ", ".join(f"{100 * rate:.2f}" for rate in rates[side]),
            f"{seconds[side]:.2f}",
        )
        for side in trainings
    ]
    title = (
        f"{recipe.model}, {recipe.epochs} epochs of {counts['train']:,} images, {counts['test']:,} test images, "
        f"{options.seeds} seeds, {options.threads} threads"
    )
    table(title, ("", "mean top-1", "deviation", "each", "s an epoch"), rows)
    low, mean, high = (f"{100 * value:+.2f}" for value in (difference.low, difference.mean, difference.high))
    judged = "more than chance" if difference.shown else "no difference that so many seeds could show"
    print(f"ours minus PyTorch: {mean} points, 95 % interval {low} to {high} (Welch): {judged}")
    print(f"an epoch of PyTorch takes {ratio:.2f} times as long as ours")
    write_json(
        comparison.out / "comparison.json",
        {
            "recipe": recipe.settings,
            "images": counts,
            "threads": options.threads,
            "torch": version,
            "networks": checked,
            "accuracies": rates,
            "difference": difference.mean,
            "difference_95%_interval": [difference.low, difference.high],
            "seconds_an_epoch": seconds,
            "torch_seconds_over_ours": ratio,
        },
    )
    return 0


def options_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="folder that keeps finished trainings and comparison.json")
    parser.add_argument("--data", default="tfds:cifar10", help="a source of images with one class each")
    parser.add_argument("--data-dir", help="where TensorFlow Datasets has prepared it")
    parser.add_argument("--limit", type=int, help="use at most this many images of each split")
    parser.add_argument("--recipe", default="cifar10-resnet20")
    parser.add_argument("--model", default="resnet8")
    parser.add_argument("--schedule", choices=("multistep", "cosine"), help="in place of the recipe's")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, help="in place of the recipe's")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each side")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each side")
    parser.add_argument("--torch-python", default=sys.executable, help="a Python that has PyTorch")
    return parser


def main() -> int:
    return script_main(options_parser(), run)


if __name__ == "__main__":
    sys.exit(main())
