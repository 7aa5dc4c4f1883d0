"""Links, pipes and devices in the place of a run's files: never written through, never waited for."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from keras_resnet.errors import KerasResNetError, ModelError, UsageError
from keras_resnet.evaluation.report import report_training
from keras_resnet.runs.contents import FORMAT
from keras_resnet.runs.run import FOLDERS, Run, locked

CONFIG = {"recipe": {"model": "resnet8", "epochs": 3, "tta": "none"}, "data": {"name": "digits"}}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.start(tmp_path / "run", CONFIG)[0]


def train_into(run: Run) -> None:
    with locked(run.path):
        pass


WRITERS: dict[str, tuple[str, Callable[[Run], object]]] = {
    "locked": (".lock", train_into),
    "add a row": ("metrics.jsonl", lambda run: run.log.add({"event": "step"})),
    "cut": ("metrics.jsonl", lambda run: run.log.cut(0)),
    "size": ("metrics.jsonl", lambda run: run.log.size()),
    "mend": ("events.jsonl", lambda run: run.events.mend()),
    "add an event": ("events.jsonl", lambda run: run.events.add({"event": "note"})),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_is_written_through_a_link(writer: str, run: Run, tmp_path: Path) -> None:
    name, write = WRITERS[writer]
    (tmp_path / "thesis").write_text("years of work, and no line break")
    (run.path / name).symlink_to(tmp_path / "thesis")

    with pytest.raises(UsageError, match=rf"cannot write .*{name}: it is a symbolic link, which is not followed"):
        write(run)

    assert (tmp_path / "thesis").read_text() == "years of work, and no line break"


@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_is_made_where_a_link_to_nothing_leads(writer: str, run: Run, tmp_path: Path) -> None:
    name, write = WRITERS[writer]
    (run.path / name).symlink_to(tmp_path / "new")

    with pytest.raises(UsageError, match="symbolic link"):
        write(run)

    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("writer", WRITERS)
def test_a_pipe_is_not_waited_for_when_writing(writer: str, run: Run) -> None:
    name, write = WRITERS[writer]
    os.mkfifo(run.path / name)

    with pytest.raises(UsageError, match=rf"cannot write .*{name}: it is a named pipe, not a regular file"):
        write(run)


def test_files_that_are_written_anew_replace_a_link_and_leave_what_it_leads_to(run: Run, tmp_path: Path) -> None:
    for name in ("run.json", "config.json"):
        (tmp_path / name).write_text((run.path / name).read_text())
        (run.path / name).unlink()
        (run.path / name).symlink_to(tmp_path / name)
    before = {name: (tmp_path / name).read_text() for name in ("run.json", "config.json")}

    run.finish()
    Run.start(run.path, {**CONFIG, "num_classes": 3}, overwrite=True)

    assert {name: (tmp_path / name).read_text() for name in before} == before
    assert not (run.path / "run.json").is_symlink()
    assert run.config["num_classes"] == 3


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("leads_to_nothing", [True, False])
def test_a_linked_folder_inside_a_run_is_refused_before_anything_is_written(
    name: str, leads_to_nothing: bool, run: Run, tmp_path: Path
) -> None:
    if not leads_to_nothing:
        (tmp_path / "elsewhere").mkdir()
    (run.path / name).symlink_to(tmp_path / "elsewhere")
    message = rf"cannot write .*run/{name}: it is a symbolic link, which is not followed: remove it"

    with pytest.raises(UsageError, match=message):
        run.folder(name, "inside")
    with pytest.raises(UsageError, match=message):
        Run.start(run.path, CONFIG)

    Run.start(run.path, CONFIG, overwrite=True)
    assert not (run.path / name).is_symlink()
    assert (tmp_path / "elsewhere").exists() != leads_to_nothing


def test_a_run_may_itself_be_a_link(run: Run, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run.path)

    linked, continues = Run.start(tmp_path / "link", CONFIG)

    assert continues
    assert linked.checkpoints == tmp_path / "link" / "checkpoints"


def test_no_report_is_written_through_a_linked_folder(finished_run: Run, tmp_path: Path) -> None:
    shutil.copytree(finished_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation", "plots"))
    (tmp_path / "elsewhere").mkdir()
    run = Run(tmp_path / "run")

    for name in ("evaluation", "plots"):
        (run.path / name).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(UsageError, match=f"cannot write .*{name}: it is a symbolic link"):
            report_training(run)
        (run.path / name).unlink()
    assert not list((tmp_path / "elsewhere").iterdir())


READERS: dict[str, Callable[[Run], object]] = {
    "run.json": lambda run: Run.at(run.path, finished=True),
    "config.json": lambda run: run.config,
    "data.json": lambda run: run.fingerprint,
    "preprocessing.json": lambda run: run.preprocessing,
    "metrics.csv": lambda run: run.metrics(),
    "metrics.jsonl": lambda run: run.log.rows(),
    "events.jsonl": lambda run: run.events.rows(),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["a named pipe", "a device"])
def test_what_never_ends_is_not_read(name: str, kind: str, run: Run) -> None:
    (run.path / name).unlink(missing_ok=True)
    if kind == "a device":
        (run.path / name).symlink_to("/dev/zero")
    else:
        os.mkfifo(run.path / name)

    with pytest.raises(KerasResNetError) as caught:
        READERS[name](run)

    if name == "run.json":  # without which a folder is no run
        assert "holds no run.json" in str(caught.value)
    else:
        assert isinstance(caught.value, ModelError)
        assert f"{run.path / name}: it is {kind}, not a regular file" in str(caught.value)


def test_a_run_json_of_a_newer_version_is_named(run: Run) -> None:
    (run.path / "run.json").write_text(f'{{"format": {FORMAT + 1}, "status": "finished"}}')

    with pytest.raises(ModelError, match=r"run\.json: format must be 1; received 2"):
        Run.at(run.path, finished=True)
