"""The report of a run: test figures, pictures, and warnings about its training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from keras_resnet import pictures
from keras_resnet.atomic import write_json
from keras_resnet.data.images import ImageData, OnRead
from keras_resnet.evaluation.evaluate import Evaluation, evaluate, load_run_data
from keras_resnet.explanation.diagnosis import Symptom, diagnose
from keras_resnet.explanation.history import History
from keras_resnet.explanation.training_pictures import learning_curves, training_picture
from keras_resnet.runs.run import Run


@dataclass(frozen=True)
class Report:
    """What was found, and the files it was written to.

    Args:
        evaluation: Of each test image as it is.
        averaged: Over the views that the recipe asks for; None where it asks for none.
        symptoms: Warnings about the training.
        files: All that was written.
    """

    evaluation: Evaluation
    averaged: Evaluation | None
    symptoms: tuple[Symptom, ...]
    files: tuple[Path, ...]


def report_run(run: Run, data: ImageData | None = None, progress: OnRead | None = None) -> Report:
    """Evaluate a finished run on its test images and write figures and pictures into its folder.

    Pictures are left out where matplotlib is not installed.

    Args:
        run: Finished.
        data: Its data, if they are loaded already.
        progress: Called while images are read.
    """
    data, averaged = data or load_run_data(run, progress), None
    evaluation = evaluate(run, data)
    files = evaluation.write(run.folder("evaluation"))
    tta = run.config["recipe"]["tta"]
    if tta != "none":
        averaged = evaluate(run, data, tta=tta)
        files += averaged.write(run.folder("evaluation", tta))
    symptoms, more = report_training(run)
    return Report(evaluation, averaged, tuple(symptoms), (*files, *more))


def report_training(run: Run) -> tuple[list[Symptom], list[Path]]:
    """Write the warnings about a run's training, and its pictures; the run need not be finished.

    Returns:
        The warnings, and the files: `evaluation/diagnosis.json`, and under `plots/`, where matplotlib is
        installed, `training.png` and `learning_curves.png`. No files before the first epoch's end.
    """
    history = History.of_run(run)
    if not history.epochs:
        return [], []
    symptoms = diagnose(history)
    files = [run.folder("evaluation") / "diagnosis.json"]
    write_json(files[0], {"epochs": len(history.epochs), "symptoms": [asdict(one) for one in symptoms]})
    if pictures.available():
        plots = run.folder("plots")
        files += [plots / "training.png", plots / "learning_curves.png"]
        training_picture(history, symptoms, _title(run, history), files[1])
        learning_curves(history, files[2])
    return symptoms, files


def _title(run: Run, history: History) -> str:
    epochs, name = len(history.epochs), Path(run.config["data"]["name"]).name  # of folder:/a/long/path its end
    return f"{run.config['recipe']['model']} on {name}, {epochs} epoch{'s' if epochs > 1 else ''}"
