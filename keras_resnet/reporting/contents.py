"""All that a run's folder tells, read once: what is missing or damaged is told, and hides nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from keras_resnet.data.leakage import CODE
from keras_resnet.data.loading import list_source
from keras_resnet.data.sources.source import PATHS, Source
from keras_resnet.errors import DataError, KerasResNetError, UsageError
from keras_resnet.evaluation.comparison import WrittenFormat, read_comparison
from keras_resnet.evaluation.report import read_symptoms
from keras_resnet.evaluation.robustness import WrittenRobustness, read_robustness
from keras_resnet.evaluation.slices import Slice, read_slices
from keras_resnet.evaluation.split_comparison import AT_RANDOM, SplitComparison, beside
from keras_resnet.evaluation.written import WrittenEvaluation, is_written, read_evaluation
from keras_resnet.explanation.diagnosis import Symptom, diagnose
from keras_resnet.explanation.history import History
from keras_resnet.exports.verification import WrittenEvidence, read_all_evidence
from keras_resnet.failures.failures import Suspect, read_suspects
from keras_resnet.inspection.inspection import WrittenFinding, read_findings
from keras_resnet.json_files import read_json
from keras_resnet.runs.contents import RunFile
from keras_resnet.runs.run import Run

CHECK = "check"
"""The folder of a run for what `inspect_data` finds in its images."""
ABOUT_DATA = ("data", CODE)
"""Events of a training that say something of its images."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Contents:
    """What a run's folder holds.

    Args:
        run: The run.
        record: run.json.
        config, environment: The files of these names.
        history: Of the training.
        symptoms: Warnings about it.
        evaluation: None: there is none, or it cannot be read.
        slices: On what images it fails more often.
        robustness: On corrupted images; None: not computed.
        suspects: Images to look at, from `failures/`; None: not computed.
        findings: What was found in the images, from `check/`; None: they were not looked through.
        notes: What the training said of its images.
        exports: The exported files and folders.
        evidence: Of them.
        formats: What the demo has compared.
        others: Its figure beside those of the same images and network, divided otherwise.
        damaged: What could not be read, in sentences.
    """

    run: Run
    record: RunFile
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    history: History
    symptoms: tuple[Symptom, ...]
    evaluation: WrittenEvaluation | None
    slices: tuple[Slice, ...]
    robustness: WrittenRobustness | None
    suspects: tuple[Suspect, ...] | None
    findings: tuple[WrittenFinding, ...] | None
    notes: tuple[str, ...]
    exports: tuple[Path, ...]
    evidence: tuple[WrittenEvidence, ...]
    formats: tuple[WrittenFormat, ...]
    others: tuple[SplitComparison, ...]
    damaged: tuple[str, ...]

    @property
    def is_finished(self) -> bool:
        """Whether the training came to its end."""
        return self.record["status"] == "finished"

    @property
    def by_script(self) -> bool:
        """Whether a script's own `fit` made it, whose settings nobody but the script knows."""
        return "by" in self.config

    @property
    def images_per_class(self) -> dict[str, list[int]]:
        """Of each split; empty: the model is no classifier of images."""
        if not self.run.has_data:
            return {}
        return dict[str, list[int]](self.run.data_file["images_per_class"])  # type: ignore[arg-type]

    @property
    def judged(self) -> str:
        """The split whose images give the figures."""
        return "test" if any(self.images_per_class.get("test", [])) else "validation"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that the model knows; none: it is no classifier of images."""
        return self.run.preprocessing.class_names if self.run.has_data else ()


def read_contents(run: Run) -> Contents:
    """Read a run's folder.

    Args:
        run: Finished or not.

    Raises:
        ModelError: run.json, config.json or the record of the training is damaged.
    """
    damaged: list[str] = []

    def read(path: Path, reader: Callable[[Path], Value], otherwise: Value) -> Value:
        if not path.exists():
            return otherwise
        try:
            return reader(path)
        except KerasResNetError as error:
            damaged.append(str(error))
            return otherwise

    evaluation, exports, failures = (run.folder(name) for name in ("evaluation", "exports", "failures"))
    history = History.of_run(run)
    names = run.preprocessing.class_names if run.has_data else ()
    return Contents(
        run,
        read_json(run.path / "run.json", RunFile),
        {**run.config},
        read(run.path / "environment.json", lambda path: read_json(path, dict[str, Any]), {}),
        history,
        read(evaluation / "diagnosis.json", read_symptoms, tuple(diagnose(history)) if history.epochs else ()),
        read(evaluation, lambda path: read_evaluation(path, names), None) if is_written(evaluation) else None,
        read(evaluation / "slices.json", read_slices, ()),
        read(evaluation / "corruptions.json", read_robustness, None),
        read(failures / "failures.json", read_suspects, None),
        read(run.folder(CHECK) / "check.json", lambda path: tuple(read_findings(path)), None),
        tuple(event.get("text", "") for event in run.events.rows() if event["event"] in ABOUT_DATA),
        tuple(sorted(path for path in exports.glob("[!.]*") if _is_model(path))),
        read(exports, lambda path: tuple(read_all_evidence(path)), ()),
        read(run.path / "comparison.json", lambda path: tuple(read_comparison(path)), ()),
        read(evaluation / "evaluation.json", lambda _: beside(run), ()),
        tuple(damaged),
    )


def _is_model(path: Path) -> bool:
    return path.is_dir() or path.suffix in (".tflite", ".onnx", ".keras")


def division(config: Mapping[str, Any]) -> str:
    """How a run's images were divided, in words; empty: not known.

    Args:
        config: The run's configuration. The images are looked for where it says, since their folders may divide them.
    """
    settings = dict(config["data"])
    if "arrays" in settings:
        return ""
    if settings.get("split_file"):
        return f"as {Path(settings['split_file']).name} has it"
    if _is_given(settings):
        return "by whoever made the data set"
    fold = settings.get("fold")
    of_fold = f"; fold {fold[0]} of {fold[1]} is the test" if fold else ""
    ways = {
        "class": f"{AT_RANDOM}, each class in its proportion",
        "group": f"by {settings.get('group_by') or 'group'}: none is on two sides",
        "time": "by time: the latest are the test",
    }
    return ways.get(settings.get("split", "class"), "") + of_fold


def _is_given(settings: Mapping[str, Any]) -> bool:
    known = {one.name for one in fields(Source)}
    plain: dict[str, Any] = {name: value for name, value in settings.items() if name in known}
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    try:
        source = Source(**plain)
        if source.kind not in PATHS:
            return source.kind == "tfds"
        return bool(list_source(replace(source, split="class", group_by=None, fold=None, split_file=None)).given)
    except (DataError, UsageError):
        return False
