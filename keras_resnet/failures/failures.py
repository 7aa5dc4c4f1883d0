"""Failures first: where a model is most wrong, which labels may be wrong, and which images are unlike all others."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from keras_resnet import pictures
from keras_resnet.allowed import COUNT
from keras_resnet.atomic import storage_errors, write_json, write_text
from keras_resnet.data.images import OnRead
from keras_resnet.data.loading import list_source
from keras_resnet.data.sources.source import PATHS, Source
from keras_resnet.errors import DataError
from keras_resnet.failures.corrections import filled_in
from keras_resnet.failures.out_of_sample import OutOfSample, out_of_sample
from keras_resnet.failures.thumbnails import Thumbnail, draw
from keras_resnet.images.image_file import ImageError
from keras_resnet.inspection.confident_learning import contradicted
from keras_resnet.inspection.strangers import strangers
from keras_resnet.json_files import read_json
from keras_resnet.runs.contents import NUMBER
from keras_resnet.runs.run import Run
from keras_resnet.settings import check_arguments
from keras_resnet.spreadsheet import csv_text
from keras_resnet.tasks.task import Confused

LIST = "labels-to-check.csv"
COLUMNS = (
    "rank", "path", "label", "suggested_label", "probability", "reason", "correct_label", "sha256",
)  # fmt: skip
NEARLY = 8
"""Of 255: a picture is nearly uniform if all but the darkest and the brightest hundredth of its pixels lie so close."""
SHOWN = 32
"""Pictures of one kind."""


@dataclass(frozen=True)
class TopLoss:
    """An image of which a model is most wrong.

    Args:
        position: Among the images that were judged.
        path: Its name in the source.
        label: That it was given.
        prediction: The model's.
        probability: That the model gives the label, in [0, 1].
        probability_of_prediction: That it gives its own class, in [0, 1].
        loss: The cross-entropy, in nats.
    """

    position: int
    path: str
    label: str
    prediction: str
    probability: float
    probability_of_prediction: float
    loss: float


@dataclass(frozen=True)
class Suspect:
    """An image whose label, or which itself, a person should look at.

    Args:
        position: Among the images that were judged.
        path: Its name in the source.
        label: That it was given.
        suggested: The label that the model suggests; empty if none is in doubt.
        probability: The model's probability of that label; None where there is none.
        reason: In words.
        sha256: Of the image's file; empty where it is no file.
    """

    position: int
    path: str
    label: str
    suggested: str
    probability: float | None
    reason: str
    sha256: str = ""


@dataclass(frozen=True)
class Failures:
    """What a model fails on.

    Args:
        judged: The images, and what networks say of them that were not trained on them.
        top_losses: The images that it is most wrong about, the worst first.
        confused: The pairs of classes that are most often confused.
        suspects: The images that a person should look at: doubted labels first, the most doubtful first, then
            nearly uniform pictures and those unlike all others.
    """

    judged: OutOfSample
    top_losses: tuple[TopLoss, ...]
    confused: tuple[Confused, ...]
    suspects: tuple[Suspect, ...]

    @property
    def doubted(self) -> tuple[Suspect, ...]:
        """Those whose labels may be wrong."""
        return tuple(one for one in self.suspects if one.suggested)

    @property
    def remarks(self) -> tuple[str, ...]:
        """How far all of it is to be trusted."""
        return self.judged.remarks

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "name": self.judged.name,
            "images": len(self.judged.names),
            "wrong": int((~self.judged.answers.right).sum()),
            "remarks": list(self.remarks),
            "top_losses": [asdict(one) for one in self.top_losses],
            "most_confused": [one.to_dict() for one in self.confused],
            "suspects": [asdict(one) for one in self.suspects],
        }

    def write(self, folder: Path) -> list[Path]:
        """Write `failures.json`, `labels-to-check.csv` and, where matplotlib is installed, `failures.png`.

        The list has an empty column, `correct_label`, for whoever looks at the images; `correct_labels` takes it then.
        A list in which somebody has filled in labels is not written over.

        Args:
            folder: Where to; it is made if it is missing.

        Returns:
            The files.

        Raises:
            DataError: The folder has a list with labels filled in.
        """
        files = [folder / "failures.json", folder / LIST]
        if filled_in(files[1]):
            raise DataError(
                f"{files[1]} has labels that somebody filled in: apply it (--apply), then move it away, or choose "
                "another folder by --out"
            )
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_json(files[0], self.to_dict())
        write_text(files[1], csv_text(COLUMNS, self._rows()))
        if pictures.available():
            files.append(folder / "failures.png")
            draw(f"Failures of {self.judged.name}", self._sections(), files[-1])
        return files

    def _rows(self) -> Iterator[list[str]]:
        for rank, one in enumerate(self.suspects, 1):
            probability = "" if one.probability is None else f"{one.probability:.4f}"
            yield [str(rank), one.path, one.label, one.suggested, probability, one.reason, "", one.sha256]

    def _sections(self) -> Iterator[tuple[str, list[Thumbnail]]]:
        doubted, others = self.doubted, tuple(one for one in self.suspects if not one.suggested)
        yield (
            f"labels that may be wrong: given → suggested, with its probability ({len(doubted):,})",
            self._thumbnails(
                (one.position, one.path, (one.label, one.suggested), one.probability) for one in doubted[:SHOWN]
            ),
        )
        yield (
            "largest losses: label → taken for, with its probability; one class: rightly, and not sure of it",
            self._thumbnails(
                (
                    one.position,
                    one.path,
                    tuple(dict.fromkeys((one.label, one.prediction))),
                    one.probability_of_prediction,
                )
                for one in self.top_losses[:SHOWN]
            ),
        )
        yield (
            f"nearly uniform, or unlike all others ({len(others):,})",
            self._thumbnails((one.position, one.path, (one.label,), None) for one in others[:SHOWN]),
        )

    def _thumbnails(self, rows: Iterator[tuple[int, str, tuple[str, ...], float | None]]) -> list[Thumbnail]:
        listed = list(rows)
        pixels = self.judged.pixels(np.array([row[0] for row in listed], np.int64))
        return [
            Thumbnail(image, labels, path, probability)
            for image, (_, path, labels, probability) in zip(pixels, listed, strict=True)
        ]


class _Suspect(TypedDict):
    position: NUMBER
    path: str
    label: str
    suggested: str
    probability: float | None
    reason: str
    sha256: str


class _Failures(TypedDict):
    """What is read of failures.json; it has more."""

    suspects: list[_Suspect]


def read_suspects(path: Path) -> tuple[Suspect, ...]:
    """Read the images that a person should look at from what `Failures.write` has written.

    Raises:
        ModelError: The file is damaged.
    """
    fields = _Suspect.__annotations__
    rows: list[dict[str, Any]] = [{**row} for row in read_json(path, _Failures, raw_names=True)["suspects"]]
    return tuple(Suspect(**{name: row[name] for name in fields}) for row in rows)


@check_arguments(most=COUNT)
def find_failures(
    model: Run | str | os.PathLike[str],
    data: Source | str | None = None,
    *,
    most: int = 100,
    progress: OnRead | None = None,
) -> Failures:
    """Find what a model fails on, by images that it was not trained on.

    Labels are doubted by confident learning (Northcutt, Jiang and Chuang, JAIR 70, 2021): the model is surer of another
    class than it usually is of images of that class. Images unlike all others are far from their neighbours in what
    the classifier reads; of fewer than 30 images that is not looked for.

    Args:
        model: A finished run, the folder of a training by folds (`repeat`, `train --folds`), which judge every image,
            or a model file with data.
        data: Images that the model was not trained on. None: a run's validation and test images, all images of folds.
        most: How many of the largest losses to return, at least 1.
        progress: Called while images are read.

    Raises:
        UsageError: There are no images that the model was not trained on, or images may have several labels.
        DataError: The data cannot be read, or have changed since the training.
        ModelError: The model cannot be read.

    Example:
        >>> import keras_resnet
        >>> found = keras_resnet.find_failures("saved_models/photos-folds")  # doctest: +SKIP
        >>> for one in found.suspects[:10]:  # doctest: +SKIP
        ...     print(one.path, one.label, one.suggested, one.reason)
    """
    judged = out_of_sample(model, data, progress)
    confused = tuple(judged.answers.task.confused(judged.answers))
    return Failures(judged, tuple(_top_losses(judged, most)), confused, tuple(_with_digests(judged, _suspects(judged))))


def _top_losses(judged: OutOfSample, most: int) -> Iterator[TopLoss]:
    answers = judged.answers
    names, said, row = answers.task.class_names, answers.probabilities, np.arange(len(answers.labels))
    share = said[row, answers.labels]
    loss = -np.log(np.maximum(share, np.finfo(np.float64).tiny))
    for position in np.argsort(-loss, kind="stable")[:most].tolist():
        label, taken = int(answers.labels[position]), int(answers.decisions[position])
        yield TopLoss(
            position,
            judged.names[position],
            names[label],
            names[taken],
            float(share[position]),
            float(said[position, taken]),
            float(loss[position]),
        )


def _suspects(judged: OutOfSample) -> list[Suspect]:
    """The doubted labels, then nearly uniform pictures, then strangers; each image once, with all reasons."""
    answers, found = judged.answers, dict[int, Suspect]()
    names = answers.task.class_names
    doubts = contradicted(answers.probabilities, answers.labels)
    for position, suggested, probability in zip(
        doubts.positions.tolist(), doubts.suggested.tolist(), doubts.probability.tolist(), strict=True
    ):
        label = names[answers.labels[position]]
        given = answers.probabilities[position, answers.labels[position]]
        reason = f"another label is likelier: {names[suggested]} {probability:.1%}, {label} {given:.1%}"
        found[position] = Suspect(position, judged.names[position], label, names[suggested], probability, reason)
    for position, reason in (*_uniform(judged), *_strangers(judged)):
        label = names[answers.labels[position]]
        before = found.get(position, Suspect(position, judged.names[position], label, "", None, ""))
        found[position] = replace(before, reason="; ".join(filter(None, [before.reason, reason])))
    return list(found.values())


def _uniform(judged: OutOfSample) -> Iterator[tuple[int, str]]:
    for position, pixels in enumerate(judged.pixels(np.arange(len(judged.names)))):
        low, high = np.percentile(pixels, [1, 99], axis=(0, 1))
        if (high - low).max() <= NEARLY:
            yield position, "nearly uniform: it may be a placeholder"


def _strangers(judged: OutOfSample) -> Iterator[tuple[int, str]]:
    start = 0
    for part in judged.parts:  # what two networks see cannot be compared
        if part.features is not None:
            positions, alike, usual = strangers(part.features)
            for position, likeness in zip(positions.tolist(), alike.tolist(), strict=True):
                yield (
                    start + position,
                    f"unlike all others: its neighbours are {likeness:.2f} alike, usually {usual:.2f}",
                )
        start += len(part.split)


def _with_digests(judged: OutOfSample, suspects: list[Suspect]) -> Iterator[Suspect]:
    """The same with the SHA-256 of their files, by which it is seen later whether these have changed."""
    source = judged.source
    if source is None or source.kind not in PATHS or not suspects:
        yield from suspects
        return
    listing = list_source(replace(source, split="class", group_by=None, fold=None))
    place = {name: number for number, name in enumerate(listing.names)}
    for one in suspects:
        try:
            content = listing.contents.read(place[one.path])
        except (ImageError, KeyError):  # it has gone since its pixels were read
            yield one
        else:
            yield replace(one, sha256=hashlib.sha256(content).hexdigest())
