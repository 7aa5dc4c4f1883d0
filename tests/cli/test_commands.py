"""The commands as a user types them, in this process: exit codes, what is said, and what is left on disk."""

import io
import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from rich.text import Text

from keras_resnet.cli import main
from keras_resnet.models.variants import list_models
from keras_resnet.runs.run import Run
from keras_resnet.training.recipes import RECIPES

SCRIPTS = Path(__file__).parents[2] / "scripts"


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What went to standard error, which must be one line and no traceback."""
    error = capsys.readouterr().err
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if line.startswith("keras-resnet: ")]
    assert len(lines) == 1, error
    return lines[0]


@pytest.mark.parametrize(
    ("file_format", "name"),
    [("tflite-int8", "model_int8.tflite"), pytest.param("saved_model", "saved_model", marks=pytest.mark.slow)],
)
def test_training_evaluating_exporting_and_predicting(
    file_format: str,
    name: str,
    image_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    train = ["train", f"folder:{image_folder}", "--out", str(run), "--model", "oneblock", "--epochs", "2"]
    train += ["--image-size", "8", "--batch-size", "8", "--learning-rate", "0.05"]

    assert main(train) == 0
    shown = capsys.readouterr()
    assert "top-1" in shown.out
    assert f"keras-resnet report {run}" in shown.out
    assert re.search(r"validation accuracy (of )?\d+\.\d %.*\nThe model is .*\. Next:", shown.out)
    assert "2 epochs of 3 steps" in " ".join(shown.err.split())
    assert {"learning_curves.png", "training.png"} == {path.name for path in (run / "plots").iterdir()}
    # The demo below shows that an evaluation is drawn.
    monkeypatch.setattr("keras_resnet.pictures.available", lambda: False)

    assert main(["evaluate", str(run)]) == 0
    assert "shapes, test split" in capsys.readouterr().out

    assert main(["export", str(run), "--format", file_format]) == 0
    assert "verified on 29 images" in capsys.readouterr().out
    assert main(["evaluate", str(run), "--artifact", str(run / "exports" / name)]) == 0
    assert (run / "evaluation" / name / "evaluation.json").exists()
    capsys.readouterr()

    assert main(["predict", str(run), str(image_folder / "red" / "00.png"), "--top", "2"]) == 0
    alone = capsys.readouterr().out
    assert "00.png" in alone
    content = (image_folder / "red" / "00.png").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert main(["predict", str(run), str(image_folder / "red"), "-", "--top", "2"]) == 0
    rows = [re.findall(r"\w+ \d+\.\d%", line) for line in capsys.readouterr().out.splitlines()]
    rows = [row for row in rows if row]
    assert len(rows) == 13
    assert rows[0] == rows[12] == re.findall(r"\w+ \d+\.\d%", alone)

    assert main(train) == 2
    assert "holds a finished run" in one_line(capsys)


def test_a_prediction_stays_on_the_line_of_its_image_whatever_the_file_is_called(
    finished_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "new\tline\n.png")

    assert main(["predict", str(finished_run.path), str(tmp_path), "--top", "1"]) == 0

    (row,) = (line for line in capsys.readouterr().out.splitlines() if ".png" in line)
    assert r"new\tline\n.png" in row
    assert "%" in row


# What is slow takes seconds to be traced, and reaches the recipe as the others do.
SLOW_POLICY = (
    "--automatic randaugment --magnitude 5 --jitter 0.2 --hue 0.05 --greyscale 0.1 --erasing 0.2 --cutout 0.25"
)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("policy", ["--erasing 0.2", pytest.param(SLOW_POLICY, marks=pytest.mark.slow)])
def test_a_table_is_trained_on_with_everything_that_can_be_asked_for(
    policy: str,
    image_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table, run = image_folder / "labels.csv", tmp_path / "run"
    lines = [f"{colour}/{number:02}.png,{colour}" for colour in ("red", "green", "blue") for number in range(12)]
    table.write_text("\n".join(["path,label", *lines]))
    options = (
        f"--image-size 8 --batch-size 8 --epochs 1 --model oneblock --augment resized-crop-flip {policy} "
        "--crop-scale 0.3 --mixup 0.2 --cutmix 1 --repeats 2 --sampling balanced --class-weights effective "
        "--crop-fraction 0.9 --resize bicubic --background black --on-error skip --fold 2/3 --cache none"
    )

    assert main(["train", str(table), "--out", str(run), *options.split()]) == 0

    config = Run(run).config
    assert config["data"]["name"] == f"csv:{table}"
    assert config["data"]["fold"] == [2, 3]
    assert config["recipe"]["erasing"] == 0.2
    assert config["recipe"]["automatic"] == ("randaugment" if policy == SLOW_POLICY else "none")
    assert config["recipe"]["class_weights"] == "effective"
    assert Run(run).preprocessing.fit.background == "black"
    assert main(["evaluate", str(run), "--tta", "ten-crop"]) == 0
    assert "ten-crop views" in capsys.readouterr().out
    assert (run / "evaluation" / "ten-crop" / "evaluation.json").exists()
    assert main(["predict", str(run), str(image_folder / "red" / "00.png"), "--tta", "ten-crop"]) == 0
    monkeypatch.setattr("keras_resnet.training.loop.TrainingLoop.run_to_end", interrupted)  # the split is recorded
    again = ["train", str(table), "--out", str(tmp_path / "again"), "--split-file", str(run / "split.json")]
    assert main([*again, "--image-size", "8", "--epochs", "1", "--model", "oneblock", "--batch-size", "8"]) == 130
    assert (tmp_path / "again" / "split.csv").read_text() == (run / "split.csv").read_text()


def test_the_demo_goes_the_whole_way_and_on_where_it_was_stopped_after_its_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    command = ["demo", "--epochs", "1", "--out", str(out)]
    monkeypatch.setitem(RECIPES, "digits", RECIPES["digits"].but(model="oneblock"))
    monkeypatch.setattr("keras_resnet.evaluation.comparison.ROUNDS", 1)

    with monkeypatch.context() as patch:
        patch.setattr("keras_resnet.exports.export.export_run", interrupted)
        patch.setattr("keras_resnet.pictures.available", lambda: False)
        assert main(command) == 130
    trained = (out / "model.keras").stat().st_mtime_ns
    assert "the same command, without --overwrite, continues" in one_line(capsys)

    assert main(command) == 0
    assert (out / "model.keras").stat().st_mtime_ns == trained

    rows = {row["name"]: row for row in json.loads((out / "comparison.json").read_text())}
    assert list(rows) == ["Keras", "SavedModel", "TFLite float", "TFLite INT8"]
    assert rows["SavedModel"]["agreement"] == rows["TFLite float"]["agreement"] == 1
    assert all(row["images"] == 359 for row in rows.values())
    shown = capsys.readouterr().out
    for text in ("TFLite INT8", "agreement with Keras", "median latency", "precision", "recall", "F1"):
        assert text in shown
    assert f"its report: {out / 'report.html'}" in " ".join(shown.split())
    for path in (
        "plots/learning_curves.png",
        "evaluation/confusion_matrix.png",
        "exports/model_int8.tflite",
        "report.html",
    ):
        assert (out / path).exists()

    assert main(command) == 2
    assert "--overwrite" in one_line(capsys)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "folder:{tmp}/nowhere"], 3, "there is no folder {tmp}/nowhere"),
        (["train", "folder:{tmp}/empty"], 3, "holds no images"),
        (["train", "folder:{tmp}/one"], 3, "there is only one class, 'red'"),
        (["train", "folder:{tmp}/torn"], 3, "cannot read 1 of 36 images: red/05.png: not an image"),
        (["train", "folder:{tmp}/torn", "--num-classes", "0"], 2, "num_classes must be a whole number of at least 1"),
        (["train", "folder:{tmp}/good", "--num-classes", "5"], 3, "3 classes in the data, num_classes=5"),
        (["train", "folder:{tmp}/good", "--image-size", "3"], 2, "too small for resnet20"),
        (["train", "folder:{tmp}/good", "--model", "resnet51"], 2, "no network called 'resnet51'"),
        (["train", "folder:{tmp}/good", "--augment", "mirror"], 2, "augment must be one of"),
        (["train", "folder:{tmp}/good", "--epochs", "0"], 2, "epochs must be"),
        (["train", "folder:{tmp}/good", "--seed", "-1"], 2, "seed must be a whole number of at least 0"),
        (["train", "folder:{tmp}/good", "--out", "{tmp}/good"], 2, "holds other files and no run"),
        (["train", "mnist"], 2, "tfds:NAME or a path that exists; received 'mnist'"),
        (["train", "tfds:cifar10", "--data-dir", "{tmp}/empty"], 3, "holds no prepared data set"),
        (["export", "{tmp}/unfinished", "--format", "tflite-int8"], 2, "is not finished: 0 of 9 epochs"),
        (["export", "{tmp}/nowhere", "--format", "saved_model"], 2, "there is no run folder"),
        (["evaluate", "{tmp}/unfinished"], 2, "is not finished"),
        (["evaluate", "{tmp}/good"], 2, "is not a run folder"),
        (["evaluate", "{run}", "--artifact", "{tmp}/nowhere.tflite"], 5, "there is no model"),
        (["evaluate", "{run}", "--data", "folder:{tmp}/good"], 3, "do not fit the model: it knows 10 classes"),
        (["evaluate", "{run}/model.keras"], 2, "it needs --data SOURCE, as it does not know its images"),
        (["evaluate", "{run}/model.keras", "--artifact", "x"], 2, "is a model file, and --artifact names another"),
        (["evaluate", "{run}", "--limit", "3"], 2, "--data-dir and --limit go with --data"),
        (["predict", "{run}", "{tmp}/torn/red/05.png"], 3, "05.png: not an image"),
        (["predict", "{run}", "{tmp}/nowhere.png"], 3, "nowhere.png: No such file"),
        (["predict", "{run}", "http://host/one.png"], 3, "http://host/one.png is an address, and nothing is fetched"),
    ],
)
def test_a_mistake_gets_one_line_an_exit_code_and_changes_nothing(
    arguments: list[str],
    code: int,
    message: str,
    image_folder: Path,
    finished_run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "one" / "red").mkdir(parents=True)
    (tmp_path / "one" / "red" / "1.png").write_bytes((image_folder / "red" / "00.png").read_bytes())
    for name in ("torn", "good"):
        for path in image_folder.rglob("*.png"):
            copy = tmp_path / name / path.relative_to(image_folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (tmp_path / "torn" / "red" / "05.png").write_bytes(b"torn")
    Run.start(
        tmp_path / "unfinished",
        {"recipe": {"model": "resnet8", "epochs": 9, "tta": "none"}, "data": {"name": "digits"}},
    )
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    def filled(text: str) -> str:
        return text.replace("{tmp}", str(tmp_path)).replace("{run}", str(finished_run.path))

    assert main([filled(argument) for argument in arguments]) == code

    assert filled(message) in one_line(capsys)
    assert sorted(tmp_path.rglob("*")) == before


def test_wrong_words_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert main(["train", "digits", "--epochs", "many"]) == 2
    assert main([]) == 2
    assert "usage:" in capsys.readouterr().err


def test_a_full_disk_is_exit_code_six(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")

    assert main(["train", "digits", "--limit", "100", "--out", str(tmp_path / "file" / "run")]) == 6
    assert "cannot write" in one_line(capsys)


def test_memory_that_runs_out_is_exit_code_six(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tensorflow as tf

    def exhausted(*_: object, **__: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr("keras_resnet.training.fit.CompiledNetwork", exhausted)

    assert main(["train", "digits", "--limit", "100", "--out", str(tmp_path / "run")]) == 6
    assert "out of memory: lower --batch-size" in one_line(capsys)


def run_script(name: str, *arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *arguments])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(SCRIPTS / name), run_name="__main__")
    return int(stopped.value.code or 0)


@pytest.mark.slow  # the script for folders is tried below
def test_the_digits_script_trains(tmp_path: Path) -> None:
    small = ["--limit", "100", "--image-size", "8", "--model", "oneblock", "--epochs", "1"]

    assert run_script("fit_digits.py", *small, "--out", str(tmp_path / "run")) == 0
    assert Run.at(tmp_path / "run").status == "finished"


@pytest.mark.usefixtures("undrawn")
def test_the_folder_script_trains_without_out_into_saved_models_and_the_next_run_goes_beside_it(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["--model", "oneblock", "--epochs", "1", "--image-size", "8", "--batch-size", "8"]

    assert run_script("fit_folder.py", str(image_folder), *small) == 0
    monkeypatch.setattr("keras_resnet.training.loop.TrainingLoop.run_to_end", interrupted)
    assert main(["train", f"folder:{image_folder}", *small]) == 130

    assert [(path.name, Run.at(path).status) for path in sorted((tmp_path / "saved_models").iterdir())] == [
        ("oneblock-shapes", "finished"),
        ("oneblock-shapes-002", "unfinished"),
    ]


def test_the_cifar_script_reads_a_prepared_folder_and_names_a_missing_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_script("fit_cifar10.py", "--data-dir", str(tmp_path / "nowhere")) == 3
    assert "there is no folder" in one_line(capsys)


def test_the_networks_are_listed_with_what_they_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "resnet50*"]) == 0
    shown = capsys.readouterr().out

    rows = [line.split() for line in shown.splitlines() if line.strip().startswith("resnet50")]
    assert [row[0] for row in rows] == list_models("resnet50*")
    assert rows[0] == ["resnet50", "25,557,032", "4.10", "G", "8.20", "G", "50", "224×224", "[1]"]
    assert '[1] He et al., "Deep Residual Learning for Image Recognition", 2015, https://arxiv.org/abs/1512' in shown
    assert "1 MAC = 1 multiplication + 1 addition = 2 FLOPs" in shown


def test_no_name_of_a_network_is_cut_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(
        "keras_resnet.cli.tables.Console", lambda **options: Console(file=screen, width=80, force_terminal=True)
    )

    assert main(["models"]) == 0

    found = Text.from_ansi(screen.getvalue()).plain
    assert all(f"{name} " in found for name in list_models())
    assert "…" not in found
    assert max(len(line) for line in found.splitlines()) <= 80


def test_networks_are_counted_for_other_inputs_and_their_weights_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "ResNet-18", "--input", "32", "--classes", "10", "--weights"]) == 0
    shown = capsys.readouterr().out

    assert "11,173,962" in shown
    assert "timm/a1_in1k" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vgg*"], "no network matches 'vgg*'"),
        (["resnet51"], "did you mean 'resnet50' or 'resnet101'"),
        (["resnet18", "--input", "0"], "--input must be at least 1"),
        (["resnet50d", "--input", "8"], "--input 8 is too small for resnet50d"),
        (["resnet18", "--classes", "-1"], "--classes must be at least 1"),
    ],
)
def test_what_cannot_be_listed_is_said(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_a_terminal_of_few_letters_cannot_show_is_replaced(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))

    assert main(["models", "resnet50*"]) == 0
    sys.stdout.flush()

    shown = written.getvalue().decode(encoding)
    assert "resnet50d" in shown
    assert "25,576,264" in shown
