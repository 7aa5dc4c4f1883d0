import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student
from sklearn.metrics import accuracy_score

import keras_resnet
from keras_resnet.cli import main
from keras_resnet.data.images import ImageData
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.evaluate import Evaluation
from keras_resnet.runs.run import Run
from keras_resnet.tasks.shares import softmax
from tests.shared import TINY, TINY_SOURCE

ONCE = replace(TINY, epochs=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(model.relative_to(folder)): model.read_bytes() for model in sorted(folder.rglob("model.keras"))}


@pytest.mark.usefixtures("undrawn")
def test_seeds_share_images_and_are_averaged_and_a_stopped_repetition_ends_with_the_same_bits(
    tiny_data: ImageData, tmp_path: Path
) -> None:
    evaluations: list[Evaluation] = []

    def stopping(_run: Run, _evaluation: Evaluation) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keras_resnet.repeat(ONCE, tiny_data, tmp_path / "stopped", seeds=2, finished=stopping, verbose=False)
    assert set(contents(tmp_path / "stopped")) == {"seed-0/model.keras"}

    def keep(_run: Run, evaluation: Evaluation) -> None:
        evaluations.append(evaluation)

    whole = keras_resnet.repeat(ONCE, tiny_data, tmp_path / "whole", seeds=2, finished=keep, verbose=False)
    stopped = keras_resnet.repeat(ONCE, tiny_data, tmp_path / "stopped", seeds=2, verbose=False)
    assert stopped.values == whole.values
    assert np.array_equal(whole.together.logits, stopped.together.logits)

    first, second = evaluations
    assert not np.array_equal(first.logits, second.logits)
    assert first.names == second.names == whole.together.names
    mean = (softmax(first.logits) + softmax(second.logits)) / 2
    assert np.allclose(softmax(whole.together.logits), mean, atol=1e-6)
    assert whole.values == (first.metrics.top1, second.metrics.top1)
    assert whole.mean == pytest.approx(np.mean(whole.values))
    assert whole.deviation == pytest.approx(abs(whole.values[0] - whole.values[1]) / np.sqrt(2))
    half = student.ppf(0.975, 1) * whole.deviation / np.sqrt(2)
    assert whole.interval == pytest.approx((whole.mean - half, whole.mean + half))
    assert "over 2 seeds" in str(whole)


@pytest.mark.usefixtures("undrawn")
def test_folds_test_every_image_once_and_the_interval_knows_what_they_share(tmp_path: Path) -> None:
    source = replace(TINY_SOURCE, limit=60)
    found = keras_resnet.repeat(ONCE, source, tmp_path / "folds", folds=3, verbose=False)
    assert [run.name for run in found.runs] == ["fold-1of3", "fold-2of3", "fold-3of3"]
    assert len(set(found.together.names)) == len(found.together.names) == 60
    decided = found.together.logits.argmax(axis=1)
    assert found.together.metrics.top1 == pytest.approx(accuracy_score(found.together.labels, decided))
    counts = [Run.at(run).data_file["images_per_class"] for run in found.runs]
    assert [sum(one["test"]) for one in counts] == [20, 20, 20]
    trained = [sum(one["train"]) for one in counts]
    error = found.deviation * np.sqrt(1 / 3 + np.mean([20 / one for one in trained]))
    half = student.ppf(0.975, 2) * error
    assert found.interval == pytest.approx((found.mean - half, found.mean + half))

    files = found.write()
    assert (tmp_path / "folds" / "repetition.json") in files
    written = json.loads((tmp_path / "folds" / "repetition.json").read_text())
    assert written["values"] == dict(zip(["fold-1of3", "fold-2of3", "fold-3of3"], found.values, strict=True))
    assert written["together"]["images"] == 60
    with pytest.raises(UsageError, match=r"fold-1of3 was trained with other settings \(recipe.epochs"):
        keras_resnet.repeat(replace(ONCE, epochs=2), source, tmp_path / "folds", folds=3, verbose=False)


def test_what_cannot_be_repeated_is_refused_before_any_training(tiny_data: ImageData, tmp_path: Path) -> None:
    images, labels = np.zeros((40, 8, 8, 1), np.uint8), np.arange(40) % 2
    for settings, message in (
        ({}, "give seeds or folds, one of them"),
        ({"seeds": 2, "folds": 2}, "give seeds or folds, one of them"),
        ({"seeds": 1}, "one training says nothing of chance"),
    ):
        with pytest.raises(UsageError, match=message):
            keras_resnet.repeat(ONCE, tiny_data, tmp_path / "none", verbose=False, **settings)
    with pytest.raises(UsageError, match="folds need a source"):
        keras_resnet.repeat(ONCE, (images, labels), tmp_path / "none", folds=2, verbose=False)
    with pytest.raises(UsageError, match="leave fold and split_file out"):
        keras_resnet.repeat(ONCE, replace(TINY_SOURCE, fold=(1, 2)), tmp_path / "none", folds=2, verbose=False)
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("undrawn")
def test_data_that_changed_between_two_seeds_are_noticed(image_folder: Path, tmp_path: Path) -> None:
    recipe = replace(ONCE, batch_size=8)
    source = keras_resnet.Source(f"folder:{image_folder}", image_size=8, channels=1)

    def stopping(_run: Run, _evaluation: Evaluation) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keras_resnet.repeat(recipe, source, tmp_path / "out", seeds=2, finished=stopping, verbose=False)
    (image_folder / "red" / "00.png").write_bytes((image_folder / "red" / "01.png").read_bytes())
    with pytest.raises(DataError, match="the data have changed since"):
        keras_resnet.repeat(recipe, source, tmp_path / "out", seeds=2, verbose=False)


@pytest.mark.usefixtures("undrawn")
def test_the_command_trains_all_folds_and_says_what_they_gave(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(image_folder), "--recipe", "folder", "--model", "oneblock", "--image-size", "8"]
    words += ["--epochs", "1", "--batch-size", "8", "--folds", "2", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "top-1 over 2 folds" in said
    assert "36 images, each by a network that was not trained on it" in said
    assert main([*words, "--seeds", "2"]) == 2
    assert "one of them" in capsys.readouterr().err
