"""How a model does on images that get worse: the benchmark of Hendrycks and Dietterich (2019) on any test images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypedDict

import numpy as np

from keras_resnet import pictures
from keras_resnet.atomic import write_json
from keras_resnet.errors import DataError, UsageError
from keras_resnet.evaluation.corruptions import BETWEEN, CORRUPTIONS, PUBLISHED, SEVERITIES, corrupt
from keras_resnet.evaluation.evaluate import BATCH, Evaluation
from keras_resnet.inference.predictor import Predictor
from keras_resnet.json_files import read_json
from keras_resnet.settings import Values
from keras_resnet.tasks.intervals import bounded_interval, by_group

RESAMPLES = 1000
CHUNK = 100
"""Resamples at a time."""
LEVEL = 0.05
FAMILY_COLOURS = {"noise": "#b5453a", "blur": "#3b6ea5", "weather": "#5a8f4e", "digital": "#8a6bb0"}

Show = Callable[[str, int, int], None]
"""Called with what is done, how far it is, and of how much."""


class WrittenShare(TypedDict):
    """A share in `corruptions.json`."""

    accuracy: float
    interval: list[float]


class WrittenCorruption(WrittenShare):
    """A corruption there, in the mean of its severities, and by severity."""

    name: str
    severities: list[WrittenShare]


class WrittenRobustness(TypedDict):
    """What is read of `corruptions.json`; it has more."""

    images: Annotated[int, Values(int, low=1)]
    clean: WrittenShare
    mean: WrittenShare
    severities: list[WrittenShare]
    corruptions: list[WrittenCorruption]


def read_robustness(path: Path) -> WrittenRobustness:
    """Read what `Robustness.write` has written.

    Raises:
        ModelError: The file is damaged.
    """
    return read_json(path, WrittenRobustness)


@dataclass(frozen=True)
class Share:
    """A share of images with its 95 % interval, all 0–1."""

    value: float
    interval: tuple[float, float]

    @classmethod
    def of(cls, rights: np.ndarray, groups: np.ndarray | None = None) -> Share:
        """The mean of what is right of each image, with Wilson's interval.

        One image under several corruptions is not several images. So n is the number of independent images that would
        give the mean the same variance (Korn and Graubard, Confidence Intervals for Proportions with Small Expected
        Number of Positive Counts Estimated from Survey Data, 1998); at least that of the images, unless they are of
        groups.

        Args:
            rights: (images,), the share of an image's answers that are right, or whether the one is.
            groups: int (images,), or None: see `keras_resnet.tasks.intervals`.
        """
        mean = float(rights.mean())
        return cls(mean, bounded_interval(mean, rights - mean, groups, units=len(rights), most=math.inf))

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {"accuracy": self.value, "interval": list(self.interval)}


@dataclass(frozen=True)
class Robustness:
    """How often a model is right on corrupted images.

    Args:
        name: Of the model and the data, for titles.
        names: Of the corruptions.
        clean: bool (images,): which are answered wholly right as they are.
        right: bool (corruptions, severities, images): the same of corrupted ones.
        numbers: Whose numbers were taken: `CIFAR-10-C` or `ImageNet-C`.
        seed: Of the corruptions.
        sample: uint8 (height, width, channels), an image for the mosaic.
        reference: Another model on the same corrupted images, by whose errors this one's are divided.
        groups: int (images,): images of one group are not independent, and intervals are by group; None: all are.
    """

    name: str
    names: tuple[str, ...]
    clean: np.ndarray
    right: np.ndarray
    numbers: str
    seed: int
    sample: np.ndarray
    reference: Robustness | None = None
    groups: np.ndarray | None = None

    @property
    def published(self) -> np.ndarray:
        """Which corruptions mean figures are of, int64: the fifteen of the paper as far as they were asked for."""
        kept = [place for place, name in enumerate(self.names) if name in PUBLISHED]
        return np.array(kept or range(len(self.names)))

    @property
    def on_clean(self) -> Share:
        """The accuracy on the images as they are."""
        return Share.of(self.clean, self.groups)

    def at(self, name: str, severity: int) -> Share:
        """The accuracy under one corruption.

        Args:
            name: Of the corruption.
            severity: 1–5.
        """
        return Share.of(self.right[self.names.index(name), severity - 1], self.groups)

    def under(self, name: str) -> Share:
        """The mean accuracy under one corruption, over severities."""
        return Share.of(self.right[self.names.index(name)].mean(axis=0), self.groups)

    def at_severity(self, severity: int) -> Share:
        """The mean accuracy at one severity, over the corruptions that mean figures are of."""
        return Share.of(self.right[self.published, severity - 1].mean(axis=0), self.groups)

    @property
    def mean(self) -> Share:
        """The mean accuracy over corruptions and severities; 1 less this is the mean error."""
        return Share.of(self.right[self.published].mean(axis=(0, 1)), self.groups)

    def corruption_error(self, name: str) -> float | None:
        """The errors under a corruption, of all severities, divided by the reference's; the paper's CE.

        Args:
            name: Of the corruption.

        Returns:
            The ratio, 1 where both err as often; None without a reference, or where that never errs.
        """
        if self.reference is None:
            return None
        own, others = (float((~one.right[self.names.index(name)]).mean()) for one in (self, self.reference))
        return own / others if others else None

    @property
    def mean_corruption_error(self) -> tuple[float, tuple[float, float]] | None:
        """The paper's mCE: the mean of `corruption_error`, with its 95 % interval; None where one of them is.

        The interval is the bootstrap's, for which images, or whole groups, are drawn with replacement, the same for
        both models.
        """
        if self.reference is None:
            return None
        own, others = (~one.right[self.published] for one in (self, self.reference))
        own, others = (one.mean(axis=1).astype(np.float32) for one in (own, others))  # (corruptions, images)
        if (others.mean(axis=1) == 0).any():
            return None
        value = float((own.mean(axis=1) / others.mean(axis=1)).mean())
        if self.groups is not None:
            own, others = (np.stack([by_group(row, self.groups) for row in one]) for one in (own, others))
        random, units = np.random.default_rng(self.seed), own.shape[1]
        if units < 2:
            return value, (0.0, math.inf)
        found = []
        for _ in range(0, RESAMPLES, CHUNK):
            weights = random.multinomial(units, np.full(units, 1 / units), CHUNK).T.astype(np.float32)
            with np.errstate(divide="ignore", invalid="ignore"):
                found.append(((own @ weights) / (others @ weights)).mean(axis=0))
        drawn = np.concatenate(found)
        drawn = drawn[np.isfinite(drawn)]
        low, high = np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2]) if len(drawn) else (0.0, math.inf)
        return value, (float(low), float(high))

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        error = self.mean_corruption_error
        rows = [
            {
                "name": name,
                "family": CORRUPTIONS[name].family,
                "in_means": name in PUBLISHED,
                **self.under(name).to_dict(),
                "corruption_error": self.corruption_error(name),
                "severities": [self.at(name, severity).to_dict() for severity in SEVERITIES],
            }
            for name in self.names
        ]
        return {
            "model": self.name,
            "images": len(self.clean),
            "groups": None if self.groups is None else len(np.unique(self.groups)),
            "numbers": self.numbers,
            "frost": "computed, not of photographs: not comparable with published figures",
            "seed": self.seed,
            "clean": self.on_clean.to_dict(),
            "mean": self.mean.to_dict(),
            "mean_error": 1 - self.mean.value,
            "severities": [self.at_severity(severity).to_dict() for severity in SEVERITIES],
            "corruptions": rows,
            "reference": None if self.reference is None else self.reference.name,
            "mean_corruption_error": None if error is None else error[0],
            "mean_corruption_error_interval": None if error is None else [_finite(bound) for bound in error[1]],
        }

    def write(self, folder: Path) -> list[Path]:
        """Write `corruptions.json` and, where matplotlib is installed, `corruptions.png` and `corruptions_images.png`.

        Returns:
            The files.
        """
        files = [folder / "corruptions.json"]
        write_json(files[0], self.to_dict())
        if pictures.available():
            files += [folder / "corruptions.png", folder / "corruptions_images.png"]
            self._draw_accuracies(files[1])
            self._draw_images(files[2])
        return files

    def _draw_accuracies(self, path: Path) -> None:
        figure = pictures.new_figure(11, 1.6 + 0.3 * len(self.names))
        lines, bars = figure.subplots(1, 2, width_ratios=(1, 1.2))
        values = [self.on_clean, *(self.at_severity(severity) for severity in SEVERITIES)]
        lines.errorbar(range(6), [one.value for one in values], _reach(values), color="black", marker="o", label="mean")
        for family, colour in FAMILY_COLOURS.items():
            chosen = [place for place in self.published if CORRUPTIONS[self.names[place]].family == family]
            if chosen:
                means = [self.clean.mean(), *self.right[chosen].mean(axis=(0, 2))]
                lines.plot(range(6), means, color=colour, marker=".", label=family)
        lines.set(xlabel="severity (0: as they are)", ylabel="accuracy", ylim=(0, 1))
        lines.legend()
        shown = [self.under(name) for name in self.names]
        colours = [FAMILY_COLOURS[CORRUPTIONS[name].family] for name in self.names]
        places = range(len(self.names))
        bars.barh(places, [one.value for one in shown], xerr=_reach(shown), color=colours, ecolor="black")
        bars.axvline(self.on_clean.value, color="black", linewidth=1)
        bars.set_yticks(places, [_title(name) for name in self.names])
        bars.invert_yaxis()
        bars.set(xlabel="accuracy, mean of the severities (line: as they are)", xlim=(0, 1))
        figure.suptitle(pictures.short(self.name, 100))
        pictures.save(figure, path)

    def _draw_images(self, path: Path) -> None:
        figure = pictures.new_figure(8.5, 1.3 * len(self.names))
        for row, name in zip(figure.subplots(len(self.names), 6, squeeze=False), self.names, strict=True):
            for severity, axes in enumerate(row):
                image = corrupt(self.sample, name, severity, self.seed) if severity else self.sample
                axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
                axes.axis("off")
            row[0].set_title(_title(name), fontsize=8, loc="left")
        pictures.save(figure, path)


def robustness(
    evaluation: Evaluation,
    *,
    reference: Evaluation | None = None,
    names: Sequence[str] = tuple(CORRUPTIONS),
    seed: int = 0,
    show: Show | None = None,
) -> Robustness:
    """Corrupt the images of an evaluation, and ask its model again.

    Args:
        evaluation: Of the model, as `evaluate` gives it, without test-time augmentation.
        reference: Of another model on the same images.
        names: Of corruptions; default: all nineteen, of which the means are of the paper's fifteen.
        seed: Of the corruptions.
        show: Called with what is done.

    Raises:
        DataError: The reference was evaluated on other images, or the images have no 1 or 3 channels.
        UsageError: There is no such corruption, or an evaluation does not know its images.

    Example:
        >>> import keras_resnet
        >>> found = keras_resnet.robustness(keras_resnet.evaluate("saved_models/photos"))  # doctest: +SKIP
        >>> found.on_clean.value, found.mean.value, found.at("fog", 3)  # doctest: +SKIP
    """
    unknown = [name for name in names if name not in CORRUPTIONS]
    if unknown or not names:
        raise UsageError(f"there is no corruption {', '.join(unknown) or 'named'}; there are {', '.join(CORRUPTIONS)}")
    own, others = ((one.names, len(one.labels)) for one in (evaluation, reference or evaluation))
    if reference is not None and own != others:
        raise DataError(
            f"the reference was evaluated on other images: {reference.data_name} instead of {evaluation.data_name}"
        )
    models = [evaluation] if reference is None else [evaluation, reference]
    found = _measured(models, tuple(names), seed, show or (lambda what, done, total: None))
    return found[0] if reference is None else replace(found[0], reference=found[1])


def _measured(models: Sequence[Evaluation], names: tuple[str, ...], seed: int, show: Show) -> list[Robustness]:
    """Each model's answers; images that are the same for all are corrupted once."""
    splits = [one.split for one in models if one.split is not None]
    if len(splits) < len(models):
        raise UsageError("this evaluation does not know its images any more: evaluate again")
    images = len(splits[0])
    right = [np.empty((len(names), len(SEVERITIES), images), bool) for _ in models]
    for start in range(0, images, BATCH):
        part = slice(start, start + BATCH)
        pixels = [split.read(part) for split in splits]
        is_shared = all(np.array_equal(pixels[0], one) for one in pixels)
        for place, name in enumerate(names):
            for severity in SEVERITIES:
                worse = [corrupt(one, name, severity, seed) for one in (pixels[:1] if is_shared else pixels)]
                for model, found, given in zip(models, right, worse * len(models) if is_shared else worse, strict=True):
                    logits = model.predictor.logits(given)
                    found[place, severity - 1, part] = _right(model.predictor, logits, model.labels[part])
            show("corrupting images", start * len(names) + (place + 1) * len(pixels[0]), images * len(names))
    return [
        Robustness(
            name=f"{model.predictor.path or model.predictor.name} on {model.data_name}",
            names=names,
            clean=_right(model.predictor, model.logits, model.labels),
            right=found,
            numbers="CIFAR-10-C" if min(split.images.shape[:2]) < BETWEEN else "ImageNet-C",
            seed=seed,
            sample=split.read(slice(0, 1))[0],
            groups=model.groups,
        )
        for model, found, split in zip(models, right, splits, strict=True)
    ]


def _right(predictor: Predictor, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which images are answered wholly right."""
    same = predictor.task.decisions(logits) == labels
    return np.asarray(same.reshape(len(same), -1).all(axis=1))


def _reach(values: Sequence[Share]) -> np.ndarray:
    """How far intervals reach below and above, (2, n)."""
    below = [one.value - one.interval[0] for one in values]
    return np.maximum([below, [one.interval[1] - one.value for one in values]], 0)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _title(name: str) -> str:
    return name.replace("_", " ").replace("jpeg", "JPEG")
