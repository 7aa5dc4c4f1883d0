import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from keras_resnet.cli import main
from keras_resnet.exports import evidence
from keras_resnet.exports.export import export_run
from keras_resnet.exports.tflite import write_stamped
from keras_resnet.inference.predictors import open_predictor
from keras_resnet.inference.runtimes import Answered
from keras_resnet.quantize.graph import Graph, weighted
from keras_resnet.runs.run import Run

pytest.importorskip("ai_edge_litert", reason="the extra 'edge' is not installed")


def test_a_file_is_verified_and_a_broken_one_ends_with_5(
    finished_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(name: str, path: Path, images: np.ndarray) -> Answered:  # a process takes seconds: test_runtimes.py
        return Answered(name, open_predictor(path).logits(images), "", {1: (1.0, 2.0, 3.0)})

    monkeypatch.setattr(evidence, "ask", ask)
    monkeypatch.setattr(evidence, "runtimes_for", lambda path: ["litert"])
    monkeypatch.setattr("keras_resnet.exports.accelerators.is_installed", lambda: False)
    exported = export_run(finished_run, "tflite-int8", tmp_path / "model.tflite")
    words = ["verify", str(exported.path), "--against", str(finished_run.path), "--max-drop", "5"]

    assert main(words) == 0
    assert "it passes" in capsys.readouterr().out
    found = json.loads((tmp_path / "verification.json").read_text())
    assert found["passes"]
    assert found["images"] == found["runtimes"][0]["right"] + round(found["images"] - found["runtimes"][0]["right"]), (
        "all test images"
    )
    assert "It passes." in (tmp_path / "verification.html").read_text()

    graph = Graph(exported.path.read_bytes())
    number = list(weighted(graph))[1].inputs[1]
    values = graph.tensor(number).values
    assert values is not None
    graph.set_values(number, np.random.default_rng(0).permutation(values.ravel()).reshape(values.shape))
    (tmp_path / "broken").mkdir()
    write_stamped(graph.packed(), finished_run.preprocessing, tmp_path / "broken" / "model.tflite")
    words[1] = str(tmp_path / "broken" / "model.tflite")

    assert main(words) == 5
    shown = capsys.readouterr()
    assert "does not pass" in shown.err
    assert "weights are not the model's" in shown.out.replace("\n", " ")
    assert not json.loads((tmp_path / "broken" / "verification.json").read_text())["passes"]
    shutil.rmtree(tmp_path / "broken")


@pytest.mark.parametrize(
    ("file", "code", "said"), [("nowhere.tflite", 2, "there is no file"), ("photo.jpg", 5, "is no exported file")]
)
def test_what_cannot_be_verified_is_said(
    finished_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, code: int, said: str
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"no picture")

    assert main(["verify", str(tmp_path / file), "--against", str(finished_run.path)]) == code
    assert said in capsys.readouterr().err.replace("\n", " ")


def test_a_limit_without_data_is_refused_and_not_passed_over(
    finished_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.tflite").write_bytes(b"not looked at")

    words = ["verify", str(tmp_path / "model.tflite"), "--against", str(finished_run.path), "--limit", "5"]

    assert main(words) == 2
    assert "--limit goes with --data" in capsys.readouterr().err.replace("\n", " ")
