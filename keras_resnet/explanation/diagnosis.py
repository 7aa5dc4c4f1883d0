"""Find problems in a training's record, and say in plain words what to do about them.

A check says what it has seen and which remedies there are. What is said of all checks together is decided once:
causes that make a network learn badly at any learning rate come first (wrong pixels, frozen parts, wrong labels), and
while there is one, nothing is advised on what it brings about; and of two opposite remedies only the first is given.

The thresholds beside the checks separate healthy trainings from those with a problem. Those marked "measured" come
from trainings of ResNet-8 on digits: with the recipe as it is, with other batch sizes and learning rates, and with the
problems that `tests/explanation/test_ill_trainings.py` causes.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from keras_resnet.explanation.history import FEWEST_EPOCHS, FEWEST_STEP_ROWS, History, end, median, series, stage_series


@dataclass(frozen=True)
class Symptom:
    """A problem of a training.

    Args:
        code: For programs: a key of `CHECKS`.
        text: For people: what was seen, with numbers, and what to do.
    """

    code: str
    text: str


@dataclass(frozen=True)
class Remedy:
    """Something to do about a problem.

    Args:
        words: It, in the imperative.
        setting: What it changes; empty: nothing that another remedy may change the other way.
        more: Whether it asks for more of the setting, or for less. Two remedies of one setting are opposite if they
            differ in this.
    """

    words: str
    setting: str = ""
    more: bool = True


@dataclass(frozen=True)
class Finding:
    """What a check has seen.

    Args:
        seen: In words, with numbers.
        remedies: What to do about it; one of them is enough.
    """

    seen: str
    remedies: tuple[Remedy, ...] = ()


@dataclass(frozen=True)
class LabelAgreement:
    """How well a simple model predicts labels of images that it was not trained on.

    Args:
        accuracy: The share of labels that it agrees with.
        guess: The share of the most frequent label.
        images: How many were looked at.
    """

    accuracy: float
    guess: float
    images: int

    @property
    def is_by_chance(self) -> bool:
        """Whether the labels may as well have been drawn at random."""
        return self.accuracy <= _beyond_chance(self.guess, self.images)

    def __str__(self) -> str:
        return (
            f"a simple model of thumbnails predicts the labels of {self.images} training images at "
            f"{self.accuracy:.0%}, where guessing has {self.guess:.0%}{', which may be chance' * self.is_by_chance}"
        )


Check = Callable[[History, LabelAgreement | None], Iterator[Finding]]

RATE = "learning rate"
LOWER_RATE = Remedy("lower --learning-rate", RATE, more=False)
LONGER_WARMUP = Remedy("lengthen --warmup-epochs", RATE, more=False)
CLIP = Remedy("clip gradients by --clip norm", RATE, more=False)
FIND_RATE = Remedy("find a learning rate by keras-resnet find-lr", RATE, more=False)
TRAIN_LONGER = Remedy("train longer", "epochs", more=True)
LARGER_BATCH = Remedy("raise --batch-size", "batch size", more=True)
CHECK_LABELS = Remedy("look through labels and images by keras-resnet check")


# What makes a network learn badly at any learning rate: the pixels, the parts that are trained, the labels.

WEAK, STRONG = 0.02, 20.0
"""The deviation of what the network's first layer receives, between which any usual convention of normalising lies but
that of 0-255. Training learns most easily where it is about 1 (LeCun et al., "Efficient BackProp", 1998)."""
UNFIT = 3.0
"""Standard deviations by which frozen normalisation statistics may be off."""


def wrong_normalisation(history: History, _: LabelAgreement | None) -> Iterator[Finding]:
    """Pixels that reach the network otherwise than it needs them."""
    first = history.first
    if first is not None:
        if not first.are_usual:
            yield Finding(
                f"The pixels are probably normalised otherwise than those that the initial weights were trained on: "
                f"{first}.",
                (Remedy("say the weights' own normalisation by --weights-preprocessing"),),
            )
        return
    deviation = series(history.epochs, "input_deviation")
    if len(deviation) and _is_ill(history) and not WEAK <= deviation[-1] <= STRONG and np.isfinite(deviation[-1]):
        yield Finding(
            f"The pixels are not normalised: the network's first layer receives numbers that deviate by "
            f"{deviation[-1]:.2g}, where 1 is usual.",
            (Remedy("divide pixels by 255 once, or build the network with preprocessing="),),
        )


def frozen_parts(history: History, _: LabelAgreement | None) -> Iterator[Finding]:
    """Parts that are not trained, in a network that does not learn enough."""
    ill = _is_ill(history)
    if not ill and not _is_stuck(history):
        return
    gaps = stage_series(history.epochs, "batchnorm_gap")
    if ill and (series(history.epochs, "batch_per_normalisation")[-1:] == 0).any():
        ends = {stage: median(one[-FEWEST_EPOCHS:]) for stage, one in gaps.items()}
        worst = max(ends, key=lambda stage: np.nan_to_num(ends[stage]), default="")
        if worst and ends[worst] >= UNFIT:
            yield Finding(
                f"Batch normalisation is frozen with statistics that do not fit: those of {worst} lie "
                f"{ends[worst]:.2g} standard deviations from what its layers receive.",
                (Remedy("leave out --freeze-batchnorm, or begin with trained weights"),),
            )
    norms = stage_series(history.last_phase, "gradient_norms")
    parts = gaps | stage_series(history.epochs, "dead_units")
    if not norms or not history.last_phase:
        return
    frozen = [part for part in parts if not np.nan_to_num(norms.get(part, np.zeros(1)), nan=1.0).any()]
    if frozen:
        yield Finding(
            f"Parts of the network are frozen: no gradient reaches {_listed(sorted(frozen, key=list(parts).index))}, "
            "so that the others must make do with what these compute.",
            (Remedy("let them learn (layer.trainable = True), or begin with weights trained on similar images"),),
        )


def wrong_labels(history: History, agreement: LabelAgreement | None) -> Iterator[Finding]:
    """Labels that do not belong to the images."""
    by_chance = agreement is not None and agreement.is_by_chance
    said = f" {str(agreement)[0].upper()}{str(agreement)[1:]}." if agreement is not None else ""
    if _learns_by_heart(history):
        accuracies = [median(series(history.epochs, name)[-FEWEST_EPOCHS:]) for name in ("accuracy", "val_accuracy")]
        assert history.guesses is not None
        which = (
            "The labels of the validation images are probably others: check that both have the same classes in the "
            "same order."
            if agreement is not None and not by_chance
            else "Probably labels do not belong to their images, in training or in validation."
        )
        yield Finding(
            f"The network has learnt its training images ({accuracies[0]:.0%}), but validation images it tells no "
            f"better ({accuracies[1]:.0%}) than by naming the most frequent class ({history.guesses[1]:.0%}). "
            f"{which}{said}",
            (CHECK_LABELS,),
        )
    elif by_chance and _is_flat(history):
        yield Finding(f"The labels probably do not belong to their images.{said}", (CHECK_LABELS,))


def _is_ill(history: History) -> bool:
    """Whether the training goes so badly that something must be wrong."""
    return first_broken(history) is not None or _is_flat(history) or _has_risen(history)


def _is_stuck(history: History) -> bool:
    """Whether half of the training brought hardly anything, and the network is no better on its training images."""
    losses = series(history.epochs, "loss")
    if len(losses) < 2 * FEWEST_EPOCHS or not np.isfinite(losses).all():
        return False
    train, validation = (median(series(history.epochs, name)[-FEWEST_EPOCHS:]) for name in ("accuracy", "val_accuracy"))
    half = losses[len(losses) // 2]
    return (
        median(losses[-FEWEST_EPOCHS:]) > half * (1 - FALL_OF_LEARNING)
        and train < LEARNT
        and train < (validation + SMALL_GAP)
    )


def _learns_by_heart(history: History) -> bool:
    """Whether training images are learnt and validation images are guessed."""
    if history.guesses is None or len(history.epochs) < FEWEST_EPOCHS_OVERFITTING or not history.validation_images:
        return False
    train, validation = (median(series(history.epochs, name)[-FEWEST_EPOCHS:]) for name in ("accuracy", "val_accuracy"))
    knows = history.guesses[0] + (1 - history.guesses[0]) / 2  # half of what there is to learn
    return train >= knows and validation <= _beyond_chance(history.guesses[1], history.validation_images)


def _beyond_chance(guess: float, images: int) -> float:
    """An accuracy that guessing exceeds once in forty times."""
    return guess + 2 * math.sqrt(guess * (1 - guess) / images)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# Inside the network: gradients, ReLUs, batch normalisation.

UNEVEN_GRADIENTS = 1e-3
"""Ratio of the first to the last stage's gradient norm (or its inverse). Measured: 0.3 to 3 in healthy trainings, 2e-8
in a stack of ten sigmoid layers without shortcuts. Glorot & Bengio, 2010, describe the decay from layer to layer."""
GRADIENT_GROWTH = 100.0
"""Growth of the gradient norm of all layers from the first to the last fifth of a training. Measured: at most 5 in
healthy trainings."""
DEAD_SHARE = 0.2
"""Share of a stage's channels. Karpathy et al., CS231n notes, saw 0.4 with learning rates that are too high.
Measured: at most 0.03 in healthy trainings, 0.19 at ten times the learning rate, and 0.25 or more with channels that
begin at 0 on both paths and so stay dead."""
SMALL_BATCH = 16
"""Images that a batch normalisation sees. Wu & He, "Group Normalization", 2018: ResNet-50's error is 23.7 % with 16
or more images, 24.8 % with 8, 27.3 % with 4 and 34.7 % with 2."""
UNSETTLED = 0.5
"""Standard deviations by which normalisation statistics moved in an epoch, or by which they differ from the inputs of
the layers. Measured at the end: at most 0.03 and 0.15 in healthy trainings, 2.3 and 960 where the learning rate was too
high."""
FEWEST_LOOKED_AT = 32
"""With fewer images the second figure is mostly chance: the mean of 32 images errs by 0.18 standard deviations."""


def exploding(history: History, _: LabelAgreement | None) -> Iterator[Finding]:
    """Numbers that are infinite or NaN, and gradients that grow from layer to layer or during the training."""
    remedies = (LOWER_RATE, LONGER_WARMUP, CLIP)
    broken = first_broken(history)
    if broken:
        name, place = broken
        yield Finding(f"The {name} was infinite or not a number at {place}.", remedies)
        return
    ends = _first_and_last_norm(history)
    if not ends:
        return
    first, last, ratios = ends
    ratio = median(end(ratios))
    if ratio > 1 / UNEVEN_GRADIENTS:
        yield Finding(
            f"Gradients explode on their way back: at the end the norm in {first} is {ratio:.2g} times that in {last}.",
            (Remedy("let a normalisation follow every convolution"), *remedies),
        )
    norms = stage_series(history.last_phase, "gradient_norms")
    total = np.sqrt(np.nansum([norm**2 for norm in norms.values()], axis=0))
    before, after = median(end(total[::-1])), median(end(total))
    if after > GRADIENT_GROWTH * before:
        yield Finding(f"The gradient norm grew from {before:.2g} to {after:.2g} during the training.", remedies)


def vanishing(history: History, _: LabelAgreement | None) -> Iterator[Finding]:
    """Gradients that hardly reach the first layers."""
    ends = _first_and_last_norm(history)
    if not ends:
        return
    first, last, ratios = ends
    ratio = median(end(ratios))
    if ratio < UNEVEN_GRADIENTS:
        when = "during the whole training" if median(ratios) < UNEVEN_GRADIENTS else "at the end"
        yield Finding(
            f"Gradients vanish {when}: the norm in {first} is {ratio:.1g} of that in {last}, so that the first layers "
            "hardly learn.",
            (
                Remedy(
                    "check that shortcuts and normalisations are in place, that the initial weights fit, and that no "
                    "stage is dead"
                ),
            ),
        )


def dead_units(history: History, _: LabelAgreement | None) -> Iterator[Finding]:
    """ReLUs whose output is always zero."""
    courses = stage_series(history.epochs, "dead_units")
    ends = {stage: median(shares[-FEWEST_EPOCHS:]) for stage, shares in courses.items()}
    ill = [stage for stage, share in ends.items() if share >= DEAD_SHARE]
    if ill:
        looked = int(np.nansum(series(history.epochs, "images_looked_at")[-1:]))
        places = ", ".join(f"{ends[stage]:.0%} in {stage}" for stage in ill)
        always = all(courses[stage][0] >= DEAD_SHARE for stage in ill)
        since = " They were dead after the first epoch already." if always else ""
        anew = Remedy("begin anew with a lower --learning-rate or a longer --warmup-epochs", RATE, more=False)
        yield Finding(
            f"Dead ReLUs: the channels that are zero for all {looked or 'the'} validation images are {places}; without "
            f"a gradient they stay so.{since}",
            (Remedy("check the initial weights"), anew) if always else (anew,),
        )


def batch_too_small(history: History, _: LabelAgreement | None) -> Iterator[Finding]:
    """Batch normalisation over too few images."""
    batch = series(history.epochs, "batch_per_normalisation")[-1:]
    if 0 < batch.sum() < SMALL_BATCH:
        yield Finding(
            f"Batch normalisation sees {batch[0]:.0f} image{'s' if batch[0] > 1 else ''} at a time; with fewer than "
            f"{SMALL_BATCH} its statistics are so uncertain that accuracy suffers.",
            (
                LARGER_BATCH,
                Remedy("split the batch into fewer parts (--accumulate)"),
                Remedy("when fine-tuning, use --freeze-batchnorm"),
            ),
        )


def unsettled_statistics(history: History, _: LabelAgreement | None) -> Iterator[Finding]:
    """Moving averages, which the finished network normalises by, that differ from the inputs of its layers."""
    epochs = history.epochs
    if len(epochs) < FEWEST_EPOCHS or not series(epochs, "batch_per_normalisation")[-1] > 0:
        return
    looked = series(epochs, "images_looked_at")[-1]
    kinds = {"batchnorm_drift": "still move by {} standard deviations an epoch"}
    if looked >= FEWEST_LOOKED_AT:
        kinds["batchnorm_gap"] = "differ by {} standard deviations from the layers' inputs for validation images"
    for key, words in kinds.items():
        ends = {stage: median(one[-FEWEST_EPOCHS:]) for stage, one in stage_series(epochs, key).items()}
        worst = max(ends, key=lambda stage: np.nan_to_num(ends[stage]), default="")
        if worst and ends[worst] >= UNSETTLED:
            seen = words.format(f"{ends[worst]:.2g}")
            yield Finding(
                f"Batch normalisation has not settled: the moving statistics of {worst} {seen}. The finished network "
                "normalises by them, so that it may be less accurate than it could be.",
                (
                    TRAIN_LONGER,
                    Remedy("let the learning rate fall towards the end", RATE, more=False),
                    LARGER_BATCH,
                ),
            )
            return


def first_broken(history: History) -> tuple[str, str] | None:
    """The first number that was infinite or NaN: its name and where it occurred; None if there was none."""
    for row in history.steps:
        if np.isnan(series([row], "loss")).any():
            return "training loss", f"update {row['step']}"
        if np.isnan(list(stage_series([row], "gradient_norms").values())).any():
            return "gradient", f"update {row['step']}"
    for row in history.epochs:
        for key, name in (("loss", "training loss"), ("val_loss", "validation loss")):
            if np.isnan(series([row], key)).any():
                return name, f"the end of epoch {row['epoch']}"
    return None


def _first_and_last_norm(history: History) -> tuple[str, str, np.ndarray] | None:
    """The first and last of the stages that are trained at the end, and the ratio of their norms over the steps."""
    rows = history.last_phase
    norms = {stage: one for stage, one in stage_series(rows, "gradient_norms").items() if np.nanmax(one, initial=0) > 0}
    if len(rows) < FEWEST_STEP_ROWS or len(norms) < 2:
        return None
    first, *_, last = norms
    with np.errstate(divide="ignore", invalid="ignore"):
        return first, last, norms[first] / norms[last]


# The course of the training: the learning rate, overfitting, speed.

FEWEST_EPOCHS_OVERFITTING = 5
"""With fewer epochs, a rise of the validation loss may be noise."""
VALIDATION_RISE = 0.25
"""Relative rise of the validation loss above its minimum. Measured: at most 0.01 in healthy trainings."""
SMALL_GAP, LARGE_GAP = 0.05, 0.2
"""Training accuracy minus validation accuracy: a problem above the first if the loss rises, and above the second in any
case. A ResNet on CIFAR-10 ends at 0.06 to 0.08 (He et al., 2015: training error near 0, test error 6 to 8 %)."""
FALL_OF_LEARNING = 0.1
"""Relative fall of the training loss that counts as learning. Measured: 0.2 to 0.8 in healthy trainings, 0.03 at a
tenth of the learning rate."""
LEARNT = 0.9
"""Accuracy at which a loss need not fall any more: a pretrained network may begin there."""
FEW_UPDATES = 100
"""With fewer updates a loss may be flat at any learning rate: ResNet-20 on hand signs stays at chance for the first
five epochs, of 45 updates each (docs/log.md, "Hand signs")."""
RISE_OF_LOSS = 1.1
"""Ratio of the last to the first training loss above which the learning rate is too high."""
MOTIONLESS = 0.02
"""Drift of normalisation statistics, in standard deviations an epoch, below which weights hardly move. Measured: 0.05
to 0.4 in healthy trainings at the highest rate, 0.01 in the middle of a training at a tenth of it."""
THROUGHPUT_SHARE = 0.5
"""Images a second in the last third of a training, divided by those in the first third."""
SHORTEST_TIMED = 60.0
"""Seconds: in a shorter training, speeds are mostly chance."""


def learning_rate_too_high(history: History, _: LabelAgreement | None) -> Iterator[Finding]:
    """A loss that has risen."""
    if _has_risen(history):
        losses, rates = _losses(history), series(history.epochs, "learning_rate")
        yield Finding(
            f"The training loss rose from {losses[0]:.3g} to {median(losses[-FEWEST_EPOCHS:]):.3g} (learning rate "
            f"{_highest(rates)}).",
            (Remedy("the learning rate is too high: try a tenth of it", RATE, more=False),),
        )


def not_learning(history: History, agreement: LabelAgreement | None) -> Iterator[Finding]:
    """A loss that does not fall."""
    if not _is_flat(history):
        return
    losses, drift = _losses(history), _drift_of_body(history)
    seen = (
        f"The network does not learn: the training loss was {losses[0]:.3g} at first and is "
        f"{median(losses[-FEWEST_EPOCHS:]):.3g} after {len(history.epochs)} epochs (learning rate "
        f"{_highest(series(history.epochs, 'learning_rate'))})."
    )
    shift = f"normalisation statistics shift by {drift:.1g} standard deviations an epoch"
    if drift < MOTIONLESS:
        low = f"the weights hardly move ({shift}), so the learning rate is too low: try ten times as much"
        yield Finding(seen, (Remedy(low, RATE, more=True),))
    elif drift >= UNSETTLED:
        high = f"the weights move much ({shift}), so the learning rate is too high: try a tenth of it"
        yield Finding(seen, (Remedy(high, RATE, more=False),))
    elif (updates := series(history.epochs, "step")[-1]) < FEW_UPDATES:
        yield Finding(f"{seen} It made only {updates:.0f} updates.", (TRAIN_LONGER,))
    elif agreement is None:
        yield Finding(f"{seen} Check first that the labels fit the images (keras-resnet check).", (FIND_RATE,))
    else:
        fit = "" if agreement.is_by_chance else f" Labels are not the cause: {agreement}."
        yield Finding(seen + fit, (FIND_RATE,))


def _has_risen(history: History) -> bool:
    losses = _losses(history)
    if len(losses) < FEWEST_EPOCHS or first_broken(history):
        return False
    return bool(median(losses[-FEWEST_EPOCHS:]) > RISE_OF_LOSS * losses[0])


def _is_flat(history: History) -> bool:
    losses, accuracy = _losses(history), series(history.epochs, "accuracy")
    if len(history.epochs) < FEWEST_EPOCHS or not np.isfinite(losses).all():
        return False
    first, last = losses[0], median(losses[-FEWEST_EPOCHS:])
    return bool(first * (1 - FALL_OF_LEARNING) < last <= first * RISE_OF_LOSS and not accuracy[-1] >= LEARNT)


def overfitting(history: History, _: LabelAgreement | None) -> Iterator[Finding]:
    """A network that is much better on its training images than on validation images."""
    train, validation = (series(history.epochs, name) for name in ("loss", "val_loss"))
    if len(train) < FEWEST_EPOCHS_OVERFITTING or not np.isfinite([train, validation]).all():
        return
    if _learns_by_heart(history) or _is_flat(history):
        return  # the labels are in doubt; or it does not even learn its training images
    validation = _smooth(validation)
    best = int(validation.argmin())
    ends = [median(series(history.epochs, name)[-FEWEST_EPOCHS:]) for name in ("accuracy", "val_accuracy")]
    gap = ends[0] - ends[1]
    images = history.validation_images
    chance = 2 * math.sqrt(ends[1] * (1 - ends[1]) / images) if images else 0.0
    rises = validation[-1] > (1 + VALIDATION_RISE) * validation[best] and train[-1] < train[best]
    seen = f"training accuracy is {ends[0]:.0%}, validation accuracy {ends[1]:.0%}"
    if rises and gap >= max(SMALL_GAP, chance):
        seen = (
            f"the validation loss was lowest after epoch {best + 1} ({validation[best]:.3g}) and has risen to "
            f"{validation[-1]:.3g} while the training loss fell to {train[-1]:.3g}; {seen}"
        )
    elif gap < max(LARGE_GAP, chance):
        return
    yield Finding(
        f"Overfitting: {seen}. More images help most.",
        (
            Remedy("otherwise augment more (--augment, --automatic)"),
            Remedy("raise --weight-decay"),
            Remedy("train fewer --epochs", "epochs", more=False),
            Remedy("use a smaller --model"),
            Remedy("begin with pretrained weights"),
        ),
    )


def throughput_collapse(history: History, _: LabelAgreement | None) -> Iterator[Finding]:
    """A training that has become slow."""
    rows = history.last_phase[1:]  # the first includes compilation
    rates = series(rows, "images_per_second")
    third = len(rates) // 3
    if third < FEWEST_STEP_ROWS or np.nansum(series(history.epochs, "seconds")) < SHORTEST_TIMED:
        return
    before, after = median(rates[:third]), median(rates[-third:])
    if after < THROUGHPUT_SHARE * before:
        yield Finding(
            f"Training slowed down from {before:.0f} to {after:.0f} images a second. Possible causes: other programs, "
            "too little memory (swapping), a processor that is too hot, a slow disk or network that images come from."
        )


def _losses(history: History) -> np.ndarray:
    """Training losses: of the first row of steps, which the mean of the first epoch hides, and of each epoch."""
    return np.concatenate([series(history.steps[:1], "loss"), series(history.epochs, "loss")])


def _drift_of_body(history: History) -> float:
    """The median drift of the stages after the warm-up, without the stem, whose input never changes; NaN: unknown."""
    drifts = [one for stage, one in stage_series(history.epochs[2:], "batchnorm_drift").items() if stage != "stem"]
    return median(np.concatenate(drifts)) if drifts else math.nan


def _smooth(values: np.ndarray) -> np.ndarray:
    """The median of each value and its neighbours."""
    padded = np.pad(values, 1, mode="edge")
    return np.median([padded[:-2], values, padded[2:]], axis=0)


def _highest(rates: np.ndarray) -> str:
    return f"{np.nanmax(rates):.2g} at its highest" if np.isfinite(rates).any() else "unknown"


CAUSES: dict[str, Check] = {
    "wrong-normalisation": wrong_normalisation,
    "frozen-parts": frozen_parts,
    "wrong-labels": wrong_labels,
}
"""What is ruled out before anything is advised on the learning rate."""
CHECKS: dict[str, Check] = CAUSES | {
    "exploding-gradients": exploding,
    "vanishing-gradients": vanishing,
    "dead-relu": dead_units,
    "learning-rate-too-high": learning_rate_too_high,
    "not-learning": not_learning,
    "overfitting": overfitting,
    "batch-too-small": batch_too_small,
    "batchnorm-unsettled": unsettled_statistics,
    "throughput-collapse": throughput_collapse,
}
INDEPENDENT = {"overfitting", "batch-too-small", "throughput-collapse"}
"""What no cause brings about; of the others' remedies nothing is said as long as there is a cause."""


def diagnose(history: History, labels: Callable[[], LabelAgreement | None] = lambda: None) -> list[Symptom]:
    """Look for problems in a training.

    Args:
        history: The training's record.
        labels: Finds out whether the training labels fit the images; called only where the training gives cause for
            it. None: it can't be found out.

    Returns:
        The problems in the order of `CHECKS`; none if the training looks healthy. No two of them advise the opposite,
        and where the pixels, frozen parts or the labels are to blame, nothing is advised on the learning rate.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # of series that are all NaN; their results are NaN, too
        agreement = labels() if _is_flat(history) or _learns_by_heart(history) else None
        found = [(code, one) for code, check in CHECKS.items() for one in check(history, agreement)]
    settled: dict[str, bool] = {}
    blamed = any(code in CAUSES for code, _ in found)
    return [
        Symptom(code, _text(one, settled, caused=blamed and not (code in CAUSES or code in INDEPENDENT)))
        for code, one in found
    ]


def _text(finding: Finding, settled: dict[str, bool], *, caused: bool) -> str:
    """A finding in words, without remedies that others rule out.

    Args:
        finding: It.
        settled: For each setting, whether there shall be more of it, as remedies before this one have said; these are
            added.
        caused: Whether another finding is probably its cause.
    """
    fitting = []
    for remedy in finding.remedies:
        if caused or settled.get(remedy.setting, remedy.more) != remedy.more:
            continue
        fitting.append(remedy.words)
        if remedy.setting:
            settled[remedy.setting] = remedy.more
    if not fitting:
        why = " What stands first is probably the cause: mend it before anything else."
        return finding.seen + why * bool(finding.remedies)
    advice = (
        ", ".join(fitting[:-1]) + f"{', or ' if len(fitting) > 2 else ' or '}{fitting[-1]}"
        if fitting[1:]
        else fitting[0]
    )
    return f"{finding.seen} {advice[0].upper()}{advice[1:]}."
