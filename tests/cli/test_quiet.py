import logging
import os
import sys
import warnings
from pathlib import Path

import pytest

from keras_resnet.cli.quiet import quiet


def test_native_lines_are_dropped_and_python_lines_arrive(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        os.write(2, b"I0000 native noise\n")
        warnings.warn("a library's warning", UserWarning, stacklevel=1)
        logging.getLogger("absl").warning("a log line")
        print("an error for the user", file=sys.stderr)
    os.write(2, b"after\n")

    shown = capfd.readouterr().err
    assert "native noise" not in shown
    assert "a library's warning" not in shown
    assert "a log line" not in shown
    assert "after" in shown


def test_a_library_that_sets_its_level_as_it_is_imported_stays_quiet() -> None:
    with quiet():
        logging.getLogger("tensorflow").setLevel(logging.INFO)  # as TensorFlow does where there is a prompt

    assert logging.getLogger("tensorflow").level == logging.ERROR


def test_nothing_is_dropped_on_request(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet(False):
        os.write(2, b"native line\n")

    assert "native line" in capfd.readouterr().err


def test_a_users_error_reaches_the_descriptor_behind_standard_error(tmp_path: Path) -> None:
    # Descriptor 2 itself is pointed elsewhere, as in a real process; pytest puts an object in its place.
    stream = open(tmp_path / "err", "w+")  # noqa: SIM115
    saved = os.dup(2)
    own = sys.stderr
    os.dup2(stream.fileno(), 2)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    try:
        with quiet():
            os.write(2, b"noise\n")
            print("visible", file=sys.stderr)
    finally:
        sys.stderr = own
        os.dup2(saved, 2)
        os.close(saved)

    assert (tmp_path / "err").read_text() == "visible\n"
