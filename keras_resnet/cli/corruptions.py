"""What `evaluate --corruptions` does."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet.cli.tables import table
from keras_resnet.cli.terminal import say
from keras_resnet.errors import UsageError

if TYPE_CHECKING:
    from keras_resnet.data.images import ImageData
    from keras_resnet.data.sources.source import Source
    from keras_resnet.evaluation.evaluate import Evaluation
    from keras_resnet.evaluation.robustness import Robustness, Share


def check_corruptions(options: argparse.Namespace) -> None:
    """Refuse options that do not go together.

    Raises:
        UsageError: A reference without corruptions, or corruptions of several views.
    """
    if options.corruptions_reference and not options.corruptions:
        raise UsageError("--corruptions-reference goes with --corruptions")
    if options.corruptions and options.tta != "none":
        raise UsageError("--corruptions takes each image as it is: leave --tta out")


def corrupted(
    options: argparse.Namespace, evaluation: Evaluation, folder: Path, data: Source | ImageData | None
) -> None:
    """If it is asked for, evaluate on corrupted images, too, write what was found, and print it.

    Args:
        options: The command line.
        evaluation: Of the images as they are.
        folder: Where to write.
        data: What was evaluated on; None: a run's own data.
    """
    from keras_resnet.display import Display
    from keras_resnet.evaluation.evaluate import evaluate, load_run_data
    from keras_resnet.evaluation.robustness import robustness
    from keras_resnet.inference.predictors import open_predictor
    from keras_resnet.runs.run import Run, is_run

    if not options.corruptions:
        return
    with Display() as progress:
        reference, path = None, options.corruptions_reference
        if path:
            run = Run.at(path, finished=True) if is_run(path) else None
            if data is None and not (run and run.fingerprint == Run.at(options.model).fingerprint):
                data = load_run_data(Run.at(options.model), progress.reading)
            reference = evaluate(run or open_predictor(path), data, split=options.split, progress=progress.reading)
        found = robustness(evaluation, reference=reference, show=progress.show)
    show_robustness(found)
    for file in found.write(folder):
        say(f"wrote {file}")


def show_robustness(found: Robustness) -> None:
    """Print accuracies by corruption and severity, and the means."""
    from keras_resnet.evaluation.corruptions import CORRUPTIONS, PUBLISHED, SEVERITIES

    rows = []
    for name in found.names:
        ratio = found.corruption_error(name)
        cells = [f"{found.at(name, severity).value:.1%}" for severity in SEVERITIES]
        title = name.replace("_", " ") + ("" if name in PUBLISHED else " (extra)")
        last = "–" if ratio is None else f"{ratio:.1%}"
        rows.append((title, CORRUPTIONS[name].family, *cells, *_cells(found.under(name)), last))
    means = [f"{found.at_severity(severity).value:.1%}" for severity in SEVERITIES]
    error = found.mean_corruption_error
    rows.append(("mean without extra", "", *means, *_cells(found.mean), f"{error[0]:.1%}" if error else "–"))
    heads = ("corruption", "family", *map(str, SEVERITIES), "mean", "95 % interval", "CE")
    kept = len(heads) if found.reference else len(heads) - 1
    title = f"{found.name}: accuracy on corrupted images, by severity"
    table(title, heads[:kept], [row[:kept] for row in rows], left=("family",))
    say(
        f"{found.on_clean.value:.2%} as they are, {found.mean.value:.2%} corrupted (95 % interval "
        f"{_cells(found.mean)[1]}; mean error {1 - found.mean.value:.2%}); numbers of {found.numbers}"
    )
    if error and found.reference:
        low, high = error[1]
        say(
            f"mean corruption error {error[0]:.1%} of that of {found.reference.name} (95 % interval {low:.1%} to "
            f"{high:.1%}; below 100 % is better)"
        )


def _cells(share: Share) -> tuple[str, str]:
    low, high = share.interval
    return f"{share.value:.1%}", f"{low:.1%} to {high:.1%}"
