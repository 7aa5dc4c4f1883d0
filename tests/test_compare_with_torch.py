"""`scripts/compare_with_torch.py`: its statistics, what it refuses, and what it keeps. PyTorch is not needed."""

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

import keras_resnet
from keras_resnet.errors import KerasResNetError, UsageError
from tests.shared import script_module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return script_module("compare_with_torch")


def options(script: ModuleType, *arguments: str) -> argparse.Namespace:
    found = script.options_parser().parse_args(["--out", "unused", *arguments])
    assert isinstance(found, argparse.Namespace)
    return found


def test_the_interval_is_welchs(script: ModuleType) -> None:
    ours, others = np.array([0.82, 0.84, 0.83]), np.array([0.80, 0.86, 0.81])

    found = script.welch(ours, others)

    errors = np.array([one.var(ddof=1) / len(one) for one in (ours, others)])
    freedom = errors.sum() ** 2 / (errors**2 / 2).sum()  # Welch & Satterthwaite, of three trainings each
    margin = student.ppf(0.975, freedom) * np.sqrt(errors.sum())
    assert (found.mean, found.low, found.high) == pytest.approx((0.02 / 3, 0.02 / 3 - margin, 0.02 / 3 + margin))
    assert not found.shown
    assert script.welch([0.9, 0.91, 0.92], others).shown


def test_trainings_that_are_all_alike_differ_by_exactly_so_much(script: ModuleType) -> None:
    found = script.welch([0.5, 0.5], [0.25, 0.25])
    assert (found.mean, found.low, found.high) == (0.25, 0.25, 0.25)


def test_first_epochs_count_only_where_there_are_no_others(script: ModuleType) -> None:
    assert script.epoch_seconds([{"seconds": [9.0, 1.0, 2.0]}, {"seconds": [8.0, 3.0, 4.0]}]) == 2.5
    assert script.epoch_seconds([{"seconds": [9.0]}, {"seconds": [8.0]}]) == 8.5


def test_the_recipe_is_the_papers_by_default_and_its_steps_move_with_the_epochs(script: ModuleType) -> None:
    recipe = script.recipe_of(options(script, "--epochs", "30"))
    assert (recipe.model, recipe.milestones, recipe.batch_size) == ("resnet8", (15.0, 22.5), 128)
    assert script.recipe_of(options(script, "--schedule", "cosine", "--model", "resnet20")).schedule == "cosine"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--recipe", "cifar10-resnet18"), "label_smoothing"),
        (("--recipe", "cifar10-fast"), "schedule"),
        (("--model", "resnet50"), "resnet50"),
        (("--model", "resnet18"), "resnet18"),
        (("--model", "plainnet20"), "plainnet20"),
    ],
)
def test_what_the_plain_loop_does_not_do_is_refused(script: ModuleType, arguments: tuple[str, ...], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        script.recipe_of(options(script, *arguments))


def test_one_seed_and_a_missing_torch_are_refused_before_anything_is_read(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--seeds must be at least 2; received 1"):
        script.run(options(script, "--seeds", "1"))
    with pytest.raises(UsageError, match="apt-get install python3-torch"):
        script.torch_version(str(tmp_path / "no-python"))
    without = tmp_path / "python"
    without.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'torch'\" >&2\nexit 1\n")
    without.chmod(0o755)
    with pytest.raises(UsageError, match=r"No module named 'torch'.*--torch-python /usr/bin/python3"):
        script.run(options(script, "--torch-python", str(without)))


def comparison(script: ModuleType, out: Path, *arguments: str) -> Any:
    data = keras_resnet.load_data("digits", limit=200)
    chosen = options(script, "--out", str(out), "--epochs", "2", "--batch-size", "32", "--threads", "1", *arguments)
    return script.Comparison(script.recipe_of(chosen), data, chosen)


def test_a_finished_training_is_kept_and_one_of_other_settings_refused(script: ModuleType, tmp_path: Path) -> None:
    first = comparison(script, tmp_path)
    kept = {"accuracy": 0.5, "epoch": 2, "seconds": [1.0], "rates": [0.1], "validation": [0.5]}
    (tmp_path / "torch-seed-0.json").write_text(json.dumps({"settings": first.settings(0)} | kept))
    assert first.train("torch", 0)["accuracy"] == 0.5
    with pytest.raises(UsageError, match=r"trained otherwise.*threads"):
        comparison(script, tmp_path, "--threads", "2").train("torch", 0)
    with pytest.raises(UsageError, match=r"trained otherwise.*epochs"):
        comparison(script, tmp_path, "--epochs", "3").train("torch", 0)


def test_a_loop_that_fails_is_said_with_its_last_words_and_keeps_nothing(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = tmp_path / "loop.py"
    loop.write_text("import sys\nsys.exit('no memory')\n")
    monkeypatch.setattr(script, "LOOP", loop)
    with pytest.raises(KerasResNetError, match="ended with 1: no memory"):
        comparison(script, tmp_path, "--torch-python", sys.executable).train("torch", 0)
    assert not list(tmp_path.glob("torch-seed-*"))


def test_the_loop_gets_the_same_images_and_its_answer_is_kept(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = tmp_path / "loop.py"
    loop.write_text(
        "import json, sys\nimport numpy as np\n"
        "job, arrays, settings, result = sys.argv[1:]\n"
        "arrays, settings = np.load(arrays), json.load(open(settings))\n"
        "assert job == 'train' and settings['spec']['widths'] == [16, 32, 64] and settings['classes'] == 10\n"
        "sums = [int(arrays[f'{name}_images'].sum()) for name in ('train', 'validation', 'test')]\n"
        "found = {'accuracy': 0.5, 'epoch': 1, 'seconds': sums, 'rates': [0.1], 'validation': [settings['seed']]}\n"
        "json.dump(found, open(result, 'w'))\n"
    )
    monkeypatch.setattr(script, "LOOP", loop)
    made = comparison(script, tmp_path, "--torch-python", sys.executable)

    found = made.train("torch", 3)

    assert found["seconds"] == [int(split.read(slice(None)).sum()) for split in made.data.splits.values()]
    assert found["validation"] == [3]
    assert json.loads((tmp_path / "torch-seed-3.json").read_text()) == found


def test_pytorchs_network_is_ours(script: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for model in ("resnet8", "resnet20"):
        lines = comparison(script, tmp_path, "--torch-python", sys.executable, "--model", model).check_networks()
        assert len(lines) == 2
