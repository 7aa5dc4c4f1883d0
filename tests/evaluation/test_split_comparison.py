import json
import shutil
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
    compare_splits,
    divided_otherwise,
    independent_difference,
)
from keras_resnet.runs.run import Run
from keras_resnet.tasks.intervals import wilson_interval
from keras_resnet.training.fit import fit
from tests.shared import TINY, script_module


def figure(division: str, correct: int, images: int) -> SplitFigure:
    return SplitFigure(division, division, correct, images, correct / images, wilson_interval(correct, images))


def comparison(first: SplitFigure, second: SplitFigure, *also: str) -> SplitComparison:
    numbers = independent_difference(first.correct, first.images, second.correct, second.images)
    return SplitComparison(first, second, *numbers, shared=0, also_differ=also)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        # Newcombe's table II, method 10.
        ((48, 80, 56, 70), (0.0524, 0.3339)),
        ((3, 10, 9, 10), (0.1705, 0.8090)),
        ((2, 7, 6, 7), (0.0582, 0.8062)),
        ((0, 29, 5, 56), (-0.0381, 0.1926)),
        ((0, 10, 10, 10), (0.6075, 1.0)),
        ((0, 20, 0, 10), (-0.1611, 0.2775)),
    ],
)
def test_the_interval_is_that_of_newcombes_method_10(
    counts: tuple[int, int, int, int], expected: tuple[float, float]
) -> None:
    difference, interval = independent_difference(*counts)

    assert difference == pytest.approx(100 * (counts[2] / counts[3] - counts[0] / counts[1]))
    assert interval == pytest.approx([100 * bound for bound in expected], abs=0.006)


def test_the_interval_holds_the_true_difference_as_often_as_it_says() -> None:
    rows = list(script_module("check_paired").of_splits(draws=300, seed=0))

    assert len(rows) == 16
    assert all(row.holds for row in rows)
    assert min(row.share for row in rows) < 0.98, "an interval that always holds it says nothing"


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


@pytest.fixture(scope="module")
def at_random(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on a table of 60 grey images of two classes and six persons."""
    folder = tmp_path_factory.mktemp("splits")
    from PIL import Image

    rows = []
    for number in range(60):
        pixels = np.full((8, 8), 100 + number + 80 * (number % 2), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append(f"{number}.png,{['dark', 'bright'][number % 2]},p{number // 10}")
    (folder / "images.csv").write_text("\n".join(["path,label,person", *rows]))
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
    assert found.to_dict()["first"]["interval"] == wilson_interval(ours.metrics.correct, 12)


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

    assert divided_otherwise([at_random, by_person.path]) == (at_random, by_person)
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
