"""A file on each runtime that is at hand, every one in a process of its own: what it answers, how fast, in what memory.

A runtime that stumbles over a file may end its process. So it is a child's, and its end is a finding.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from keras_resnet.inference.kernels import Kernels, of_onnxruntime, of_openvino
from keras_resnet.inference.predictor import Predictor
from keras_resnet.inference.predictors import C_SOURCE, MICRO_DATA, TFLitePredictor, network_in, open_predictor
from keras_resnet.inference.tflite_file import read_tflite
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.regular_files import read_bytes
from keras_resnet.stamp import read_stamp

TIMED = 100
"""Single images whose time is taken, or as many as fit `SECONDS`."""
SECONDS = 5.0
INTEGERS = ("integers", "c")
"""The kinds of files that have a graph of integers."""
PATIENCE = 1800
"""Seconds after which a runtime counts as hanging."""


@dataclass(frozen=True)
class Runtime:
    """What runs files.

    Args:
        title: What tables call it.
        module: Which must be installed.
        kinds: Of the files that it runs: `tflite`, `integers` (a `.tflite` of them, or a folder for TFLite Micro),
            `c` (a folder with a network in C), `onnx`, `openvino`, `saved_model`.
        open: Opens a file with so many threads.
        threads: With which its time is taken.
        arena: How many bytes a file's arena takes; None: there is none.
        is_at_hand: Whether all else that it needs is there.
        kernels: What it makes of a file's operators; None: it does not tell.
    """

    title: str
    module: str
    kinds: tuple[str, ...]
    open: Callable[[Path, int], Predictor]
    threads: tuple[int, ...] = (1, 2)
    arena: Callable[[Path], int] | None = None
    is_at_hand: Callable[[], bool] = lambda: True
    kernels: Callable[[Path], Kernels] | None = None


@dataclass(frozen=True)
class Answered:
    """What a runtime made of a file.

    Args:
        runtime: Its name in `RUNTIMES`.
        logits: float32 (n, classes); None: it failed.
        failure: Why; empty: it did not.
        latency: By the number of threads: milliseconds for one image, which half, nine tenths and 99 in 100 of the
            calls take at most.
        memory: Bytes that the process took at most beyond what it had before it opened the file.
        arena: Bytes of the arena of TFLite Micro or of C; 0: it has none.
        kernels: What it made of the file's operators; None: it does not tell.
    """

    runtime: str
    logits: np.ndarray | None
    failure: str = ""
    latency: dict[int, tuple[float, float, float]] | None = None
    memory: int = 0
    arena: int = 0
    kernels: Kernels | None = None


def _litert(reference: bool) -> Callable[[Path, int], Predictor]:
    def opened(path: Path, threads: int) -> Predictor:
        network = network_in(path)
        return TFLitePredictor(network, read_stamp(network), threads=threads, reference=reference)

    return opened


def _micro(path: Path, threads: int) -> Predictor:
    network = network_in(path)
    return MicroPredictor(network, read_stamp(network))


def _micro_arena(path: Path) -> int:
    from keras_resnet.inference.micro import run_in_child

    return run_in_child(read_tflite(network_in(path)))[1]


def _c(path: Path, threads: int) -> Predictor:
    from keras_resnet.inference.c_folder import CPredictor

    return CPredictor(path, read_stamp(network_in(path)))


def _c_arena(path: Path) -> int:
    from keras_resnet.inference.c_folder import arena_of

    return arena_of(path)


def _has_compiler() -> bool:
    from keras_resnet.inference.c_folder import compiler

    return compiler() is not None


def _onnxruntime(path: Path, threads: int) -> Predictor:
    from keras_resnet.inference.onnx_file import OnnxPredictor, read_onnx

    return OnnxPredictor(path, *read_onnx(path), threads=threads)


def _openvino(path: Path, threads: int) -> Predictor:
    from keras_resnet.inference.onnx_file import read_onnx
    from keras_resnet.inference.openvino_folder import OpenVinoPredictor

    preprocessing = read_stamp(path) if path.is_dir() else read_onnx(path)[1]
    return OpenVinoPredictor(path, preprocessing, threads=threads)


def _tensorflow(path: Path, threads: int) -> Predictor:
    return open_predictor(path)


RUNTIMES = {
    "litert": Runtime("LiteRT, XNNPACK", "ai_edge_litert", ("tflite", *INTEGERS), _litert(reference=False)),
    "litert-reference": Runtime(
        "LiteRT, reference kernels", "ai_edge_litert", ("tflite", *INTEGERS), _litert(reference=True), (1,)
    ),
    "tflite-micro": Runtime("TFLite Micro", "tflite_micro", INTEGERS, _micro, (1,), _micro_arena),
    "c": Runtime("C, compiled here", "ai_edge_litert", ("c",), _c, (1,), _c_arena, _has_compiler),
    "onnxruntime": Runtime("onnxruntime", "onnxruntime", ("onnx",), _onnxruntime, kernels=of_onnxruntime),
    "openvino": Runtime("OpenVINO", "openvino", ("onnx", "openvino"), _openvino, kernels=of_openvino),
    "tensorflow": Runtime("TensorFlow", "tensorflow", ("saved_model",), _tensorflow, (1,)),
}
"""By name. A runtime is a row here."""


class MicroPredictor(TFLitePredictor):
    """A `.tflite` file of integers, run by TFLite Micro, as a microcontroller does."""

    def __init__(self, path: Path, preprocessing: Preprocessing) -> None:
        super().__init__(path, preprocessing)
        from tflite_micro.python.tflite_micro import runtime

        from keras_resnet.inference.micro import arena_for

        self.name = "TFLite Micro"
        self._micro = runtime.Interpreter.from_file(str(path), arena_size=arena_for(read_tflite(path)))

    def _run(self, image: np.ndarray) -> np.ndarray:
        self._micro.set_input(image, 0)
        self._micro.invoke()
        result: np.ndarray = self._micro.get_output(0)[0].copy()
        return result


def kind_of(path: Path) -> str:
    """What kind of file it is, as `Runtime.kinds` has it; empty: none that a runtime here runs."""
    if path.suffix == ".tflite":
        from keras_resnet.quantize.graph import Graph

        graph = Graph(read_tflite(path))
        return "integers" if graph.tensor(graph.input).dtype.kind in "iu" else "tflite"
    names = {MICRO_DATA: "integers", C_SOURCE: "c", "model.xml": "openvino", "saved_model.pb": "saved_model"}
    inside = [kind for name, kind in names.items() if (path / name).is_file()]
    return inside[0] if inside else "onnx" if path.suffix == ".onnx" else ""


def runtimes_for(path: Path) -> list[str]:
    """The runtimes at hand that run a file, by name."""
    kind = kind_of(path)
    return [
        name
        for name, one in RUNTIMES.items()
        if kind in one.kinds and find_spec(one.module) is not None and one.is_at_hand()
    ]


def ask(name: str, path: Path, images: np.ndarray) -> Answered:
    """Let a runtime answer, in a process of its own.

    Args:
        name: Of the runtime.
        path: The file.
        images: uint8 (n, height, width, channels).
    """
    arena = RUNTIMES[name].arena
    with tempfile.TemporaryDirectory() as folder:
        taken, given = Path(folder) / "images.npy", Path(folder) / "answers.npz"
        np.save(taken, images)
        try:
            done = subprocess.run(
                [sys.executable, "-m", __name__, name, str(path), str(taken), str(given)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE,
                check=False,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            )
        except subprocess.TimeoutExpired:
            return Answered(name, None, f"it gave no answer in {PATIENCE // 60} minutes")
        if done.returncode or not given.is_file():
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            why = f"was ended by signal {-done.returncode}" if done.returncode < 0 else "failed"
            return Answered(name, None, f"its process {why}: {lines[-1] if lines else 'it said nothing'}")
        with np.load(given) as found:
            latency = {int(row[0]): (float(row[1]), float(row[2]), float(row[3])) for row in found["latency"]}
            counts = dict(zip(found["kernels"].tolist(), found["counts"].tolist(), strict=True))
            try:
                return Answered(
                    name,
                    found["logits"],
                    "",
                    latency,
                    int(found["memory"]),
                    arena(path) if arena else 0,
                    Kernels(counts, tuple(found["unfused"].tolist())) if counts else None,
                )
            except RuntimeError as error:
                return Answered(name, None, str(error))


def _peak() -> int:
    """Bytes of memory that this process has had at most, since `_forget_peak`; 0: the system does not say."""
    try:
        lines = read_bytes("/proc/self/status", 1 << 16).decode().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return 0


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # see proc(5)


def _main(name: str, path: Path, taken: Path, given: Path) -> None:
    runtime, images = RUNTIMES[name], np.load(taken)
    _forget_peak()
    before = _peak()
    predictor = runtime.open(path, 1)
    logits = predictor.logits(images)
    memory = _peak() - before
    latency: dict[int, list[float]] = {}
    for threads in runtime.threads:
        call = (predictor if threads == 1 else runtime.open(path, threads)).one(images[0])
        call()
        times: list[float] = []
        end = time.perf_counter() + SECONDS
        while len(times) < TIMED and (time.perf_counter() < end or len(times) < 5):
            began = time.perf_counter()
            call()
            times.append(1000 * (time.perf_counter() - began))
        latency[threads] = np.percentile(times, (50, 90, 99)).tolist()
    rows = [[threads, *times] for threads, times in latency.items()]
    told = runtime.kernels(path) if runtime.kernels else Kernels({}, ())
    np.savez(
        given,
        logits=logits,
        latency=np.array(rows),
        memory=memory,
        kernels=np.array(list(told.counts), str),
        counts=np.array(list(told.counts.values()), np.int64),
        unfused=np.array(told.unfused, str),
    )


if __name__ == "__main__":
    _main(sys.argv[1], *map(Path, sys.argv[2:]))
