"""Every field of every JSON file of a run, damaged in every way: what comes out is one of our errors, or nothing."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keras_resnet.callbacks.checkpoint import CheckpointStore
from keras_resnet.callbacks.tensorboard import scalars
from keras_resnet.data.splits.split_file import read_split
from keras_resnet.errors import DataError, KerasResNetError, ModelError
from keras_resnet.evaluation import evaluate as evaluation
from keras_resnet.evaluation.report import report_training
from keras_resnet.exports import export as exports
from keras_resnet.inference import predictors
from keras_resnet.inference.predict import predict
from keras_resnet.models.resnet import build
from keras_resnet.models.variants import spec
from keras_resnet.runs.run import Run
from keras_resnet.stamp import read_stamp

TOKENS = [
    "null",
    "[]",
    "{}",
    '"x"',
    "-1",
    "NaN",
    "1e309",
    "true",
    "1.5",
    "9" * 400,
    "[" * 100_000 + "]" * 100_000,
    None,
]
"""What a field is replaced by; None: it is left out."""
WHOLE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"{}",
    b'{"a": "\xff\xfe"}',
    b"[" * 100_000,
    b"\x00" * 100,
    b"\xff\xfe{\x00}\x00",
]
"""What a whole file is replaced by."""
MARK = "\u2620"


def places(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of all fields; of lists, which hold the like, the first and the last."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        if isinstance(value, dict) or key in (0, len(value) - 1):
            yield from places(one, (*at, key))


def damaged(text: str, at: tuple[str | int, ...], token: str | None) -> str:
    """A JSON text with another field at a place."""
    value = inner = json.loads(text)
    for key in at[:-1]:
        inner = inner[key]
    if token is None:
        del inner[at[-1]]
        return json.dumps(value)
    inner[at[-1]] = MARK
    return json.dumps(value, ensure_ascii=False).replace(f'"{MARK}"', token)


def all_damages(text: str) -> Iterator[tuple[str, str]]:
    """What was done, and the text after it."""
    for at in places(json.loads(text)):
        for token in TOKENS:
            yield f"{at} = {str(token)[:10]}", damaged(text, at, token)


class Stopped(DataError):
    """All files of the run were read: from here on images are, or the network."""


@pytest.fixture
def run(finished_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A copy of a run, on which nothing goes beyond reading its files."""
    copied = Run(tmp_path / "run")
    shutil.copytree(finished_run.path, copied.path)
    copied.events.add({"time": "2026", "event": "note", "epoch": 1, "step": 2, "updates": 3, "text": "a"})

    def stop(*_: object, **__: object) -> None:
        raise Stopped("here")

    monkeypatch.setattr(evaluation, "load_data", stop)
    monkeypatch.setattr(predictors, "load_keras", stop)
    monkeypatch.setattr("keras_resnet.pictures.available", lambda: False)
    return copied


def outcome(read: Callable[[], object]) -> KerasResNetError | None:
    try:
        read()
    except Stopped:
        return None
    except KerasResNetError as error:
        return error
    return None


def finish(run: Run) -> None:
    Run.at(run.path, finished=True)
    run.finish()


def of_config(run: Run) -> None:
    assert run.config["recipe"]["model"]
    evaluation.load_run_data(run)


def of_records(run: Run) -> None:
    report_training(run)
    for row in run.log.rows():
        scalars(row)
    run.events.rows()


READERS: dict[str, Callable[[Run], object]] = {
    "run.json": finish,
    "config.json": of_config,
    "data.json": lambda run: (run.fingerprint, report_training(run)),
    "preprocessing.json": lambda run: run.preprocessing,
}


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_field_of_a_file_is_accepted_or_named_and_nothing_else_goes_wrong(name: str, run: Run) -> None:
    path = run.path / name
    whole = path.read_text()
    refused = []
    for what, text in all_damages(whole):
        path.write_text(text)
        error = outcome(lambda: READERS[name](run))
        if error:
            assert isinstance(error, ModelError), f"{what}: {error!r}"
            assert str(path) in str(error), what
            assert len(str(error)) < 1000, what
            refused.append(what)
    for content in WHOLE:
        path.write_bytes(content)
        error = outcome(lambda: READERS[name](run))
        assert isinstance(error, ModelError), content[:20]
        assert str(path) in str(error)
    path.write_text(whole)

    assert outcome(lambda: READERS[name](run)) is None
    assert sum("NaN" in what for what in refused) == len([*places(json.loads(whole))]), "NaN is never a value"


@pytest.mark.parametrize("name", ["metrics.jsonl", "events.jsonl"])
def test_a_damaged_row_is_accepted_or_named_with_its_line(name: str, run: Run) -> None:
    path = run.path / name
    lines = path.read_text().splitlines()
    rows = {json.loads(line)["event"]: (number, line) for number, line in enumerate(lines)}  # one of each kind
    for number, line in rows.values():
        for what, text in [*all_damages(line), *((str(one), one.decode("utf-8", "surrogateescape")) for one in WHOLE)]:
            new = [*lines[:number], text, *lines[number + 1 :]]
            path.write_bytes("".join(f"{one}\n" for one in new).encode("utf-8", "surrogateescape"))
            error = outcome(lambda: of_records(run))
            assert error is None or f"{path}, line {number + 1}" in str(error), what
            assert error is None or isinstance(error, ModelError), what
            assert error or not any(token in what for token in ("NaN", "1e309", "[[[[", "\\xff")), what
    assert name != "metrics.jsonl" or set(rows) == {"step", "epoch"}


def test_a_damaged_split_is_a_data_error_that_names_the_field(run: Run) -> None:
    path = run.path / "split.json"
    whole = path.read_text()
    for what, text in all_damages(whole):
        path.write_text(text)
        error = outcome(lambda: read_split(path))
        assert error is None or (isinstance(error, DataError) and str(path) in str(error)), f"{what}: {error!r}"
        assert error or not any(token in what for token in ("null", "NaN", "true", "{}")), what


def test_a_damaged_state_of_a_checkpoint_with_right_digests_is_passed_over_by_name(run: Run) -> None:
    store = CheckpointStore(run.checkpoints)
    newest = sorted(run.checkpoints.glob("0*"))[-1]
    for older in sorted(run.checkpoints.glob("0*"))[:-1]:
        shutil.rmtree(older)
    whole, tensors = (newest / "state.json").read_text(), (newest / "tensors.safetensors").read_bytes()
    said: list[str] = []
    for what, text in all_damages(whole):
        sums = {"state.json": text.encode(), "tensors.safetensors": tensors}
        (newest / "state.json").write_text(text)
        (newest / "SHA256SUMS").write_text(
            "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(sums.items()))
        )
        said.clear()
        error = outcome(lambda: store.load(said.append))
        assert (error is None) == (not said), what
        assert error is None or isinstance(error, ModelError), f"{what}: {error!r}"
        possible = what == "('finished',) = true"  # what another moment of a training may hold
        assert error or possible or not any(token in what for token in ("NaN", "true", "[[[[")), what
        assert not said or "state.json" in said[0] or "best weights" in said[0], what


@pytest.mark.parametrize("kind", ["model.keras", "model.tflite", "saved_model"])
def test_a_damaged_stamp_of_a_model_is_named_with_its_file(kind: str, run: Run, tmp_path: Path) -> None:
    whole = (run.path / "preprocessing.json").read_text()
    path = tmp_path / kind
    stamp = path / "assets.extra" / "preprocessing.json"

    def write(text: str) -> None:
        if kind == "saved_model":
            stamp.parent.mkdir(parents=True, exist_ok=True)
            (path / "saved_model.pb").touch()
            stamp.write_text(text)
        else:
            path.write_bytes(b"")
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr("preprocessing.json", text)

    for what, text in all_damages(whole):
        write(text)
        error = outcome(lambda: read_stamp(path))
        assert error is None or (isinstance(error, ModelError) and str(path) in str(error)), f"{what}: {error!r}"
        if error:
            with pytest.raises(ModelError):
                predict(path, [])
    for change, message in {
        '"image_size": [100000, 8]': "image_size must be a height and a width, whole numbers of at least 1 and at most",
        '"image_size": [16384, 16384], "channels": 5': "an image must have at most 1,073,741,824 values",
        '"channels": 1000000000': "an image must have at most 1,073,741,824 values; received 8×8 pixels of 1000000000",
        '"std": [0]': "std[0] must be a positive number; received 0",
        '"mean": [NaN]': "mean[0] must be a finite number; received NaN",
        '"class_names": []': "class_names must be one or more different names",
    }.items():
        values = json.loads(whole) | json.loads(f"{{{change}}}")
        write(json.dumps(values))
        with pytest.raises(ModelError) as caught:
            read_stamp(path)
        assert message in str(caught.value)
        assert str(path) in str(caught.value)


def test_an_export_of_a_run_with_a_damaged_configuration_names_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(spec("oneblock"), preprocessing=run.preprocessing, classifier_activation=None)
    opened = predictors.KerasPredictor(network, run.preprocessing)
    monkeypatch.setattr(exports, "open_predictor", lambda *_: opened)
    (run.path / "config.json").write_text(damaged((run.path / "config.json").read_text(), ("data", "limit"), '"all"'))

    with pytest.raises(ModelError, match=r"run/config\.json: data: limit must be a whole number of at least 1"):
        exports.export_run(run, "tflite-int8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch,loss\n1,2\n2,x\n", r"metrics\.csv, line 3: loss must be a number; received 'x'"),
        ("epoch,loss\n1\n", r"metrics\.csv, line 2: loss must be a number; received None"),
        ("epoch,loss\n1,2,3\n", r"metrics\.csv, line 2: None must be a number; received \['3'\]"),
        ("epoch,loss\n1,caf\udce9\n", r"metrics\.csv is damaged: .*utf-8"),
    ],
)
def test_a_damaged_table_of_metrics_names_the_line(text: str, message: str, run: Run) -> None:
    (run.path / "metrics.csv").write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(ModelError, match=message):
        run.metrics()
