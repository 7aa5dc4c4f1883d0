import json
from pathlib import Path

import pytest

from keras_resnet.cli import main
from keras_resnet.cli.find_lr import said
from keras_resnet.runs.run import Run
from keras_resnet.tuning.rate_finder import RateCurve


def test_the_curve_is_drawn_and_written_and_the_command_to_use_it_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras_resnet.tuning.rate_finder.FEWEST", 12)
    options = "--recipe folder --model resnet8 --limit 100 --image-size 8 --no-nesterov --milestones 3,4.5 --epochs 9"

    assert main(["find-lr", "digits", "--out", str(tmp_path / "out"), *options.split()]) == 0

    shown = capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"rates.json", "rates.png"}
    written = json.loads((tmp_path / "out" / "rates.json").read_text())
    assert len(written["rates"]) == len(written["losses"]) <= 12
    assert written["recipe"]["nesterov"] is False
    assert written["data"]["limit"] == 100
    assert "note: 12 steps instead of 100, since there are few images" in shown
    if written["suggestion"] is None:
        assert "No rate lowered the loss" in shown
    else:
        assert f"Suggested learning rate: {written['suggestion']:.2g}" in shown
        (line,) = [line for line in shown.splitlines() if line.startswith("Train with it: ")]
        for part in ("keras-resnet train digits", "--no-nesterov", "--milestones 3.0,4.5", "--recipe folder"):
            assert part in line
        assert line.endswith(f"--learning-rate {written['suggestion']:.2g}")
        assert "--out" not in line


def test_a_run_is_not_written_into(finished_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find-lr", "digits", "--out", str(finished_run.path)]) == 2
    assert "holds a run, which is left as it is" in capsys.readouterr().err


def test_the_curve_is_told_in_words() -> None:
    rates = tuple(10.0**power for power in range(-6, 2))
    falling = RateCurve(rates, (2.3, 2.3, 2.2, 2.0, 1.5, 1.2, 1.1, 5.0), 100)
    flat = RateCurve(rates, (2.3,) * 8, 8)

    assert said(falling) == [
        "the loss exploded (beyond 4 times its lowest) at a rate of 10",
        "Suggested learning rate: 0.001, in the middle of the loss's longest fall. It is lowest at 1; "
        "rates near that are too high.",
    ]
    assert "8 steps instead of 100" in said(flat)[0]
    assert "No rate lowered the loss" in said(flat)[1]
