"""The linear probe of a training: its classifier, made at once from what the initial weights see in the images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_resnet.data.images import ImageData, Split
from keras_resnet.display import Display
from keras_resnet.training.network import CompiledNetwork
from keras_resnet.transfer.features import image_features
from keras_resnet.transfer.linear_probe import LinearProbe, linear_probe

FEWEST = 5
"""Of the validation images that the probe tells wrong, those by which another classifier could be told from it.

One that is right on four of them, and wrong on no other image, is so by chance in one of 16 cases; on five, in one of
32 (McNemar's test, exact, one-sided).
"""


def probe(compiled: CompiledNetwork, data: ImageData, display: Display, alone: bool) -> LinearProbe:
    """Make a linear probe and put it into the network as its classifier.

    Args:
        compiled: With its initial weights.
        data: The images.
        display: Shows how far it has come.
        alone: Whether nothing else is trained. Then validation images need not choose an epoch: they serve, too, where
            there are others for the test.
    """
    recipe = compiled.recipe
    parts = [data.train]
    if alone and len(data.test):
        parts.append(data.validation)
    # Where views are averaged in the end, it learns from the mirrored images, too: without, that pays less.
    mirrored = (False,) if recipe.tta == "none" else (False, True)
    views = [
        np.concatenate([_features(compiled, part, display, mirrored=mirror) for part in parts]) for mirror in mirrored
    ]
    found = linear_probe(
        views[0] if len(views) == 1 else np.stack(views, axis=1),
        np.concatenate([part.labels for part in parts]),
        data.task,
        groups=None
        if data.held_together is None
        else np.concatenate([data.held_together[part.indices] for part in parts]),
        balanced=recipe.class_weights != "none" or recipe.sampling == "balanced",
        seed=recipe.seed,
        progress=_bar(display, "choosing the probe's penalty"),
    )
    display.close()
    found.assign_to(compiled.network)
    return found


def mistakes(found: LinearProbe, compiled: CompiledNetwork, data: ImageData, display: Display) -> int | None:
    """How many validation images a probe tells wrong; None where its task has no right and wrong.

    Args:
        found: It, made of the training images.
        compiled: The network.
        data: The images.
        display: Shows how far it has come.
    """
    features = _features(compiled, data.validation, display)
    metrics = found.task.evaluate(found.logits(features), data.validation.labels)
    right = metrics.hits.get(found.task.headline)
    return None if right is None else len(data.validation) - right


def in_words(found: LinearProbe) -> str:
    """What a probe is worth, in a sentence."""
    count = len(found.labels)
    if found.metrics is None:
        return f"linear probe: made from {count} images, too few to hold any out"
    task, metrics = found.task, found.metrics
    name = task.headline
    figure = f"{task.metrics[name].title} {task.shown(metrics, name)}"
    text = f"linear probe: {figure} on {count} images, each held out in turn"
    if name not in metrics.intervals:
        return text
    low, high = map(task.metrics[name].text, metrics.intervals[name])
    right = f"{metrics.hits[name]} right; " if name in metrics.hits else ""
    return f"{text} ({right}95 % interval {low} to {high})"


def _features(compiled: CompiledNetwork, part: Split, display: Display, mirrored: bool = False) -> np.ndarray:
    what = "computing features" if not mirrored else "computing features of mirrored images"
    found = image_features(compiled.network, part, mirrored=mirrored, progress=_bar(display, what))
    display.close()
    return found


def _bar(display: Display, what: str) -> Callable[[int, int], None]:
    return lambda done, total: display.show(what, done, total)
