"""One training several times, with other seeds or on other folds: how far its figure depends on chance."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.allowed import COUNT
from keras_resnet.atomic import write_json
from keras_resnet.data.images import ImageData
from keras_resnet.data.loading import Data, in_memory, load_data
from keras_resnet.data.sources.source import Source
from keras_resnet.display import Display
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.evaluate import Evaluation
from keras_resnet.evaluation.paired import paired_t_test
from keras_resnet.evaluation.report import report_run
from keras_resnet.runs.run import Run, differences, is_run
from keras_resnet.settings import check_arguments
from keras_resnet.tasks.task import Metric
from keras_resnet.training.configuration import source_for
from keras_resnet.training.fit import RUNS, configuration, fit_planned, plan
from keras_resnet.training.loop import Saving
from keras_resnet.training.recipe import Recipe
from keras_resnet.training.recipes import recipe as recipe_named

FEWEST = 2


@dataclass(frozen=True)
class Repetition:
    """What several trainings of one recipe gave.

    Args:
        kind: `seeds`, on the same images, or `folds`, each tested on other images.
        path: The folder that holds their runs.
        runs: Each one's folder, below `path`.
        values: Each one's headline figure, as top-1 in [0, 1].
        mean: Of the values.
        deviation: Their standard deviation, of a sample.
        interval: The 95 % interval of the mean, by Student's t. Of seeds it speaks of other seeds on these images. Of
            folds the variance is corrected for the images that trainings share (Nadeau and Bengio, Inference for the
            Generalization Error, 2003).
        together: Of seeds, the mean of all networks' probabilities. Of folds, every image by a network that was not
            trained on it.
    """

    kind: str
    path: Path
    runs: tuple[Path, ...]
    values: tuple[float, ...]
    mean: float
    deviation: float
    interval: tuple[float, float]
    together: Evaluation

    def __str__(self) -> str:
        metric = self._metric
        low, high = (metric.text(min(max(end, 0.0), 1.0)) for end in self.interval)
        least, most = metric.text(min(self.values)), metric.text(max(self.values))
        told = (
            f"{metric.title} over {len(self.values)} {self.kind}: {metric.text(self.mean)} ± "
            f"{metric.text(self.deviation)}, from {least} to {most}; 95 % interval of the mean {low} to {high}"
        )
        if self.kind == "seeds":
            return f"{told}\nthe mean of all {len(self.values)} networks' probabilities gives {self.together.headline}"
        images = self.together.metrics.images
        return f"{told}\n{images:,} images, each by a network that was not trained on it: {self.together.headline}"

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "kind": self.kind,
            "metric": self.together.predictor.task.headline,
            "values": {
                str(run.relative_to(self.path)): value for run, value in zip(self.runs, self.values, strict=True)
            },
            "mean": self.mean,
            "standard_deviation": self.deviation,
            "mean_95%_interval": list(self.interval),
            "together": self.together.metrics.to_dict(),
        }

    def write(self) -> list[Path]:
        """Put `repetition.json` into the folder, and under `evaluation/` what `Evaluation.write` does, of all together.

        Returns:
            The files.
        """
        summary, folder = self.path / "repetition.json", self.path / "evaluation"
        write_json(summary, self.to_dict())
        folder.mkdir(exist_ok=True)
        return [summary, *self.together.write(folder)]

    @property
    def _metric(self) -> Metric:
        task = self.together.predictor.task
        return task.metrics[task.headline]


@check_arguments(seeds=COUNT.or_none, folds=COUNT.or_none)
def repeat(
    recipe: Recipe | str,
    data: Data,
    out: str | os.PathLike[str] | None = None,
    *,
    seeds: int | None = None,
    folds: int | None = None,
    overwrite: bool = False,
    num_classes: int | None = None,
    saving: Saving | None = None,
    cache: str = "auto",
    verbose: bool = True,
    finished: Callable[[Run, Evaluation], None] | None = None,
) -> Repetition:
    """Train by one recipe several times, and say how far the figure depends on chance.

    Each training is a run of its own in the folder, as `seed-0` or `fold-1of5`, with its report. The same call again
    leaves finished ones as they are, continues the one that was stopped, and ends with the same bits.

    Args:
        recipe: As `fit`. Of seeds, the first training has its seed, and the others have the next ones.
        data: As `fit`; folds need a source.
        out: The folder. Default: `saved_models/<model>-<data>-<N>-seeds`, or `-folds`.
        seeds: How many trainings with other seeds, on the same training, validation and test images; 2 or more.
        folds: How many folds, each of which is the test once; 2 or more. Divided as the source's `split` says, by
            class, group or time.
        overwrite: Train again what is finished.
        num_classes, saving, verbose: As `fit`.
        cache: As `load_data`.
        finished: Called after each training.

    Returns:
        Their figures.

    Raises:
        UsageError: Neither seeds nor folds are given, or both; or a run in the folder has other settings.
        DataError: The data have changed since a run in the folder was trained.
        As `fit` else.

    Example:
        >>> import keras_resnet
        >>> recipe = keras_resnet.recipe("folder").but(epochs=20)
        >>> print(keras_resnet.repeat(recipe, "folder:photos", "saved_models/folds", folds=5))  # doctest: +SKIP
    """
    count = _count(seeds, folds)
    recipe = recipe_named(recipe) if isinstance(recipe, str) else recipe
    data = in_memory(data, seed=recipe.seed)
    source = (data.source or data) if isinstance(data, ImageData) else source_for(recipe, data)
    held = data if isinstance(data, ImageData) and seeds else None
    if folds and not isinstance(source, Source):
        raise UsageError("folds need a source that can be divided again, as folder:PATH; received images in memory")
    if folds and isinstance(source, Source) and (source.fold or source.split_file):
        raise UsageError("folds are all tested: leave fold and split_file out")
    kind = "folds" if folds else "seeds"
    name = source.name if isinstance(source, ImageData) else source.short_name
    path = Path(out) if out is not None else RUNS / f"{recipe.model}-{name}-{count}-{kind}"
    members = list(_members(recipe, source, path, count, kind))
    for where, one, its in members:  # all settings, before the first training
        if overwrite or finished_run(where, configuration(one, its, num_classes)) is None:
            plan(one, its, where, overwrite=overwrite, num_classes=num_classes)
    evaluations, runs = [], []
    with Display(verbose) as display:
        for number, (where, one, its) in enumerate(members, 1):
            images = held if held is not None else load_data(its, display.reading, cache=cache)
            held = images if seeds else None
            run = None if overwrite else finished_run(where, configuration(one, its, num_classes))
            display.note(f"training {number} of {count}: {where}{', finished before' if run else ''}")
            if run is None:
                planned = plan(one, its, where, overwrite=overwrite, num_classes=num_classes)
                run = fit_planned(planned, images, display, saving=saving)
            elif run.fingerprint != images.fingerprint:
                raise DataError(
                    f"the data have changed since {where} was trained: restore them, or train all again (--overwrite)"
                )
            evaluations.append(report_run(run, images).evaluation)
            runs.append(run)
            if finished:
                finished(run, evaluations[-1])
    return _summary(kind, path, runs, evaluations)


def _count(seeds: int | None, folds: int | None) -> int:
    if bool(seeds) == bool(folds):
        raise UsageError(f"give seeds or folds, one of them; received seeds={seeds}, folds={folds}")
    count = seeds or folds or 0
    if count < FEWEST:
        raise UsageError(f"one training says nothing of chance: {FEWEST} or more; received {count}")
    return count


def _members(recipe: Recipe, source: Any, path: Path, count: int, kind: str) -> Iterator[tuple[Path, Recipe, Any]]:
    """The folder, recipe and source of each training."""
    for number in range(count):
        if kind == "seeds":
            seed = recipe.seed + number
            yield path / f"seed-{seed}", replace(recipe, seed=seed), source
        else:
            yield path / f"fold-{number + 1}of{count}", recipe, replace(source, fold=(number + 1, count))


def finished_run(path: Path, wanted: dict[str, Any]) -> Run | None:
    """The run in a folder if it is finished.

    Args:
        path: The folder.
        wanted: The `configuration` of the training that is asked for.

    Raises:
        UsageError: It is, with other settings.
    """
    if not is_run(path) or Run(path).status != "finished":
        return None
    run = Run.at(path, finished=True)
    recorded: dict[str, Any] = {**run.config}
    if other := differences({name: recorded.get(name) for name in wanted}, wanted):
        raise UsageError(
            f"{path} was trained with other settings ({'; '.join(other[:5])}): choose another folder by --out, or "
            "train again, in `train` by --overwrite"
        )
    return run


def _summary(kind: str, path: Path, runs: Sequence[Run], evaluations: Sequence[Evaluation]) -> Repetition:
    first = evaluations[0]
    task = first.predictor.task
    values = [float(one.metrics.figures[task.headline] or 0.0) for one in evaluations]
    if kind == "seeds":
        logits, labels, names = task.mean_logits([one.logits for one in evaluations]), first.labels, first.names
        groups, ratio = first.groups, 0.0
    else:
        logits, labels = (np.concatenate([getattr(one, part) for one in evaluations]) for part in ("logits", "labels"))
        names = tuple(name for one in evaluations for name in one.names)
        known = [one.groups for one in evaluations if one.groups is not None]
        groups = np.concatenate(known) if len(known) == len(evaluations) else None
        ratio = float(np.mean([_test_by_train(run) for run in runs]))
    test = paired_t_test(values, ratio)
    name = f"{first.data_name}, {len(runs)} {kind}"
    whole = Evaluation(task.evaluate(logits, labels, groups), logits, labels, first.predictor, name, (), names, groups)
    deviation = float(np.std(values, ddof=1))
    return Repetition(
        kind,
        path,
        tuple(run.path for run in runs),
        tuple(values),
        float(np.mean(values)),
        deviation,
        test.interval,
        whole,
    )


def _test_by_train(run: Run) -> float:
    counts = run.data_file["images_per_class"]
    return sum(counts.get("test", [])) / max(1, sum(counts["train"]))
