from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_resnet import pictures as plots
from keras_resnet.errors import MissingExtraError


def colours(path: Path) -> int:
    with Image.open(path) as image:
        assert min(image.size) > 300
        return len(image.convert("RGB").getcolors(1 << 24))


@pytest.mark.parametrize("classes", [2, 10, 60])
def test_the_confusion_matrix_is_drawn_for_few_and_many_classes(classes: int, tmp_path: Path) -> None:
    confusion = np.eye(classes, dtype=int) * 5
    names = tuple(f"class with $a long name$ {n}" for n in range(classes))

    plots.confusion_picture(confusion, names, "title", tmp_path / "c.png")

    assert colours(tmp_path / "c.png") > 20


def test_the_same_figures_give_the_same_file(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        plots.confusion_picture(np.eye(3, dtype=int), ("a", "b", "c"), "title", tmp_path / name)

    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)

    with pytest.raises(MissingExtraError, match=r"pip install 'keras-resnet-kit\[plots\]'"):
        plots.confusion_picture(np.eye(2, dtype=int), ("a", "b"), "title", tmp_path / "c.png")
