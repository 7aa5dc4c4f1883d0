"""The evidence of an exported file as one HTML page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from keras_resnet.exports.evidence import LOOKED_INTO, Evidence, OnRuntime, accuracy_in_words
from keras_resnet.html_page import picture, render
from keras_resnet.inference.runtimes import RUNTIMES
from keras_resnet.quantize.graph import short_name
from keras_resnet.visible import visible

MOST_PICTURES = 24
WORST = 10
FULL, LOW = 40.0, 10.0
"""dB of a bar that is full, and below which it is marked."""


def page(evidence: Evidence, images: np.ndarray, lint: tuple[str, ...] = ()) -> str:
    """Draw the page.

    Args:
        evidence: What was found.
        images: Those it was found on, uint8 (n, height, width, channels).
        lint: What else the user should know.

    Returns:
        HTML.
    """
    worst = sorted((one for one in evidence.layers if math.isfinite(one.noise)), key=lambda one: one.noise)[:WORST]
    return render(
        "keras_resnet.exports",
        "verification.html.jinja",
        name=evidence.file,
        evidence=evidence,
        summary=summary(evidence),
        rows=[_row(one, evidence.images) for one in evidence.runtimes],
        layers=[
            {
                "name": short_name(one.name),
                "operator": one.operator,
                "width": f"{100 * min(max(one.noise, 0.0), FULL) / FULL:.1f}",
                "low": one.noise < LOW,
                "noise": f"{one.noise:.1f}",
                "cut": f"{one.cut:.2%}",
            }
            for one in worst
        ],
        looked_into=min(LOOKED_INTO, evidence.images),
        pictures=[
            {
                "picture": picture(images[one.image], kind="PNG"),
                "image": one.image,
                "label": one.label,
                "model": one.model,
                "file": one.file,
                "margin": f"{one.margin:.2%}",
            }
            for one in evidence.disagreements[:MOST_PICTURES]
        ],
        lint=lint,
    )


def summary(evidence: Evidence) -> str:
    """The comparison in a few sentences."""
    text = f"Compared with {visible(evidence.against)} on {evidence.images} images"
    if evidence.model_right is None:
        text += ", of which no labels are known."
    else:
        text += f"; the model has {accuracy_in_words(evidence.model_right, evidence.images)}."
    first = next((one for one in evidence.runtimes if not one.failure), None)
    if first is None:
        return f"{text} No runtime gave answers."
    text += f" On {RUNTIMES[first.runtime].title} the file decides as the model on {first.agreement:.2%}"
    if first.difference is None or first.interval is None:
        return f"{text}."
    low, high = first.interval
    text += f"; its accuracy differs by {first.difference:+.2f} points (95 % interval {low:+.2f} to {high:+.2f})."
    if low < -evidence.max_drop <= first.difference:
        text += (
            f" So few images cannot rule out that it loses more than the {evidence.max_drop:g} points that it may lose."
        )
    return text


def _row(one: OnRuntime, images: int) -> dict[str, Any]:
    def times(threads: int) -> str:
        found = one.latency.get(threads)
        return " / ".join(f"{value:.3g}" for value in found) if found else "–"

    return {
        "title": RUNTIMES[one.runtime].title,
        "failure": one.failure,
        "agreement": f"{one.agreement:.2%}",
        "right": "–" if one.right is None else f"{one.right} of {images}",
        "difference": (
            "–"
            if one.difference is None or one.interval is None
            else f"{one.difference:+.2f} ({one.interval[0]:+.2f} to {one.interval[1]:+.2f})"
        ),
        "steps": f"{one.steps:.3g}",
        "otherwise": str(one.otherwise),
        "one": times(1),
        "two": times(2),
        "memory": f"{one.memory / 2**20:.1f}",
        "arena": f"{one.arena:,}" if one.arena else "–",
        "kernels": ", ".join(f"{count} {name}" for name, count in one.kernels.items()),
        "unfused": one.unfused,
    }
