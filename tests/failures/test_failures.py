"""Failures of a small training by folds, on digits of which some were labelled wrong on purpose."""

import csv
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import keras_resnet
from keras_resnet.cli import main
from keras_resnet.data.images import ImageData, Split
from keras_resnet.errors import DataError, UsageError
from keras_resnet.failures.failures import COLUMNS, LIST, Failures, find_failures
from keras_resnet.runs.run import Run
from tests.shared import TRAINED

IMAGES, FLIPPED = 400, 12
FORMULA = "=cmd|' \x1b[31m$x$.png"


@dataclass(frozen=True)
class Trained:
    """A training by folds, and what is known of its table's rows."""

    folder: Path
    table: Path
    true: dict[str, str]
    given: dict[str, str]
    flipped: frozenset[str]
    grey: str


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Two folds on 400 digits: 3 % have a wrong label, one is a grey placeholder, one has the name of a formula."""
    root = tmp_path_factory.mktemp("flipped")
    pixels, true = load_digits(n_class=5, return_X_y=True)
    random = np.random.default_rng(0)
    flipped = 1 + random.choice(IMAGES - 1, FLIPPED, replace=False)
    names = [FORMULA if number == 7 else f"{number:03}.png" for number in range(IMAGES)]
    labels = true[:IMAGES].copy()
    labels[flipped] = (labels[flipped] + random.integers(1, 5, FLIPPED)) % 5
    for number, name in enumerate(names):
        image = np.full((8, 8), 128) if number == 0 else pixels[number].reshape(8, 8) * 15
        Image.fromarray(image.astype(np.uint8)).save(root / name)
    with (root / "digits.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *zip(names, map(str, labels), strict=True)])
    source = keras_resnet.Source(f"csv:{root / 'digits.csv'}", image_size=8, channels=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_resnet.pictures.available", lambda: False)
        keras_resnet.repeat(TRAINED, source, root / "folds", folds=2, verbose=False)
    return Trained(
        root / "folds",
        root / "digits.csv",
        dict(zip(names, map(str, true), strict=False)),
        dict(zip(names, map(str, labels), strict=True)),
        frozenset(names[number] for number in flipped),
        names[0],
    )


@pytest.fixture(scope="module")
def found(trained: Trained) -> Failures:
    return find_failures(trained.folder)


@pytest.fixture
def listed(found: Failures, tmp_path: Path, undrawn: None) -> Path:
    found.write(tmp_path)
    return tmp_path / LIST


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def fill_in(table: Path, change: Callable[[dict[str, str]], None]) -> None:
    rows = rows_of(table)
    for row in rows:
        change(row)
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter=";")  # as many spreadsheets write it
        writer.writeheader()
        writer.writerows(rows)


def test_flipped_labels_are_in_the_first_places_with_the_true_one_suggested(found: Failures, trained: Trained) -> None:
    assert len(found.judged.names) == len(set(found.judged.names)) == IMAGES, "each image once, by folds"
    first = found.doubted[:FLIPPED]
    hits = [one for one in first if one.path in trained.flipped]

    # In a random order, 12 places would have one of the 12 flipped of 400 in a third of all cases, and 8 never.
    assert len(hits) / FLIPPED >= 0.7, "precision of the first places, which here is their recall, too"
    assert sum(one.path in trained.flipped for one in found.doubted) / FLIPPED >= 0.7, "recall of the whole list"
    assert sum(one.suggested == trained.true[one.path] for one in hits) >= len(hits) - 1
    assert all(one.label == trained.given[one.path] for one in found.suspects)
    assert found.remarks[0].startswith("Each image is judged by a network that was not trained on it")


def test_largest_losses_are_the_cross_entropies_of_the_networks_that_did_not_see_the_image(found: Failures) -> None:
    answers = found.judged.answers
    shares = answers.probabilities[np.arange(IMAGES), answers.labels]
    losses = [one.loss for one in found.top_losses]

    assert losses == sorted(losses, reverse=True)
    assert len(losses) == 100
    assert losses[0] == pytest.approx(-np.log(shares.min()), rel=1e-6)
    worst = found.top_losses[0]
    assert found.judged.names[worst.position] == worst.path
    assert worst.probability_of_prediction == pytest.approx(answers.probabilities[worst.position].max())
    wrong = int((answers.decisions != answers.labels).sum())
    assert sum(pair.images for pair in found.confused) <= wrong
    assert found.to_dict()["wrong"] == wrong


def test_a_grey_placeholder_is_named_and_digits_are_not(found: Failures, trained: Trained) -> None:
    assert [one.path for one in found.suspects if "nearly uniform" in one.reason] == [trained.grey]


def test_images_unlike_all_others_are_named_as_the_network_that_judges_them_sees_it(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def features(_model: object, split: Split) -> np.ndarray:
        vectors = np.abs(np.random.default_rng(0).normal(1, 0.05, (len(split), 8)))
        vectors[5] = [1, -1] * 4
        return vectors

    monkeypatch.setattr("keras_resnet.failures.out_of_sample.image_features", features)
    found = find_failures(trained.folder)

    unlike = [one.path for one in found.suspects if "unlike all others" in one.reason]
    assert sorted(unlike) == sorted(part.names[5] for part in found.judged.parts)


def test_the_list_has_all_suspects_and_files_by_their_digest_and_no_spreadsheet_runs_it(
    found: Failures, listed: Path, trained: Trained
) -> None:
    rows = rows_of(listed)

    assert tuple(rows[0]) == COLUMNS
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, len(found.suspects) + 1)]
    for row, one in zip(rows, found.suspects, strict=True):
        assert (row["label"], row["suggested_label"], row["correct_label"]) == (one.label, one.suggested, "")
        assert row["sha256"] == hashlib.sha256((trained.table.parent / one.path).read_bytes()).hexdigest()
    formula = replace(found.suspects[0], path=FORMULA)
    hostile = replace(found, suspects=(formula,))
    hostile.write(listed.parent / "hostile")
    assert rows_of(listed.parent / "hostile" / LIST)[0]["path"] == "'=cmd|' \\x1b[31m$x$.png"


def test_applying_the_list_writes_a_corrected_table_and_changes_no_file(
    found: Failures, listed: Path, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file: file.read_bytes() for file in trained.table.parent.iterdir() if file.is_file()}

    def as_a_person_would(row: dict[str, str]) -> None:
        row["correct_label"] = trained.true.get(row["path"], "")

    fill_in(listed, as_a_person_would)
    assert main(["failures", str(trained.folder), "--apply", str(listed)]) == 0

    seen = {one.path for one in found.suspects if one.path != FORMULA}
    changed = {name for name in seen if trained.true[name] != trained.given[name]}
    assert len(changed) > FLIPPED / 2
    shown = capsys.readouterr().out
    assert shown.startswith(f"{len(changed)} of 400 labels changed, {len(seen) - len(changed)} confirmed")
    corrected = listed.with_name("labels-to-check-corrected.jsonl")  # of CSV, the formula's name would be another
    data = keras_resnet.load_data(f"jsonl:{corrected}", image_size=8, channels=1, whole=True)
    labels = {
        Path(data.names[index]).name: str(data.test.labels[place]) for place, index in enumerate(data.test.indices)
    }
    assert labels == {name: trained.true[name] if name in changed else trained.given[name] for name in labels}
    assert len(labels) == IMAGES
    assert {file: file.read_bytes() for file in before} == before
    with pytest.raises(DataError, match="labels that somebody filled in"):
        found.write(listed.parent)


def test_of_usual_names_the_corrected_table_is_csv_and_keeps_the_split(image_folder: Path, tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name in ("blue", "green", "red"):
            (tmp_path / "split" / part / name).mkdir(parents=True)
            for number in (0, 1) if part == "train" else (2, 3):
                (image_folder / name / f"{number:02}.png").rename(tmp_path / "split" / part / name / f"{number}.png")
    wrong = tmp_path / "split" / "val" / "red" / "2.png"
    digest = hashlib.sha256(wrong.read_bytes()).hexdigest()
    (tmp_path / "list.csv").write_text(
        f"path,label,correct_label,sha256\nval/red/2.png,red,blue,{digest}\nval/red/3.png,red,,\n"
    )

    corrections = keras_resnet.correct_labels(tmp_path / "list.csv", f"folder:{tmp_path / 'split'}")

    assert (corrections.changed, corrections.confirmed, corrections.left, corrections.images) == (1, 0, 1, 12)
    rows = {row["path"]: row for row in rows_of(tmp_path / "list-corrected.csv")}
    assert rows[str(wrong)] == {"path": str(wrong), "label": "blue", "split": "validation"}
    assert sum(row["split"] == "train" for row in rows.values()) == 6


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("red/99.png,red,blue,{digest}", "has no image 'red/99.png'"),
        ("../secret.png,red,blue,{digest}", "has no image"),
        ("red/00.png,red,bleu,{digest}", "there is no class 'bleu'; did you mean 'blue'"),
        ("red/00.png,green,blue,{digest}", "the list has the label 'green' for 'red/00.png', and the source now has"),
        ("red/00.png,red,blue,{other}", "another content"),
        ("red/00.png,red,blue,", "no sha256"),
        ("red/00.png,red,blue,{digest}\nred/00.png,red,green,{digest}", "on line 2 already"),
    ],
)
def test_what_does_not_fit_the_source_is_refused_and_nothing_is_written(
    image_folder: Path, tmp_path: Path, row: str, message: str
) -> None:
    digest = hashlib.sha256((image_folder / "red" / "00.png").read_bytes()).hexdigest()
    table = tmp_path / "list.csv"
    table.write_text(f"path,label,correct_label,sha256\n{row.format(digest=digest, other='0' * 64)}\n")

    with pytest.raises(DataError, match=message):
        keras_resnet.correct_labels(table, f"folder:{image_folder}")

    assert not list(tmp_path.glob("*corrected*"))


def test_a_run_says_that_it_judges_only_what_it_was_not_trained_on_and_refuses_its_training_images(
    finished_run: Run, tiny_data: ImageData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["failures", str(finished_run.path), "--out", str(tmp_path), "--most", "5"]) == 0

    shown = capsys.readouterr().out
    held_out = len(tiny_data.test) + len(tiny_data.validation)
    assert f"Only the {held_out} test and validation images are judged" in shown
    assert "in-sample" not in shown
    written = json.loads((tmp_path / "failures.json").read_text())
    assert written["images"] == held_out
    assert len(written["top_losses"]) == 5
    with Image.open(tmp_path / "failures.png") as picture:
        assert picture.width > 1000
    with pytest.raises(UsageError, match="in-sample confidence hides errors"):
        find_failures(finished_run, "digits")


def test_a_training_by_folds_that_lacks_one_is_refused(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "fold-1of2").symlink_to(trained.folder / "fold-1of2")

    with pytest.raises(UsageError, match="fold-2of2"):
        find_failures(tmp_path)
    with pytest.raises(UsageError, match="leave --data out"):
        find_failures(trained.folder, "digits")


def test_labels_of_a_source_that_has_no_files_are_not_corrected(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label,correct_label,sha256\na,0,1,\n")

    with pytest.raises(UsageError, match="folders and tables of image files"):
        keras_resnet.correct_labels(tmp_path / "list.csv", "digits")
