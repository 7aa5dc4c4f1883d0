"""The settings of `train` as options, and the recipes as they are listed."""

from pathlib import Path

import pytest

from keras_resnet.cli import main
from keras_resnet.cli.main import parser
from keras_resnet.cli.options import configuration_of
from keras_resnet.training.recipe import SETTINGS, Recipe
from keras_resnet.training.recipes import RECIPES

SAMPLES = {bool: "", int: "1", float: "0.5", str: "x"}


def test_every_setting_of_a_recipe_is_an_option_of_training() -> None:
    for name, one in SETTINGS.items():
        if one.group == "description":
            continue
        kind, many, choices = one.values.kind, one.values.many, one.values.choices
        word = choices[-1] if choices else "resnet8" if name == "model" else SAMPLES[kind]
        listed = (0.25, 0.5) if name in ("pixel_mean", "pixel_std") else (8, 16)
        word = ",".join(map(str, listed)) if many else word
        option = f"--{name.replace('_', '-')}"
        arguments = ["train", "digits", option, *([word] if kind is not bool else [])]
        if name == "schedule":
            word, arguments = "step", ["train", "digits", option, "step", "--decay-every", "9"]
        if name in ("weights", "weights_preprocessing", "probe"):
            arguments += ["--model", "resnet8"]  # whose weights there need not be yet
        if name in ("weights_preprocessing", "probe"):
            arguments += ["--weights", "net.safetensors"]
        if name in ("prune", "keep"):
            arguments += ["--keep", "0.5"] if name == "prune" else ["--prune", "net.keras"]
        if name in ("pixel_mean", "pixel_std"):
            arguments += ["--pixel-std" if name == "pixel_mean" else "--pixel-mean", word]

        found = getattr(configuration_of(parser().parse_args(arguments)).recipe, name)

        assert found == (listed if many else True if kind is bool else kind(word)), name


def test_a_switch_can_be_turned_off(tmp_path: Path) -> None:
    arguments = ["train", "--recipe", "cifar10-wrn28-10", "--no-nesterov", "--milestones", "60,80.5"]

    found = configuration_of(parser().parse_args(arguments)).recipe

    assert found.nesterov is False
    assert found.milestones == (60, 80.5)


def test_the_printed_settings_are_a_file_that_trains_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "digits", "--model", "resnet8", "--epochs", "4", "--limit", "100", "--print-config"]

    assert main(command) == 0
    printed = capsys.readouterr().out
    (tmp_path / "printed.yaml").write_text(printed)
    assert main(["train", "--config", str(tmp_path / "printed.yaml"), "--print-config"]) == 0
    again = capsys.readouterr().out

    def values(text: str) -> list[str]:
        return [line.split("  #")[0].rstrip() for line in text.splitlines()]

    assert values(again) == values(printed)
    assert "epochs: 4" in values(printed)
    said = [line for line in printed.splitlines() if line.endswith("# command line")]
    assert [line.split(":")[0] for line in said] == ["data", "limit", "model", "epochs"]
    assert all("printed.yaml:" in line for line in again.splitlines())
    assert not list(tmp_path.glob("saved_models"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "Name a SOURCE, or a recipe that names its data by --recipe"),
        (["train", "--recipe", "digit"], "there is no recipe 'digit'; did you mean 'digits'?"),
        (["train", "digits", "--config", "nowhere.yaml"], "cannot read the settings nowhere.yaml: No such file"),
        (
            ["train", "digits", "--milestones", "3,x"],
            "--milestones: expected numbers, as 1,2,3; received '3,x'",
        ),
        (["train", "digits", "--lr", "0.1"], "train: error: there is no option --lr; did you mean --learning-rate?"),
        (["train", "digits", "--learning-rat=0.1"], "no option --learning-rat; did you mean --learning-rate?"),
        (["train", "digits", "--epoch", "3"], "there is no option --epoch; did you mean --epochs?"),
        (["find-lr", "digits", "--qqqq"], "find-lr: error: there is no option --qqqq"),
        (["find-lr", "digits", "--budget", "1h"], "budget is for training: rates are tried for one network"),
        (
            ["train", "digits", "--budget", "1h", "--distribute", "multiworker"],
            "budget chooses by what one machine can do",
        ),
        (["train", "digits", "--epochs", "1e2"], "argument --epochs: expected a whole number; received '1e2'"),
        (["recipes", "digit"], "there is no recipe 'digit'; did you mean 'digits'?"),
    ],
)
def test_a_mistake_in_a_setting_is_a_usage_error(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_the_recipes_are_listed_with_what_to_expect_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    shown = capsys.readouterr().out

    for name, one in RECIPES.items():
        (row,) = [line for line in shown.splitlines() if line.startswith(f" {name} ")]
        assert one.expected in row
        assert row.split()[1] == one.model
        number = row.split()[-1]
        assert f"{number} {one.source}" in shown


def test_one_recipe_is_shown_with_all_its_settings_and_their_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "imagenet-a1"]) == 0
    shown = " ".join(capsys.readouterr().out.split())

    for name, one in SETTINGS.items():
        assert one.group == "description" or f"{name} " in shown
        assert one.group == "description" or one.text in shown
    assert "mixup 0.2 MixUp's alpha" in shown
    assert "learning_rate 0.005 the highest" in shown
    assert shown.endswith("keras-resnet train --recipe imagenet-a1")


@pytest.mark.usefixtures("undrawn")
def test_a_training_by_a_file_is_the_one_by_options(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras_resnet.runs.run import Run

    lines = [f"data: folder:{image_folder}", "model: oneblock", "epochs: 1", "image_size: 8", "batch_size: 8"]
    (tmp_path / "x.yaml").write_text("\n".join(lines))
    options = f"--model oneblock --epochs 1 --image-size 8 --batch-size 8 --out {tmp_path / 'b'}"

    assert main(["train", "--config", str(tmp_path / "x.yaml"), "--out", str(tmp_path / "a")]) == 0
    monkeypatch.setattr(
        "keras_resnet.training.loop.TrainingLoop.run_to_end", lambda _: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    assert main(["train", str(image_folder), *options.split()]) == 130

    one, other = Run(tmp_path / "a"), Run(tmp_path / "b")
    assert one.config == other.config
    assert one.config["recipe"]["epochs"] == 1
    assert Recipe(**one.config["recipe"]).image_size == 8
    assert [one.status, other.status] == ["finished", "unfinished"]
    assert one.fingerprint == other.fingerprint
