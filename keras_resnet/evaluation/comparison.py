"""One model in several formats, side by side on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_resnet.atomic import write_json
from keras_resnet.data.images import Split
from keras_resnet.evaluation.evaluate import split_logits
from keras_resnet.evaluation.latency import median_latency
from keras_resnet.evaluation.metrics import agreement, classification_metrics
from keras_resnet.inference.predictors import Predictor

COLUMNS = ("format", "top-1", "agreement with Keras", "size on disk", "median latency")


@dataclass(frozen=True)
class ComparedFormat:
    """One row: shares in [0, 1], size in bytes, latency in milliseconds for one image."""

    name: str
    top1: float
    correct: int
    images: int
    agreement: float
    size_in_bytes: int | None
    latency_ms: float

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of `COLUMNS`."""
        size = "–" if self.size_in_bytes is None else f"{self.size_in_bytes / 1000:,.1f} kB"
        return (self.name, f"{self.top1:.2%}", f"{self.agreement:.2%}", size, f"{self.latency_ms:.3f} ms")


def compare(predictors: Sequence[Predictor], split: Split) -> list[ComparedFormat]:
    """Run every format over a whole split; the first one is the reference.

    Args:
        predictors: The model, then the files made from it.
        split: Not empty.
    """
    logits = [split_logits(predictor, split) for predictor in predictors]
    latencies = median_latency(predictors, split.read(slice(0, 1))[0])
    rows = []
    for predictor, found, latency in zip(predictors, logits, latencies, strict=True):
        metrics = classification_metrics(found, split.labels, predictor.preprocessing.class_names)
        agreed = agreement(logits[0], found)
        rows.append(
            ComparedFormat(
                predictor.name,
                metrics.top1,
                metrics.correct,
                metrics.images,
                agreed,
                predictor.size_in_bytes,
                latency,
            )
        )
    return rows


def write_comparison(rows: Sequence[ComparedFormat], path: Path) -> None:
    """Write the rows as JSON."""
    write_json(path, [vars(row) for row in rows])
