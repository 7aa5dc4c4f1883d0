from dataclasses import replace
from pathlib import Path

import pytest

from keras_resnet.cli import main
from keras_resnet.cli.budget import show_choice
from keras_resnet.runs.run import Run
from keras_resnet.training import fit
from keras_resnet.training.fit import Plan
from keras_resnet.training.recipe import Recipe
from keras_resnet.tuning.choice import Candidate, Choice, Timing

CHOICE = Choice(
    Recipe(model="oneblock", epochs=2, warmup_epochs=0.2, batch_size=32, image_size=8),
    30,
    (
        Candidate("oneblock", 800_000, Timing(9.0, 0.01, 0.001), 1.25, 88),
        Candidate("resnet20", 2_500_000, Timing(9.0, 0.1, 0.001), 4.0, 12),
        Candidate("resnet18", 35_000_000, None, 55.0),
    ),
)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("with_out", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_run_within_a_budget_goes_on_by_the_same_command_without_timing_anew(
    with_out: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen_for: list[float] = []

    def choose(seconds: float, recipe: Recipe, *_: object, **options: object) -> Choice:
        chosen_for.append(seconds)
        assert options == {"models": None, "epochs": None}
        return replace(CHOICE, recipe=recipe.but(model="oneblock", epochs=2))

    def killed(planned: Plan, *_: object, **__: object) -> None:
        Run.start(planned.path, planned.config)
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("keras_resnet.tuning.choice.choose", choose)
    command = ["train", "digits", "--budget", "10min", "--limit", "100", "--image-size", "8", "--batch-size", "32"]
    command += ["--out", "run"] if with_out else []
    with monkeypatch.context() as patch:
        patch.setattr(fit, "fit_planned", killed)
        assert main(command) == 130
    shown = capsys.readouterr().out
    assert "chosen: oneblock, 2 epochs" in shown
    assert 590 < chosen_for[0] <= 600

    assert main(command) == 0

    run = Run(tmp_path / ("run" if with_out else "saved_models/oneblock-digits"))
    assert len(chosen_for) == 1
    assert "was begun with oneblock for this budget" in capsys.readouterr().err
    assert run.status == "finished"
    recipe = Recipe(**run.config["recipe"])
    assert (recipe.model, recipe.epochs) == ("oneblock", 2)
    assert recipe.warmup_epochs == pytest.approx(6 / 30), "it went along with the epochs"
    assert run.config["budget"]["seconds"] == 600
    if with_out:
        assert main(command) == 2, "a finished run is not repeated"
        assert len(chosen_for) == 1


def test_what_is_said_is_not_chosen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def choose(*_: object, **options: object) -> Choice:
        asked.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_resnet.tuning.choice.choose", choose)
    command = ["train", "digits", "--budget", "10min", "--limit", "100"]

    assert main([*command, "--model", "ResNet-20"]) == 130
    assert asked == {"models": ["resnet20"], "epochs": None}
    assert main([*command, "--epochs", "9"]) == 130
    assert asked == {"models": None, "epochs": 9}
    capsys.readouterr()
    assert main([*command, "--epochs", "9", "--model", "resnet20"]) == 2
    assert "both are said: leave one of them out" in capsys.readouterr().err


def test_what_was_timed_and_why_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show_choice(CHOICE, "10min")

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "oneblock 0.8 M 10 ms 1.2 s 88 chosen" in lines
    assert "resnet20 2.5 M 100 ms 4.0 s 12 fewer than 30 epochs" in lines
    assert (
        "resnet18 35.0 M – over 55.0 s – not timed: fewer than 30 epochs even at twice the best speed so far" in lines
    )
    assert lines[-1] == "chosen: oneblock, 2 epochs"
