"""`scripts/show_leaks.py`: the images that it makes, and what it shows of them."""

import itertools
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import keras_resnet
from keras_resnet.cli.running import script_main
from keras_resnet.data.loading import list_source
from tests.data.test_duplicates import scene
from tests.shared import ONE_BLOCK, script_module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return script_module("show_leaks")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of twelve pictures, of which nothing tells the class."""
    root = tmp_path_factory.mktemp("photographs")
    for number in range(24):
        (root / "ab"[number % 2]).mkdir(exist_ok=True)
        scene(number, 100).save(root / "ab"[number % 2] / f"{number}.png")
    return root


@pytest.mark.parametrize("way", ["augmented", "films"])
def test_series_are_the_photographs_that_images_were_made_of(
    script: ModuleType, photographs: Path, tmp_path: Path, way: str
) -> None:
    made = script.make(photographs, tmp_path / way, way, originals=10, each=6, seed=0)

    listing = list_source(keras_resnet.Source(str(tmp_path / way), split="group", group_by="series"))

    assert len(made) == 120
    assert listing.groups is not None
    pairs = {(made[name], group) for name, group in zip(listing.names, listing.groups.tolist(), strict=True)}
    assert len(pairs) == len(set(made.values())) == len(np.unique(listing.groups)) == 20
    first = [made[name] for name in listing.names[:6]]
    assert len(set(first)) > 1, "the order of the names does not tell"


def test_frames_go_on_by_little_and_end_elsewhere(script: ModuleType) -> None:
    frames = [np.asarray(one, np.float32) for one in script.filmed(scene(1, 100), 10, np.random.default_rng(0))]

    steps = [np.abs(one - other).mean() for one, other in itertools.pairwise(frames)]
    assert all(one.shape == (80, 80, 3) for one in frames)
    assert min(steps) > 0.5
    assert np.abs(frames[0] - frames[-1]).mean() > 4 * max(steps)


# Trainings, as few as show it.
@pytest.mark.slow
def test_a_random_split_is_shown_to_leak(
    script: ModuleType, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], undrawn: None
) -> None:
    command = [str(photographs), "--out", str(tmp_path / "out"), "--model", ONE_BLOCK.name, "--image-size", "16"]
    command += ["--originals", "12", "--each", "8", "--epochs", "40"]

    assert script_main(script.options_parser(), script.run, command) == 0

    shown = capsys.readouterr().out
    assert shown.count("test images are of a series that is trained on, too") == 6, "by each of three, of both sets"
    assert shown.count("by series it is ") == 2


def test_folders_that_are_there_are_left_alone(script: ModuleType, photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(keras_resnet.errors.UsageError, match="is there already: choose another folder by --out"):
        script.make(photographs, tmp_path, "films", originals=1, each=1, seed=0)
