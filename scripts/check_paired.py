"""Check by simulation that the tests and intervals of `keras-resnet compare` err as often as they say.

python scripts/check_paired.py                    # 10,000 draws of each case, three minutes of one core
python scripts/check_paired.py --draws 1000

Pairs of models are drawn whose true difference is known. A test's size, how often it finds a difference where there is
none, must not be above 5 %; an interval must hold the true difference in 95 % of the draws. Both are judged with the
simulation's own error, of three standard deviations; intervals may be a point short, as those that are not exact are.
Rows in brackets are what must not be used: they show what a correction is for. Exits with 1 where a row does not hold.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from keras_resnet.evaluation.paired import (
    LEVEL,
    POWER,
    bootstrap_difference,
    images_needed,
    mcnemar,
    paired_difference,
    paired_t_test,
)
from keras_resnet.evaluation.unpaired import independent_difference, mean_accuracy
from keras_resnet.tasks.intervals import share_interval

Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray, np.ndarray | None]]
SHORT = 0.01
"""By how much the coverage of an interval that is not exact may be short."""


@dataclass(frozen=True)
class Row:
    """What a simulation found.

    Args:
        what: Which test or interval, and its size or coverage.
        case: Of which models and images.
        share: Of the draws in which the test found a difference, or the interval held the true one.
        draws: How many there were.
        holds: Whether that is as it should be; None: nobody says it should.
    """

    what: str
    case: str
    share: float
    draws: int
    holds: bool | None

    def __str__(self) -> str:
        verdict = {True: "holds", False: "DOES NOT HOLD", None: "(not relied on)"}[self.holds]
        return f"{self.what:64} {self.case:58} {self.share:7.2%}  {verdict}"


@cache
def _exact(lost: int, won: int) -> float:
    return mcnemar(np.arange(lost + won) < lost, np.arange(lost + won) >= lost)


def of_counts(first: np.ndarray, second: np.ndarray) -> float:
    """McNemar's p, which depends on two counts only, so that none is computed twice."""
    return _exact(int((first & ~second).sum()), int((~first & second).sum()))


def error(share: float, draws: int) -> float:
    return 3 * math.sqrt(share * (1 - share) / draws)


def independent(images: int, up: float, down: float) -> Draw:
    """Each image is one on which the second alone is right with probability `up`, the first alone with `down`."""

    def draw(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, None]:
        value = random.random(images)
        return value >= up, (value < up) | (value >= up + down), None

    return draw


def grouped(groups: int, each: int, disagreement: float, likeness: float) -> Draw:
    """Groups of images: with probability `likeness` an image does as its group does. There is no true difference."""

    def draw(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        sizes = random.integers(1, 2 * each, groups)
        number = np.repeat(np.arange(groups), sizes)
        own, of_group = random.random(len(number)), random.random(groups)[number]
        value = np.where(random.random(len(number)) < likeness, of_group, own)
        up = value < disagreement / 2
        down = (value >= disagreement / 2) & (value < disagreement)
        return ~up, ~down, number

    return draw


INDEPENDENT = {
    f"{images} images, {100 * up:g} % and {100 * down:g} % alone": (images, up, down)
    for images in (50, 412, 2000)
    for up, down in ((0.01, 0.01), (0.05, 0.05), (0.2, 0.2), (0.04, 0.01), (0.1, 0.0))
}
GROUPED = {
    f"{groups} groups of {each}, {disagreement:.0%} alone, alike {likeness:g}": (
        groups,
        each,
        disagreement,
        likeness,
    )
    for groups, each in ((20, 5), (100, 4))
    for disagreement, likeness in ((0.05, 0.8), (0.3, 0.5))
}


def simulate(draws: int, seed: int) -> Iterator[Row]:
    """All cases.

    Args:
        draws: Of each.
        seed: Of the draws.
    """
    for part in (of_images, of_groups, of_trainings, of_size, of_splits, of_grouped_splits, of_two_sets_of_folds):
        yield from part(draws, seed)


def of_images(draws: int, seed: int) -> Iterator[Row]:
    for case, (images, up, down) in INDEPENDENT.items():
        draw, random = independent(images, up, down), np.random.default_rng(seed)
        rejected, held, resampled = np.zeros((3, draws), bool)
        for number in range(draws):
            first, second, _ = draw(random)
            rejected[number] = of_counts(first, second) <= LEVEL
            held[number] = _holds(paired_difference(first, second)[1], up - down)
            resampled[number] = _holds(bootstrap_difference(first, second, resamples=500, seed=number), up - down)
        if up == down:
            yield _size("McNemar, size", case, rejected)
        yield _coverage("interval, coverage", case, held)
        few = images * (up + down) < 20  # percentiles of so few images are known to be too narrow
        yield _coverage("bootstrap, coverage", case, resampled, judged=not few)


def of_groups(draws: int, seed: int) -> Iterator[Row]:
    for case, settings in GROUPED.items():
        draw, random = grouped(*settings), np.random.default_rng(seed)
        rejected, naive, held, naively = np.zeros((4, draws), bool)
        for number in range(draws):
            first, second, groups = draw(random)
            rejected[number] = mcnemar(first, second, groups) <= LEVEL
            naive[number] = of_counts(first, second) <= LEVEL
            held[number] = _holds(paired_difference(first, second, groups)[1], 0)
            naively[number] = _holds(paired_difference(first, second)[1], 0)
        yield _size("McNemar by group, size", case, rejected)
        yield _size("McNemar of grouped images as if they were independent, size", case, naive, judged=False)
        yield _coverage("interval by group, coverage", case, held)
        yield _coverage("interval of grouped images as if independent, coverage", case, naively, judged=False)


def of_trainings(draws: int, seed: int) -> Iterator[Row]:
    """Seeds on one test set; and folds: two learners that are equally good, trained on what the test leaves."""
    random = np.random.default_rng(seed)
    for count in (3, 5, 10):
        found = random.normal(0, 1, (draws, count))
        rejected = np.array([paired_t_test(row).p <= LEVEL for row in found])
        yield _size("t-test over seeds, size", f"{count} seeds", rejected)
    # Nearest class mean on half of the numbers against the same on the other half: equally good by symmetry. Their
    # folds share training images, as those of networks do.
    for count in (5, 10):
        plain, corrected = np.zeros((2, draws), bool)
        for number in range(draws):
            accuracies = _cross_validated(random, count)
            differences = accuracies[:, 1] - accuracies[:, 0]
            plain[number] = paired_t_test(differences).p <= LEVEL
            corrected[number] = paired_t_test(differences, 1 / (count - 1)).p <= LEVEL
        yield _size("t-test over folds, corrected, size", f"{count} folds of 60 images", corrected)
        yield _size("t-test over folds as if they were independent, size", f"{count} folds of 60", plain, judged=False)


def _cross_validated(random: np.random.Generator, folds: int, images: int = 60) -> np.ndarray:
    """Of each fold, the accuracies of both learners; (folds, 2)."""
    labels = np.arange(images) % 2
    numbers = random.normal(0, 1, (images, 8)) + 0.4 * labels[:, None]
    part = random.permutation(images) % folds
    accuracies = []
    for fold in range(folds):
        test = part == fold
        right = []
        for columns in (slice(0, 4), slice(4, 8)):
            seen, asked = numbers[~test][:, columns], numbers[test][:, columns]
            means = [seen[labels[~test] == label].mean(axis=0) for label in (0, 1)]
            distances = [((asked - mean) ** 2).sum(axis=1) for mean in means]
            right.append(np.mean((distances[1] < distances[0]) == labels[test]))
        accuracies.append(right)
    return np.array(accuracies)


def of_size(draws: int, seed: int) -> Iterator[Row]:
    """How often the difference is shown with the images that are said to be needed."""
    random = np.random.default_rng(seed)
    for difference, disagreement in ((1.0, 4.0), (2.0, 3.0), (5.0, 20.0)):
        needed = images_needed(difference, disagreement)
        assert needed is not None
        draw = independent(needed, (disagreement + difference) / 200, (disagreement - difference) / 200)
        shown = np.array([of_counts(*draw(random)[:2]) <= LEVEL for _ in range(draws)])
        case = f"{needed} images for {difference:g} points where {disagreement:g} % are right alone"
        apart = abs(float(shown.mean()) - POWER)
        yield Row(
            "McNemar, power of 80 %", case, float(shown.mean()), len(shown), apart <= error(POWER, len(shown)) + 0.005
        )


SPLITS = {
    f"{images} and {others} images, {first:.1%} and {second:.1%} right": (images, others, first, second)
    for images, others in ((50, 40), (412, 211))
    for first, second in ((0.8, 0.8), (0.95, 0.95), (0.99, 0.6), (0.995, 0.97))
}


def of_splits(draws: int, seed: int) -> Iterator[Row]:
    """Two tests of other images; and of which a fifth are the same, where both trainings are right or wrong alike."""
    between = cache(independent_difference)
    for case, (images, others, first, second) in SPLITS.items():
        for part, words in ((0.0, ""), (0.2, ", a fifth shared")):
            random = np.random.default_rng(seed)
            shared = round(part * min(images, others))
            same = random.random((draws, shared))
            hits = random.binomial(images - shared, first, draws) + (same < first).sum(1)
            other_hits = random.binomial(others - shared, second, draws) + (same < second).sum(1)
            pairs = zip(hits.tolist(), other_hits.tolist(), strict=True)
            held = np.array([_holds(between(one, images, two, others)[1], second - first) for one, two in pairs])
            yield _coverage(f"interval of two splits, coverage{words}", case, held)


GROUPED_SPLITS = {
    f"{groups} groups of {each} and {others} groups of {other}, {right:.0%} right, alike {likeness:g}": (
        (groups, each),
        (others, other),
        right,
        likeness,
    )
    for (groups, each), (others, other) in (((80, 5), (20, 10)), ((400, 1), (10, 20)))
    for right, likeness in ((0.8, 0.3), (0.95, 0.1))
}


def of_grouped_splits(draws: int, seed: int) -> Iterator[Row]:
    """Two tests of other groups, whose accuracies are beta-distributed around the same one."""
    for case, (*sizes, right, likeness) in GROUPED_SPLITS.items():
        random, strength = np.random.default_rng(seed), (1 - likeness) / likeness
        held, naively = np.zeros((2, draws), bool)
        for number in range(draws):
            counts, intervals = [], []
            for groups, each in sizes:
                easy = random.beta(right * strength, (1 - right) * strength, groups)
                answers = random.random((groups, each)) < easy[:, None]
                counts += [int(answers.sum()), answers.size]
                intervals.append(share_interval(answers.ravel(), np.repeat(np.arange(groups), each)))
            found = independent_difference(*counts, intervals=(intervals[0], intervals[1]))
            held[number] = _holds(found[1], 0)
            naively[number] = _holds(independent_difference(*counts)[1], 0)
        yield _coverage("interval of two splits by group, coverage", case, held)
        yield _coverage("interval of two grouped splits as if independent, coverage", case, naively, judged=False)


def of_two_sets_of_folds(draws: int, seed: int) -> Iterator[Row]:
    """Welch's test where the images of each side are divided anew, and the kind of split makes no difference."""
    random = np.random.default_rng(seed)
    for count in (5, 10):
        rejected = np.zeros(draws, bool)
        for number in range(draws):
            means = [
                mean_accuracy(_cross_validated(random, count)[:, 0], test_by_train=1 / (count - 1)) for _ in range(2)
            ]
            rejected[number] = means[0].less(means[1]).p <= LEVEL
        yield _size("Welch's test of two sets of folds, corrected, size", f"{count} folds of 60 images", rejected)


def _holds(interval: tuple[float, float], difference: float) -> bool:
    return interval[0] <= 100 * difference + 1e-9 and 100 * difference - 1e-9 <= interval[1]


def _size(what: str, case: str, rejected: np.ndarray, *, judged: bool = True) -> Row:
    share, draws = float(rejected.mean()), len(rejected)
    return Row(what, case, share, draws, share <= LEVEL + error(LEVEL, draws) if judged else None)


def _coverage(what: str, case: str, held: np.ndarray, *, judged: bool = True) -> Row:
    share, draws = float(held.mean()), len(held)
    return Row(what, case, share, draws, share >= 1 - LEVEL - SHORT - error(LEVEL, draws) if judged else None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = 0
    for row in simulate(options.draws, options.seed):
        print(row, flush=True)
        failed += row.holds is False
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
