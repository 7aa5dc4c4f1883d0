"""Commands whose output goes nowhere, or only half the way."""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from keras_resnet.cli import main
from keras_resnet.cli.terminal import say
from keras_resnet.display import Display
from keras_resnet.runs.run import Run

needs_a_full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


@pytest.fixture
def broken() -> Iterator[TextIO]:
    """A pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", buffering=1)
    yield stream
    stream.close()  # which would raise if something were left to write


@pytest.fixture
def full() -> Iterator[TextIO]:
    with open("/dev/full", "w") as stream:
        yield stream


def test_a_pipe_that_has_read_enough_ends_a_command_quietly(
    broken: TextIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", broken)

    assert main(["models"]) == 0
    assert capsys.readouterr().err == ""


@needs_a_full_device
@pytest.mark.parametrize("arguments", [["models"], ["--help"], ["train", "digits", "--print-config"]])
def test_output_that_cannot_be_written_is_one_line_and_exit_code_six(
    arguments: list[str], full: TextIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", full)

    assert main(arguments) == 6
    assert capsys.readouterr().err == "keras-resnet: cannot write to standard output: No space left on device\n"


def test_a_closed_output_is_one_line_and_exit_code_six(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it where it was closed

    assert main(["recipes"]) == 6
    assert capsys.readouterr().err == "keras-resnet: cannot write to standard output: it is closed\n"


@pytest.mark.parametrize("closed", [True, False])
def test_a_mistake_has_its_exit_code_where_nobody_can_be_told(
    closed: bool, broken: TextIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None if closed else broken)

    assert main(["export", "nowhere", "--format", "saved_model"]) == 2
    assert main(["models", "--nonsense"]) == 2


@needs_a_full_device
def test_a_training_goes_on_without_a_terminal(
    full: TextIO, broken: TextIO, finished_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    went_on = []

    def train(_: object, data: object, display: Display, **options: object) -> Run:
        for _ in range(3):
            display.note("a line that nobody reads")
        went_on.append("training")
        return finished_run

    def report(*_: object) -> None:
        went_on.append("report")

    monkeypatch.setattr("keras_resnet.training.fit.fit_planned", train)
    monkeypatch.setattr("keras_resnet.evaluation.report.report_run", report)
    monkeypatch.setattr("keras_resnet.cli.show.show_report", lambda _: say("figures"))
    monkeypatch.setattr(sys, "stdout", full)
    monkeypatch.setattr(sys, "stderr", broken)

    assert main(["train", "digits", "--limit", "100", "--out", str(tmp_path / "run")]) == 0
    assert went_on == ["training", "report"]


def test_a_closed_input_holds_no_image(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", None)

    assert main(["predict", "nowhere", "-"]) == 2
    assert "standard input is closed" in capsys.readouterr().err


def test_a_broken_pipe_elsewhere_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_elsewhere(_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("keras_resnet.cli.models.run", broken_elsewhere)
    monkeypatch.setattr(sys, "stdout", io.StringIO())

    with pytest.raises(BrokenPipeError):
        main(["models"])


LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "digits", "--out", LONG],
        ["train", "digits", "--weights", f"{LONG}.safetensors", "--limit", "100"],
        ["train", "{folder}", "--split-file", LONG],
        ["train", "tfds:mnist", "--data-dir", LONG],
        ["evaluate", LONG],
        ["evaluate", "{run}", "--artifact", f"{LONG}.tflite"],
        ["predict", LONG, "image.png"],
        ["predict", "{run}", LONG],
        ["export", "{run}", "--format", "saved_model", "--out", LONG],
        ["demo", "--out", LONG],
        ["find-lr", "digits", "--limit", "100", "--out", LONG],
    ],
    ids=lambda words: " ".join(word for word in words if LONG not in word),
)
def test_a_path_that_the_system_refuses_is_one_line_with_the_reason(
    arguments: list[str],
    finished_run: Run,
    image_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(image_folder)
    places = {"{run}": str(finished_run.path), "{folder}": str(image_folder)}

    assert main([places.get(argument, argument) for argument in arguments]) in (2, 5, 6)

    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("keras-resnet: ")]
    assert len(lines) == 1
    assert LONG in lines[0]
    assert "File name too long" in lines[0]


def test_a_path_that_no_file_can_have_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.yaml").write_text('weights: "a\\0b.safetensors"')

    assert main(["train", "digits", "--limit", "100", "--config", "settings.yaml"]) == 5

    error = capsys.readouterr().err
    assert "keras-resnet: cannot read a\\x00b.safetensors: no file can have this path" in error.splitlines()


def test_an_error_of_the_system_that_names_no_path_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: object) -> int:
        raise ConnectionResetError(104, "Connection reset by peer")

    monkeypatch.setattr("keras_resnet.cli.models.run", failing)

    with pytest.raises(ConnectionResetError):
        main(["models"])
