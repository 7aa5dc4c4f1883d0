"""Damaged models and weights, by the script that does it for thousands."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.shared import script_module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return script_module("mutate_models")


# The damage to each kind of file that once did harm has a test beside what reads it.
@pytest.mark.slow
def test_damaged_models_and_weights_are_refused_or_taken_and_nothing_else(script: ModuleType) -> None:
    outcome = script.mutate(150, 11)

    assert outcome.failures == []
    assert outcome.total.total() == 150
    assert outcome.total["refused"] >= 90
    assert outcome.total["same answer"] >= 5
    assert all(kind.total() for kind in outcome.counts.values())


@pytest.mark.slow
def test_predict_refuses_damaged_files_with_a_code_of_its_own_and_writes_nothing_elsewhere(script: ModuleType) -> None:
    outcome = script.mutate(12, 3, command="predict", seconds=60.0)

    assert outcome.failures == []
    assert outcome.total.total() == 12
    assert outcome.total["refused"] >= 6
    assert not {".pth", ".safetensors", "run folder"} & set(outcome.counts)


def test_what_a_file_makes_a_command_write_elsewhere_is_noticed(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.tflite").write_bytes(b"content")
    originals = [script.Original("any", tmp_path / "a.tflite")]
    asked = []

    def ask(worker: Any, path: Path) -> tuple[str, str]:
        asked.append(path)
        if len(asked) == 3:  # the first is the undamaged one
            (path.parent.parent / "escaped").write_bytes(b"")
        return "answer", "one"

    monkeypatch.setattr(script, "corpus", lambda _: originals)
    monkeypatch.setattr(script.Worker, "ask", ask)

    outcome = script.mutate(2, 8, command="verify")

    assert [number for number, _ in outcome.failures] == [1]
    assert "written elsewhere: ['" in outcome.failures[0][1]
    assert outcome.total["same answer"] == 1


def test_the_same_number_makes_the_same_damage(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(500))
    originals = [script.Original("any", tmp_path / "a.bin")]
    found = []
    for number, place in ((5, "one"), (5, "two"), (6, "three")):
        (tmp_path / place).mkdir()
        _, path, done = script.damage(originals, np.random.default_rng([3, number]), tmp_path / place)
        found.append((path.read_bytes(), done))

    assert found[0] == found[1]
    assert found[0] != found[2]
    assert found[0][0] != bytes(500)


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        ("for line in sys.stdin: raise SystemExit(7)", ("crash", "exit code 7")),
        ("import time; time.sleep(100)", ("hang", "no answer in 1 s")),
        ('for line in sys.stdin: print(\'["traceback", "oh"]\', flush=True)', ("traceback", "oh")),
    ],
)
def test_a_worker_that_dies_or_hangs_is_noticed_and_replaced(
    work: str, expected: tuple[str, str], script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work.py").write_text(f"import sys\n{work}\n")
    monkeypatch.setattr(script, "__file__", str(tmp_path / "work.py"))
    monkeypatch.setattr(script, "STARTING", 0)
    worker = script.Worker(1.0)

    assert [worker.ask(Path("x")), worker.ask(Path("x"))] == [expected] * 2
    worker.close()


def test_failures_are_named_so_that_they_can_be_repeated(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "a.bin").write_bytes(b"content")
    originals = [script.Original("sealed", tmp_path / "a.bin", sealed=True)]
    replies = iter(
        [("answer", "one"), ("answer", "one"), ("answer", "two"), ("refused", ""), ("crash", "exit code -11")]
    )
    monkeypatch.setattr(script, "corpus", lambda _: originals)
    monkeypatch.setattr(script.Worker, "ask", lambda *_: next(replies))
    monkeypatch.setattr(sys, "argv", ["mutate_models.py", "--count", "4", "--seed", "8"])

    assert script.main() == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1].split() == ["all", "1", "1", "1", "0", "0", "1", "0", "0"]
    assert "seed 8, file 1: sealed" in shown.err
    assert "another answer: two" in shown.err
    assert "seed 8, file 3: sealed" in shown.err
    assert "crash: exit code -11" in shown.err
