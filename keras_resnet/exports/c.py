"""A folder with a network as C that needs no runtime: generated from the INT8 file, compiled, and run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_resnet.atomic import write_folder_with
from keras_resnet.c_code.reference import reference
from keras_resnet.c_code.source import selftest
from keras_resnet.errors import ModelError
from keras_resnet.exports.material import Material
from keras_resnet.exports.tflite import integers_of, write_stamped
from keras_resnet.inference.c_folder import CompiledNetwork, code_of, compiler
from keras_resnet.inference.predictors import FOLDER_MODEL
from keras_resnet.quantize.graph import Graph, macs

MOST_MACS = 2 * 10**9
"""Of the images that the compiled code is compared on: the reference kernels are slow."""
FEWEST_IMAGES = 2
MOST_TESTED, MOST_TEST_BYTES = 8, 1 << 15
"""Images that a self-test has, and their bytes if they are more than one."""


def write_c(material: Material, path: Path) -> Sequence[str]:
    """Write a folder with a network in C.

    Args:
        material: The model, its preprocessing, calibration images, and how it becomes integers.
        path: The folder, replaced as a whole.

    Returns:
        Remarks for the user.

    Raises:
        ModelError: There is no C code for an operator of the network, or the compiled code gives other numbers than
            LiteRT's reference kernels.
    """
    content, more = integers_of(material)
    code = code_of(content, material.preprocessing)
    images = material.calibration if material.verification is None else material.verification
    assert images is not None
    inputs = _numbers(Graph(content), images)
    outputs = reference(content, inputs)
    chosen = compiler()
    if chosen is None:
        checked = "there is no C compiler: the code was not run; compile and run selftest.c where it will be used"
    else:
        _check_equal(code.texts, inputs, outputs, chosen)
        checked = f"compiled by {Path(chosen).name}: equals LiteRT's reference kernels on {len(inputs)} images"
    tested = max(1, min(MOST_TESTED, MOST_TEST_BYTES // inputs[0].size))

    def write(folder: Path) -> None:
        write_stamped(content, material.preprocessing, folder / FOLDER_MODEL)
        for name, text in code.texts.items():
            (folder / name).write_text(text)
        (folder / "selftest.c").write_text(selftest(inputs[:tested], outputs[:tested]))

    write_folder_with(path, write)
    sizes = f"arena {code.arena:,} bytes, weights and tables {code.constants:,} bytes"
    return [*more, sizes, checked]


def _numbers(graph: Graph, images: np.ndarray) -> np.ndarray:
    """What the network takes for some images, as many as the reference kernels run in a while, spread over all."""
    most = max(FEWEST_IMAGES, MOST_MACS // max(1, sum(macs(graph).values())))
    chosen = images[np.unique(np.linspace(0, len(images) - 1, min(most, len(images))).astype(np.int64))]
    taken = graph.tensor(graph.input)
    limits = np.iinfo(taken.dtype)
    numbers = np.rint(chosen / float(taken.scales[0])) + int(taken.zeros[0])
    return np.clip(numbers, limits.min, limits.max).astype(taken.dtype)


def _check_equal(texts: dict[str, str], inputs: np.ndarray, outputs: np.ndarray, chosen: str) -> None:
    network = CompiledNetwork(texts)
    try:
        found = [np.frombuffer(network.run(one, outputs[0].nbytes), outputs.dtype) for one in inputs]
    finally:
        network.close()
    wrong = [number for number, one in enumerate(found) if not np.array_equal(one, outputs[number].ravel())]
    if wrong:
        raise ModelError(
            f"the C code, compiled by {chosen}, gives other numbers than LiteRT's reference kernels on {len(wrong)} of "
            f"{len(inputs)} images; please report it with the model, and export it as tflm meanwhile"
        )
