"""The curve of a learning rate finder as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras_resnet.pictures import new_figure, save


def rate_picture(
    rates: Sequence[float], losses: Sequence[float], suggestion: float | None, title: str, path: Path
) -> None:
    """The smoothed loss against the learning rate, with the suggested one marked, as a PNG file.

    Args:
        rates, losses: Of each step.
        suggestion: One of the rates, or None.
        title: Above it.
        path: The file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(8, 4.5)
    axes = figure.subplots()
    axes.plot(rates, losses, color="#1f77b4")
    axes.set(xscale="log", title=title, xlabel="learning rate", ylabel="loss, smoothed")
    axes.set_ylim(min(losses) * 0.95, max(losses[: max(1, len(losses) // 4)]) * 1.3)
    axes.grid(alpha=0.3)
    if suggestion is not None:
        at = list(rates).index(suggestion)
        axes.plot(suggestion, losses[at], "o", color="#d62728", label=f"suggested: {suggestion:.2g}")
        axes.legend()
    save(figure, path)
