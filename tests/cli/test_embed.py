from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_resnet.cli.main import main
from keras_resnet.data.images import ImageData
from keras_resnet.errors import UsageError
from keras_resnet.runs.run import Run
from keras_resnet.transfer.features import image_features
from keras_resnet.transfer.networks import trained_network


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_RESNET_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def digits(tiny_data: ImageData, tmp_path: Path) -> Path:
    folder = tmp_path / "digits"
    for number, (pixels, label) in enumerate(
        zip(tiny_data.test.read(slice(0, 12))[..., 0], tiny_data.test.labels, strict=False)
    ):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / str(label) / f"{number:02}.png")
    return folder


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_vectors_are_written_with_paths_and_labels(
    kind: str, digits: Path, finished_run: Run, tiny_data: ImageData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"vectors.{kind}"
    (digits / "broken.png").write_text("no image")

    assert main(["embed", str(digits), "--weights", str(finished_run.path), "--out", str(out)]) == 3

    shown = capsys.readouterr()
    assert f"wrote {out}: 12 images, 16 numbers each" in shown.out
    assert "broken.png: not an image" in shown.err
    if kind == "npz":
        with np.load(out) as file:
            paths, labels, features = file["path"], file["label"], file["features"]
    else:
        from pyarrow import parquet

        table = parquet.read_table(out)
        paths, labels = (table[name].to_pylist() for name in ("path", "label"))
        features = np.array(table["features"].to_pylist(), np.float32)
    assert [Path(path).parent.name for path in paths] == list(labels)
    network, _ = trained_network(finished_run.path)
    expected = image_features(network, tiny_data.test)
    for path, row in zip(paths, features, strict=True):
        np.testing.assert_allclose(row, expected[int(Path(path).stem)], atol=1e-5)


def test_the_image_itself_is_the_most_like_it(
    digits: Path, finished_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    query = next(digits.rglob("03.png"))
    command = ["embed", str(digits), "--weights", str(finished_run.model), "--like", str(query), "--top", "2"]
    assert main(command) == 0

    shown = capsys.readouterr().out
    rows = [line for line in shown.splitlines() if "│" in line and ".png" in line]
    assert len(rows) == 2
    assert "03.png" in rows[0]
    assert "1.000" in rows[0]
    assert "a vote of 5 neighbours, each image left out, tells " in shown
    assert f"{query} by a vote of its 5 nearest with a label: " in shown


def test_a_source_gives_its_own_labels_and_those_without_do_not_vote(
    digits: Path, finished_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted(digits.rglob("*.png"), key=lambda file: file.stem)
    rows = [f"digits/{file.parent.name}/{file.name},{'odd' if n % 2 else 'even'}" for n, file in enumerate(files[:8])]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["path,label", *rows]))
    out = tmp_path / "vectors.npz"
    command = ["--weights", str(finished_run.path), "--out", str(out), "--like", str(files[3])]
    for name in (f"csv:{table}", str(table)):
        assert main(["embed", name, str(files[9]), *command]) == 0

        shown = capsys.readouterr().out
        with np.load(out) as vectors:
            assert vectors["path"].tolist() == [*map(str, files[:8]), str(files[9])]
            assert vectors["label"].tolist() == ["even", "odd"] * 4 + [""]
        (vote,) = [line for line in shown.splitlines() if "by a vote of its 5 nearest with a label: " in line]
        shares = [int(part.split()[-1].rstrip("%")) for part in vote.partition("label: ")[2].split(", ")]
        assert 99 <= sum(shares) <= 101
        assert "each image left out" not in shown, "one has no label"
    assert main(["embed", "csv:absent.csv", *command]) == 3
    assert "absent.csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "what for? --out FILE writes the vectors, --like IMAGE shows"),
        (["--out", "a.csv"], "--out must end in .npz or .parquet"),
        (["--like", "a.png", "--top", "0"], "--top must be at least 1"),
        (["--out", "a.npz", "--data-dir", "prepared"], "--data-dir is for tfds:NAME; received "),
        (["--out", "a.npz", "--weights", "imagenet"], "are there for several networks: name one by model"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], message: str, image_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["embed", str(image_folder), *arguments]) == 2
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("keras-resnet: ")]
    assert message in line


def test_without_weights_it_is_said_where_they_would_be(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("keras_resnet.tuning.first_choice.answers", lambda url: False)
    monkeypatch.setattr("keras_resnet.tuning.first_choice.at_hand", lambda models: [])
    assert main(["embed", str(image_folder), "--out", "a.npz"]) == 2
    assert "KERAS_RESNET_WEIGHTS" in capsys.readouterr().err


def test_a_file_that_is_no_keras_model_has_no_features(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="are there for several networks"):
        trained_network("imagenet")
