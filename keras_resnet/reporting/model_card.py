"""The model card of a run: its README.md, as Hugging Face reads it, with figures in its metadata."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from keras_resnet.atomic import write_text
from keras_resnet.errors import ModelError, UsageError
from keras_resnet.evaluation.written import WrittenEvaluation
from keras_resnet.explanation.summary import headline
from keras_resnet.exports.verification import WrittenEvidence
from keras_resnet.inference.runtimes import RUNTIMES
from keras_resnet.regular_files import read_bytes
from keras_resnet.reporting.contents import Contents, division, read_contents
from keras_resnet.reporting.reproduce import command
from keras_resnet.reporting.words import easier, in_short, trust
from keras_resnet.runs.run import Run
from keras_resnet.tasks.table import task_row
from keras_resnet.tasks.task import ClassMetrics, Metric
from keras_resnet.visible import visible_cell

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

CARD = "README.md"
MOST_BYTES = 2**24
MOST_NAMED = 30
"""Classes that are named in a sentence."""
MOST_CLASSES = 100
"""Rows of a table of classes: the worst."""
MOST_CONFUSED = 3
SETTINGS = (
    "epochs", "batch_size", "image_size", "optimizer", "learning_rate", "schedule", "warmup_epochs", "weight_decay",
    "weights", "augment", "mixup", "cutmix", "label_smoothing", "ema", "precision", "qat", "prune", "teacher", "seed",
)  # fmt: skip
"""Settings that people ask for. Those that do nothing are left out."""
HUB_METRICS = {"top1": "accuracy"}
"""Our names of figures for which Hugging Face has another one."""
_NUMBERED = "|".join("(?<=^" + r"\d" * digits + r")[.)](?=\s|$)" for digits in range(1, 10))
_PUNCTUATION = re.compile(
    r"([\\`*_\[\]<>#|~$]|&(?=[\w#])|:(?=[\w/])|(?<=www)\.|^[-+=]|" + _NUMBERED + ")", re.IGNORECASE
)
"""What Markdown may read as more than a text, where it would: a dot in a number and a dash in a word stay."""
_MARK = re.compile(rb"\n<!-- keras-resnet-kit wrote this card: ([0-9a-f]{64})\. Edit it freely: then it stays -->\n\Z")


def write_model_card(run: Run | str | os.PathLike[str]) -> Path:
    """Write `README.md` into a run's folder: what the model is for, how it is used, how good it is.

    Its front matter is the metadata that Hugging Face reads: the library, the task, and the figures with the data that
    they are of. A card that someone has changed stays as it is.

    Args:
        run: The run, or its folder. Figures come from its `evaluation/`, evidence of files from its `exports/`.

    Returns:
        The file.

    Raises:
        UsageError: There is a `README.md` that this function did not write, or that was changed since; or the model is
            no classifier of images, or the training is not finished.
        ModelError: A file of the run is damaged.

    Example:
        >>> import keras_resnet
        >>> keras_resnet.write_model_card("saved_models/photos")  # doctest: +SKIP
        PosixPath('saved_models/photos/README.md')

    Source:
        https://huggingface.co/docs/hub/model-cards; Mitchell et al., Model Cards for Model Reporting, 2019.
    """
    run = Run.at(run.path if isinstance(run, Run) else run, finished=True)
    path = run.path / CARD
    if not is_free(run):
        raise UsageError(f"{path} was changed by hand, so it stays. Move it away for a new one")
    contents = read_contents(run)
    if not contents.class_names:
        raise UsageError(f"{run.path} is the run of a model that is no classifier of images: there is no card for it")
    if contents.damaged:
        raise ModelError(contents.damaged[0])
    text = model_card(contents)
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    write_text(path, f"{text}\n<!-- keras-resnet-kit wrote this card: {digest}. Edit it freely: then it stays -->\n")
    return path


def model_card(contents: Contents) -> str:
    """The text of the card: see `write_model_card`.

    Args:
        contents: Of the run.
    """
    from huggingface_hub import ModelCardData

    run, evaluation, preprocessing = contents.run, contents.evaluation, contents.run.preprocessing
    name, data = run.path.resolve().name, run.data_file
    metadata = ModelCardData(
        model_name=name,
        library_name="keras",
        pipeline_tag="image-classification",
        tags=["keras-resnet-kit", "resnet", *sorted({_kind(one) for one in contents.exports})],
        eval_results=list(_results(evaluation, data.get("name", ""))) or None,
    )
    counts = data["images_per_class"]
    parts = {"training": counts["train"], "validation": counts["validation"], "test": counts.get("test", [])}
    splits = [(part, found) for part, found in parts.items() if any(found)]
    height, width, channels = preprocessing.input_shape
    crop = preprocessing.fit.crop_fraction
    divided = division(contents.config)
    trusted = list(trust(contents, "test" if any(counts.get("test", [])) else "validation", divided))
    environment = Environment(
        loader=PackageLoader("keras_resnet.reporting", "."),
        autoescape=False,  # Markdown has other signs than HTML: `finalize` escapes them
        undefined=StrictUndefined,
        finalize=lambda value: markdown(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"grouped": "{:,}".format, "join": _joined}
    card = environment.get_template("model_card.md.jinja").render(
        name=name,
        network=run.network,
        headline=_headline(evaluation),
        class_names=preprocessing.class_names,
        most_named=MOST_NAMED,
        several=task_row(preprocessing.task).several,
        height=height,
        width=width,
        channels=channels,
        resize=preprocessing.fit.resize,
        cut=(
            "whatever its shape"
            if crop is None
            else f"its shape kept: of the shorter side {crop:.0%} are cut out of the middle"
        ),
        files=[{"name": _place(run, one), "size": _size(one)} for one in (run.model, *contents.exports)],
        evidence=[row for one in contents.evidence for row in _evidence(one)],
        data=data.get("name", "images"),
        division=divided,
        is_easy=evaluation is not None and easier(contents),
        verdict=in_short(trusted, contents.others, task_row(preprocessing.task).several)[1] if trusted else "",
        trust=[Markup("**Take care:** " * (one.kind == "warn") + prose(one.text)) for one in trusted],
        splits=[part for part, _ in splits],
        counts=_counts(preprocessing.class_names, [found for _, found in splits]),
        totals=[sum(found) for _, found in splits],
        settings=[] if contents.by_script else list(_settings(dict(contents.config["recipe"]))),
        course=headline(contents.history) if contents.history.epochs else "",
        again=_command(contents),
        **_figures(evaluation),
    )
    return f"---\n{metadata.to_yaml()}\n---\n\n{card}"


def markdown(text: str) -> str:
    r"""A text as Markdown shows it letter by letter, on one line: `a|b` becomes `a\|b`."""
    return _escaped(text.strip())  # spaces before a dash or a number would hide that it begins a list


def _escaped(text: str) -> str:
    shown = _PUNCTUATION.sub(r"\\\1", visible_cell(text))
    return shown.replace("@", "@<!-- -->")  # neither a backslash nor an entity keeps an address from becoming a link


def prose(text: str) -> str:
    """The same of a sentence of ours, in which commands stand between backticks.

    Example:
        >>> from keras_resnet.reporting.model_card import prose
        >>> prose("`keras-resnet calibrate` helps 1 * 2").count("`")
        2
    """
    parts = re.split("`([^`]+)`", text)
    return "".join(f"`{visible_cell(one)}`" if place % 2 else _escaped(one) for place, one in enumerate(parts))


def is_free(run: Run) -> bool:
    """Whether a card may be written: there is none, or one that nobody has changed."""
    path = run.path / CARD
    if not path.exists():
        return True
    content = read_bytes(path, MOST_BYTES)
    found = _MARK.search(content)
    return found is not None and hashlib.sha256(content[: found.start()]).hexdigest().encode() == found[1]


def _command(contents: Contents) -> Markup:
    """What trains it once more, without where on this machine the data lie: nobody else has them there."""
    said = "" if contents.by_script else command(contents.config)
    if not said:
        return Markup("")
    program, train, source, *options = shlex.split(said)
    if "--data-dir" in options:
        place = options.index("--data-dir")
        del options[place : place + 2]
    kind, colon, location = source.partition(":")
    words = [program, train, f"{kind}{colon}{Path(location).name}", *options]
    return Markup(visible_cell(shlex.join(words)))


def _joined(values: Sequence[str], between: str) -> Markup:
    return Markup(between.join(map(markdown, values)))


def _kind(path: Path) -> str:
    """What Hugging Face's tags call a file of this ending."""
    return {".tflite": "tflite", ".onnx": "onnx"}.get(path.suffix, path.name.replace("_", "-"))


def _results(evaluation: WrittenEvaluation | None, data: str) -> Iterator[EvalResult]:
    from huggingface_hub import EvalResult

    if evaluation is None:
        return
    metrics, task = evaluation.metrics, evaluation.task
    for name, value in metrics.figures.items():
        if value is None:
            continue
        interval = metrics.intervals.get(name)
        title = task.metrics[name].title
        yield EvalResult(
            task_type="image-classification",
            dataset_type=visible_cell(data) or "images",
            dataset_name=visible_cell(evaluation.data_name),
            metric_type=HUB_METRICS.get(name, name),
            metric_name=title
            if interval is None
            else f"{title}, 95 % interval {_between(task.metrics[name], interval)}",
            metric_value=round(value, 6),
        )


def _headline(evaluation: WrittenEvaluation | None) -> Markup:
    if evaluation is None:
        return Markup("It was not evaluated yet.")
    metrics, task = evaluation.metrics, evaluation.task
    metric = task.metrics[task.headline]
    place, figure = markdown(evaluation.data_name), task.shown(metrics, task.headline)
    text = f"On {metrics.images:,} images of {place}: {metric.title} **{figure}**"
    if task.headline in metrics.intervals:
        text += f", 95 % interval {_between(metric, metrics.intervals[task.headline])}"
    return Markup(f"{text}.")


def _figures(evaluation: WrittenEvaluation | None) -> dict[str, Any]:
    """What the section about figures needs."""
    if evaluation is None:
        return {"metrics": []}
    metrics, task = evaluation.metrics, evaluation.task
    worst = sorted(metrics.classes, key=lambda one: (one.f1, one.name))
    return {
        "images": metrics.images,
        "evaluated_on": evaluation.data_name,
        "groups": metrics.groups,
        "metrics": [
            {
                "title": Markup(task.metrics[name].title),
                "value": Markup(task.metrics[name].text(value)),
                "interval": Markup(
                    _between(task.metrics[name], metrics.intervals[name]) if name in metrics.intervals else "–"
                ),
            }
            for name, value in metrics.figures.items()
            if value is not None
        ],
        "classes": [_class(one) for one in (worst[:MOST_CLASSES] if len(worst) > MOST_CLASSES else metrics.classes)],
        "classes_left": max(0, len(worst) - MOST_CLASSES),
        "confused": [
            {
                "label": one.label,
                "prediction": one.prediction,
                "images": one.images,
                "share": Markup(f"{one.share:.0%}"),
            }
            for one in metrics.confused[:MOST_CONFUSED]
        ],
        "remarks": [Markup(_sentence(prose(one))) for one in evaluation.remarks],
    }


def _class(one: ClassMetrics) -> dict[str, Any]:
    shown = {name: Markup(f"{getattr(one, name):.1%}") for name in ("precision", "recall")}
    shown["f1"] = Markup(f"{one.f1:.3f}")
    return {"name": one.name, "images": one.images, **shown}


def _between(metric: Metric, interval: tuple[float, float]) -> str:
    return " to ".join(map(metric.text, interval))


def _evidence(evidence: WrittenEvidence) -> Iterator[dict[str, Any]]:
    for one in evidence["runtimes"]:
        if one["failure"]:
            continue
        difference, interval = one["difference"], one["interval"]
        told = "–" if difference is None else f"{difference:+.2f} points"
        if difference is not None and interval:
            told += f" (95 % interval {interval[0]:+.2f} to {interval[-1]:+.2f})"
        runtime = RUNTIMES.get(one["runtime"])
        yield {
            "file": Path(evidence["file"]).name,
            "runtime": runtime.title if runtime else one["runtime"],
            "agreement": Markup(f"{one['agreement']:.2%} of {evidence['images']:,}"),
            "difference": Markup(told),
        }


def _counts(names: Sequence[str], splits: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    rows = [{"name": name, "counts": counts} for name, *counts in zip(names, *splits, strict=True)]
    return sorted(rows, key=lambda row: -sum(row["counts"]))[:MOST_CLASSES] if len(rows) > MOST_CLASSES else rows


def _settings(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name in SETTINGS:
        value = recipe.get(name)
        if value or name == "seed":
            yield name.replace("_", " "), str(value)


def _place(run: Run, path: Path) -> str:
    return path.relative_to(run.path).as_posix()


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file() and not one.is_symlink()]
    return sum(one.stat().st_size for one in files)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
