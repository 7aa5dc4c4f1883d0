"""Images of several classes, from a folder or a table to a verified INT8 file."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_resnet.data.loading import from_arrays, from_dataset, list_source, load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.evaluate import evaluate
from keras_resnet.evaluation.report import report_run
from keras_resnet.exports.export import export
from keras_resnet.inference.predict import predict
from keras_resnet.inspection.check import check
from keras_resnet.quantize.post_training import Quantization
from keras_resnet.reporting.report import write_report
from keras_resnet.training.fit import fit
from tests.reporting.pages import Page, check_page
from tests.shared import TINY

COUNT = 120
NAMES = ("blue", "green", "red")


def picture(shown: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A dark image with a bright square of each shown colour, at a place of its own."""
    image = random.integers(0, 40, (12, 12, 3)).astype(np.uint8)
    for label in np.flatnonzero(shown):
        image[1 + 4 * label : 4 + 4 * label, 2:10, 2 - label] = 230
    return image


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2, (COUNT, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def table(labels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("several")
    random = np.random.default_rng(0)
    lines = ["path,labels"]
    for number, shown in enumerate(labels):
        Image.fromarray(picture(shown, random)).save(root / f"{number:03}.png")
        lines.append(f"{number:03}.png,{'|'.join(NAMES[label] for label in np.flatnonzero(shown))}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root / "labels.csv"


def source(table: Path) -> Source:
    return Source(str(table), image_size=12)


def test_a_table_of_several_labels_is_multi_label(table: Path, labels: np.ndarray) -> None:
    data = load_data(source(table))

    assert (data.task.name, data.class_names) == ("multi-label", NAMES)
    for split in data.splits.values():
        places = [int(Path(data.names[index]).stem) for index in split.indices]
        np.testing.assert_array_equal(split.labels, labels[places])
    assert [len(data.splits[name]) for name in ("train", "validation", "test")] == pytest.approx([84, 12, 24], abs=3)
    for split in data.splits.values():  # every class in its proportion
        assert split.labels.mean(axis=0) == pytest.approx(labels.mean(axis=0), abs=0.12)
    assert load_data(source(table)).fingerprint == data.fingerprint


def test_the_same_in_json_lines_and_in_arrays(table: Path, labels: np.ndarray, tmp_path: Path) -> None:
    rows = [
        {"path": str(table.parent / f"{number:03}.png"), "labels": [NAMES[label] for label in np.flatnonzero(shown)]}
        for number, shown in enumerate(labels)
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))

    data = load_data(Source(str(tmp_path / "t.jsonl"), image_size=12))

    assert data.task.name == "multi-label"
    assert sum(split.labels.sum() for split in data.splits.values()) == labels.sum()
    images = np.zeros((COUNT, 4, 4), np.uint8)
    arrays = from_arrays(images, labels, NAMES, task="multi-label", limit=60)
    assert sum(len(split) for split in arrays.splits.values()) == 60
    with pytest.raises(DataError, match='give task="multi-label"'):
        from_arrays(images, labels)


def test_a_data_set_of_several_labels_is_taken_by_the_task(labels: np.ndarray) -> None:
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((np.full((COUNT, 4, 4, 1), 9, np.uint8), labels))

    assert from_dataset(dataset, task="multi-label").task.name == "multi-label"
    with pytest.raises(DataError, match="mixed or smoothed"):
        from_dataset(dataset)


def test_in_folders_the_same_file_has_the_classes_of_all_its_folders(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(6):
            Image.fromarray(random.integers(0, 256, (6, 6, 3)).astype(np.uint8)).save(
                tmp_path / label / f"{number}.png"
            )
    for number in range(3):  # a copy of another name, too
        (tmp_path / "dog" / f"copy{number}.png").write_bytes((tmp_path / "cat" / f"{number}.png").read_bytes())

    listing = list_source(Source(str(tmp_path), task="multi-label"))

    assert len(listing) == 12
    both = [name for name, shown in zip(listing.names, listing.labels, strict=True) if shown.sum() == 2]
    assert both == ["cat/0.png", "cat/1.png", "cat/2.png"]
    assert listing.labels.sum(axis=0).tolist() == [6, 9]
    assert len(list_source(Source(str(tmp_path)))) == 15, "without the task they are copies"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label,labels\na.png,a,b\n", "there are both 'label' and 'labels'"),
        ("path,labels\na.png,\nb.png,\n", "no image has a label"),
    ],
)
def test_tables_that_say_nothing_clear_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)

    with pytest.raises(DataError, match=message):
        list_source(str(tmp_path / "t.csv"))


def test_json_lines_that_mix_one_and_several_labels_name_the_line(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"path": "a.png", "labels": ["a"]}\n{"path": "b.png", "label": "a"}\n')

    with pytest.raises(DataError, match="line 2: it has 'label', but other lines have 'labels'"):
        list_source(str(tmp_path / "t.jsonl"))


def test_what_the_task_cannot_do_is_refused(table: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="digits sources have one label an image"):
        Source("digits", task="multi-label")
    with pytest.raises(DataError, match="its task is multi-label"):
        list_source(Source(str(table), task="classification"))
    with pytest.raises(DataError, match="balanced where each image has one"):
        fit(TINY.but(sampling="balanced"), load_data(source(table)), tmp_path / "run", verbose=False)


def test_a_check_counts_every_class_of_an_image(table: Path, labels: np.ndarray) -> None:
    report = check(list_source(source(table)))

    assert report.trainable
    assert report.counts.tolist() == labels.sum(axis=0).tolist()
    assert "labels-not-checked" in [finding.code for finding in report.findings]


def test_a_training_learns_several_classes_and_its_files_agree(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_data(source(table))
    # What is drawn of a training has nothing of its task.
    monkeypatch.setattr("keras_resnet.evaluation.report.training_picture", lambda *_: None)
    monkeypatch.setattr("keras_resnet.evaluation.report.learning_curves", lambda *_: None)
    recipe = TINY.but(epochs=6, warmup_epochs=1, batch_size=16, learning_rate=0.1, mixup=0.2)

    run = fit(recipe, source(table), tmp_path / "run", verbose=False)
    report = report_run(run, data)

    assert run.preprocessing.task == "multi-label"
    rows = run.metrics()
    assert {"val_loss", "val_accuracy", "val_average_precision"} <= rows[0].keys()
    assert report.evaluation.metrics.average_precision > 0.9
    assert (run.path / "evaluation" / "average_precision.png").exists()
    summary = json.loads((run.path / "evaluation" / "evaluation.json").read_text())
    assert summary["task"] == "multi-label"
    assert summary["average_precision"] == report.evaluation.metrics.average_precision
    plain = Quantization(ranges="minmax", equalize=False, correct_bias=False)
    exported = export(run, format="tflite-int8", data=data, quantization=plain)
    assert exported.verification.agreement > 0.9
    assert exported.predictor.preprocessing.task == "multi-label"
    first = data.names[data.test.indices[0]]
    found = predict(exported.path, [table.parent / first])
    assert found.probabilities.shape == (1, 3)
    assert evaluate(exported.path, source(table), split="all", tta="flip").metrics.average_precision > 0.9
    saved = export(run, format="saved_model", data=data)
    logits = saved.predictor.logits(data.test.read(slice(0, 4)))
    assert logits == pytest.approx(report.evaluation.logits[:4], abs=1e-3)

    page = Page(write_report(run, data, look=False))
    check_page(page)
    assert "It says of each of 3 classes whether an image shows it: blue, green, red." in page.text
    assert f"Its mean average precision is {summary['average_precision']:.2%}" in page.text
    for row in report.evaluation.metrics.classes:
        assert f"{row.average_precision:.3f}</td>" in page.section("Figures")
    assert "none is taken for another" in page.section("Confusions")
    assert "these may have several" in page.section("Labels that may be wrong")
