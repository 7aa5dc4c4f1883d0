from pathlib import Path

import pytest

from keras_resnet.plain_paths import plain_path


@pytest.mark.parametrize("name", ["[a]", "what?", "a*", "back\\slash", "latin\udce9"])
def test_what_tensorflow_would_not_take_is_reached_by_a_link(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()

    with plain_path(folder) as plain:
        assert not set(str(plain).encode().decode()) & set("[]?*\\")
        (plain / "file").write_text("text")

    assert (folder / "file").read_text() == "text"
    assert not plain.exists()


def test_a_relative_path_is_reached_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("[a]").mkdir()

    with plain_path(Path("[a]")) as plain:
        assert plain.samefile(tmp_path / "[a]")


def test_all_other_paths_are_themselves(tmp_path: Path) -> None:
    with plain_path(tmp_path / "größe, 50 % {x}") as plain:
        assert plain == tmp_path / "größe, 50 % {x}"
