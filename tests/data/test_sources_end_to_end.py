"""Every kind of source through the whole of `load_data`: splits, skipping, saved splits, fits."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_resnet.cli import main
from keras_resnet.data.class_names import in_order
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import from_arrays, list_source, load_data, save_split
from keras_resnet.data.sources.source import Source
from keras_resnet.data.stores import EncodedImages
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.evaluate import evaluate
from keras_resnet.evaluation.report import report_run
from keras_resnet.inference.predict import predict
from keras_resnet.preprocessing import Fit
from keras_resnet.runs.run import Run
from keras_resnet.training.fit import fit, unheeded_imbalance
from keras_resnet.training.network import preprocessing_for
from tests.shared import TINY


def names_in(data: ImageData, split: str) -> set[str]:
    return {data.names[index] for index in data.splits[split].indices}


@pytest.fixture
def table(image_folder: Path) -> Path:
    """The images of the folder as a table: groups of three, the number as the time."""
    path = image_folder / "labels.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group", "time"])
        for image in sorted(image_folder.rglob("*.png")):
            number = int(image.stem)
            row = [image.relative_to(image_folder).as_posix(), image.parent.name]
            writer.writerow([*row, f"{image.parent.name}-{number // 3}", 3 * number + len(row[1]) % 3])
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_table_gives_the_images_of_its_folder(table: Path, image_folder: Path, kind: str) -> None:
    if kind == "jsonl":
        rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
        table = table.with_suffix(".jsonl")
        table.write_text("".join(json.dumps({"path": r["path"], "label": r["label"]}) + "\n" for r in rows))

    data = load_data(Source(str(table), image_size=8))

    assert data.source == Source(f"{kind}:{table}", image_size=8)
    assert data.name == "labels"
    folder = load_data(Source(str(image_folder), image_size=8))
    assert data.class_names == folder.class_names
    assert sorted(data.names) == sorted(folder.names)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 25, "validation": 4, "test": 7}


def test_no_group_is_on_two_sides(table: Path) -> None:
    data = load_data(Source(f"csv:{table}", split="group", image_size=8))

    def groups(split: str) -> set[str]:
        return {f"{name.split('/')[0]}-{int(name[-6:-4]) // 3}" for name in names_in(data, split)}

    assert not groups("train") & groups("test")
    assert not groups("train") & groups("validation")
    assert all(len(names_in(data, split)) for split in data.splits)


def test_the_latest_images_are_the_test(table: Path) -> None:
    data = load_data(Source(f"csv:{table}", split="time", image_size=8))

    latest = {split: max(int(name[-6:-4]) for name in names_in(data, split)) for split in data.splits}
    assert latest["train"] <= latest["validation"] <= latest["test"] == 11


def test_the_test_parts_of_all_folds_are_all_images(image_folder: Path) -> None:
    folds = [load_data(Source(f"folder:{image_folder}", fold=(k, 3), image_size=8)) for k in (1, 2, 3)]

    tests = [names_in(data, "test") for data in folds]
    assert sum(map(len, tests)) == len(set.union(*tests)) == 36


def test_a_saved_split_is_used_again_and_refused_when_the_images_have_changed(
    image_folder: Path, tmp_path: Path
) -> None:
    source = Source(f"folder:{image_folder}", seed=5, image_size=8)
    first = load_data(source)
    save_split(first, tmp_path / "split.json")
    again = Source(f"folder:{image_folder}", image_size=8, split_file=str(tmp_path / "split.json"))

    data = load_data(again)

    assert {s: names_in(data, s) for s in data.splits} == {s: names_in(first, s) for s in data.splits}
    assert names_in(load_data(Source(f"folder:{image_folder}", image_size=8)), "test") != names_in(data, "test")
    Image.new("RGB", (9, 9)).save(image_folder / "red" / "00.png")
    with pytest.raises(DataError, match="content or the labels of images have changed"):
        load_data(again)
    (image_folder / "red" / "99.png").write_bytes((image_folder / "red" / "01.png").read_bytes())
    with pytest.raises(DataError, match="1 are new: 'red/99.png'"):
        load_data(again)


def test_a_split_of_a_limited_part_is_used_again_too(image_folder: Path, tmp_path: Path) -> None:
    first = load_data(Source(f"folder:{image_folder}", limit=18, image_size=8))
    save_split(first, tmp_path / "split.json")

    data = load_data(Source(f"folder:{image_folder}", image_size=8, split_file=str(tmp_path / "split.json")))

    assert len(first.unused) == 18
    assert names_in(data, "train") == names_in(first, "train")


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Two classes of sixty images."""
    for label, colour in {"dark": 20, "light": 220}.items():
        (tmp_path / "many" / label).mkdir(parents=True)
        for number in range(60):
            Image.new("L", (8, 8), colour + number % 20).save(tmp_path / "many" / label / f"{number:02}.png")
    return tmp_path / "many"


def test_up_to_one_in_a_hundred_images_is_skipped_and_recorded(many: Path, tmp_path: Path) -> None:
    (many / "dark" / "07.png").write_bytes(b"torn")
    source = Source(f"folder:{many}", image_size=8, channels=1, on_error="skip")
    before = sorted(path.stat().st_mtime_ns for path in many.rglob("*"))

    data = load_data(source)

    assert [(one.name, one.code) for one in data.skipped] == [("dark/07.png", "not-an-image")]
    assert sum(len(split) for split in data.splits.values()) == 119
    assert "dark/07.png" not in data.names
    assert "skipped 1 of 120 images that cannot be read, first dark/07.png: not an image" in data.notes[0]
    run = fit(TINY.but(epochs=1), data, tmp_path / "run", verbose=False)
    assert (run.path / "skipped.csv").read_text().splitlines()[1].startswith("dark/07.png,not-an-image,")
    split_file = str(run.path / "split.json")
    again = load_data(Source(f"folder:{many}", image_size=8, channels=1, on_error="skip", split_file=split_file))
    assert names_in(again, "train") == names_in(data, "train")
    assert sorted(path.stat().st_mtime_ns for path in many.rglob("*")) == before

    (many / "light" / "09.png").write_bytes(b"")
    with pytest.raises(DataError, match="cannot read 2 of 120 images: .*no more than 1% may be skipped"):
        load_data(source)


def test_a_split_file_is_compared_by_names_where_images_are_skipped_and_that_is_told(
    many: Path, tmp_path: Path
) -> None:
    save_split(load_data(Source(f"folder:{many}", image_size=8)), tmp_path / "split.json")
    source = Source(f"folder:{many}", image_size=8, on_error="skip", split_file=str(tmp_path / "split.json"))
    assert load_data(source).notes == ()
    (many / "light" / "05.png").write_bytes(b"torn")
    shutil.copy(many / "dark" / "08.png", many / "light" / "08.png")

    skipped, told = load_data(source).notes

    assert skipped.startswith("skipped 1 of 120")
    assert told == f"images were skipped, so those of {tmp_path}/split.json were compared by their names only"


def test_how_images_become_pixels_travels_into_the_model_and_back(tmp_path: Path) -> None:
    """Training, evaluation of a folder, and prediction see the same pixels."""
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(12):
            pixels = np.random.default_rng(number).integers(0, 256, (20, 30, 4)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{number}{label}.png")
    source = Source(f"folder:{tmp_path / 'data'}", image_size=8, crop_fraction=0.8, resize="bicubic", background="red")
    data = load_data(source)

    preprocessing = preprocessing_for(TINY, data)
    run = fit(TINY.but(epochs=1), data, tmp_path / "run", verbose=False)

    assert preprocessing.fit == Fit((8, 8), 3, "bicubic", 0.8, "red")
    assert run.preprocessing == preprocessing
    found = evaluate(run, f"folder:{tmp_path / 'data'}", split="all")
    paths = sorted((tmp_path / "data").rglob("*.png"), key=lambda path: path.relative_to(tmp_path / "data").as_posix())
    listing = list_source(source)
    assert [path.relative_to(tmp_path / "data").as_posix() for path in paths] == sorted(listing.names)
    predicted = predict(run, [tmp_path / "data" / name for name in listing.names])
    logits = found.logits - found.logits.max(axis=1, keepdims=True)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(predicted.probabilities, expected, atol=1e-6)


@pytest.mark.parametrize("views", ["flip", "ten-crop"])
def test_views_are_averaged_alike_in_evaluation_and_prediction(
    finished_run: Run, tiny_data: ImageData, views: str
) -> None:
    plain = evaluate(finished_run, tiny_data)
    found = evaluate(finished_run, tiny_data, tta=views)

    images = tiny_data.test.read(slice(None))
    assert found.data_name.endswith(f"{views} views")
    assert np.abs(found.logits - plain.logits).max() > 0.01
    np.testing.assert_allclose(np.exp(found.logits).sum(axis=1), 1, rtol=1e-5)
    if views == "flip":
        both = [predict(finished_run, x).probabilities for x in (images, images[:, :, ::-1])]
        np.testing.assert_allclose(np.exp(found.logits), np.mean(both, axis=0), atol=1e-5)
    assert predict(finished_run, images, tta=views).probabilities.shape == found.logits.shape


def test_files_are_decoded_larger_for_ten_crops(image_folder: Path) -> None:
    from keras_resnet.data.stores import at_size

    store = load_data(Source(f"folder:{image_folder}", image_size=8)).test.images
    assert isinstance(store, EncodedImages)

    larger = at_size(store, (9, 9))

    assert larger.read(np.array([0])).shape == (1, 9, 9, 3)
    assert at_size(store, (8, 8)) is store


def test_an_image_that_vanishes_during_training_is_named(many: Path, tmp_path: Path) -> None:
    data = load_data(Source(f"folder:{many}", image_size=8, channels=1), cache="none")
    (many / "dark" / "11.png").unlink()
    (many / "light" / "12.png").unlink()

    with pytest.raises(DataError, match=r"cannot read (dark/11|light/12).png: .*No such file"):
        fit(TINY.but(epochs=2), data, tmp_path / "run", verbose=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed must be a whole number of at least 0 and at most 2147483647; received -1"),
        ({"split": "random"}, "split must be one of 'class', 'group', 'time'; received 'random'"),
        ({"fold": (6, 5)}, r"fold must be one of two or more folds, .* received \[6, 5\]"),
        ({"on_error": "ignore"}, "on_error must be one of 'fail', 'skip'"),
        ({"background": "nocolour"}, "background must be a colour"),
        ({"crop_fraction": 1.5}, "crop_fraction"),
        ({"resize": "nearest"}, "resize must be one of"),
        ({"split_file": "x.json", "fold": (1, 2)}, "leave split and fold out"),
    ],
)
def test_fields_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Source("digits", **options)


def test_a_source_is_made_again_of_its_settings(table: Path) -> None:
    source = Source(str(table), split="group", fold=(2, 5), background="#102030", crop_fraction=0.9)

    assert Source(**json.loads(json.dumps(source.settings))) == source


@pytest.mark.parametrize(("suffix", "kind"), [(".tsv", "csv"), (".ndjson", "jsonl")])
def test_a_table_is_known_by_any_of_its_suffixes(tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / f"labels{suffix}"
    path.touch()

    assert Source(str(path)).name == f"{kind}:{path}"


def test_a_split_file_is_not_compared_where_it_divides_nothing(image_folder: Path, tmp_path: Path) -> None:
    save_split(load_data(Source(f"folder:{image_folder}", limit=18, image_size=8)), tmp_path / "split.json")
    source = Source(f"folder:{image_folder}", image_size=8, split_file=str(tmp_path / "split.json"))

    assert len(load_data(source, whole=True).test) == 36


@pytest.mark.parametrize("options", [{"sampling": "balanced"}, {"class_weights": "balanced"}])
def test_a_class_that_cannot_be_balanced_is_named_before_an_old_run_is_replaced(
    tmp_path: Path, tiny_data: ImageData, options: dict[str, str]
) -> None:
    train = tiny_data.train
    without = replace(train, indices=train.indices[train.labels != 3], labels=train.labels[train.labels != 3])
    data = replace(tiny_data, splits={**tiny_data.splits, "train": without}, source=None)
    old = tmp_path / "run" / "run.json"
    old.parent.mkdir()
    old.write_text('{"format": 1, "status": "finished"}')

    with pytest.raises(DataError, match="'3' have none"):
        fit(TINY.but(**options), data, tmp_path / "run", overwrite=True, verbose=False)
    assert old.exists()


def test_an_empty_test_split_is_not_replaced_by_the_training_images(finished_run: Run, tiny_data: ImageData) -> None:
    empty = replace(tiny_data.test, indices=tiny_data.test.indices[:0], labels=tiny_data.test.labels[:0])
    data = replace(tiny_data, splits={**tiny_data.splits, "test": empty})

    found = evaluate(finished_run, data)
    assert found.metrics.images == len(tiny_data.validation)
    assert found.data_name.endswith("validation split")
    assert found.remarks[0].startswith("These are validation images.")
    with pytest.raises(DataError, match="has no test images to evaluate on, only 210 train, 30 validation"):
        evaluate(finished_run, data, split="test")
    data = replace(data, splits={**data.splits, "validation": empty})
    with pytest.raises(DataError, match="has no validation images to evaluate on, only 210 train"):
        evaluate(finished_run, data)


def in_two_parts(image_folder: Path, kind: str) -> Source:
    """The images of the folder, the last three of each class for the validation."""
    root, rows = image_folder.parent / "parted", []
    for file in sorted(image_folder.rglob("*.png")):
        part = "val" if int(file.stem) > 8 else "train"
        rows.append(f"{file},{file.parent.name},{part}\n")
        (root / part / file.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / part / file.parent.name)
    (table := root.parent / "parted.csv").write_text("path,label,split\n" + "".join(rows))
    return Source(f"folder:{root}" if kind == "folder" else f"csv:{table}", image_size=8)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("kind", ["folder", "csv"])
def test_given_validation_images_are_what_is_reported_and_choose_nothing(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    source = in_two_parts(image_folder, kind)
    data = load_data(source)
    assert [len(split) for split in data.splits.values()] == [24, 3, 9]
    tested = {data.names[index] for index in data.test.indices}
    assert tested == {name for name in data.names if int(Path(name).stem) > 8}
    note, few = data.notes
    assert few.startswith("classes with fewer than 20 images: ")
    assert note.startswith("the data have no test images: The 9 validation images are the test")
    if kind == "csv":  # one training is enough
        return

    run = fit(TINY.but(batch_size=8), source, tmp_path / "run")
    shown = " ".join(capsys.readouterr().err.split())
    values = [row["val_accuracy"] for row in run.metrics()]
    kept = run.kept
    assert kept is not None
    assert kept | {"value": None} == {
        "epoch": 3, "metric": "accuracy", "value": None, "split": "validation", "images": 3,
    }  # fmt: skip
    assert kept["value"] == pytest.approx(values[-1], abs=1e-5)
    assert note in shown
    assert (
        "kept the weights of epoch 3 of 3, the last: 3 validation images are too few to choose one. Its accuracy on "
        f"them: {values[-1]:.4f} (95 % interval "
    ) in shown
    report = report_run(run)
    assert report.evaluation.metrics.images == 9
    assert report.evaluation.data_name.endswith("test split")
    assert not any(remark.startswith("These are validation images.") for remark in report.evaluation.remarks)
    assert evaluate(run.model, source).metrics.images == 9
    again = load_data(replace(source, split_file=str(run.path / "split.json")))
    assert again.fingerprint == data.fingerprint


def test_imbalance_is_warned_of_before_the_training_unless_the_recipe_balances(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (66, 8, 8, 1), np.uint8)
    data = from_arrays(pixels, np.array([0] * 60 + [1] * 6), ["common", "nan"])

    run = fit(TINY.but(epochs=1), data, tmp_path / "uniform")
    warned = " ".join(capsys.readouterr().err.split())

    text = "the largest class has 10.5 times as many images as the smallest: Always guessing 'common' is right for"
    assert f"warning: {text}" in warned
    assert warned.index(text) < warned.index("epoch 1/1")
    assert "--sampling balanced or --class-weights balanced" in warned
    assert [row["event"] for row in run.events.rows() if row["event"] != "data"] == ["imbalance"]
    assert "note: class names that mean a missing value: 'nan'" in warned
    for balanced in (TINY.but(class_weights="balanced"), TINY.but(sampling="balanced")):
        assert unheeded_imbalance(balanced, data) == []


@pytest.mark.parametrize(
    ("labels", "code", "shown"),
    [
        (("nan", "red"), "class-names-missing", "'nan'"),
        (("Red", "red"), "class-names-alike", "'Red', 'red'"),
        (("red", "red\u200b"), "class-names-alike", r"'red', 'red\u200b'"),
        (("1.0", "10.0", "2.0"), "class-names-numbers", "of their values: '1.0', '2.0', '10.0'"),
    ],
)
def test_class_names_are_looked_at_whatever_source_they_are_from(
    image_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    labels: tuple[str, ...],
    code: str,
    shown: str,
) -> None:
    files = sorted(image_folder.rglob("*.png"))
    table = tmp_path / "table.csv"
    rows = [f"{file},{labels[place % len(labels)]}\n" for place, file in enumerate(files)]
    table.write_text("path,label\n" + "".join(rows), "utf-8")

    assert any(shown in note for note in load_data(Source(f"csv:{table}", image_size=8)).notes)
    arrays = from_arrays(np.zeros((40, 8, 8, 1), np.uint8), np.arange(40) % len(labels), in_order(labels))
    assert any(shown in note for note in arrays.notes)
    assert main(["check", str(table), "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert shown in out
    assert "\u200b" not in out
    content = (tmp_path / "out" / "check.json").read_text("utf-8")
    (finding,) = (one for one in json.loads(content)["findings"] if one["code"] == code)
    assert shown in finding["advice"]
    assert "\u200b" not in content + (tmp_path / "out" / "check.html").read_text("utf-8")
