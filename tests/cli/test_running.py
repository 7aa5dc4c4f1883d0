"""Commands whose output goes nowhere, or only half the way."""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from keras_resnet.cli import main
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
    full: TextIO, broken: TextIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", full)
    monkeypatch.setattr(sys, "stderr", broken)
    train = ["train", "digits", "--limit", "100", "--image-size", "8", "--model", "oneblock", "--epochs", "1"]

    assert main([*train, "--out", str(tmp_path / "run")]) == 0

    assert Run.at(tmp_path / "run", finished=True).log.rows()[-1]["event"] == "epoch"
    assert (tmp_path / "run" / "evaluation" / "evaluation.json").is_file()


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
