import csv
import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from keras_resnet.cli.main import main
from keras_resnet.cli.predict import _folder_name
from keras_resnet.data.images import ImageData
from keras_resnet.inference.predict import predict
from keras_resnet.runs.run import Run


@pytest.fixture
def digits(tiny_data: ImageData, tmp_path: Path) -> Path:
    """Five digits as image files, and one file that is none."""
    folder = tmp_path / "digits"
    (folder / "more").mkdir(parents=True)
    for number, pixels in enumerate(tiny_data.test.read(slice(0, 5))[..., 0]):
        Image.fromarray(pixels).save(folder / f"{number}.png" if number < 3 else folder / "more" / f"{number}.png")
    (folder / "broken.png").write_text("no image")
    return folder


def expected(run: Run, *paths: Path) -> list[str]:
    return predict(run, list(paths)).labels


def test_files_that_cannot_be_read_are_named_and_the_rest_is_classified(
    digits: Path, finished_run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras_resnet.cli.predict.BATCH", 2)  # the broken one is alone in no batch, and first in one
    assert main(["predict", str(finished_run.path), str(digits), str(digits / "none.png"), "--csv", "--top", "1"]) == 3

    shown = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(shown.out)))
    paths = [*(digits / f"{n}.png" for n in range(3)), *(digits / "more" / f"{n}.png" for n in (3, 4))]
    assert [row["path"] for row in rows] == list(map(str, paths))
    assert [row["class_1"] for row in rows] == expected(finished_run, *paths)
    assert set(rows[0]) == {"path", "class_1", "probability_1"}
    complaints = [line for line in shown.err.splitlines() if line.startswith("keras-resnet: ")]
    assert len(complaints) == 2
    assert "broken.png: not an image" in complaints[0]
    assert "none.png: No such file" in complaints[1]


def test_a_line_of_json_an_image_has_the_classes_in_order(
    digits: Path, finished_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(finished_run.path), str(digits / "[0-2].png"), "--json", "--top", "3"]) == 0

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(line["path"]).name for line in lines] == ["0.png", "1.png", "2.png"]
    found = predict(finished_run, [line["path"] for line in lines])
    for row, line in enumerate(lines):
        given = [(one["class"], one["probability"]) for one in line["predictions"]]
        assert given == [(label, round(share, 6)) for label, share in found.top(row, 3)]


@pytest.mark.parametrize("by", ["file", "standard input"])
def test_a_list_names_an_image_in_each_line(
    by: str,
    digits: Path,
    finished_run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = f"{digits / '1.png'}\n\n{digits / 'more'}\n"
    (tmp_path / "list.txt").write_text(text)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    named = str(tmp_path / "list.txt") if by == "file" else "-"

    assert main(["predict", str(finished_run.path), "--list", named, "--csv"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [Path(row.split(",")[0]).name for row in rows] == ["1.png", "3.png", "4.png"]


def test_images_are_copied_into_the_folders_of_their_classes_and_nothing_is_overwritten(
    digits: Path, finished_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sorted_into = tmp_path / "sorted"
    (digits / "more" / "0.png").write_bytes((digits / "0.png").read_bytes())
    command = ["predict", str(finished_run.path), str(digits / "0.png"), str(digits / "more" / "0.png")]

    assert main([*command, "--copy-to", str(sorted_into)]) == 0
    assert main([*command[:3], "--copy-to", str(sorted_into)]) == 0

    (label,) = expected(finished_run, digits / "0.png")
    copies = sorted(sorted_into.rglob("*.png"))
    assert [path.relative_to(sorted_into).as_posix() for path in copies] == [
        f"{label}/0-2.png",
        f"{label}/0-3.png",
        f"{label}/0.png",
    ]
    assert {path.read_bytes() for path in copies} == {(digits / "0.png").read_bytes()}
    assert "copied 2 images into" in capsys.readouterr().err


@pytest.mark.parametrize("label", ["..", ".", "", "a/b", "../../etc", "a\\b", "\0", "cat", " . "])
def test_no_class_leads_out_of_the_folder(label: str) -> None:
    name = _folder_name(label)
    assert (Path("/root") / name).resolve().parent == Path("/root")
    assert "\0" not in name
    assert name == label or label != "cat"
    assert _folder_name("a/b") != _folder_name("a%2Fb")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "which images? Name files, folders or patterns, or a list of them by --list"),
        (["{folder}/*.jpg"], 3, "no file is called as the pattern"),
        (["--list", "{folder}/none.txt"], 3, "cannot read the list"),
        (["--list", "{folder}/empty.txt"], 3, "names no image"),
        (["-", "--list", "-"], 2, "needs standard input for itself"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    code: int,
    message: str,
    finished_run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    (tmp_path / "empty.txt").write_text("\n")
    filled = [argument.replace("{folder}", str(tmp_path)) for argument in arguments]

    assert main(["predict", str(finished_run.path), *filled]) == code
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("keras-resnet: ")]
    assert message in line
