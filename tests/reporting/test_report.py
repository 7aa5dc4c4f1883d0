"""The report of a run: what it says is what the run's folder holds, and every name stays text."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import keras_resnet
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import from_arrays
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.evaluate import evaluate
from keras_resnet.evaluation.report import report_run
from keras_resnet.evaluation.robustness import Robustness
from keras_resnet.evaluation.split_comparison import SplitComparison, SplitFigure
from keras_resnet.evaluation.written import WrittenEvaluation, read_evaluation
from keras_resnet.explanation.history import History
from keras_resnet.html_page import with_options
from keras_resnet.inspection.inspection import WrittenFinding
from keras_resnet.reporting.contents import read_contents
from keras_resnet.reporting.curves import training_charts
from keras_resnet.reporting.doubts import Doubt, doubts
from keras_resnet.reporting.report import MOST_LOSSES, confusion_map, write_report
from keras_resnet.reporting.report import page as drawn_page
from keras_resnet.reporting.words import (
    LEAKS,
    MEANINGS,
    blamed,
    easier,
    expected,
    in_short,
    next_steps,
    strengths,
    trust,
)
from keras_resnet.runs.run import Run
from keras_resnet.tasks.classification import METRICS as OF_CLASSES
from keras_resnet.tasks.multi_label import METRICS as OF_LABELS
from keras_resnet.tasks.table import task
from keras_resnet.tasks.task import ClassMetrics
from keras_resnet.training.fit import fit
from tests.evaluation.test_written import evaluation
from tests.reporting.pages import Page, check_page
from tests.shared import TINY

Copy = Callable[[], Run]


@pytest.fixture(scope="module")
def evaluated(finished_run: Run, tiny_data: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy of the shared run, with its evaluation."""
    path = tmp_path_factory.mktemp("reports") / "tiny"
    shutil.copytree(finished_run.path, path, ignore=shutil.ignore_patterns("checkpoints", ".lock"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_resnet.pictures.available", lambda: False)
        report_run(Run(path), tiny_data)
    return Run(path)


@pytest.fixture(scope="module")
def page(evaluated: Run, tiny_data: ImageData) -> Page:
    return Page(write_report(evaluated, tiny_data, look=False))


@pytest.fixture
def copy(evaluated: Run, tmp_path: Path) -> Copy:
    def made() -> Run:
        shutil.copytree(evaluated.path, tmp_path / "copy")
        return Run(tmp_path / "copy")

    return made


@pytest.fixture
def no_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave Grad-CAM out, which takes seconds."""
    monkeypatch.setattr("keras_resnet.reporting.report.spotlights", lambda predictor, images: ([], "left out"))


def test_the_page_needs_nothing_else_and_can_be_read_without_eyes_and_without_colours(page: Page) -> None:
    check_page(page)
    assert len(page.source) < 3e6
    charts = [tag for tag in page.named("svg") if "role" in tag]
    assert len(charts) == 3  # loss, accuracy, reliability
    assert "Accuracy by epoch: training from" in page.text
    # Lines differ in dashes and markers, too.
    assert ".line.k1 { stroke-dasharray" in page.source


def test_the_summary_says_what_the_model_decides_and_how_often_it_is_right(page: Page, evaluated: Run) -> None:
    found = json.loads((evaluated.path / "evaluation" / "evaluation.json").read_text())
    low, high = found["top1_95%_interval"]
    largest = max(row["images"] for row in found["classes"])

    assert "It tells 10 classes apart: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9." in page.text
    assert f"Of {found['images']} test images that it had never seen it got {found['correct']} right" in page.text
    assert f"{found['top1']:.1%} (95 % interval {low:.1%} to {high:.1%})" in page.text
    assert f"would be right on {largest / found['images']:.1%}." in page.text
    worst = found["most_confused"][0]
    assert f"of {worst['label']} it takes for {worst['prediction']}." in page.text


def test_every_figure_has_its_interval_and_a_line_of_what_it_means(page: Page) -> None:
    assert OF_CLASSES.keys() | OF_LABELS.keys() <= MEANINGS.keys()
    figures = page.section("Figures")
    for name in ("top1", "balanced_accuracy", "log_loss", "ece"):
        assert f"{OF_CLASSES[name].title} <span" in figures
        assert MEANINGS[name] in figures


def test_the_worst_mistakes_are_the_largest_losses_each_with_what_the_answer_comes_from(
    page: Page, evaluated: Run, tiny_data: ImageData
) -> None:
    answers = evaluate(evaluated, tiny_data).answers
    losses = np.where(answers.right, 0, -np.log(answers.probabilities[np.arange(len(answers.labels)), answers.labels]))
    expected = [tiny_data.names[tiny_data.test.indices[place]] for place in np.argsort(-losses)[:3]]
    section = page.section("Worst mistakes")

    places = [section.index(f">{name}<") for name in expected]
    assert places == sorted(places)
    wrong = min(12, int((~answers.right).sum()))
    assert section.count("<img") == 2 * wrong
    assert section.count("light where the answer") == wrong


@pytest.mark.usefixtures("undrawn")
def test_of_many_classes_the_confusion_matrix_is_a_map_of_the_largest_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tuple(f"class {number}" for number in range(30))
    made = evaluation("classification", names, 300)
    made.write(tmp_path)
    found = read_evaluation(tmp_path, names)
    confusion = made.metrics.confusion
    assert confusion is not None

    shown = confusion_map(found)

    assert shown is not None
    assert shown["size"] == 30
    assert {(one["row"], one["column"]) for one in shown["cells"]} == {*zip(*np.nonzero(confusion), strict=True)}
    assert [name for _, name in shown["names"]] == [*names]
    for one in shown["cells"]:
        row, column = one["row"], one["column"]
        wrong = f"class {row} taken for class {column}: {confusion[row, column]} of {confusion[row].sum()}"
        assert one["text"] == ("" if row == column else wrong)
    assert f"{np.trace(confusion)} of 300 images lie on the diagonal" in shown["description"]
    monkeypatch.setattr("keras_resnet.reporting.report.MOST_CELLS", 5)
    few = confusion_map(found)
    assert few is not None
    assert len(few["cells"]) == 5
    shades = sorted((one["shade"] for one in shown["cells"]), reverse=True)
    assert [one["shade"] for one in few["cells"]] == shades[:5]


@pytest.fixture
def drawn(evaluated: Run, tmp_path: Path) -> Callable[..., Page]:
    """Draw the page of a run of which some things are otherwise."""

    def made(**otherwise: Any) -> Page:
        (tmp_path / "page.html").write_text(drawn_page(replace(read_contents(evaluated), **otherwise), None, ""))
        page = Page(tmp_path / "page.html")
        check_page(page)
        return page

    return made


def written(kind: str, names: tuple[str, ...], images: int, folder: Path) -> WrittenEvaluation:
    evaluation(kind, names, images).write(folder)
    return read_evaluation(folder, names)


@pytest.mark.usefixtures("undrawn")
def test_a_page_of_many_classes_has_the_map_with_names_and_the_largest_confusions(
    drawn: Callable[..., Page], tmp_path: Path
) -> None:
    names = tuple(f"class {number}" for number in range(60))

    page = drawn(evaluation=written("classification", names, 600, tmp_path / "evaluation"))

    confusions = page.section("Confusions")
    assert "Confusion matrix of 60 classes" in confusions
    assert ">class 58<" in confusions
    assert ">class 59<" not in confusions.partition("<figure")[2].partition("</g>")[0], "one of two is named"
    assert "both in the model's order; one of 2 is named" in page.text.replace("&#39;", "'")
    assert "taken for class" in confusions
    assert "60 of the classes have fewer than 20 of these images" in page.text


@pytest.mark.usefixtures("undrawn")
def test_a_page_of_several_labels_counts_no_images_and_draws_what_chose_the_epoch(
    drawn: Callable[..., Page], tmp_path: Path
) -> None:
    kept = {"epoch": 1, "metric": "average_precision", "value": 0.7, "split": "validation", "images": 40}
    rows = [
        {
            "event": "epoch",
            "epoch": number,
            "loss": 1.0 / number,
            "val_loss": 1.1 / number,
            "val_average_precision": value,
        }
        for number, value in ((1, 0.7), (2, 0.6))
    ]

    page = drawn(
        evaluation=written("multi-label", ("cat", "dog", "car"), 200, tmp_path / "evaluation"),
        history=History.of(rows, kept=kept),  # type: ignore[arg-type]
    )

    assert "It says of each of 10 classes whether an image shows it" in page.text
    assert "one image more or less" not in page.text
    assert "none is taken for another" in page.section("Confusions")
    assert "Labels are doubted where an image has one" in page.section("Labels that may be wrong")
    training = page.section("Training")
    assert ">Average precision</" in training
    assert "validation from 0.7 to 0.6" in training
    assert "kept: epoch 1" in training


def test_a_kept_linear_probe_stands_before_the_first_epoch(evaluated: Run) -> None:
    contents = read_contents(evaluated)
    kept = {"epoch": 0, "metric": "accuracy", "value": 0.95, "split": "validation", "images": 40}

    charts = training_charts(replace(contents, history=replace(contents.history, kept=kept)))  # type: ignore[arg-type]

    for one in charts:
        assert one.mark is not None
        assert one.mark.text == "kept: the linear probe"
        assert one.mark.at < min(float(line.parts[0].split(",")[0]) for line in one.lines) + 1e-6
        assert "The weights of the linear probe were kept." in one.description
    accuracy = charts[1].lines[1]
    assert accuracy.markers[-1] == (round(charts[1].frame["left"], 1), pytest.approx(14 + 0.05 / 0.9 * 214, abs=0.1))
    assert float(np.nanmin([row["val_accuracy"] for row in contents.history.epochs])) > 0.1, "the axis begins there"


def test_where_a_training_was_continued_or_went_back_stands_on_the_axis_of_its_charts(evaluated: Run) -> None:
    contents = read_contents(evaluated)
    updates = contents.history.epochs[0]["step"]
    turns = [{"event": "continued", "updates": round(updates * at)} for at in (1, 2.5, 2.5)]
    turns.append({"event": "setback", "updates": updates})

    charts = training_charts(replace(contents, history=replace(contents.history, turns=tuple(turns))))  # type: ignore[arg-type]

    assert len(charts) == 2
    for one in charts:
        line, (continued, back) = one.lines[0], one.on_axis
        first, second = (float(point.split(",")[0]) for point in line.parts[0].split()[:2])
        assert [x for x, _ in continued.markers] == pytest.approx([first, first + 1.5 * (second - first)], abs=0.1)
        assert {y for _, y in (*continued.markers, *back.markers)} == {one.frame["bottom"]}
        assert "Training continued after epoch 1 and in epoch 3." in one.description
        assert "Training went back to earlier weights after epoch 1." in one.description
        assert len({continued.kind, back.kind, *(line.kind for line in one.lines)}) == 4
    assert not training_charts(contents)[0].on_axis


@pytest.mark.usefixtures("no_maps")
def test_without_a_test_split_the_page_speaks_of_validation_images(copy: Copy) -> None:
    run = copy()
    file = json.loads((run.path / "data.json").read_text())
    file["images_per_class"]["test"] = []
    (run.path / "data.json").write_text(json.dumps(file))

    (run.path / "page.html").write_text(drawn_page(read_contents(Run(run.path)), None, ""))
    page = Page(run.path / "page.html")

    check_page(page)
    assert "There are no test images: these validation images also chose the epoch" in page.text
    assert "With care" in page.text
    assert "validation images that it was not trained on" in page.text
    assert "test image" not in page.text.replace("no test images", "")


def test_what_was_not_computed_is_named_with_the_command_that_does(page: Page, evaluated: Run) -> None:
    assert f"keras-resnet evaluate {evaluated.path} --corruptions" in page.section("Robustness")
    assert f"keras-resnet export {evaluated.path} --format tflite-int8" in page.section("Exports")
    assert f"keras-resnet failures {evaluated.path}" in page.section("Labels that may be wrong")
    assert "Whether copies or photographs of one series are both trained on and tested was not looked for." in page.text


@pytest.mark.usefixtures("no_maps")
def test_what_was_computed_is_shown(copy: Copy, tiny_data: ImageData) -> None:
    run, right = copy(), np.zeros((2, 5, 40), bool)
    right[0, :, :30] = True
    Robustness(
        "tiny", ("fog", "contrast"), np.ones(40, bool), right, "CIFAR-10-C", 0, np.zeros((8, 8, 1), np.uint8)
    ).write(run.path / "evaluation")
    (run.path / "exports").mkdir()
    (run.path / "exports" / "model_int8.tflite").write_bytes(b"x" * 12_345)
    runtime = {
        "runtime": "litert", "failure": "", "agreement": 0.975, "right": 39, "difference": -2.5, "interval": [-7.5, 2.5]
    }  # fmt: skip
    evidence = {
        "file": "model_int8.tflite", "images": 40, "model_right": 40, "runtimes": [runtime], "size": 12_345,
        "passes": False, "failures": ["it loses 2.5 points"],
    }  # fmt: skip
    (run.path / "exports" / "verification.json").write_text(json.dumps(evidence))
    suspect = {
        "position": 0, "path": tiny_data.names[tiny_data.test.indices[0]], "label": "3", "suggested": "8",
        "probability": 0.91, "reason": "another label is likelier", "sha256": "",
    }  # fmt: skip
    (run.path / "failures").mkdir()
    (run.path / "failures" / "failures.json").write_text(json.dumps({"suspects": [suspect]}))
    finding = {"code": "near-duplicate-across-splits", "severity": "warning", "title": "the same in several splits",
               "advice": "Remove copies.", "images": 12, "groups": []}  # fmt: skip
    (run.path / "check").mkdir()
    finding["groups"] = [[{"image": one, "class": "3", "split": one, "remark": ""} for one in ("train", "test")]]
    (run.path / "check" / "check.json").write_text(json.dumps({"findings": [finding]}))

    page = Page(write_report(run, tiny_data))

    check_page(page)
    robustness = page.section("Robustness")
    assert robustness.index("contrast") < robustness.index("fog"), "the worst comes first"
    assert "right on 100.0% as they are, and on 37.5% on average" in robustness
    exports = page.section("Exports")
    assert "12.3 kB" in exports
    assert "it does not pass: on litert it decides as the model on 97.50 % of 40 images" in exports
    assert "accuracy -2.5 points (-7.50 to +2.50)" in exports.replace("-2.50 points", "-2.5 points")
    labels = page.section("Labels that may be wrong")
    assert "the model says <strong>8</strong>" in labels
    assert "(91.0% sure)" in labels
    assert "labels-to-check.csv" in labels
    assert "1 of 60 test images is nearly the same picture as one that is trained on." in page.text
    assert "With care" in page.text


@pytest.mark.usefixtures("no_maps")
def test_labels_that_the_model_contradicts_in_the_test_are_shown_where_failures_were_not_looked_for(
    copy: Copy, tiny_data: ImageData
) -> None:
    run = copy()
    path = run.path / "evaluation" / "predictions.csv"
    rows = list(csv.reader(path.open(newline="")))
    right = next(row for row in rows[1:] if row[1] == row[2])
    shares = np.full(10, 0.0001)
    other = (int(right[1]) + 1) % 10
    shares[other] = 0.9991
    rows = [[*right[:2], str(other), *map(str, shares)] if row is right else row for row in rows]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)

    page = Page(write_report(run, tiny_data, look=False))

    first = page.section("Labels that may be wrong").partition("<li>")[2].partition("</li>")[0]
    assert right[0] in first
    assert f"labelled <strong>{right[1]}</strong>" in first
    assert f"the model says <strong>{other}</strong>" in first
    assert "<img" in first


@pytest.mark.usefixtures("no_maps")
def test_a_model_that_is_mostly_wrong_doubts_no_labels(copy: Copy, tiny_data: ImageData) -> None:
    run = copy()
    path = run.path / "evaluation" / "evaluation.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found | {"correct": found["images"] // 2 - 1}))

    page = Page(write_report(run, tiny_data, look=False))

    assert "agrees with so few labels that its doubts would be its own mistakes" in page.text


@pytest.mark.usefixtures("undrawn")
def test_an_evaluation_that_is_missing_is_made_and_said(copy: Copy, evaluated: Run, tiny_data: ImageData) -> None:
    run, said = copy(), []
    shutil.rmtree(run.path / "evaluation")

    write_report(run, tiny_data, run.path / "other.html", look=False, note=said.append)

    assert f"{run.path} has no evaluation: evaluating it" in said
    assert (run.path / "other.html").exists()
    for name in ("evaluation.json", "predictions.csv"):
        assert (run.path / "evaluation" / name).read_bytes() == (evaluated.path / "evaluation" / name).read_bytes()


def test_without_its_images_it_tells_what_is_known(copy: Copy, page: Page) -> None:
    run = copy()
    config = json.loads((run.path / "config.json").read_text())
    config["data"] = {"name": "folder:/nowhere/photos", "image_size": 8}
    (run.path / "config.json").write_text(json.dumps(config))

    alone = Page(write_report(run))

    check_page(alone)
    assert "Its images could not be read: there is no folder /nowhere/photos" in alone.text
    assert "Training images that the run has kept" in alone.text
    assert alone.section("Figures") == page.section("Figures")
    assert "no picture" in alone.section("Worst mistakes")


@pytest.mark.usefixtures("no_maps")
def test_a_damaged_file_is_named_and_hides_nothing_else(copy: Copy, tiny_data: ImageData, page: Page) -> None:
    run = copy()
    (run.path / "evaluation" / "slices.json").write_text('[{"attribute": 5}]')

    shown = Page(write_report(run, tiny_data, look=False))

    assert "slices.json: [0] lacks" in shown.text
    assert shown.section("Figures") == page.section("Figures")


def test_a_training_that_is_not_finished_has_curves_and_no_figures(copy: Copy, tiny_data: ImageData) -> None:
    run = copy()
    shutil.rmtree(run.path / "evaluation")
    (run.path / "run.json").write_text('{"format": 1, "status": "unfinished"}')

    page = Page(write_report(run, tiny_data, look=False))

    check_page(page)
    assert "This training is not finished." in page.text
    assert "Loss by epoch" in page.text
    assert "Figures" not in [text for _, text in page.headings]


@pytest.mark.parametrize(("name", "is_offered"), [("folder:/photos", True), ("csv:/a.csv", True), ("digits", False)])
def test_a_split_by_series_is_offered_where_the_data_leak_and_can_be_divided_so(
    evaluated: Run, name: str, is_offered: bool
) -> None:
    leak = leak_of(LEAKS[0], "train", "test")
    found = read_contents(evaluated)
    config = {**found.config, "data": {**found.config["data"], "name": name, "split": "class", "split_file": None}}

    leaky, clear = (replace(found, config=config, findings=one) for one in ((leak,), ()))
    leaking = list(next_steps(leaky, doubts(leaky), [], "keras-resnet train X"))
    clean = list(next_steps(clear, doubts(clear), [], "keras-resnet train X"))

    offer = f"keras-resnet train X --split group --group-by series --out {found.run.path}-by-series"
    assert (offer in [one.command for one in leaking]) == is_offered
    assert offer not in [one.command for one in clean]


def test_other_data_and_folders_that_are_no_runs_are_refused(copy: Copy, tmp_path: Path) -> None:
    other = from_arrays(np.zeros((40, 8, 8, 1), np.uint8), np.arange(40) % 10)

    with pytest.raises(DataError, match="are not the data that"):
        write_report(copy(), other)
    with pytest.raises(UsageError, match="is not a run folder"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("difference", "low", "high", "kind"),
    [(-10.0, -12.0, -4.0, "warn"), (-10.0, -12.0, 2.0, "good"), (10.0, 4.0, 12.0, "note")],
)
def test_the_figure_of_another_split_stands_beside_its_own_and_is_the_one_to_count_on_where_it_is_lower(
    evaluated: Run, difference: float, low: float, high: float, kind: str
) -> None:
    first = SplitFigure("tiny", "at random", 50, 60, 50 / 60, (0.7, 0.9))
    second = SplitFigure("apart", "by series", 44, 60, 44 / 60, (0.6, 0.83))
    other = SplitComparison(first, second, difference, (low, high), 12)

    contents = read_contents(evaluated)
    found = contents.evaluation
    assert found is not None
    sharp = replace(found, metrics=replace(found.metrics, intervals={"top1": (0.81, 0.83)}))

    said = list(trust(replace(contents, others=(other,), evaluation=sharp), "test", "at random"))

    kinds = [one.kind for one in said if "Divided by series, a training (apart) got 44 of 60 right" in one.text]
    assert kinds == [kind]
    counted_on = "count on 73.3%, the figure of the split by series" in in_short(said, [other])[1]
    assert counted_on == (kind == "warn")
    lead = "Divided by series, the same images gave 73.3% (60.0% to 83.0%): expect that of new ones."
    assert expected([other]) == (lead if kind == "warn" else "")
    sizes = {"warn": "The interval counts only the luck of which images were drawn, not what speaks against"}
    assert sizes.get(kind, "60 test images are enough to know the figure to about 1.0 points") in said[-1].text
    assert said[-1].kind == ("note" if kind == "warn" else "good"), "an easy test is not praised"


@pytest.mark.parametrize(
    ("names", "confusion", "sentences"),
    [
        (
            ("seven", "two", "four", "three"),
            [[35, 5, 0, 1], [0, 39, 0, 2], [0, 3, 36, 2], [0, 0, 0, 41]],
            [
                "It does best on “three” (it finds 41 of 41, and is right 41 of 46 times it says so). It misses most "
                "on “seven” (it finds 35 of 41) and “four” "
                "(it finds 36 of 41).",
                "It says “two” too often: 47 times, where 41 images show it.",
            ],
        ),
        (("a", "b"), [[5, 0], [0, 5]], ["It does equally well on all classes."]),
        (("a", "b"), [[80, 20], [20, 80]], ["It does equally well on all classes."]),
        (
            ("a", "b"),
            [[0, 5], [10, 50]],  # a is said, and never rightly
            [
                "It does best on “b” (it finds 50 of 60, and is right 50 of 55 times it says so). It misses most on "
                "“a” (it finds 0 of 5).",
                "It says “a” too often: 10 times, where 5 images show it.",
            ],
        ),
        (
            ("a", "b", "never", "often"),
            [[5, 0, 0, 0], [0, 5, 0, 0], [0, 0, 0, 5], [0, 0, 0, 5]],
            [
                "It makes no mistake with 2 of 4 classes (a, b). It misses most on “never” (it finds 0 of 5).",
                "It says “often” too often: 10 times, where 5 images show it.",
            ],
        ),
    ],
)
def test_strengths_are_told_by_what_is_found_and_by_what_is_said_too_often(
    names: tuple[str, ...], confusion: list[list[int]], sentences: list[str], evaluated: Run
) -> None:
    found, counts = read_contents(evaluated).evaluation, np.array(confusion)
    assert found is not None
    hits, images, said = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    rows = tuple(
        ClassMetrics(name, hit / max(of_said, 1), hit / many, 2 * hit / (many + of_said), many)
        for name, hit, many, of_said in zip(names, hits.tolist(), images.tolist(), said.tolist(), strict=True)
    )
    metrics = replace(found.metrics, classes=rows, confused=(), confusion=counts)

    assert list(strengths(replace(found, metrics=metrics, task=task("classification", names)))) == sentences


def test_of_few_mistakes_no_class_is_called_bad(evaluated: Run) -> None:
    found = read_contents(evaluated).evaluation
    assert found is not None
    images = found.metrics.images

    few, more = (
        list(strengths(replace(found, metrics=replace(found.metrics, correct=images - wrong)))) for wrong in (4, 5)
    )

    assert few == ["It is wrong on 4 images: too few to tell on which classes it does worst."]
    assert "It misses most on" in more[0]


@pytest.mark.parametrize(
    ("doubted", "words"),
    [
        ([], ""),
        ([0], "1 of its 3 wrong answers is about an image whose label is in doubt: look whose mistake it is."),
        ([0, 2], "2 of its 3 wrong answers are about images whose label is in doubt: look whose mistake it is."),
        ([0, 1, 2], "All of its 3 wrong answers are about images whose label is in doubt: look whose mistake it is."),
    ],
)
def test_mistakes_that_may_be_those_of_labels_are_counted(doubted: list[int], words: str, evaluated: Run) -> None:
    contents = read_contents(evaluated)
    found = contents.evaluation
    assert found is not None
    wrong, right = (tuple(one for one in found.answers if one.is_right == is_right) for is_right in (False, True))
    labels = tuple(Doubt(one.image, one.label, "other") for one in [wrong[place] for place in doubted] + [right[0]])
    labels += (Doubt(wrong[0].image, "", remark="a simple model's alone"),) if not doubted else ()

    said = blamed(replace(found, answers=(*wrong[:3], *right)), replace(doubts(contents), labels=labels))

    assert said == words


def test_a_mistake_whose_label_is_in_doubt_is_marked(copy: Copy, tiny_data: ImageData) -> None:
    run = copy()
    found = read_contents(run).evaluation
    assert found is not None
    worst = next(one for one in found.largest_losses if not one.is_right)
    finding = leak_of("suspicious-label", "test")
    finding["groups"][0][0] |= {"image": worst.image, "remark": "looks like 3 (99%)"}
    (run.path / "check").mkdir()
    (run.path / "check" / "check.json").write_text(json.dumps({"findings": [finding]}))

    both = [one for one in doubts(read_contents(run)).labels if one.suggested]

    page = Page(write_report(run, tiny_data))

    assert both[0].image == worst.image
    shown = [one.image for one in found.largest_losses if not one.is_right][:MOST_LOSSES]
    assert page.section("Worst mistakes").count('<a href="#labels">its label is in doubt</a>') == sum(
        one.image in shown
        for one in both  # the network itself doubts some
    )
    assert "whose label is in doubt: look whose mistake it is" in page.section("Summary")
    assert f"{worst.image} (test image)" in page.section("Labels that may be wrong")


def leak_of(code: str, *splits: str) -> WrittenFinding:
    group: Any = [
        {"image": f"{place}.png", "class": "a", "split": one, "remark": ""} for place, one in enumerate(splits)
    ]
    return {
        "code": code, "severity": "warning", "title": "3 of 9 (--x)", "advice": "Look.", "images": 2, "groups": [group]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "splits", "is_easy"),
    [
        ("near-duplicate-across-splits", ("train", "test"), True),
        ("near-duplicate-across-splits", ("train", "validation"), False),
        ("near-duplicate-across-splits", ("validation", "test"), False),
        ("series-across-splits", ("train", "train", "test"), True),
    ],
)
def test_a_test_is_easier_where_its_images_are_close_to_what_was_trained_on(
    code: str, splits: tuple[str, ...], is_easy: bool, evaluated: Run
) -> None:
    contents = replace(read_contents(evaluated), findings=(leak_of(code, *splits),))

    said = list(trust(contents, "test", ""))

    assert easier(contents) == is_easy
    beginning = {
        "near-duplicate-across-splits": "1 of 60 test images is nearly the same picture as one that is trained on",
        "series-across-splits": "3 of 9, as 2.png is of that of 0.png. Photographs of one series",
    }[code]
    assert any(one.kind == "warn" and one.text.startswith(beginning) for one in said) == is_easy
    assert any("No copies and no series" in one.text for one in said) != is_easy


def test_series_leak_nothing_where_a_split_by_series_makes_no_difference(evaluated: Run) -> None:
    figure = SplitFigure("tiny", "at random", 50, 60, 50 / 60, (0.7, 0.9))
    apart = SplitComparison(figure, replace(figure, division="by series"), 0.0, (-3.0, 3.0), 12)
    contents = replace(
        read_contents(evaluated), findings=(leak_of("series-across-splits", "train", "test"),), others=(apart,)
    )

    text = " ".join(one.text for one in trust(contents, "test", ""))

    assert not easier(contents)
    assert "look alike. Here it makes no difference." in text
    assert "No test image was itself trained on." in text


def test_an_image_that_is_trained_on_and_tested_is_not_denied(evaluated: Run) -> None:
    contents = replace(read_contents(evaluated), findings=(leak_of("duplicate-across-splits", "train", "test"),))

    assert not any("No test image was itself trained on" in one.text for one in trust(contents, "test", ""))


def test_of_too_few_groups_and_of_several_labels_it_is_said_what_the_figure_is(evaluated: Run) -> None:
    first = SplitFigure("tiny", "at random", 400, 412, 400 / 412, (0.95, 0.98))
    second = SplitFigure("apart", "by camera", 126, 211, 126 / 211, (0.0, 1.0), groups=1)
    other = SplitComparison(first, second, -37.4, (-98.0, 4.0), 12, on_these=(-44.0, -31.0))

    assert expected([other]) == (
        "Divided by camera, the same images gave 59.7%, in too few groups to tell how far that may be off: of new ones "
        "expect less than the above."
    )
    assert in_short([], [other])[1] == "With care: divided by camera, it was 59.7%."
    assert "gave all classes right on 59.7%" in expected([other], task("multi-label", ("a", "b")))
    assert "count on all classes right on 59.7%" in in_short([], [replace(other, interval=(-44.0, -31.0))], True)[1]


def test_one_image_is_counted_in_the_singular(evaluated: Run) -> None:
    found = read_contents(evaluated).evaluation
    assert found is not None
    one = replace(found, metrics=replace(found.metrics, images=1, classes=found.metrics.classes[:1]))

    text = list(trust(replace(read_contents(evaluated), evaluation=one), "test", ""))[-1].text

    assert "1 test image is few" in text or "1 test image is enough" in text
    assert "one image more or less is 100 points" in text
    assert "1 of the classes has fewer than 20" in text


@pytest.mark.usefixtures("no_maps")
def test_without_an_evaluation_nothing_leads_to_what_is_not_there(copy: Copy) -> None:
    run = copy()
    shutil.rmtree(run.path / "evaluation")
    doubted: Any = {"image": "1.png", "class": "3", "split": "train", "remark": "looks like 8 (93%)"}
    found = leak_of("suspicious-label") | {"groups": [[doubted]]}
    (run.path / "check").mkdir()
    (run.path / "check" / "check.json").write_text(json.dumps({"findings": [found]}))

    (run.path / "page.html").write_text(drawn_page(read_contents(run), None, ""))

    check_page(Page(run.path / "page.html"))


def test_a_command_is_shown_as_it_is_typed(evaluated: Run) -> None:
    contents = read_contents(evaluated)
    there = replace(contents, run=Run(Path("/tmp/a`b`c")))

    text = str(with_options(next(one.command for one in next_steps(there, doubts(there), []) if one.command)))

    assert "/tmp/a`b`c" in text
    assert "<code>" not in text


@pytest.mark.usefixtures("no_maps")
def test_the_pair_that_is_confused_most_is_shown(copy: Copy, tiny_data: ImageData) -> None:
    run = copy()
    path = run.path / "evaluation" / "evaluation.json"
    found = json.loads(path.read_text())
    pair = found["most_confused"][0]
    rows = list(csv.reader((run.path / "evaluation" / "predictions.csv").open(newline="")))
    taken = [one[0] for one in rows[1:] if one[1:3] == [pair["label"], pair["prediction"]]]
    assert len(taken) == pair["images"]
    path.write_text(json.dumps(found | {"most_confused": [{**pair, "images": max(2, pair["images"])}]}))

    section = Page(write_report(run, tiny_data, look=False)).section("Confusions")

    assert f"Images of {pair['label']} that it takes for {pair['prediction']}:" in section
    assert section.count("<img") == min(5, len(taken))
    assert all(name in section for name in taken[:5])


# Names from anybody.

NASTY = ("<script>alert(1)</script>", "{{7*7}} & \"quoted\" 'names'", "long" * 60, "two\nlines \u202egnp.exe 🐈")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A training on classes and files whose names would be code, turn text round, or never end."""
    root = tmp_path_factory.mktemp("hostile")
    random = np.random.default_rng(0)
    for place, name in enumerate(NASTY):
        folder = root / "images" / name.replace("/", "∕")
        folder.mkdir(parents=True)
        for number in range(10):
            pixels = random.integers(0, 60, (9, 9, 3)).astype(np.uint8)
            pixels[2 * place : 2 * place + 2] += 150
            Image.fromarray(pixels).save(folder / f'"><img src=x onerror=alert(1)> {{% raw %}} \u202e{number}.png')
    source = keras_resnet.Source(f"folder:{root / 'images'}", image_size=8)
    run = fit(TINY.but(epochs=1, batch_size=16), source, root / "<b>run & 'co'", verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_resnet.pictures.available", lambda: False)
        write_report(run)
    return run


def test_names_stay_text_whatever_they_are(hostile: Run) -> None:
    page = Page(hostile.path / "report.html")

    check_page(page)
    assert not page.named("b")
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "<script>alert(1)<∕script>" in page.text
    assert "{{7*7}}" in page.text
    assert "49" not in page.section("Confusions")
    assert "\u202e" not in page.source
    assert "\\u202egnp.exe 🐈" in page.text
    assert '"><img src=x onerror=alert(1)> {% raw %}' in page.text
    assert "long" * 60 in page.text


def test_images_are_looked_through_once_and_what_was_found_is_said(hostile: Run) -> None:
    findings = json.loads((hostile.path / "check" / "check.json").read_text())["findings"]
    before = (hostile.path / "check" / "check.json").stat().st_mtime_ns

    write_report(hostile, path=hostile.path / "again.html")

    page = Page(hostile.path / "again.html")
    assert (hostile.path / "check" / "check.json").stat().st_mtime_ns == before
    assert findings
    assert "images of the first training batch, 8 × 8 pixels" in (hostile.path / "check" / "check.html").read_text()
    for one in findings:
        assert one["title"][1:].partition(" (--")[0] in page.text
