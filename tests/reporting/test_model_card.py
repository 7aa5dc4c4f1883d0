"""A run's README.md: what it says, what Hugging Face reads of it, and names that stay text."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from keras_resnet.errors import ModelError, UsageError
from keras_resnet.evaluation.evaluate import evaluate
from keras_resnet.reporting.contents import read_contents
from keras_resnet.reporting.model_card import HUB_METRICS, markdown, model_card, write_model_card
from keras_resnet.runs.run import Run

HOSTILE = "<script>alert(1)</script>|![x](http://a.example/x.png)\n# `*_[b]() &lt; www.a.example \u202e {{ 7*7 }}"


@pytest.fixture(scope="module")
def evaluated(finished_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cards") / "digits"
    shutil.copytree(finished_run.path, folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("keras_resnet.pictures.available", lambda: False)
        evaluate(finished_run).write(folder / "evaluation")
    return folder


@pytest.fixture
def run(evaluated: Path, tmp_path: Path) -> Run:
    shutil.copytree(evaluated, tmp_path / "digits")
    return Run.at(tmp_path / "digits")


def tables_of(card: str) -> list[list[list[str]]]:
    """The cells of a card's tables, as a reader sees them."""
    tables: list[list[list[str]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(card.partition("\n---\n")[2]):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and tables and token.map and len(tables[-1]) and token.level >= 3:
            tables[-1][-1].append("".join(one.content for one in token.children or ()))
    return tables


def edit_json(path: Path, change: Any) -> None:
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


def test_hugging_face_reads_the_task_the_library_and_every_figure(run: Run) -> None:
    figures = json.loads((run.path / "evaluation" / "evaluation.json").read_text())

    card = ModelCard.load(write_model_card(run))

    assert (card.data.library_name, card.data.pipeline_tag) == ("keras", "image-classification")
    assert card.data.model_name == "digits"
    found = {one.metric_type: one.metric_value for one in card.data.eval_results or ()}
    task = read_contents(run).evaluation.task
    known = {HUB_METRICS.get(name, name): figures[name] for name in task.metrics if figures.get(name) is not None}
    assert {"accuracy", "log_loss", "ece", "balanced_accuracy"} < known.keys()
    assert found == {name: pytest.approx(value, abs=1e-6) for name, value in known.items()}
    names = [one.metric_name for one in card.data.eval_results or () if one.metric_type == "accuracy"]
    low, high = figures["top1_95%_interval"]
    assert names == [f"top-1, 95 % interval {low:.2%} to {high:.2%}"]


def test_its_tables_have_the_files_the_images_and_the_figures_of_each_class(run: Run) -> None:
    figures = json.loads((run.path / "evaluation" / "evaluation.json").read_text())
    counts = run.data_file["images_per_class"]

    files, data, training, evaluation, classes = tables_of(model_card(read_contents(run)))

    assert files[1] == ["model.keras", f"{run.model.stat().st_size:,} bytes"]
    assert data[0] == ["class", "training", "validation", "test"]
    assert data[1][1:] == [str(counts[split][0]) for split in ("train", "validation", "test")]
    assert data[-1][1] == f"{sum(counts['train']):,}"
    assert ["seed", str(dict(run.config["recipe"])["seed"])] in training
    assert evaluation[1][:2] == ["top-1", f"{figures['top1']:.2%}"]
    assert [row[0] for row in classes[1:]] == [one["name"] for one in figures["classes"]]
    assert [row[2] for row in classes[1:]] == [f"{one['recall']:.1%}" for one in figures["classes"]]


def test_it_says_how_an_image_becomes_the_models_input(run: Run) -> None:
    card = model_card(read_contents(run))

    assert "grey pixels, 0 to 255, float32 (n, 8, 8, 1)" in card
    assert "An image is resized to 8×8 by bilinear interpolation with antialiasing, whatever its shape." in card


def test_the_command_to_make_it_again_does_not_tell_where_on_this_machine_the_images_were(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "keras-resnet train 'folder:/home/ada lovelace/my signs' --recipe folder --data-dir /home/ada --epochs 3"
    monkeypatch.setattr("keras_resnet.reporting.model_card.command", lambda config: said)

    card = model_card(read_contents(run))

    assert "\nkeras-resnet train 'folder:my signs' --recipe folder --epochs 3\n" in card


def test_hostile_names_stay_text_and_break_no_table(run: Run) -> None:
    names = [HOSTILE, *run.preprocessing.class_names[1:]]
    edit_json(run.path / "preprocessing.json", lambda one: one.update(class_names=names))
    edit_json(run.path / "data.json", lambda one: one.update(name=HOSTILE))
    edit_json(
        run.path / "evaluation" / "evaluation.json",
        lambda one: (one["classes"][0].update(name=HOSTILE), one.update(data=HOSTILE, remarks=[HOSTILE])),
    )

    path = write_model_card(run)

    text = path.read_text()
    body = text.partition("\n---\n")[2].partition("<!-- keras-resnet-kit")[0]
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
    assert "<script" not in page
    assert "<img" not in page
    assert 'a.example"' not in page  # no link leads there
    assert "\u202e" not in text
    assert "49" not in page.partition("<h2>Data")[0].partition("{{")[0]
    assert "{{ 7*7 }}" in page
    data = tables_of(text)[1]
    assert {len(row) for row in data} == {4}
    assert data[1][0].startswith(
        "<script>alert(1)</script>|![x](http://a.example/x.png)\\n# `*_[b]() &lt; www.a.example"
    )
    assert (ModelCard.load(path).data.eval_results or [])[0].dataset_name.startswith("<script>")


@pytest.mark.parametrize(
    "text",
    [
        "a|b", "*a*", "_a_", "`a`", "[a](b)", "![a](b)", "<b>", "<http://a.example>", "&amp;", "&#38;", "# a", "1. a",
        "12) a", "- a", "+ a", "a\\b", "~~a~~", "http://a.example", "> a", "---", "===", " - a", " 1. a", "    a",
    ],
)  # fmt: skip
def test_a_text_is_shown_letter_by_letter(text: str) -> None:
    shown = MarkdownIt("gfm-like", {"linkify": False}).parse(f"{markdown(text)}\n")

    assert [one.type for one in shown] == ["paragraph_open", "inline", "paragraph_close"]
    assert "".join(one.content for one in shown[1].children or ()) == text.strip()
    assert {one.type for one in shown[1].children or ()} <= {"text", "text_special"}


@pytest.mark.parametrize(
    "text", ["crop-flip", "95.1 % of 12 (all), at 12: noon", "model.keras", "Tom & Jerry", "a = b!"]
)
def test_what_means_nothing_to_markdown_stays_legible_in_the_file(text: str) -> None:
    assert markdown(text) == text


@pytest.mark.parametrize("text", ["see www.a.example", "http://a.example", "a@b.example"])
def test_addresses_in_names_become_no_links(text: str) -> None:
    """GitHub and Hugging Face make links of these: a backslash keeps two, and only a comment, unseen, the third.

    Tried with cmark-gfm, which looks for mail addresses in the finished text.
    """
    assert re.search(r"www\\\.|http\\:|@<!-- -->", markdown(text))


def test_a_card_that_was_changed_by_hand_stays_and_one_that_was_not_is_made_anew(run: Run) -> None:
    path = write_model_card(run)
    first = path.read_bytes()
    edit_json(run.path / "evaluation" / "evaluation.json", lambda one: one.update(remarks=["these are few images"]))
    again = write_model_card(run).read_bytes()
    assert again != first
    assert b"These are few images." in again

    changed = again.replace(b"Not stated: the licence", b"The licence is CC0")
    path.write_bytes(changed)

    with pytest.raises(UsageError, match="was changed by hand, so it stays. Move it away"):
        write_model_card(run)
    assert path.read_bytes() == changed


def test_a_readme_of_someone_else_stays(run: Run) -> None:
    (run.path / "README.md").write_text("# Mine\n")

    with pytest.raises(UsageError, match=r"README\.md was changed by hand"):
        write_model_card(run)
    assert (run.path / "README.md").read_text() == "# Mine\n"


def test_it_says_what_speaks_against_the_figure_as_the_report_does(run: Run) -> None:
    (run.path / "check").mkdir()
    leak = {
        "code": "series-across-splits",
        "severity": "warning",
        "title": "40 test images are of a series",
        "advice": "A",
    }
    sides = [{"image": one, "class": "3", "split": one, "remark": ""} for one in ("train", "test")]
    (run.path / "check" / "check.json").write_text(json.dumps({"findings": [leak | {"images": 50, "groups": [sides]}]}))

    card = model_card(read_contents(run))

    assert "With care: read below what speaks against it" in card.replace("\\", "")
    assert "- **Take care:** 40 test images are of a series, as test is of that of train. Photographs of one" in card
    assert card.index("**With care: read below what speaks against it.**") < card.index("## What it is for")
    assert "The images were divided at random, each class in its proportion." in card.replace("\\", "")


def test_an_unfinished_training_has_no_card(run: Run) -> None:
    edit_json(run.path / "run.json", lambda one: one.update(status="unfinished"))

    with pytest.raises(UsageError, match="is not finished"):
        write_model_card(run)
    assert not (run.path / "README.md").exists()


def test_a_run_without_figures_says_that_there_are_none(run: Run) -> None:
    shutil.rmtree(run.path / "evaluation")

    card = ModelCard.load(write_model_card(run))

    assert card.data.eval_results is None
    assert "It was not evaluated yet: `keras-resnet evaluate` does that." in card.text


def test_damaged_figures_are_an_error_and_no_card(run: Run) -> None:
    (run.path / "evaluation" / "evaluation.json").write_text("{")

    with pytest.raises(ModelError, match=r"evaluation\.json"):
        write_model_card(run)
    assert not (run.path / "README.md").exists()
