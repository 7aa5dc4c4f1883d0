import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.cli import main
from keras_resnet.data.images import ImageData
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.compare import PairedComparison, compare
from keras_resnet.evaluation.evaluate import Evaluation, evaluate
from keras_resnet.evaluation.paired import images_needed, paired_t_test
from keras_resnet.runs.run import Run


def table(path: Path, right: list[bool], *, order: np.ndarray | None = None) -> Path:
    """Predictions for images of two classes."""
    rows = [
        f"{n}.png,{'cat' if n % 2 else 'dog'},{'cat' if bool(n % 2) == one else 'dog'}" for n, one in enumerate(right)
    ]
    rows = rows if order is None else [rows[place] for place in order]
    path.write_text("\n".join(["path,label,prediction", *rows]) + "\n")
    return path


def right(images: int, *wrong: int) -> list[bool]:
    return [number not in wrong for number in range(images)]


@pytest.fixture
def worse(finished_run: Run, tiny_data: ImageData) -> Evaluation:
    """The run's answers, half of which are spoilt."""
    found = evaluate(finished_run)
    logits = found.logits.copy()
    logits[::2] = np.roll(logits[::2], 1, axis=1)
    return replace(found, logits=logits)


def test_a_run_is_compared_on_its_own_test_images(finished_run: Run, worse: Evaluation) -> None:
    own = evaluate(finished_run)

    (found,) = compare(finished_run, worse)

    first, second = (one.logits.argmax(1) == own.labels for one in (own, worse))
    assert (found.images, found.groups) == (60, None)
    assert found.accuracies == ((first.mean(),), (second.mean(),))
    assert (found.only_first, found.only_second) == ((first & ~second).sum(), (~first & second).sum())
    assert found.difference == pytest.approx(100 * (second.mean() - first.mean()))
    assert found.p < 0.001
    assert found.text.startswith("tiny is better by ")
    places = np.flatnonzero(own.logits.argmax(1) != worse.logits.argmax(1))
    assert [one.image for one in found.differing] == [own.names[place] for place in places]


def test_a_file_beside_a_run_is_asked_for_the_runs_images(finished_run: Run, tiny_data: ImageData) -> None:
    file = finished_run.model

    (found,) = compare(finished_run, file)

    assert (found.images, found.only_first, found.only_second, found.p) == (60, 0, 0, 1.0)
    assert found.text == "no difference that 60 images could show: both are right on the same ones"
    assert found.needed is None
    assert compare(file, file, data=tiny_data, split="validation")[0].images == len(tiny_data.validation)
    with pytest.raises(UsageError, match="do not know their images"):
        compare(finished_run.model, file)


def test_tables_of_predictions_are_paired_by_the_names_of_images(finished_run: Run, tmp_path: Path) -> None:
    wrong = list(range(8))
    first = table(tmp_path / "first.csv", right(200, *wrong))
    second = table(tmp_path / "second.csv", right(200, 7), order=np.random.default_rng(0).permutation(200))

    (found,) = compare(first, second)

    assert (found.only_first, found.only_second) == (0, 7)
    assert found.p == pytest.approx(2 / 2**7)
    assert [one.image for one in found.differing] == [f"{n}.png" for n in wrong[:-1]]
    assert vars(found.differing[0]) == {"image": "0.png", "label": "dog", "first": "cat", "second": "dog"}


def test_a_table_that_evaluate_wrote_is_the_evaluation(finished_run: Run, worse: Evaluation, tmp_path: Path) -> None:
    worse.write(tmp_path)

    (found,) = compare(worse, tmp_path)

    assert (found.images, found.differing) == (60, ())


def test_what_was_not_asked_for_the_same_is_refused(tmp_path: Path) -> None:
    first = table(tmp_path / "first.csv", right(20))
    with pytest.raises(DataError, match=r"not asked for the same images \(20 and 30; none missing"):
        compare(first, table(tmp_path / "more.csv", right(30)))
    other = tmp_path / "other.csv"
    other.write_text(first.read_text().replace("3.png,cat", "3.png,dog", 1))
    with pytest.raises(DataError, match=r"other labels for 1 images, first '3.png'"):
        compare(first, other)
    other.write_text("image,class\na.png,dog\n")
    with pytest.raises(DataError, match="no table of predictions: expected the columns path, label, prediction"):
        compare(first, other)
    with pytest.raises(UsageError, match="needs two models or more; received 1"):
        compare(first)
    with pytest.raises(DataError, match="20 images have no group, first '0.png'"):
        compare(first, first, groups={})


def test_a_difference_of_one_person_is_none_of_people(tmp_path: Path) -> None:
    first, second = table(tmp_path / "a.csv", right(90, *range(9))), table(tmp_path / "b.csv", right(90))
    people = {f"{number}.png": f"person {number // 9}" for number in range(90)}

    (alone,), (by_person,) = compare(first, second), compare(first, second, groups=people)

    assert alone.is_shown
    assert not by_person.is_shown
    assert (by_person.groups, by_person.p) == (10, 1.0)
    assert by_person.method == "McNemar's exact test, by group"
    assert by_person.needed is not None
    assert alone.needed is not None
    assert by_person.needed > 5 * alone.needed


def test_groups_are_those_of_the_data(finished_run: Run, tmp_path: Path) -> None:
    first, second = table(tmp_path / "a.csv", right(12, 1)), table(tmp_path / "b.csv", right(12))
    listed = tmp_path / "images.csv"
    rows = [f"{number}.png,{'cat' if number % 2 else 'dog'},g{number // 4}" for number in range(12)]
    listed.write_text("\n".join(["path,label,group", *rows]))

    assert compare(first, second, data=f"csv:{listed}")[0].groups == 3


def test_several_models_are_corrected_for_looking_often(tmp_path: Path) -> None:
    reference = table(tmp_path / "reference.csv", right(300, *range(6)))
    others = [table(tmp_path / f"other{number}.csv", right(300, *range(number, 1))) for number in (0, 1)]

    found = compare(reference, *others)

    assert [row.p for row in found] == pytest.approx([2 / 2**5, 2 / 2**6])
    assert [row.corrected for row in found] == pytest.approx([2 / 2**5, 4 / 2**6])
    assert not any(row.is_shown for row in found)
    assert found[1].text == (
        "no difference that 300 images could show among several comparisons: p is 0.031 alone and 0.062 corrected"
    )
    assert {row.first for row in found} == {"reference"}


def test_a_small_difference_says_how_many_images_it_takes(tmp_path: Path) -> None:
    first, second = table(tmp_path / "a.csv", right(412, 1, 2, 3)), table(tmp_path / "b.csv", right(412, 4))
    needed = images_needed(100 * 2 / 412, 100 * 4 / 412)

    (found,) = compare(first, second)

    assert found.needed == needed
    assert needed is not None
    assert 3000 < needed < 4000
    least = f"{math.ceil(needed / 100) * 100:,}"
    assert found.text == (f"no difference that 412 images could show; {least} would be needed for one of 0.5 points")


def seeded(folder: Path, of: Run, seeds: dict[int, str]) -> Path:
    """A folder of runs that differ by their seed and, if asked for, by the fingerprint of their data."""
    for seed, fingerprint in seeds.items():
        path = folder / f"run-{9 - seed}"  # in another order than the seeds
        shutil.copytree(of.path, path, ignore=shutil.ignore_patterns("checkpoints", "exports", "plots"))
        config, data = (json.loads((path / name).read_text()) for name in ("config.json", "data.json"))
        config["recipe"]["seed"], data["fingerprint"] = seed, fingerprint or data["fingerprint"]
        (path / "config.json").write_text(json.dumps(config))
        (path / "data.json").write_text(json.dumps(data))
    return folder


def test_seeds_are_paired_and_compared_by_a_t_test(
    finished_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (seeded(tmp_path / name, finished_run, dict.fromkeys(range(3), "")) for name in ("a", "b"))
    own = evaluate(finished_run)
    asked: list[tuple[str, int]] = []

    def spoilt(model: Run, *arguments: object, **options: object) -> Evaluation:
        seed = json.loads((model.path / "config.json").read_text())["recipe"]["seed"]
        asked.append((model.path.parent.name, seed))
        wrong = {"a": (10, 12, 9), "b": (5, 8, 3)}[model.path.parent.name][seed]
        logits = np.eye(10, dtype=np.float32)[own.labels]
        logits[:wrong] = np.roll(logits[:wrong], 1, axis=1)
        return replace(own, logits=logits)

    monkeypatch.setattr("keras_resnet.evaluation.compare.evaluate", spoilt)

    (found,) = compare(first, second)

    assert sorted(asked) == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]
    expected = paired_t_test(np.array([5, 4, 6]) * 100 / 60)
    assert sorted(found.accuracies[0]) == pytest.approx([48 / 60, 50 / 60, 51 / 60])
    assert (found.p, found.interval) == (pytest.approx(expected.p), pytest.approx(expected.interval))
    assert found.text == "b is better by 8.3 points (4.2 to 12.5) on average over 3 trainings"
    assert not found.is_resampled

    for folder in (first, second):
        for number, path in enumerate(sorted(folder.iterdir())):
            data = json.loads((path / "data.json").read_text())
            (path / "data.json").write_text(json.dumps(data | {"fingerprint": f"fold {number}"}))
    (folds,) = compare(first, second, data="digits")  # given, so that the fingerprints are not looked at

    counts = json.loads((finished_run.path / "data.json").read_text())["images_per_class"]
    ratio = sum(counts["test"]) / sum(counts["train"])
    assert folds.is_resampled
    assert folds.p == pytest.approx(paired_t_test(np.array([5, 4, 6]) * 100 / 60, ratio).p)
    assert folds.p > found.p


def test_trainings_that_cannot_be_paired_are_refused(finished_run: Run, tmp_path: Path) -> None:
    first = seeded(tmp_path / "a", finished_run, {0: "", 1: ""})

    with pytest.raises(UsageError, match="as many of each; there are of a 2, tiny 1"):
        compare(first, finished_run)
    with pytest.raises(UsageError, match="a has seed 0.*, seed 1.*; b has seed 0.*, seed 2"):
        compare(first, seeded(tmp_path / "b", finished_run, {0: "", 2: ""}))
    with pytest.raises(UsageError, match="were trained on other images or splits"):
        compare(finished_run, seeded(tmp_path / "c", finished_run, {0: "others"}))


def test_the_command_prints_tables_words_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = table(tmp_path / "plain.csv", right(200, *range(30))), table(tmp_path / "residual.csv", right(200))

    assert main(["compare", str(first), str(second)]) == 0
    shown = capsys.readouterr().out
    assert "residual is better by 15.0 points (9.8 to 19.9)" in shown
    assert "McNemar's exact test:" in shown
    assert "│ 19.png" in shown
    assert "│ 20.png" not in shown
    assert "and 10 more; --json lists all" in shown

    assert main(["compare", str(first), str(second), str(first), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 2
    assert len(found[0]["differing"]) == 30
    assert found[0]["corrected"] == pytest.approx(2 * found[0]["p"])
    assert main(["compare", str(first)]) == 2
    assert main(["compare", str(first), str(second), "--limit", "3"]) == 2


def test_bounds_that_are_infinite_are_null_in_json() -> None:
    found = PairedComparison("a", "b", "t", 9, ((1.0,), (1.0,)), 0.0, (-math.inf, math.inf), 1.0, 1.0, 0, 0)

    assert found.to_dict()["interval"] == [None, None]


def test_several_classes_are_the_same_in_any_order(tmp_path: Path) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("path,label,prediction\n1.png,cat|dog,dog|cat\n2.png,,\n3.png,cat,dog|cat\n")
    second.write_text("path,label,prediction\n1.png,dog|cat,cat\n2.png,,\n3.png,cat,cat\n")

    (found,) = compare(first, second)

    assert found.accuracies == ((2 / 3,), (2 / 3,))
    assert (found.only_first, found.only_second) == (1, 1)
