from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_resnet.failures.thumbnails import Thumbnail, draw

pytest.importorskip("matplotlib", reason="the extra 'plots' is not installed")


def test_a_section_without_pictures_takes_the_room_of_its_title_alone(tmp_path: Path) -> None:
    one = Thumbnail(np.zeros((8, 8, 1), np.uint8), ("cat", "dog"), "a.png", 0.5)

    draw("Failures", [("losses", [one]), ("labels", [])], tmp_path / "empty.png")
    draw("Failures", [("losses", [one]), ("labels", [one])], tmp_path / "full.png")

    empty, full = (Image.open(tmp_path / name).height for name in ("empty.png", "full.png"))
    assert empty < 0.7 * full
