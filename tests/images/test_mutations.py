import sys
from types import ModuleType

import numpy as np
import pytest

from keras_resnet.images.image_file import REASONS, ImageError
from tests.shared import script_module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return script_module("mutate_images")


def test_damaged_images_are_decoded_or_refused_and_nothing_else(script: ModuleType) -> None:
    outcome = script.mutate(200, 1)

    assert outcome.failures == []
    assert outcome.counts.total() == 200
    assert outcome.counts.keys() <= REASONS.keys() | {"decoded"}
    assert min(outcome.counts[code] for code in ("decoded", "damaged", "truncated")) >= 10
    assert outcome.longest < 20
    assert outcome.memory < 2000  # an image of as many pixels as are granted takes half of it


def test_the_same_number_makes_the_same_damage(script: ModuleType) -> None:
    contents = script.corpus()

    first, again, other = (script.damaged(contents, np.random.default_rng([3, n])) for n in (5, 5, 6))

    assert first == again
    assert first != other
    assert first not in contents


def test_an_exception_that_is_no_image_error_is_a_failure(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = 0

    def decode(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == len(script.FORMATS) + 2:
            raise RuntimeError("oh")

    monkeypatch.setattr(script, "decode", decode)
    monkeypatch.setattr(script, "decode_corner", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["mutate_images.py", "--count", "3", "--seed", "8"])

    assert script.main() == 1
    shown = capsys.readouterr()
    assert "seed 8, image 1: RuntimeError: oh" in shown.err
    assert "2 decoded" in shown.out


def test_a_part_that_is_refused_of_a_whole_that_is_decoded_is_a_failure(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    undamaged = iter(script.FORMATS)

    def refuse(_: bytes) -> None:
        if next(undamaged, None) is None:
            raise ImageError("it", "damaged")

    monkeypatch.setattr(script, "decode_corner", refuse)
    outcome = script.mutate(12, 1)

    assert len(outcome.failures) == outcome.counts["decoded"] > 0
    assert "decoded as a whole, not in part" in outcome.failures[0][1]
