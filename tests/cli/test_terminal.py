"""Names of files and classes that would control a terminal are shown with their escapes, whatever the command."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import keras_resnet
from keras_resnet.cli import main
from keras_resnet.runs.run import Run

PACKAGE = Path(keras_resnet.__file__).parent
EVIL = "a\x1b[31m\u202eb\x07"
SHOWN = "a\\x1b[31m\\u202eb\\x07"


@pytest.fixture
def pile(tmp_path: Path) -> Path:
    """Two classes, one of a hostile name, with images of hostile names and one that cannot be read."""
    root = tmp_path / f"pile {EVIL}"
    random = np.random.default_rng(0)
    for label in (EVIL, "cat"):
        (root / label).mkdir(parents=True)
        for number in range(10):
            pixels = random.integers(0, 256, (24, 24), np.uint8)
            Image.fromarray(pixels).save(root / label / f"{EVIL}{number}.png")
    (root / "cat" / f"{EVIL}.png").write_bytes(b"")
    return root


def assert_harmless(text: str) -> None:
    assert not set(text) & {"\x1b", "\u202e", "\x07"}
    assert SHOWN in text


def test_a_check_of_such_a_folder(pile: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(pile), "--out", str(tmp_path / "out")]) == 3

    shown = capfd.readouterr()
    assert not set(shown.out + shown.err) & {"\x1b", "\u202e", "\x07"}
    html = (tmp_path / "out" / "check.html").read_text("utf-8")
    assert_harmless(html)
    json.loads((tmp_path / "out" / "check.json").read_text("utf-8"))


def test_the_commands_that_name_files_and_errors(
    pile: Path, tmp_path: Path, finished_run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run, image = str(finished_run.path), str(pile / EVIL / f"{EVIL}0.png")
    for arguments, code in (
        (["check", str(pile), "--out", str(tmp_path / EVIL)], 3),
        (["predict", run, image], 0),
        (["predict", run, str(pile / "cat" / f"{EVIL}.png")], 3),
        (["predict", str(tmp_path / EVIL / "no model"), image], 5),
        (["evaluate", run, "--data", str(pile)], 3),
        (["evaluate", str(tmp_path / f"{EVIL} nothing")], 2),
        (["export", run, "--format", EVIL], 2),
        (["train", str(pile), "--out", str(tmp_path / "run")], 3),
        (["train", str(pile), "--print-config", "--config", str(tmp_path / f"{EVIL}.yaml")], 2),
        (["train", "digits", f"--{EVIL}"], 2),
        (["find-lr", str(pile / "nothing")], 2),
    ):
        assert main(arguments) == code, arguments
        shown = capfd.readouterr()
        assert_harmless(shown.out + shown.err)


def test_a_configuration_is_shown_harmless_and_still_says_the_same(
    pile: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(pile), "--print-config"]) == 0

    shown = capfd.readouterr().out
    assert not set(shown) & {"\x1b", "\u202e", "\x07"}
    assert yaml.safe_load(shown)["data"] == str(pile)


def test_commands_write_to_the_terminal_in_one_place() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "print"
    ]

    assert {place.partition(":")[0] for place in found} == {
        "cli/terminal.py",
        "cli/tables.py",
        "display.py",
        "callbacks/notes.py",
    }, found
    assert len(found) == 4, "each of them makes what it prints visible"
