from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from keras_resnet.cli.show import MOST_CLASSES, show_evaluation
from keras_resnet.evaluation.evaluate import Evaluation
from keras_resnet.tasks.classification import Classification


def evaluation(classes: int, labels: list[int]) -> Evaluation:
    """All images are said to be of the first class."""
    task = Classification(tuple(f"class{number}" for number in range(classes)))
    logits = np.eye(classes)[np.zeros(len(labels), np.int64)]
    metrics = task.evaluate(logits, np.array(labels))
    predictor: Any = SimpleNamespace(name="m", task=task)
    return Evaluation(metrics, logits, np.array(labels), predictor, "d", metrics.remarks)


def test_of_a_class_without_images_figures_are_not_shown_as_0(capsys: pytest.CaptureFixture[str]) -> None:
    show_evaluation(evaluation(3, [0, 0, 1]))

    lines = capsys.readouterr().out.splitlines()
    cells = {
        name: [cell.strip() for cell in line.strip("│ ").split("│")[1:]]
        for line in lines
        for name in ("class1", "class2")
        if line.startswith(f"│ {name} ") and "→" not in line
    }
    assert cells == {"class1": ["0.000", "0.000", "0.000", "1"], "class2": ["–", "–", "–", "0"]}
    assert any(line.startswith("note: There was no image of 'class2'") for line in lines)


def test_of_many_classes_the_worst_that_have_images_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show_evaluation(evaluation(100, [*range(50), *range(50)]))

    shown = capsys.readouterr().out
    rows = [
        line for line in shown.splitlines() if line.startswith("│ class") and "recall" not in line and "→" not in line
    ]
    assert len(rows) == MOST_CLASSES
    assert not any("–" in row for row in rows)
    assert "and 10 classes with better F1" in shown
