"""TFLite Micro: a `.tflite` file as a microcontroller runs it.

Its runtime ends the process where it cannot go on. So it is asked in a process of its own, which imports nothing but
that runtime: `python -m keras_resnet.inference.micro` would import the package, so the file is run as a script.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SECONDS = 600
TOTAL = re.compile(r"Arena allocation total (\d+) bytes")


def is_installed() -> bool:
    """Whether the extra `tflm` is installed."""
    return find_spec("tflite_micro") is not None


def run_in_child(content: bytes, batch: Any = None) -> tuple[Any, int]:
    """Run a graph of integers.

    Args:
        content: The FlatBuffer.
        batch: What its input takes, (n, height, width, channels), of its own type; None: nothing is run.

    Returns:
        What its output gives, (n, classes), of its own type, or None; and the bytes of its arena.

    Raises:
        RuntimeError: The runtime refused it, or died; the message says what it printed last.
    """
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("model.tflite", "in.npy", "out.npy")]
        paths[0].write_bytes(content)
        if batch is not None:
            np.save(paths[1], batch)
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        try:
            done = subprocess.run(
                [sys.executable, "-P", __file__, *map(str, paths), str(arena_for(content))],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS,
                env=environment,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"TFLite Micro gave no answer in {SECONDS // 60} minutes") from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise RuntimeError(
                f"TFLite Micro ended with {done.returncode}: {lines[-1] if lines else 'it said nothing'}"
            )
        found = TOTAL.search(done.stderr) or TOTAL.search(done.stdout)
        if not found:
            raise RuntimeError("TFLite Micro did not say how much memory it took")
        return (np.load(paths[2]) if batch is not None else None), int(found.group(1))


def arena_for(content: bytes) -> int:
    """Bytes of working memory that are enough to try a graph with: of it and of all that it computes."""
    from keras_resnet.quantize.graph import Graph

    graph = Graph(content)
    return 10 * len(content) + sum(graph.tensor(number).nbytes for number in graph.computed())


def _main(model: str, taken: str, given: str, arena: str) -> None:
    import numpy as np
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_file(model, arena_size=int(arena))
    if os.path.exists(taken):
        results = []
        for image in np.load(taken):
            interpreter.set_input(image[None], 0)
            interpreter.invoke()
            results.append(interpreter.get_output(0)[0].copy())
        np.save(given, np.stack(results))
    interpreter.print_allocations()


if __name__ == "__main__":
    _main(*sys.argv[1:])
