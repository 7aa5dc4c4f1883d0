"""How an exported file differs from its model: on every runtime at hand, layer by layer, and why.

What is compared with what: the file's answers with the model's, image by image, so that a difference of a tenth of a
point can be seen; the file's layers with those of the float graph that it was made of; and its weights with that
graph's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.errors import ModelError, UsageError
from keras_resnet.evaluation.paired import paired_difference
from keras_resnet.exports.layers import Layer, Weights, has_layers, layers_of, weights_of
from keras_resnet.exports.micro import check_array
from keras_resnet.exports.tflite import float_graph
from keras_resnet.inference.predictor import Predictor
from keras_resnet.inference.predictors import MICRO_DATA, KerasPredictor, network_in
from keras_resnet.inference.runtimes import INTEGERS, RUNTIMES, Answered, ask, kind_of, runtimes_for
from keras_resnet.inference.tflite_file import read_tflite
from keras_resnet.preprocessing import Preprocessing
from keras_resnet.quantize.graph import WEIGHTED, Graph, macs, short_name
from keras_resnet.quantize.ranges import run
from keras_resnet.stamp import has_stamp, read_stamp
from keras_resnet.tasks.intervals import wilson_interval

LOOKED_INTO = 32
"""Images on which layers are compared."""
ALIKE = 0.98
"""Weights of a layer whose correlation with the model's is lower are others."""
CUT = 0.05
"""A larger share of a layer's numbers beyond its range is too much."""
COARSE = 16
"""A layer of eight bits whose weights have no more values has fewer bits."""
LED = 32.0
"""A channel whose weights are so many times larger than those of all others leads the range of its layer."""
MAPPED = 0.8
"""A class that is answered by another one on a larger share of its images is swapped with it."""
LEAST_MAPPED = 3
"""Images of a class, from which that can be said."""
SILENT = 1e-6
"""Weights that are no larger stand for zeros, which have no scale."""
SAID = 3
"""Layers that a finding names."""

Show = Callable[[str, int, int], None]


@dataclass(frozen=True)
class OnRuntime:
    """How a file does on one runtime.

    Args:
        runtime: Its name.
        failure: Why it gave no answers; empty: it did.
        agreement: How far it decides as the model does, 0–1.
        right: On how many images it is right; None: they have no labels.
        difference: Of its accuracy from the model's, in points.
        interval: The 95 % interval of that.
        steps: The largest difference of a logit from those on the first runtime, in steps of the output's scale; of
            floats, as a share of their range.
        otherwise: On how many images it decides otherwise than the first runtime.
        latency, memory, arena: As `Answered`.
        kernels: How often it runs each of its kernels, where it tells.
        unfused: What of a file of integers it computes in floats; of a file of floats, what it does not fuse.
    """

    runtime: str
    failure: str = ""
    agreement: float = 0.0
    right: int | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    steps: float = 0.0
    otherwise: int = 0
    latency: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    memory: int = 0
    arena: int = 0
    kernels: dict[str, int] = field(default_factory=dict)
    unfused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Disagreement:
    """An image on which the file decides otherwise than its model.

    Args:
        image: Its place among the images.
        label, model, file: Names of classes: the true one (empty: not known), the model's, the file's.
        margin: By how much the model prefers its class, as a share of its logits' range.
    """

    image: int
    label: str
    model: str
    file: str
    margin: float


@dataclass(frozen=True)
class Cause:
    """What may be wrong with a file.

    Args:
        title: In a few words.
        text: What was seen, and what to do.
        is_fatal: Whether the file is not the model's, however well it does on these images.
    """

    title: str
    text: str
    is_fatal: bool = False


@dataclass(frozen=True)
class Evidence:
    """How an exported file behaves.

    Args:
        file, against: Paths, or names.
        images: How many were compared.
        model_right: On how many the model is right; None: they have no labels.
        runtimes: On each at hand, the usual one first.
        layers: In the order of computation; none of a SavedModel, whose layers are not seen.
        operators: How often each stands in the file.
        floats: Layers of a file of integers that compute with floats, and those that need more than LiteRT has.
        size: Bytes.
        macs: Multiply-accumulates for one image.
        disagreements: The surest of the model first.
        causes: What is seen to be wrong.
        max_drop: Points of accuracy that it may lose, or of agreement where there are no labels.
        failures: Why it does not pass; empty: it does.
        estimates: Of accelerators, by their names.
    """

    file: str
    against: str
    images: int
    model_right: int | None
    runtimes: tuple[OnRuntime, ...]
    layers: tuple[Layer, ...]
    operators: dict[str, int]
    floats: tuple[str, ...]
    size: int
    macs: int
    disagreements: tuple[Disagreement, ...]
    causes: tuple[Cause, ...]
    max_drop: float
    failures: tuple[str, ...]
    estimates: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def passes(self) -> bool:
        """Whether it is good enough."""
        return not self.failures

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        plain = dict(vars(self))
        for name in ("runtimes", "layers", "disagreements", "causes"):
            plain[name] = [
                {
                    key: None if isinstance(value, float) and not math.isfinite(value) else value
                    for key, value in vars(one).items()
                }
                for one in plain[name]
            ]
        return plain | {"passes": self.passes}


def gather(
    path: Path,
    reference: KerasPredictor,
    images: np.ndarray,
    labels: np.ndarray | None,
    *,
    called: str = "",
    max_drop: float = 1.0,
    runtimes: Sequence[str] | None = None,
    show: Show | None = None,
) -> Evidence:
    """Compare a file with its model.

    Args:
        path: The file or folder.
        reference: The model.
        images: uint8 (n, height, width, channels), none of which it was calibrated with.
        labels: Of the images, as the task has them; None: not known.
        called: What to call the model.
        max_drop: Points of accuracy that the file may lose; where there are no labels, points of agreement.
        runtimes: By name; None: all that are at hand.
        show: Called with what is done, how far it is, and of how much.

    Raises:
        ModelError: The file is of no kind that a runtime here runs.
        UsageError: None of its runtimes is installed, or there are no images.
    """
    show = show or (lambda what, done, total: None)
    names = list(runtimes if runtimes is not None else runtimes_for(path))
    kind = kind_of(path)
    if not kind:
        raise ModelError(f"{path} is no exported file: .tflite, .onnx, a SavedModel, an OpenVINO, tflm or c folder")
    if not names:
        needed = [one.title for one in RUNTIMES.values() if kind in one.kinds]
        raise UsageError(f"{path} runs on {' or '.join(needed)}, none of which is installed")
    if not len(images):
        raise UsageError("there are no images to verify with")
    exact = reference.logits(images)
    answers = []
    for number, name in enumerate(names):
        show(f"running on {RUNTIMES[name].title}", number, len(names))
        answers.append(ask(name, path, images))
    show("running", len(names), len(names))
    first = next((one.logits for one in answers if one.logits is not None), None)
    found = tuple(_on_runtime(one, reference, exact, first, labels, _scale(path)) for one in answers)
    graph = graph_of(path)
    layers: tuple[Layer, ...] = ()
    causes = [*_causes_of_preprocessing(path, reference), *_causes_of_array(path)]
    exact_graph = None
    if has_layers(path):
        exact_graph = Graph(float_graph(reference.model, reference.preprocessing.input_shape))
        few = images[np.unique(np.linspace(0, len(images) - 1, LOOKED_INTO).astype(np.int64))]
        # What ended a child's process would end this one, too.
        layers = layers_of(path, exact_graph, few, show) if first is not None else ()
        # Of a file that no runtime takes, only what was looked through when it was read is looked into.
        causes += _causes_of_weights(weights_of(path, exact_graph)) if graph is not None or first is not None else []
        if graph is not None and graph.tensor(graph.input).shape == exact_graph.tensor(exact_graph.input).shape:
            causes += _causes_of_constants(graph, exact_graph)
    if first is not None:
        causes += _causes_of_classes(reference, exact, first)
    model_right = None if labels is None else int(_right(reference, exact, labels).sum())
    failures = (
        *_failures(found, max_drop, len(images)),
        *(f"{one.title}: {one.text}" for one in causes if one.is_fatal),
    )
    causes += [one for one in _causes_of_ranges(layers) if failures or one.title == "numbers are cut off"]
    return Evidence(
        file=str(path),
        against=called or str(reference.path or "the model"),
        images=len(images),
        model_right=model_right,
        runtimes=found,
        layers=layers,
        operators=dict(Counter(step.operator for step in graph.steps)) if graph else {},
        floats=tuple(_floats(graph)) if graph else (),
        size=_size(path),
        macs=sum(macs(exact_graph).values()) if exact_graph else 0,
        disagreements=_disagreements(reference, exact, first, labels) if first is not None else (),
        causes=tuple(causes),
        max_drop=max_drop,
        failures=failures,
    )


def _right(reference: Predictor, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which images are answered wholly right."""
    same = reference.task.decisions(logits) == labels
    return np.asarray(same.reshape(len(same), -1).all(axis=1))


def _same(reference: Predictor, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """On which images two answers decide alike."""
    same = reference.task.decisions(one) == reference.task.decisions(other)
    return np.asarray(same.reshape(len(same), -1).all(axis=1))


def _on_runtime(
    answered: Answered,
    reference: KerasPredictor,
    exact: np.ndarray,
    first: np.ndarray | None,
    labels: np.ndarray | None,
    scale: float,
) -> OnRuntime:
    if answered.logits is None or first is None:
        return OnRuntime(answered.runtime, answered.failure)
    logits = answered.logits
    if logits.shape != exact.shape or not np.isfinite(logits).all():
        return OnRuntime(answered.runtime, "its logits are not all numbers, or are not as many as there are classes")
    found = OnRuntime(
        answered.runtime,
        agreement=float(_same(reference, exact, logits).mean()),
        steps=float(np.abs(logits - first).max()) / (scale or float(np.ptp(first)) or 1.0),
        otherwise=int((~_same(reference, first, logits)).sum()),
        latency=answered.latency or {},
        memory=answered.memory,
        arena=answered.arena,
        kernels=answered.kernels.counts if answered.kernels else {},
        unfused=answered.kernels.unfused if answered.kernels else (),
    )
    if labels is None:
        return found
    right = _right(reference, logits, labels)
    difference, interval = paired_difference(_right(reference, exact, labels), right)
    return replace(found, right=int(right.sum()), difference=difference, interval=interval)


def _failures(found: Sequence[OnRuntime], max_drop: float, images: int) -> list[str]:
    failures = []
    for one in found:
        title = RUNTIMES[one.runtime].title
        if one.failure:
            failures.append(f"{title}: {one.failure}")
        elif one.difference is not None and -one.difference > max_drop:
            failures.append(f"{title}: accuracy is {-one.difference:.2f} points lower, and may be {max_drop:g}")
        elif one.difference is None and 100 * (1 - one.agreement) > max_drop:
            failures.append(
                f"{title}: it decides as the model on {one.agreement:.2%} of {images} images, and must on "
                f"{100 - max_drop:g} %"
            )
    return failures


# Looking into a `.tflite` file.


def graph_of(path: Path) -> Graph | None:
    """The graph of a `.tflite` file, or of that in a folder for TFLite Micro or of C; None: it is another file."""
    if kind_of(path) not in ("tflite", *INTEGERS):
        return None
    return Graph(read_tflite(network_in(path)))


def _scale(path: Path) -> float:
    graph = graph_of(path)
    if graph is None:
        return 0.0
    scales = graph.tensor(graph.output).scales
    return float(scales[0]) if len(scales) else 0.0


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in files)


def _floats(graph: Graph) -> list[str]:
    """Steps that need more than a device of integers has, or than LiteRT has, with their names."""
    known = set(vars(graph.schema.BuiltinOperator))
    integers = graph.tensor(graph.input).dtype.itemsize < 4
    found = []
    for step in graph.steps:
        tensor = graph.tensor(step.output)
        if step.operator.startswith("Flex") or step.operator not in known:
            found.append(f"{step.operator} ({tensor.name}): needs more than LiteRT's own operators")
        elif integers and tensor.dtype.kind == "f":
            found.append(f"{step.operator} ({tensor.name}): computes with floats")
    return found


def _alike(mine: np.ndarray, theirs: np.ndarray) -> float:
    """The correlation of two layers' weights, whatever positive factors equalisation gave their channels.

    Args:
        mine, theirs: float32 (output channels, window × input channels).
    """
    # What is lost in the rounding of 8 bits, as channels that have died, tells nothing.
    steps = np.abs(theirs).max(axis=1, keepdims=True) / 127
    audible = np.abs(theirs) > steps
    one, other = _balanced(mine * audible), _balanced(theirs * audible)
    return float(np.sum(one * other) / max(np.linalg.norm(one) * np.linalg.norm(other), 1e-30))


def _balanced(weights: np.ndarray) -> np.ndarray:
    """Weights whose rows and columns have the same length each: what no factors of channels change."""
    for _ in range(10):
        for axis in (1, 0):
            weights = weights / np.maximum(np.linalg.norm(weights, axis=axis, keepdims=True), 1e-30)
    return weights


# What may be wrong.


def _causes_of_preprocessing(path: Path, reference: Predictor) -> list[Cause]:
    expected = reference.preprocessing
    try:
        found = _preprocessing_of(path)
    except ModelError as error:
        return [Cause("the file does not say how its input is prepared", str(error))]
    causes = []
    if found.class_names != expected.class_names and not reference.is_nameless:
        causes.append(
            Cause(
                "other class names, or another order of them",
                f"the file has {_few(found.class_names)}, the model {_few(expected.class_names)}: export the file anew",
                is_fatal=True,
            )
        )
    if found.fit != expected.fit:
        causes.append(
            Cause(
                "images are resized otherwise",
                f"the file says {_of_fit(found)}, the model {_of_fit(expected)}: what is different there is different "
                "on the device",
                is_fatal=True,
            )
        )
    if (found.mean, found.std) != (expected.mean, expected.std):
        causes.append(
            Cause(
                "another normalisation",
                f"the file says mean {_few(found.mean)} and deviation {_few(found.std)}, the model "
                f"{_few(expected.mean)} and {_few(expected.std)}",
                is_fatal=True,
            )
        )
    return causes


def _causes_of_array(path: Path) -> list[Cause]:
    """Whether a folder for TFLite Micro gives a device what is run here. Of C, the runtime compares."""
    if not (path / MICRO_DATA).is_file():
        return []
    try:
        check_array(path)
    except ModelError as error:
        return [Cause("the C array is another network", str(error), is_fatal=True)]
    return []


def _preprocessing_of(path: Path) -> Preprocessing:
    if path.suffix == ".onnx":
        from keras_resnet.inference.onnx_file import read_onnx

        return read_onnx(path)[1]
    path = network_in(path)
    if path.is_file() and not has_stamp(path):
        raise ModelError(f"{path} has no preprocessing in it: it was not written by this package")
    return read_stamp(path)


def _of_fit(preprocessing: Preprocessing) -> str:
    fit = preprocessing.fit
    crop = "squeezed" if fit.crop_fraction is None else f"the centre of {fit.crop_fraction:g}"
    return f"{fit.size[0]}×{fit.size[1]}×{fit.channels}, {fit.resize}, {crop}"


def _few(values: Sequence[object]) -> str:
    shown = ", ".join(f"{one:.4g}" if isinstance(one, float) else str(one) for one in values[:4])
    return f"({shown}{', …' if len(values) > 4 else ''})"


def _causes_of_weights(layers: Sequence[Weights]) -> list[Cause]:
    """Weights that are not the model's."""
    causes = []
    strange, coarse, led = [], [], []
    for number, one in enumerate(layers):
        mine, theirs = one.mine, one.theirs
        if not theirs.any() and np.abs(mine).max() < SILENT:
            continue  # as the last layers of blocks begin, whose normalisation is 0 at first
        name = short_name(one.name)
        alike = _alike(mine, theirs)
        if number == 0 and mine.shape[1] % 3 == 0 and alike < ALIKE:
            turned = mine.reshape(len(mine), -1, 3)[..., ::-1].reshape(mine.shape)
            if _alike(turned, theirs) >= ALIKE:
                causes.append(
                    Cause(
                        "red and blue are swapped",
                        f"the first layer, {name}, has the model's kernels with their channels in the other order: it "
                        "takes blue, green, red where the model takes red, green, blue",
                        is_fatal=True,
                    )
                )
                continue
        if alike < ALIKE:
            strange.append(f"{name} (correlation {alike:.2f})")
        if mine.size > 8 * COARSE and one.values <= COARSE:
            coarse.append(name)
        sizes = np.sort(np.abs(mine).max(axis=1))
        if len(sizes) > 3 and sizes[-1] > LED * max(sizes[-2], 1e-30):
            led.append(name)
    if strange:
        causes.append(
            Cause(
                "weights are not the model's",
                f"{_those(strange)}: another checkpoint, another order of channels, or damage",
                is_fatal=True,
            )
        )
    if coarse:
        text = f"{_those(coarse)}: no more than {COARSE} different values"
        causes.append(Cause("weights of fewer than eight bits", text, is_fatal=True))
    if led:
        causes.append(
            Cause(
                "one channel is much larger than all others",
                f"{_those(led)}: it leads the range of what the layer computes, and the others become coarse. Train "
                "with weight decay, equalise channels, or keep the layer in 16 bits",
            )
        )
    return causes


def _causes_of_constants(graph: Graph, exact: Graph) -> list[Cause]:
    """What pixels become before the first layer with weights: of a black and of a white picture."""
    values = []
    for one in (graph, exact):
        read = next(step.inputs[0] for step in one.steps if step.operator in WEIGHTED)
        pad = next((step for step in one.steps if step.outputs == (read,) and step.operator.startswith("PAD")), None)
        number = pad.inputs[0] if pad else read
        shape = one.tensor(one.input).shape[1:]
        pictures = np.stack([np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)])
        tensor = one.tensor(number)
        found = [tensor.real(tensors[number]) for tensors in run(one.packed(), pictures, [number])]
        values.append(np.array([picture.reshape(-1, picture.shape[-1]).mean(axis=0) for picture in found]))
    mine, theirs = values
    if mine.shape == theirs.shape and np.abs(mine - theirs).max() > 0.03 * max(float(np.ptp(theirs)), 1e-9):
        shown = [f"{_few(one[0].tolist())} to {_few(one[1].tolist())}" for one in (mine, theirs)]
        text = f"pixels of 0 to 255 become {shown[0]} in the file, and {shown[1]} in the model"
        return [Cause("another normalisation", text, is_fatal=True)]
    return []


def _causes_of_ranges(layers: Sequence[Layer]) -> list[Cause]:
    cut = [f"{short_name(one.name)} ({one.cut:.0%})" for one in layers if one.cut > CUT]
    causes = []
    if cut:
        causes.append(
            Cause(
                "numbers are cut off",
                f"{_those(cut)} lie beyond their ranges: the images that it was calibrated with are unlike "
                "these, or too few. Calibrate with training images, as the device will see them",
            )
        )
    worst = _first_fall(layers)
    if worst is not None:
        causes.append(
            Cause(
                "the noise begins at one layer",
                f"{short_name(worst.name)} ({worst.operator}) is only {worst.noise:.1f} dB above its noise, much less "
                "than what comes before it",
            )
        )
    return causes


def _first_fall(layers: Sequence[Layer]) -> Layer | None:
    """The first layer that is far noisier than all before it."""
    least = math.inf
    for one in layers:
        if one.noise < 15 and (least - one.noise > 8 or least == math.inf):
            return one
        least = min(least, one.noise)
    return None


def _causes_of_classes(reference: Predictor, exact: np.ndarray, logits: np.ndarray) -> list[Cause]:
    """Classes that take each other's place, and one class for everything."""
    if reference.task.several or exact.shape != logits.shape:
        return []
    names, ours, theirs = reference.task.class_names, exact.argmax(axis=1), logits.argmax(axis=1)
    becomes: dict[int, int] = {}
    for number in range(len(names)):
        answers = theirs[ours == number]
        if len(answers) < LEAST_MAPPED:
            continue
        kinds, counts = np.unique_counts(answers)
        most = int(np.argmax(counts))
        if kinds[most] != number and counts[most] >= MAPPED * len(answers):
            becomes[number] = int(kinds[most])
    # Coarse integers may move a class to its neighbour; only another order moves that one, too.
    swapped = [f"{names[one]} becomes {names[other]}" for one, other in becomes.items() if other in becomes]
    share = np.unique_counts(theirs).counts.max() / len(theirs)
    usual = np.unique_counts(ours).counts.max() / len(ours)
    if share > 0.95 and usual < 0.8:
        text = f"{names[np.bincount(theirs).argmax()]} on {share:.0%} of the images"
        return [Cause("it answers one class", text, is_fatal=True)]
    if swapped:
        text = f"{_those(swapped)}: the outputs are in another order than the names"
        return [Cause("classes are swapped", text, is_fatal=True)]
    return []


def _those(names: Sequence[str]) -> str:
    left = len(names) - SAID
    return "; ".join(names[:SAID]) + (f"; and {left} more" if left > 0 else "")


def _disagreements(
    reference: Predictor, exact: np.ndarray, logits: np.ndarray, labels: np.ndarray | None
) -> tuple[Disagreement, ...]:
    task = reference.task
    if exact.shape != logits.shape:
        return ()
    ours, theirs = task.decisions(exact), task.decisions(logits)
    spread = float(np.ptp(exact)) or 1.0
    found = []
    for image in np.flatnonzero(~_same(reference, exact, logits)):
        if task.several:
            margin = float(np.abs(exact[image])[ours[image] != theirs[image]].max())
        else:
            margin = float(exact[image, ours[image]] - exact[image, theirs[image]])
        names = ["+".join(task.names_of(one[image])) for one in (ours, theirs)]
        label = "" if labels is None else "+".join(task.names_of(labels[image]))
        found.append(Disagreement(int(image), label, names[0], names[1], margin / spread))
    return tuple(sorted(found, key=lambda one: -one.margin))


def accuracy_in_words(right: int, images: int) -> str:
    """A share of images with its 95 % interval."""
    low, high = wilson_interval(right, images)
    return f"{right / images:.2%} ({right} of {images}; 95 % interval {low:.2%} to {high:.2%})"
