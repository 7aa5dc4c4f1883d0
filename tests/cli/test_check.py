import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keras_resnet.cli import main
from keras_resnet.data.loading import load_data
from keras_resnet.data.sources import listing
from keras_resnet.data.sources.source import Source
from keras_resnet.inspection import label_doubts
from keras_resnet.inspection.inspection import inspect_data
from keras_resnet.runs.run import Run
from tests.inspection.test_check import pile


def test_a_good_folder_gives_zero_and_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = pile(tmp_path / "pile"), tmp_path / "out"
    (root / "cat" / "notes.txt").write_text("no image")

    assert main(["check", str(root), "--out", str(out), "--no-show-batch"]) == 0

    shown = capsys.readouterr().out
    assert "note: 1 files without an extension of images were left out" in shown
    assert "24 images of 2 classes, 24 readable: 0 errors, 0 warnings" in shown
    assert f"wrote {out / 'check.html'}" in shown
    written = json.loads((out / "check.json").read_text("utf-8"))
    assert written["source"] == f"folder:{root}"
    assert written["trainable"] is True
    assert (out / "check.html").read_text("utf-8").startswith("<!doctype html>")


def test_an_unreadable_image_gives_three_and_the_report_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = pile(tmp_path / "pile"), tmp_path / "out"
    (root / "cat" / "caf\udce9\n.png").write_bytes(b"")

    assert main(["check", str(root), "--out", str(out), "--no-show-batch"]) == 3

    assert "empty" in capsys.readouterr().out
    (finding,) = [f for f in json.loads((out / "check.json").read_bytes())["findings"] if f["code"] == "empty"]
    assert finding["groups"][0][0]["image"] == "cat/caf\\udce9\n.png"
    assert (out / "check.html").exists()


def test_the_default_folder_is_named_after_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pile(tmp_path / "my pets")

    main(["check", "folder:my pets", "--no-show-batch"])

    assert {path.name for path in (tmp_path / "saved_models" / "check-my-pets").iterdir()} == {
        "check.json",
        "check.html",
    }


def test_nothing_is_written_into_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = pile(tmp_path / "pile")
    before = sorted(root.rglob("*"))
    monkeypatch.chdir(root)

    assert main(["check", "folder:.", "--no-show-batch"]) == 2

    assert "lies in the data, which are left as they are: write elsewhere (check: --out)" in capsys.readouterr().err
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    ("source", "code", "message"),
    [("folder:nowhere", 3, "there is no folder"), ("cats", 2, "a data source is digits")],
)
def test_a_source_that_is_none_gives_one_line(
    source: str, code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", source, "--out", str(tmp_path / "out"), "--no-show-batch"]) == code

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_signs_are_named_on_the_terminal_and_shown_on_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = pile(tmp_path / "pile"), tmp_path / "out"
    Image.new("RGB", (60, 40), "white").quantize(2).save(root / "cat" / "plain.gif")
    sign = Image.new("L", (120, 90), 255)
    sign.paste(0, (30, 40, 90, 46))
    sign.save(root / "dog" / "sign\u202e.gif")

    assert main(["check", str(root), "--out", str(out), "--no-show-batch"]) == 0

    shown = capsys.readouterr().out
    assert r"warning: drawings or signs among photographs: 'dog/sign\u202e.gif'" in shown
    written = (out / "check.json").read_text("utf-8")
    assert "\u202e" not in written
    (finding,) = [one for one in json.loads(written)["findings"] if one["code"] == "unlike-others"]
    assert finding["groups"][0][0]["image"] == "dog/sign\u202e.gif"
    page = (out / "check.html").read_text("utf-8").split("drawings or signs among photographs")[1]
    assert page.split("</section>")[0].count("data:image/jpeg;base64,") == 1


def test_a_folder_is_checked_without_tensorflow(tmp_path: Path) -> None:
    root = pile(tmp_path / "pile")
    program = (
        "import sys; from keras_resnet.cli import main; "
        f"code = main(['check', {str(root)!r}, '--out', {str(tmp_path / 'out')!r}, '--no-show-batch']); "
        "print(code, sorted({'tensorflow', 'keras'} & sys.modules.keys()))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "0 []"


def test_a_training_batch_is_drawn_as_the_options_augment_it(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def drawn(name: str, *options: str) -> bytes:
        out = tmp_path / name
        assert main(["check", str(image_folder), "--out", str(out), "--image-size", "8", *options]) == 0
        assert f"wrote {out / 'batch.png'}" in capsys.readouterr().out
        assert "images of the first training batch, 8 × 8 pixels" in (out / "check.html").read_text("utf-8")
        return (out / "batch.png").read_bytes()

    plain = drawn("plain", "--augment", "none")

    assert plain == drawn("again", "--augment", "none")
    assert plain != drawn("mixed", "--augment", "resized-crop-flip", "--cutmix", "1")


def test_copies_are_told_by_the_split_that_training_would_make(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = image_folder / "labels.csv"
    lines = [f"{c}/{n:02}.png,{c},{c}{n // 3}" for c in ("red", "green", "blue") for n in range(12)]
    table.write_text("\n".join(["path,label,group", *lines]))
    splits = load_data(Source(str(table), split="group", image_size=8)).splits
    trained, tested = (lines[splits[part].indices[0]].split(",")[0] for part in ("train", "test"))
    (image_folder / trained).write_bytes((image_folder / tested).read_bytes())

    main(["check", str(table), "--split", "group", "--out", str(tmp_path / "out"), "--no-show-batch"])

    codes = {finding["code"] for finding in json.loads((tmp_path / "out" / "check.json").read_text())["findings"]}
    assert any(code.startswith("duplicate") and "across-splits" in code for code in codes), codes


def test_images_that_training_would_skip_do_not_keep_it_from_beginning(tmp_path: Path) -> None:
    root = tmp_path / "pile"
    for label in ("cat", "dog"):
        (root / label).mkdir(parents=True)
        for number in range(60):
            Image.new("L", (20, 20), number).save(root / label / f"{number}.png")
    (root / "cat" / "7.png").write_bytes(b"torn")

    assert main(["check", str(root), "--out", str(tmp_path / "out"), "--no-show-batch"]) == 3
    assert main(["check", str(root), "--out", str(tmp_path / "out"), "--on-error", "skip", "--no-show-batch"]) == 0
    report = json.loads((tmp_path / "out" / "check.json").read_text())
    (torn,) = [finding for finding in report["findings"] if finding["code"] == "not-an-image"]
    assert (torn["severity"], torn["advice"]) == ("warning", "Training leaves them out: repair or remove the files.")
    (root / "cat" / "8.png").write_bytes(b"torn")
    assert main(["check", str(root), "--out", str(tmp_path / "out"), "--on-error", "skip", "--no-show-batch"]) == 3


@pytest.mark.parametrize(
    "settings", [{}, {"limit": 9}, {"fold": "2/3", "seed": 4}, {"on_error": "skip"}], ids=lambda one: "-".join(one)
)
def test_python_finds_what_the_command_does(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = pile(tmp_path / "pile")
    (root / "cat" / "copy.png").write_bytes((root / "dog" / "03.png").read_bytes())
    options = [word for name, one in settings.items() for word in (f"--{name.replace('_', '-')}", str(one))]

    found = inspect_data(Source(f"folder:{root}", **settings))

    assert main(["check", str(root), "--out", str(tmp_path / "out"), *options, "--no-show-batch"]) == 0
    assert str(found) in capsys.readouterr().out
    for file in found.write(tmp_path / "python"):
        assert file.read_bytes() == (tmp_path / "out" / file.name).read_bytes()


def test_a_limit_checks_the_images_that_training_would_use_and_reads_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = pile(tmp_path / "pile")
    read: list[str] = []
    monkeypatch.setattr(listing, "read_file", lambda path, name: read.append(name) or path.read_bytes())

    assert main(["check", str(root), "--out", str(tmp_path / "out"), "--limit", "10", "--no-show-batch"]) == 0

    report = json.loads((tmp_path / "out" / "check.json").read_text())
    used = load_data(Source(f"folder:{root}", limit=10))
    assert report["images"] == len(set(read)) == 10
    assert set(read) == set(used.names)
    splits = [one["splits"] for one in report["classes"]]
    assert sum(one["test"] for one in splits) == len(used.test)


def test_a_trained_network_looks_at_the_images(
    image_folder: Path, finished_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_RESNET_CACHE", str(tmp_path / "cache"))
    seen = []
    really = label_doubts.doubt_labels

    def noted(thumbnails: np.ndarray, labels: np.ndarray, seed: int, vectors: np.ndarray | None) -> object:
        seen.append(vectors)
        return really(thumbnails, labels, seed, vectors)

    monkeypatch.setattr("keras_resnet.inspection.check.doubt_labels", noted)
    command = ["check", str(image_folder), "--out", str(tmp_path / "out"), "--weights", str(finished_run.path)]
    assert main(command) == 0
    assert main(command[:4]) == 0

    (vectors, without) = seen
    assert vectors.shape == (36, 16)
    assert (vectors.std(axis=0) > 0).any()
    assert without is None
