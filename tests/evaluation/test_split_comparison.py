import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.cli import main
from keras_resnet.data.loading import load_data, save_split
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import UsageError
from keras_resnet.evaluation.compare import compare
from keras_resnet.evaluation.evaluate import evaluate
from keras_resnet.evaluation.split_comparison import (
    SplitComparison,
    SplitFigure,
    beside,
    compare_splits,
    divided_otherwise,
)
from keras_resnet.evaluation.unpaired import independent_difference, mean_accuracy
from keras_resnet.runs.run import Run
from keras_resnet.tasks.intervals import effective_images, wilson_interval
from keras_resnet.training.fit import fit
from tests.shared import TINY


def figure(division: str, correct: int, images: int) -> SplitFigure:
    return SplitFigure(division, division, correct, images, correct / images, wilson_interval(correct, images))


def comparison(first: SplitFigure, second: SplitFigure, *also: str) -> SplitComparison:
    numbers = independent_difference(first.correct, first.images, second.correct, second.images)
    return SplitComparison(first, second, *numbers, shared=0, also_differ=also)


def test_a_lower_figure_by_group_is_the_one_to_count_on() -> None:
    at_random, by_camera = figure("at random", 410, 412), figure("by camera", 126, 211)

    expected = "by camera it is 39.8 points lower (33.3 to 46.5) than at random: count on the lower figure"
    assert comparison(at_random, by_camera).text == expected
    assert comparison(by_camera, at_random).text == expected


def test_it_is_said_where_the_split_makes_no_difference() -> None:
    found = comparison(figure("at random", 410, 412), figure("by series", 411, 413), "epochs", "model")

    assert not found.is_shown
    assert found.text == (
        "the split makes no difference that these images could show (the trainings differ in more than the split: "
        "epochs, model)"
    )


def test_a_higher_figure_by_group_is_none_to_trust() -> None:
    found = comparison(figure("at random, fold 1 of 5", 300, 412), figure("by time", 400, 412))

    assert found.text.startswith("at random, fold 1 of 5 it is 24.3 points lower (")
    assert found.text.endswith(
        "than by time: the images that were held out may be easy ones; other folds tell (--folds)"
    )


def test_of_too_few_groups_it_is_said_what_these_images_show_and_that_others_are_not_known() -> None:
    """Of one camera nobody can tell how it is on others; that the figure is far lower is a warning all the same."""
    at_random = figure("at random", 410, 412)
    of_one = replace(figure("by camera", 126, 211), groups=1, interval=(0.0, 1.0))
    counts = at_random.correct, at_random.images, of_one.correct, of_one.images
    intervals = at_random.interval, of_one.interval
    found = SplitComparison(
        at_random,
        of_one,
        *independent_difference(*counts, intervals=intervals),
        shared=0,
        on_these=independent_difference(*counts)[1],
    )

    assert not found.is_shown
    assert found.is_seen
    assert found.text == (
        "by camera it is 39.8 points lower than at random on these images, of 1 group, too few to tell how it is on "
        "others: count on the lower figure"
    )


def means(first: str, second: str, difference: float, interval: tuple[float, float]) -> SplitComparison:
    figures = [SplitFigure(one, one, 380, 400, 0.95, (0.94, 0.96), (0.94, 0.96)) for one in (first, second)]
    return SplitComparison(figures[0], figures[1], difference, interval, shared=400, p=0.01)


def test_of_several_trainings_it_is_said_in_words_too() -> None:
    at_random, by_camera = "at random (5 folds)", "by camera (5 folds)"

    assert means(at_random, by_camera, -9.0, (-15.8, -2.2)).text == (
        "by camera (5 folds) it is 9.0 points lower (2.2 to 15.8) than at random (5 folds): count on the lower figure"
    )
    assert means(at_random, by_camera, 0.5, (-1.0, 2.0)).text == (
        "the split makes no difference that these trainings could show"
    )
    assert means(at_random, by_camera, 4.0, (2.0, 6.0)).text.endswith(
        "than by camera (5 folds): a random split that leaks would be the higher one; this one does not leak"
    )


@pytest.fixture(scope="module")
def at_random(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on a table of 60 grey images of two classes and six persons."""
    folder = tmp_path_factory.mktemp("splits")
    from PIL import Image

    rows = []
    for number in range(60):
        pixels = np.full((8, 8), 100 + number + 80 * (number % 2), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{['dark', 'bright'][number % 2]},p{number // 10},{number // 20}")
    (folder / "images.csv").write_text("\n".join(["path,label,person,third", *rows]))
    source = Source(f"csv:{folder / 'images.csv'}", image_size=8, channels=1)
    return fit(TINY.but(epochs=1), source, folder / "random", verbose=False)


def divided(run: Run, out: Path, *, epochs: int = 1, **settings: object) -> Run:
    """The same run as if its images had been divided otherwise."""
    shutil.copytree(run.path, out)
    config, data = (json.loads((out / name).read_text()) for name in ("config.json", "data.json"))
    config["data"].update(settings)
    config["recipe"]["epochs"] = epochs
    images = load_data(Source(**config["data"]))
    data["fingerprint"] = images.fingerprint
    data["images_per_class"] = {
        name: images.task.images_of_classes(part.labels).tolist() for name, part in images.splits.items()
    }
    (out / "config.json").write_text(json.dumps(config))
    (out / "data.json").write_text(json.dumps(data))
    save_split(images, out / "split.json")
    return Run(out)


def test_runs_divided_otherwise_are_each_asked_for_their_own_test_images(at_random: Run, tmp_path: Path) -> None:
    by_person = divided(at_random, tmp_path / "person", split="group", group_by="person", fold=[2, 3], epochs=7)

    (found,) = compare_splits(at_random, by_person.path)

    ours, theirs = (evaluate(run) for run in (at_random, by_person))
    assert (found.first.correct, found.first.images) == (ours.metrics.correct, len(ours.labels))
    assert (found.second.correct, found.second.images) == (theirs.metrics.correct, len(theirs.labels))
    assert found.second.images == 20, "two of six persons"
    assert (found.first.division, found.second.division) == ("at random", "by person, fold 2 of 3")
    assert found.shared == len(set(ours.names) & set(theirs.names)) > 0
    assert found.also_differ == ("epochs",)
    assert found.to_dict()["first"]["interval"] == pytest.approx(wilson_interval(ours.metrics.correct, 12))
    assert (found.first.groups, found.second.groups) == (None, 2)
    assert found.second.interval == theirs.metrics.top1_interval
    counts = (ours.metrics.correct, 12, theirs.metrics.correct, 20)
    intervals = ours.metrics.top1_interval, theirs.metrics.top1_interval
    assert (found.difference, found.interval) == independent_difference(*counts, intervals=intervals)
    assert found.on_these == independent_difference(*counts)[1]
    assert np.ptp(found.interval) > np.ptp(found.on_these) + 10, "two persons are no twenty images"


def test_splits_of_two_seeds_are_told_apart(at_random: Run, tmp_path: Path) -> None:
    other = divided(at_random, tmp_path / "other", seed=1)

    (found,) = compare_splits(at_random, other)

    assert found.first.division == "at random, seed 0 (random)"
    assert found.second.division == "at random, seed 1 (other)"


def test_a_saved_split_and_the_sources_own_are_named_so(at_random: Run, tmp_path: Path) -> None:
    by_time = divided(at_random, tmp_path / "person", split="group", group_by="person")
    saved = divided(at_random, tmp_path / "saved", split_file=str(by_time.path / "split.json"))
    table = Path(at_random.config["data"]["name"].removeprefix("csv:"))
    head, *rows = table.read_text().splitlines()
    parts = ["train", "validation", "test"]
    own = table.with_name("own.csv")
    own.write_text("\n".join([f"{head},split", *(f"{row},{parts[place // 2 % 3]}" for place, row in enumerate(rows))]))
    given = divided(at_random, tmp_path / "given", name=f"csv:{own}")

    found = compare_splits(at_random, saved, given)

    assert [one.second.division for one in found] == ["by split.json", "as their source divides them"]
    assert found[1].also_differ == ()


def test_other_images_are_not_divided_otherwise(at_random: Run, finished_run: Run, tmp_path: Path) -> None:
    by_person = divided(at_random, tmp_path / "person", split="group", group_by="person")

    assert divided_otherwise([at_random, by_person.path]) == ((at_random,), (by_person,))
    assert divided_otherwise([at_random, at_random]) == ()
    assert divided_otherwise([at_random, finished_run]) == ()
    assert divided_otherwise([at_random, by_person.model]) == ()
    with pytest.raises(UsageError, match="two or more finished runs of the same images, divided otherwise"):
        compare_splits(at_random, finished_run)
    with pytest.raises(UsageError, match="divided otherwise, are compared by compare_splits"):
        compare(at_random, by_person)


def test_the_command_puts_them_side_by_side(at_random: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_person = divided(at_random, tmp_path / "person", split="group", group_by="person")
    (expected,) = compare_splits(at_random, by_person)
    command = ["compare", str(at_random.path), str(by_person.path)]

    assert main(command) == 0
    shown = capsys.readouterr().out
    assert expected.text in shown
    assert f"{expected.first.correct} of {expected.first.images}" in shown
    assert "│ by person" in shown
    assert "tested by both" in shown

    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0]["second"]["division"] == "by person"
    assert main([*command, "--split", "validation"]) == 2, "of validation images, nothing is compared so"
    assert "trained on other images or splits" in capsys.readouterr().err


def test_a_figure_stands_beside_those_of_neighbours_on_other_splits(
    at_random: Run, finished_run: Run, tmp_path: Path, undrawn: None
) -> None:
    by_person: dict[str, object] = {"split": "group", "group_by": "person"}
    random = Run(Path(shutil.copytree(at_random.path, tmp_path / "random")))
    person = divided(at_random, tmp_path / "person", **by_person)
    farther = divided(at_random, tmp_path / "a-farther", epochs=7, **by_person)
    others = [
        divided(at_random, tmp_path / "other-seed", seed=1),
        Run(Path(shutil.copytree(finished_run.path, tmp_path / "other-images"))),
        divided(at_random, tmp_path / "fold", fold=[1, 3]),
    ]
    assert beside(random) == (), "it is not evaluated"
    for run in (random, person, farther, *others):
        evaluate(run).write(run.path / "evaluation")
    record = json.loads((farther.path / "evaluation" / "evaluation.json").read_text())
    low, high = record.pop("correct_95%_interval")
    divided(at_random, tmp_path / "not-evaluated", split="group", group_by="third")
    damaged = divided(at_random, tmp_path / "damaged", split_file=str(person.path / "split.json"))
    (damaged.path / "evaluation").mkdir()
    (damaged.path / "evaluation" / "evaluation.json").write_text("{")

    found = beside(random)

    assert found == compare_splits(random, person), "the figures are the same, and nothing but records was read"
    assert found[0].also_differ == ()
    assert found[0].shared > 0
    assert found[0].second.groups == 1
    assert found[0].second.interval == (low, high)
    shutil.rmtree(person.path)
    (farther.path / "evaluation" / "evaluation.json").write_text(json.dumps(record))
    assert [(one.second.groups, one.on_these) for one in beside(random)] == [(None, None)], "as it once was written"
    assert [(one.second.name, one.also_differ) for one in beside(random)] == [("a-farther", ("epochs",))]
    assert [one.second.division for one in beside(farther)] == ["at random"]


@pytest.fixture(scope="module")
def folds(at_random: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of three folds at random, and one of three by person."""
    folder = tmp_path_factory.mktemp("folds")
    kinds: dict[str, dict[str, object]] = {"random": {}, "person": {"split": "group", "group_by": "person"}}
    for name, settings in kinds.items():
        for number in (1, 2, 3):
            divided(at_random, folder / name / f"fold-{number}", fold=[number, 3], **settings)
    return {name: folder / name for name in kinds}


def test_folders_of_folds_are_compared_by_their_accuracies(
    folds: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare", str(folds["random"]), str(folds["person"])]
    assert main([*command, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)

    expected = []
    for name in ("random", "person"):
        runs = [Run(folds[name] / f"fold-{number}") for number in (1, 2, 3)]
        metrics = [evaluate(run).metrics for run in runs]
        counts = [run.data_file["images_per_class"] for run in runs]
        ratio = np.mean([sum(one["test"]) / sum(one["train"]) for one in counts])
        assert ratio > 0.4, "a third is tested, and of the rest some is for validation"
        expected.append(mean_accuracy([one.correct / one.images for one in metrics], test_by_train=float(ratio)))
    apart = expected[1].less(expected[0])
    assert found["first"]["division"] == "at random (3 folds)"
    assert found["second"]["division"] == "by person (3 folds)"
    assert found["difference"] == pytest.approx(100 * apart.mean)
    assert found["interval"] == pytest.approx([100 * bound for bound in apart.interval])
    assert found["p"] == pytest.approx(apart.p)
    assert found["second"]["accuracy"] == pytest.approx(expected[1].mean)
    assert (found["first"]["images"], found["second"]["images"], found["shared"]) == (60, 60, 60)
    assert len(found["first"]["accuracies"]) == 3

    assert main(command) == 0
    shown = capsys.readouterr().out
    assert found["text"] in shown
    assert "Welch" in shown


def test_folders_with_a_split_in_common_are_left_to_pairs(
    folds: dict[str, Path], at_random: Run, finished_run: Run
) -> None:
    two = [folds["random"] / "fold-1", folds["random"] / "fold-2"]

    assert [len(side) for side in divided_otherwise([folds["random"], folds["person"]])] == [3, 3]
    assert divided_otherwise([folds["random"], two]) == ()
    assert divided_otherwise([two, [finished_run]]) == ()
    assert divided_otherwise([two, [two[0] / "model.keras"]]) == ()


def test_one_training_has_no_spread_to_compare_with_that_of_several(folds: dict[str, Path], at_random: Run) -> None:
    with pytest.raises(UsageError, match=r"two or more of each \(.*\); there are of random 1, person 3"):
        compare_splits(at_random, folds["person"])


def test_several_are_of_one_kind_of_split(folds: dict[str, Path], at_random: Run) -> None:
    mixed = [folds["random"] / "fold-1", folds["person"] / "fold-1"]

    with pytest.raises(UsageError, match=r"divided in more than one way \(at random, by person\)"):
        compare_splits(mixed, [folds["person"] / "fold-2", folds["person"] / "fold-3"])


def test_seeds_on_one_split_also_count_the_draw_of_its_test_images(
    folds: dict[str, Path], at_random: Run, tmp_path: Path
) -> None:
    seeds = [Path(shutil.copytree(at_random.path, tmp_path / name)) for name in ("one", "two")]

    (found,) = compare_splits(seeds, folds["person"])

    accuracy, images = found.first.accuracy, 12
    alone = mean_accuracy([accuracy, accuracy], images=images)
    assert found.first.division == "at random (2 seeds)"
    assert found.first.images == 2 * images
    assert found.first.interval == pytest.approx((max(0, alone.interval[0]), min(1, alone.interval[1])))
    assert found.on_these is None
    assert alone.error > 0.05, "two trainings that are alike do not make twelve images many"


def test_seeds_on_one_split_by_group_are_as_sure_as_its_groups_allow(
    folds: dict[str, Path], at_random: Run, tmp_path: Path
) -> None:
    by_person = divided(at_random, tmp_path / "one", split="group", group_by="person")
    seeds = [by_person.path, Path(shutil.copytree(by_person.path, tmp_path / "two"))]

    (found,) = compare_splits(seeds, folds["random"])

    evaluation = evaluate(by_person)
    right, groups = evaluation.answers.right, evaluation.groups
    worth = effective_images(right.mean(), right - right.mean(), groups, units=len(right))
    expected = mean_accuracy([right.mean()] * 2, images=worth, groups=len(np.unique(groups)))
    assert found.first.groups == len(np.unique(groups)) < len(right) / 5
    assert found.first.interval == pytest.approx((max(0, expected.interval[0]), min(1, expected.interval[1])))
    assert found.on_these is not None
    assert np.ptp(found.interval) > np.ptp(found.on_these)
