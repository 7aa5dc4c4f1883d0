"""Pictures of what a model's confidence is worth: the reliability diagram, and accuracy against coverage."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_resnet.pictures import new_figure, save
from keras_resnet.tasks.calibration import reliability
from keras_resnet.tasks.confidence import accuracy_at_coverage
from keras_resnet.tasks.intervals import wilson_intervals
from keras_resnet.tasks.task import Answers

COVERAGES = tuple(np.linspace(0.02, 1, 50).tolist())


def reliability_picture(answers: Answers, title: str, path: Path) -> None:
    """What came true of what was said, in bins (DeGroot & Fienberg 1983), above how often that was said.

    Args:
        answers: A model's.
        title: Above the picture.
        path: A PNG file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    found = reliability(*answers.task.statements(answers))
    figure = new_figure(6, 7)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    above.plot([0, 1], [0, 1], color="grey", linestyle="--", label="probabilities that mean what they say")
    bounds = wilson_intervals(found.observed * found.answers, found.answers.astype(float))
    lengths = np.abs(bounds - found.observed[:, None]).T
    above.errorbar(found.predicted, found.observed, lengths, fmt="o-", color="#3b6ea5", capsize=3, label="this model")
    above.set(title=title, ylabel="share that came true", xlim=(0, 1), ylim=(0, 1))
    above.legend(loc="upper left")
    below.bar(found.predicted, found.answers, width=0.02, color="#3b6ea5")
    below.set(xlabel="probability that the model gives", ylabel="answers", yscale="log")
    save(figure, path)


def coverage_picture(answers: Answers, title: str, path: Path) -> None:
    """How many answers are right if the model answers only where it is surest. Args: as `reliability_picture`."""
    rows = list(accuracy_at_coverage(answers, COVERAGES))
    figure = new_figure(7, 5)
    axes = figure.subplots()
    shares = [row.coverage for row in rows]
    lows, highs = np.array([row.interval for row in rows]).T
    axes.fill_between(shares, lows, highs, color="#3b6ea5", alpha=0.2, linewidth=0)
    axes.plot(shares, [row.accuracy for row in rows], color="#3b6ea5")
    axes.set(title=title, xlabel="share of the images that are answered, the surest first", xlim=(0, 1))
    axes.set(ylabel="share of these answers that are right")
    save(figure, path)
