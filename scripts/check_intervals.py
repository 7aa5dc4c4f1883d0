"""Show how often the 95 % intervals of an evaluation hold what they are for, over many simulated test sets.

Each population is known: its true figures are those of a million images. Test sets are drawn from it, by image or by
whole groups, and judged as `keras-resnet evaluate` judges them. Beside the share of intervals that hold the true figure
stands where the others missed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnet.atomic import write_json
from keras_resnet.cli.running import script_main
from keras_resnet.cli.tables import table
from keras_resnet.cli.terminal import say
from keras_resnet.tasks.table import task
from keras_resnet.tasks.task import Answers, Task

TRUTH = 1_000_000
Drawn = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Logits, labels, groups."""


@dataclass(frozen=True)
class Population:
    """Images and a model's logits for them, as many as are asked for.

    Args:
        title: In the table.
        task: What is asked.
        images: In a test set; by group: about so many.
        draw: Gives so many.
    """

    title: str
    task: Task
    images: int
    draw: Callable[[np.random.Generator, int], Drawn]


def classified(
    classes: int, signal: float, *, shares: np.ndarray | None = None, sharpness: float = 1.0, group: int = 0
) -> Callable[[np.random.Generator, int], Drawn]:
    """Logits of independent classes; the true one is higher by a signal.

    Args:
        classes: How many.
        signal: In deviations of the logits.
        shares: Of the classes; None: equal.
        sharpness: Logits are multiplied by it: 1 is about what probabilities should be, above is too sure.
        group: Images of a group, which share half of the variance of their signal; 0: no groups.
    """

    def draw(random: np.random.Generator, images: int) -> Drawn:
        labels = random.choice(classes, images, p=shares)
        logits = random.standard_normal((images, classes))
        own, groups = np.full(images, signal), None
        if group:
            groups = np.arange(images) // group
            own = own + random.standard_normal(groups[-1] + 1)[groups] * signal / 2
        logits[np.arange(images), labels] += own
        return signal * sharpness * logits, labels, groups

    return draw


def labelled(
    classes: int, signal: float, share: float, *, group: int = 0
) -> Callable[[np.random.Generator, int], Drawn]:
    """Logits for yes and no of several classes.

    Args:
        classes: How many.
        signal: By how many deviations images with a class are scored higher.
        share: Of the images that have a class.
        group: As `classified`.
    """

    def draw(random: np.random.Generator, images: int) -> Drawn:
        labels = (random.random((images, classes)) < share).astype(np.uint8)
        logits = random.standard_normal((images, classes)) + signal * labels
        groups = np.arange(images) // group if group else None
        if groups is not None:
            logits += random.standard_normal((groups[-1] + 1, classes))[groups] / 2
        return signal * (logits - signal / 2) + np.log(share / (1 - share)), labels, groups

    return draw


def populations() -> list[Population]:
    """What is simulated."""
    three, ten, tags = (
        task(kind, [str(number) for number in range(classes)])
        for kind, classes in (("classification", 3), ("classification", 10), ("multi-label", 5))
    )
    rare = np.array([0.6, 0.35, 0.05])
    return [
        Population("10 classes, 100 images", ten, 100, classified(10, 3.0)),
        Population("10 classes, 400 images", ten, 400, classified(10, 3.0)),
        Population("10 classes, 400 images, nearly all right", ten, 400, classified(10, 5.0)),
        Population("10 classes, 100 images, one or two wrong", ten, 100, classified(10, 4.0)),
        Population("10 classes, 2,000 images", ten, 2000, classified(10, 3.0)),
        Population("10 classes, 400 images, too sure", ten, 400, classified(10, 3.0, sharpness=2.0)),
        Population("3 classes, one rare, 400 images", three, 400, classified(3, 2.0, shares=rare)),
        Population("10 classes, 20 groups of 20", ten, 400, classified(10, 3.0, group=20)),
        Population("10 classes, 100 groups of 4", ten, 400, classified(10, 3.0, group=4)),
        Population("several of 5 classes, 400 images", tags, 400, labelled(5, 2.0, 0.2)),
        Population("several of 5 classes, 50 groups of 8", tags, 400, labelled(5, 2.0, 0.2, group=8)),
    ]


def coverage(population: Population, draws: int, seed: int) -> dict[str, dict[str, float]]:
    """How often each figure's interval holds the true figure.

    Args:
        population: Of which test sets are drawn.
        draws: How many.
        seed: Of the draws.

    Returns:
        By figure: the true `value`; the shares `held`, `below` (all of the interval lies below the value), `above`
        and `none` (no interval is given); and `width`, the mean.
    """
    asked = population.task
    logits, labels, _ = population.draw(np.random.default_rng([seed, 1]), TRUTH)
    true = asked.evaluate(logits, labels).figures
    counts = {name: np.zeros(5) for name, value in true.items() if value is not None}
    random = np.random.default_rng([seed, 2])
    for _ in range(draws):
        logits, labels, groups = population.draw(random, population.images)
        answers = Answers(asked, logits, labels, groups)
        for name, count in counts.items():
            found = asked.metrics[name].estimate(answers)
            low, high = (found and found.interval) or (np.nan, np.nan)
            value = true[name]
            count += (low <= value <= high, high < value, low > value, np.isnan(low), np.nan_to_num(high - low))
    keys = ("held", "below", "above", "none", "width")
    return {
        name: {"value": true[name], **dict(zip(keys, (count / draws).tolist(), strict=True))}
        for name, count in counts.items()
    }


def run(options: argparse.Namespace) -> int:
    found = {}
    for population in populations():
        if options.only and options.only not in population.title:
            continue
        began = time.perf_counter()
        found[population.title] = rows = coverage(population, options.draws, options.seed)
        table(
            population.title,
            ("figure", "true value", "intervals that hold it", "too low", "too high", "none given", "mean width"),
            [
                (population.task.metrics[name].title, f"{one['value']:.4f}",
                 *(f"{one[key]:.2%}" for key in ("held", "below", "above", "none")), f"{one['width']:.4f}")
                for name, one in rows.items()
            ],
        )  # fmt: skip
        say(f"{options.draws:,} test sets in {time.perf_counter() - began:.0f} s")
    if options.out:
        write_json(options.out, {"draws": options.draws, "seed": options.seed, "populations": found})
    return 0


if __name__ == "__main__":
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--draws", type=int, default=10_000, help="test sets of each population (default: 10,000)")
    command.add_argument("--seed", type=int, default=0, help="of the draws")
    command.add_argument("--only", metavar="TEXT", help="populations whose titles have this text")
    command.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    raise SystemExit(script_main(command, run))
