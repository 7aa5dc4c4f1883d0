"""What a network costs where it is used."""

from pathlib import Path
from typing import Any

import pytest

from keras_resnet.data.images import ImageData
from keras_resnet.errors import ModelError
from keras_resnet.experiments import costs as module
from keras_resnet.experiments.costs import costs
from keras_resnet.models.counting import cost
from keras_resnet.runs.run import Run
from tests.shared import ONE_BLOCK


def test_a_run_is_counted_timed_and_weighed_and_left_as_it_is(finished_run: Run, tiny_data: ImageData) -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra 'edge' is not installed")
    before = sorted(finished_run.path.rglob("*"))

    found = costs(finished_run, tiny_data)

    assert found.macs == cost(ONE_BLOCK, 10, input_shape=(8, 8, 1)).folded_macs
    assert found.latency_ms is not None
    assert found.int8_latency_ms is not None
    assert 0 < found.int8_latency_ms < 50
    parameters = cost(ONE_BLOCK, 10, input_shape=(8, 8, 1)).parameters
    assert found.int8_bytes is not None
    assert parameters < found.int8_bytes < 10 * parameters
    assert found.reason == ""
    assert sorted(finished_run.path.rglob("*")) == before


def test_why_there_is_no_file_of_integers_is_said(
    finished_run: Run, tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = module.export

    def refusing(run: Run, path: Path, kind: str, **options: Any) -> Any:
        if kind == "tflite-int8":
            raise ModelError(f"{path} decides otherwise on 40 % of images")
        return written(run, path, kind, **options)

    monkeypatch.setattr(module, "export", refusing)
    monkeypatch.setattr(module, "runtimes_for", lambda path: [])

    found = costs(finished_run, tiny_data)

    assert (found.int8_bytes, found.latency_ms, found.int8_latency_ms) == (None, None, None)
    assert found.macs, "counted in the file of floats"
    assert found.reason == "no latency: it needs the extra 'edge'; no INT8 file: it decides otherwise on 40 % of images"
