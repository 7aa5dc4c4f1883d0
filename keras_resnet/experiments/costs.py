"""What a trained network costs where it is used: multiply-accumulates, time of an image, bytes in integers."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from keras_resnet.data.images import ImageData
from keras_resnet.errors import ModelError
from keras_resnet.exports.evidence import graph_of
from keras_resnet.exports.export import export
from keras_resnet.inference.runtimes import ask, runtimes_for
from keras_resnet.quantize.graph import macs
from keras_resnet.runs.run import Run
from keras_resnet.visible import visible

RUNTIME = "litert"
FEW = 8
"""Images that are run."""
MOST_LETTERS = 200


@dataclass(frozen=True)
class Costs:
    """What one image costs a network.

    Args:
        macs: Multiply-accumulates; None: there is no file to count them in.
        latency_ms: Milliseconds for one image in floats, the median of LiteRT's on one thread; None: not measured.
        int8_latency_ms: The same in integers of eight bits.
        int8_bytes: Of that file; None: there is none.
        reason: Why something is not known; empty: all is.
    """

    macs: int | None = None
    latency_ms: float | None = None
    int8_latency_ms: float | None = None
    int8_bytes: int | None = None
    reason: str = ""


def costs(run: Run, images: ImageData) -> Costs:
    """Export a run as it is and in integers, and measure the files. The run's folder is left as it is.

    Args:
        run: Finished.
        images: That it was trained on: they calibrate and verify.
    """
    reasons: list[str] = []
    few = images.validation.read(slice(0, FEW))
    count = size = None
    latency: dict[str, float | None] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("float", "int8"):
            path = Path(folder) / f"{kind}.tflite"
            try:
                export(run, path, f"tflite-{kind}", data=images)
            except ModelError as error:
                said = visible(str(error).replace(str(path), "it"))[:MOST_LETTERS]  # nobody can look at that path
                reasons.append(f"no {'INT8' if kind == 'int8' else kind} file: {said}")
                continue
            graph = graph_of(path)
            assert graph is not None
            count = count or sum(macs(graph).values())
            size = path.stat().st_size if kind == "int8" else size
            if RUNTIME not in runtimes_for(path):
                reasons.append("no latency: it needs the extra 'edge'")
                continue
            answered = ask(RUNTIME, path, few)
            if answered.latency is None:
                reasons.append(f"no {kind} latency: {answered.failure}")
            else:
                latency[kind] = answered.latency[1][0]
    return Costs(count, latency.get("float"), latency.get("int8"), size, "; ".join(dict.fromkeys(reasons)))
