"""A folder with a network in C: compiled by the compiler at hand, and run in a process of its own.

The code in a folder may be anyone's. It is compiled only where it is what its `model.tflite` becomes, to the last
character.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import IO, cast

import numpy as np

from keras_resnet.c_code.source import Network, arena_bytes, network
from keras_resnet.errors import ModelError
from keras_resnet.inference.predictors import C_SOURCE, TFLitePredictor, network_in
from keras_resnet.inference.tflite_file import read_tflite
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.quantize.graph import Graph
from keras_resnet.regular_files import read_bytes
from keras_resnet.tasks.table import task

COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c99", "-O2")
SECONDS = 600
"""After which a compiler counts as hanging."""
MOST_BYTES = 1 << 30
"""Of a text."""
MAIN = """#include <stdio.h>

#include "model.h"

static model_input_t input[(long)MODEL_HEIGHT * MODEL_WIDTH * MODEL_CHANNELS];
static model_output_t output[MODEL_OUTPUTS];

int main(void) {
  while (fread(input, sizeof input, 1, stdin) == 1) {
    if (model_run(input, output)) return 1;
    if (fwrite(output, sizeof output, 1, stdout) != 1 || fflush(stdout)) return 2;
  }
  return 0;
}
"""


def compiler() -> str | None:
    """The C compiler at hand; None: there is none."""
    return next((found for found in map(shutil.which, COMPILERS) if found), None)


class CompiledNetwork:
    """A network in C, compiled and running until it is closed, or forgotten.

    Args:
        texts: `model.h` and `model.c` by their names.

    Raises:
        ModelError: There is no compiler, or it refuses the code; the message says what it says.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        chosen = compiler()
        if chosen is None:
            raise ModelError(f"there is no C compiler: install one of {', '.join(COMPILERS)}")
        folder = Path(tempfile.mkdtemp())
        try:
            for name, text in {**texts, "main.c": MAIN}.items():
                (folder / name).write_text(text)
            program = _compiled(chosen, folder)
            self._process = subprocess.Popen(
                [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.close = weakref.finalize(self, _end, self._process, folder)
        self._taken, self._given = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)

    def run(self, image: np.ndarray, outputs: int) -> bytes:
        """What it makes of one image.

        Args:
            image: Of the type and shape of its input.
            outputs: Bytes that it gives.

        Raises:
            ModelError: The process ended.
        """
        try:
            self._taken.write(np.ascontiguousarray(image).tobytes())
            self._taken.flush()
            found = self._given.read(outputs)
        except BrokenPipeError:
            found = b""
        if len(found) != outputs:
            raise ModelError(f"the compiled network ended with {self._process.wait()}")
        return found


class CPredictor(TFLitePredictor):
    """A folder with a network in C, whose code is compiled and run.

    Args:
        path: The folder.
        preprocessing: From the stamp of its `model.tflite`.

    Raises:
        ModelError: Its code is not what its `model.tflite` becomes, or cannot be compiled.
    """

    def __init__(self, path: Path, preprocessing: Preprocessing) -> None:
        file = network_in(path)
        super().__init__(file, preprocessing)
        self.name, self.path = "C", path
        texts = code_of(read_tflite(file), preprocessing).texts
        for name, text in texts.items():
            if _read(path / name) != text.encode():
                raise ModelError(
                    f"{path / name} is not what its {file.name} becomes: it was changed, or made by another version "
                    "of this package. It is not run; export it again"
                )
        self._compiled = CompiledNetwork(texts)

    def _run(self, image: np.ndarray) -> np.ndarray:
        kind = np.dtype(self.output["dtype"])
        count = int(self.output["shape"][-1])
        return np.frombuffer(self._compiled.run(image, count * kind.itemsize), kind)


def code_of(content: bytes, preprocessing: Preprocessing) -> Network:
    """The code of a graph.

    Args:
        content: The FlatBuffer.
        preprocessing: With the names of the classes.

    Raises:
        ModelError: There is no C code for what it has.
    """
    several = task(preprocessing.task, preprocessing.class_names).several
    return network(Graph(content), preprocessing.class_names, several)


def arena_of(path: Path) -> int:
    """Bytes of working memory that a folder's code takes."""
    return arena_bytes(_read(path / "model.h").decode("utf-8", "replace"))


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from None


def _compiled(chosen: str, folder: Path) -> str:
    program = str(folder / "network")
    files = [str(folder / name) for name in (C_SOURCE, "main.c")]
    try:
        done = subprocess.run(
            [chosen, *FLAGS, "-o", program, *files],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{chosen} took more than {SECONDS // 60} minutes for the code") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise ModelError(f"{chosen} refuses the code: {lines[0] if lines else f'it ended with {done.returncode}'}")
    return program


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    shutil.rmtree(folder, ignore_errors=True)
