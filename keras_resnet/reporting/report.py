"""The report of a run as one page: for whoever has two minutes, and for whoever wants to know."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.atomic import write_text
from keras_resnet.data.images import ImageData, OnRead
from keras_resnet.data.mosaic import Batch, training_batch
from keras_resnet.errors import DataError, KerasResNetError, ModelError, UsageError
from keras_resnet.evaluation.evaluate import UNCALIBRATED, load_run_data
from keras_resnet.evaluation.report import report_run
from keras_resnet.evaluation.written import Answer, WrittenEvaluation, is_written
from keras_resnet.explanation.summary import headline
from keras_resnet.html_page import render
from keras_resnet.inference.predictors import open_predictor
from keras_resnet.inspection.findings import DOUBTED
from keras_resnet.inspection.inspection import inspect_data
from keras_resnet.reporting import words
from keras_resnet.reporting.album import Album, enlarged, spotlights
from keras_resnet.reporting.contents import CHECK, Contents, division, read_contents
from keras_resnet.reporting.curves import FEWEST, reliability_chart, training_charts
from keras_resnet.reporting.doubts import Doubt, doubts
from keras_resnet.reporting.reproduce import command
from keras_resnet.reporting.words import Said, percent, short
from keras_resnet.runs.run import Run
from keras_resnet.tasks.task import FEW_WRONG
from keras_resnet.training.configuration import recipe_of

PAGE = "report.html"
ROOM = "keras_resnet.reporting"
SHOWN_CLASSES, EACH = 12, 4
"""Classes in the mosaic, and pictures of each."""
MOST_LOSSES, MOST_DOUBTED = 12, 48
MOST_CONFUSED = 5
"""Pictures of the pair of classes that is confused most."""
MOST_CLASSES = 200
"""Rows of tables of classes."""
KINDS = {"error": "bad", "warning": "warn"}
"""How findings of a severity are marked."""
MATRIX = 25
"""Classes of which a confusion matrix has numbers; of more it is a map."""
MOST_CELLS = 8000
"""Of the map, the largest shares, so that the page stays small."""
MOST_NAMES, LETTERS = 36, 20
"""Names beside it, and letters of each."""
MOST_TOLD = 300
"""Of them those that a pointer over the map names."""
MOST_LOOKED_THROUGH = 20_000
"""Images that are looked through for copies and series; of more, `check` does it."""


def write_report(
    run: Run | str | os.PathLike[str],
    data: ImageData | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    look: bool = True,
    progress: OnRead | None = None,
    note: Callable[[str], None] | None = None,
) -> Path:
    """Write the report of a run as one HTML page, which needs no network, no scripts and no other file.

    It says in plain words what the model is good for, where it fails, how far the figure is to be trusted and which
    labels may be wrong; then all that the run's folder tells. What is not there, as the evaluation of a finished
    run, is made and written into the run first. What cannot be made, since the images are gone, is said.

    Args:
        run: The run, or its folder. One that is not finished has no figures.
        data: Its data, if they are loaded already, or only the caller has them.
        path: The file. Default: `report.html` in the run's folder.
        look: Whether its images are looked through for copies, series and wrong labels, as `check` does, unless
            that is in the run already. It reads every image once more.
        progress: Called while images are read.
        note: Called with what is done, a line each.

    Returns:
        The file.

    Raises:
        UsageError: The folder is no run.
        DataError: `data` are not those that the run was trained on.
        ModelError: The run's own records are damaged.
        StorageError: The page cannot be written.

    Example:
        >>> import keras_resnet
        >>> digits = keras_resnet.load_data(keras_resnet.Source("digits", image_size=8, limit=200))
        >>> trained = keras_resnet.fit(keras_resnet.recipe("digits").but(epochs=1), digits, "digits-run", verbose=False)
        >>> keras_resnet.write_report(trained, digits, look=False).name
        'report.html'
    """
    run = Run.at(run.path if isinstance(run, Run) else run)
    data, missing = _data(run, data, progress)
    note = note or (lambda text: None)
    finished = run.status == "finished" and run.has_data
    if finished and data is not None and not is_written(run.folder("evaluation")):
        note(f"{run.path} has no evaluation: evaluating it")
        report_run(run, data)
    if look and data is not None and not (run.folder(CHECK) / "check.json").exists():
        note(f"looking through the images for copies, series and wrong labels, into {run.folder(CHECK)}")
        _look_through(run, data, progress)
    note("drawing the page")
    target = Path(path) if path is not None else run.path / PAGE
    write_text(target, page(read_contents(run), data, missing))
    return target


def _data(run: Run, data: ImageData | None, progress: OnRead | None) -> tuple[ImageData | None, str]:
    """A run's data, and why there are none."""
    if data is not None:
        if data.fingerprint != run.fingerprint:
            raise DataError(f"{data.name} are not the data that {run.path} was trained on")
        return data, ""
    if not run.has_data:
        return None, "The model is no classifier of images, so that there are only the curves of its training."
    try:
        return load_run_data(run, progress), ""
    except (DataError, UsageError, ModelError) as error:
        return None, f"Its images could not be read: {error}."


def _look_through(run: Run, data: ImageData, progress: OnRead | None) -> None:
    if len(data.names) > MOST_LOOKED_THROUGH or data.train.images.shape[2] not in (1, 3):
        return
    try:
        found = inspect_data(data, progress)
        found.write_findings(run.folder(CHECK))
        found.write_page(run.folder(CHECK) / "check.html", _batch(run, data))
    except (DataError, UsageError):  # they have gone since they were read, or the run lies among them
        return


def _batch(run: Run, data: ImageData) -> Batch | None:
    """What the network was given; None: a script has trained it, whose augmentation nobody knows."""
    if "by" in run.config:
        return None
    try:
        recipe = recipe_of(run)
        return training_batch(data, recipe.policy, seed=recipe.seed)
    except KerasResNetError:  # another version wrote the recipe, or the images have gone since
        return None


def page(contents: Contents, data: ImageData | None, missing: str) -> str:
    """Draw the page.

    Args:
        contents: Of the run.
        data: Its data; None: they are not at hand.
        missing: Why.

    Returns:
        HTML.
    """
    run, found = contents.run, contents.evaluation
    split = contents.judged
    album = None if data is None else Album(data)
    doubted = doubts(contents)
    failing = [one for one in contents.slices if one.fails and one.attribute != "class"]
    again = "" if contents.by_script else command(contents.config)
    trust = list(words.trust(contents, split, division(contents.config)))
    losses, why = _losses(run, found, album, doubted.answered_otherwise)
    return render(
        ROOM,
        "report.html.jinja",
        name=run.path.name,
        path=shlex.quote(str(run.path)),
        list_of_labels=shlex.quote(str(run.path / "failures" / "labels-to-check.csv")),
        network=run.network,
        contents=contents,
        missing=missing,
        split=split,
        task=None if found is None else found.task,
        decides=words.decides(contents.class_names, None if found is None else found.task),
        result="" if found is None else words.result(found, split),
        expected=words.expected(contents.others, None if found is None else found.task),
        strengths=[] if found is None else [*words.strengths(found), *filter(None, [words.blamed(found, doubted)])],
        few_wrong=FEW_WRONG,
        verdict=words.in_short(trust, contents.others, found is not None and found.task.several),
        trust=trust,
        steps=list(words.next_steps(contents, doubted, failing, again)),
        facts=_facts(contents, split),
        findings=[
            Said(KINDS.get(one["severity"], "note"), words.told(one))
            for one in contents.findings or ()
            if one["code"] not in (*words.LEAKS, *words.MISLEADING, DOUBTED) or contents.evaluation is None
        ],
        counts=_counts(contents),
        mosaic=_mosaic(album, run),
        charts=training_charts(contents),
        course=headline(contents.history),
        figures=[] if found is None else list(_figures(found)),
        classes=[] if found is None else _classes(found),
        most_classes=MOST_CLASSES,
        matrix_of=None if found is None else _matrix(found),
        map_of=None if found is None else confusion_map(found),
        reliability=None if found is None else reliability_chart(found),
        fewest=FEWEST,
        is_easy=words.easier(contents),
        remarks=[] if found is None else [text for text in found.remarks if not text.startswith(UNCALIBRATED)],
        most_confused=None if found is None or album is None else _most_confused(found, album),
        calibration=[] if found is None else list(_calibration(contents, found)),
        robustness=_robustness(contents),
        failing=failing,
        losses=losses,
        why_no_maps=why,
        doubted=doubted,
        doubts=_shown_doubts(doubted.labels, album),
        pictures=_shown_doubts(doubted.pictures, album),
        exports=list(_exports(contents)),
        environment={name: str(value) for name, value in contents.environment.items()},
        times=list(_times(contents)),
        command=again,
        seed=dict(contents.config["recipe"]).get("seed"),
        fingerprint=run.data_file["fingerprint"] if run.has_data else "",
    )


# What a section shows.


def _facts(contents: Contents, split: str) -> list[tuple[str, str]]:
    """The figures on top."""
    run, found = contents.run, contents.evaluation
    counts = {name: sum(many) for name, many in contents.images_per_class.items() if sum(many)}
    facts = []
    if found is not None:
        title = found.task.metrics[found.task.headline].title
        facts.append((f"{title}, {split} images", found.task.shown(found.metrics, found.task.headline)))
        if not found.task.several:
            facts.append(("right", f"{found.metrics.correct:,} of {found.metrics.images:,}"))
    facts.append(("classes", f"{len(contents.class_names):,}"))
    facts += [(f"{name} images", f"{count:,}") for name, count in counts.items()]
    facts.append(("network", run.network))
    return facts


def _counts(contents: Contents) -> dict[str, Any]:
    """The table of images by class and split."""
    parts = {name: many for name, many in contents.images_per_class.items() if any(many)}
    names = contents.class_names
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(names):
        inside = [many[number] if number < len(many) else 0 for many in parts.values()]
        rows.append({"name": name, "counts": inside, "images": sum(inside)})
    most = max((row["images"] for row in rows), default=0) or 1
    rows.sort(key=lambda row: -row["images"])
    shown = [{**row, "bar": f"{100 * row['images'] / most:.1f}"} for row in rows[:MOST_CLASSES]] if parts else []
    return {"splits": list(parts), "rows": shown, "left": max(0, len(rows) - MOST_CLASSES) if parts else 0}


def _mosaic(album: Album | None, run: Run) -> list[dict[str, Any]]:
    """A few training images of each class; of images that are gone those that the run keeps."""
    if album is not None:
        return [
            {"name": name, "images": count, "pictures": [album.picture(one) for one in names]}
            for name, count, names in album.of_classes(album.data.train, SHOWN_CLASSES, EACH)
        ]
    try:
        kept = run.kept_images() if run.has_data else None
    except KerasResNetError:
        kept = None
    if kept is None:
        return []
    return [{"name": "", "images": len(kept), "pictures": [enlarged(one) for one in kept[: SHOWN_CLASSES * EACH]]}]


def _figures(found: WrittenEvaluation) -> Iterator[dict[str, str]]:
    metrics, task = found.metrics, found.task
    for name, metric in task.metrics.items():
        if metrics.figures[name] is None:
            continue
        interval = " to ".join(map(metric.text, metrics.intervals[name])) if name in metrics.intervals else "–"
        meaning = words.MEANINGS.get(name, "")
        yield {"title": metric.title, "value": task.shown(metrics, name), "interval": interval, "meaning": meaning}


def _classes(found: WrittenEvaluation) -> list[dict[str, Any]]:
    """The table of classes, the worst first."""
    rows = sorted((row for row in found.metrics.classes if row.images), key=lambda row: row.f1)
    shown = []
    for row in rows[:MOST_CLASSES]:
        low, high = row.intervals.get("f1", (row.f1, row.f1))
        area = getattr(row, "average_precision", None)
        shown.append(
            {
                "name": row.name,
                "images": row.images,
                "precision": percent(row.precision),
                "recall": percent(row.recall),
                "f1": f"{row.f1:.3f}",
                "interval": f"{low:.3f} to {high:.3f}",
                "area": "" if area is None else f"{area:.3f}",
                "bar": f"{100 * row.f1:.1f}",
            }
        )
    return shown


def _matrix(found: WrittenEvaluation) -> dict[str, Any] | None:
    confusion = found.metrics.confusion
    if confusion is None or len(confusion) > MATRIX:
        return None
    names, totals = found.task.class_names, confusion.sum(axis=1)
    rows = [
        {
            "number": number,
            "name": short(name),
            "images": f"{totals[number]:,}",
            "cells": [
                {"count": int(count), "shade": round(55 * count / max(1, totals[number])) if count else 0}
                for count in confusion[number]
            ],
        }
        for number, name in enumerate(names)
    ]
    return {"names": [short(name) for name in names], "rows": rows}


def confusion_map(found: WrittenEvaluation) -> dict[str, Any] | None:
    """A confusion matrix of many classes: where it has images, and what share of the class; None: it has numbers."""
    confusion = found.metrics.confusion
    if confusion is None or len(confusion) <= MATRIX:
        return None
    names, totals = [short(name) for name in found.task.class_names], confusion.sum(axis=1)
    places = np.argwhere(confusion)
    shares = confusion[tuple(places.T)] / totals[places[:, 0]]
    cells, told = [], 0
    for place in np.argsort(-shares, kind="stable")[:MOST_CELLS].tolist():
        row, column = places[place].tolist()
        text = ""
        if row != column and told < MOST_TOLD:
            text = f"{names[row]} taken for {names[column]}: {confusion[row, column]:,} of {totals[row]:,}"
            told += 1
        cells.append({"row": row, "column": column, "shade": f"{0.25 + 0.75 * shares[place]:.2f}", "text": text})
    right = int(np.trace(confusion))
    return {
        "size": len(confusion),
        "cells": cells,
        "description": f"{right:,} of {int(totals.sum()):,} images lie on the diagonal: they are right.",
        # As many names as have room beside the rows; other classes lie between them.
        "names": [
            (place, short(names[place], LETTERS)) for place in range(0, len(names), math.ceil(len(names) / MOST_NAMES))
        ],
    }


def _calibration(contents: Contents, found: WrittenEvaluation) -> Iterator[str]:
    """What probabilities are worth, in words."""
    said = sum(mean * count for mean, _, count in found.reliability)
    true = sum(share * count for _, share, count in found.reliability)
    answers = sum(count for *_, count in found.reliability)
    if not answers:
        return
    off = found.metrics.figures.get("ece")
    interval = found.metrics.intervals.get("ece", (0.0, 1.0))
    claimed, came = percent(said / answers), percent(true / answers)
    claim = f"On average it claims to be {claimed} sure, and {came} of its answers are right"
    if found.task.several:
        claim = f"On average it gives a class a probability of {claimed}, and {came} of the classes are there"
    if off is None:
        yield f"{claim}."
    elif interval[0] > 0:
        low, much = (
            ("that is too little", "that is too much") if found.task.several else ("it is too modest", "it is too sure")
        )
        way = low if said < true else much
        yield f"{claim}: {way}. Its probabilities are off by {percent(off)} on average, more than chance explains."
    else:
        yield f"{claim}. Chance alone explains the difference."
    calibrated = contents.record.get("calibrated")
    if calibrated is not None:
        yield (
            f"Its logits are divided by a temperature of {calibrated['temperature']:.3f}, found on "
            f"{calibrated['images']:,} validation images."
        )
    else:
        yield "No temperature was fitted: probabilities are as the training left them."


def _robustness(contents: Contents) -> dict[str, Any] | None:
    found = contents.robustness
    if found is None:
        return None
    rows = sorted(found["corruptions"], key=lambda row: row["accuracy"])
    return {
        "images": found["images"],
        "clean": percent(found["clean"]["accuracy"]),
        "mean": percent(found["mean"]["accuracy"]),
        "interval": words.between(found["mean"]["interval"]),
        "rows": [
            {
                "name": row["name"].replace("_", " "),
                "mean": percent(row["accuracy"]),
                "bar": f"{100 * row['accuracy']:.1f}",
                "cells": [percent(one["accuracy"]) for one in row["severities"]],
            }
            for row in rows
        ],
    }


def _losses(
    run: Run, found: WrittenEvaluation | None, album: Album | None, doubted: frozenset[str]
) -> tuple[list[dict[str, Any]], str]:
    """The images that the model is most wrong about, what it goes by there, and why that cannot be shown."""
    if found is None:
        return [], ""
    wrong = [one for one in found.largest_losses if not one.is_right][:MOST_LOSSES]
    pixels = [None if album is None else album.pixels(one.image) for one in wrong]
    there = [one for one in pixels if one is not None]
    maps, why = [""] * len(there), ""
    if there:
        try:
            maps, why = spotlights(open_predictor(run), there)
        except ModelError as error:
            why = str(error)
    places = iter(maps or [""] * len(there))
    rows = []
    for one, image in zip(wrong, pixels, strict=True):
        picture = "" if album is None or image is None else album.picture(one.image)
        shown = {"picture": picture, "map": "" if image is None else next(places)}
        rows.append({**_said(one), **shown, "is_doubted": one.image in doubted})
    return rows, why


def _most_confused(found: WrittenEvaluation, album: Album) -> dict[str, Any] | None:
    """Some images of the pair of classes that is confused most, the surest answers first; None: no pair stands out."""
    if not found.metrics.confused or found.metrics.confused[0].images < 2:
        return None
    pair = found.metrics.confused[0]
    taken = [one for one in found.answers if (one.label, one.prediction) == (pair.label, pair.prediction)]
    taken.sort(key=lambda one: -one.probability_of_prediction)
    images = [{**_said(one), "picture": album.picture(one.image)} for one in taken[:MOST_CONFUSED]]
    return {"label": pair.label, "prediction": pair.prediction, "images": images}


def _said(one: Answer) -> dict[str, str]:
    return {
        "image": one.image,
        "label": one.label or "none",
        "prediction": one.prediction or "none",
        "probability": percent(one.probability),
        "of_prediction": percent(one.probability_of_prediction),
    }


def _shown_doubts(found: Sequence[Doubt], album: Album | None) -> list[dict[str, Any]]:
    return [
        {
            "doubt": one,
            "probability": "" if one.probability is None else percent(one.probability),
            "picture": "" if album is None else album.picture(one.image),
        }
        for one in found[:MOST_DOUBTED]
    ]


def _exports(contents: Contents) -> Iterator[dict[str, Any]]:
    """The exported files, each with its evidence, if there is some."""
    evidence = {Path(one["file"]).name: one for one in contents.evidence}
    for path in contents.exports:
        row: dict[str, Any] = {
            "name": path.name,
            "place": shlex.quote(str(path)),
            "size": _bytes(path),
            "evidence": [],
            "passes": None,
        }
        if path.name in evidence:
            known = evidence[path.name]
            row["passes"] = known["passes"]
            for one in known["runtimes"]:
                if one["failure"]:
                    row["evidence"].append(f"{one['runtime']}: {one['failure']}")
                    continue
                text = f"on {one['runtime']} it decides as the model on {100 * one['agreement']:.2f} % of "
                text += f"{known['images']:,} images"
                if one["difference"] is not None and one["interval"] is not None:
                    low, high = one["interval"]
                    text += f"; accuracy {one['difference']:+.2f} points ({low:+.2f} to {high:+.2f})"
                row["evidence"].append(text)
            row["evidence"] += known["failures"]
        yield row


def _bytes(path: Path) -> str:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return f"{sum(one.stat().st_size for one in files) / 1000:,.1f} kB"


def _times(contents: Contents) -> Iterator[tuple[str, str]]:
    """When, how long, in which precision."""
    record, recipe = contents.record, dict[str, Any](contents.config["recipe"])
    for name in ("started", "finished"):
        when = dict[str, Any](record).get(name)
        if when:
            yield name, str(when)
    seconds = [float(row["seconds"]) for row in contents.history.epochs if row.get("seconds")]
    if seconds:
        yield "time in epochs", _duration(sum(seconds))
    rates = [float(row["images_per_second"]) for row in contents.history.steps if row.get("images_per_second")]
    if rates:
        yield "training images a second", f"{np.median(rates):,.0f} (median)"
    if "precision" in recipe:
        yield "precision", str(recipe["precision"])


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
