"""`scripts/benchmark_evaluation.py` sees evaluations that hold on to memory, and such as take long."""

import argparse
import sys
from collections.abc import Callable
from itertools import cycle
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import keras_resnet
from keras_resnet.data.images import ImageData
from tests.shared import script_module

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read as Linux tells it")
OPTIONS = {"calls": 7, "memory_images": 50, "images": 64, "rounds": 1}
"""Few calls and images. An allocator's noise is then as large as the script's bounds, which are wider here."""
SMALL = {"WARM": 3, "FEW": 4, "DRAWN_EACH": 99, "MOST_PER_CALL": 1.0, "MOST_PER_IMAGE": 60.0}
MB = 1_000_000


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = script_module("benchmark_evaluation")
    for name, value in SMALL.items():
        monkeypatch.setattr(module, name, value)
    return module


def plant(monkeypatch: pytest.MonkeyPatch, before: Callable[[ImageData], object]) -> None:
    """Let evaluations do something first, and keep for ever what it returns."""
    evaluate, kept = keras_resnet.evaluate, []

    def other(model: Any, data: ImageData) -> Any:
        kept.append(before(data))
        return evaluate(model, data)

    monkeypatch.setattr(keras_resnet, "evaluate", other)


def broken(benchmark: ModuleType, only: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """The exit code, and the rows of tables that do not hold."""
    code = benchmark.run(argparse.Namespace(only=only, **OPTIONS))
    return code, [line for line in capsys.readouterr().out.splitlines() if " NO " in line]


@pytest.mark.slow  # alone in its process: memory that other tests free or keep meanwhile counts, too
def test_evaluations_that_keep_nothing_are_within_the_bounds(
    benchmark: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert broken(benchmark, "memory", capsys) == (0, [])


def test_memory_that_each_call_keeps_is_seen(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(monkeypatch, lambda data: np.ones(4 * MB, np.uint8))

    code, rows = broken(benchmark, "memory", capsys)

    assert code == 1
    assert any("calls 3 to 7, still held" in row for row in rows)


def test_memory_that_is_kept_of_each_image_is_seen(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(monkeypatch, lambda data: np.ones((sum(map(len, data.splits.values())), MB // 5), np.uint8))

    code, rows = broken(benchmark, "memory", capsys)

    assert code == 1
    assert any("200 images instead of 50, peak" in row for row in rows)


def test_evaluations_that_take_long_are_seen(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for evaluation, code in ((1.05, 0), (1.15, 1)):
        times = cycle([1.0, evaluation])
        monkeypatch.setattr(benchmark, "seconds", lambda call, times=times: next(times))

        found, rows = broken(benchmark, "time", capsys)

        assert found == code
        assert len(rows) == code
