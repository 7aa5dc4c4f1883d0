"""Damage small models and weights files of every kind at random, open each, and count what becomes of them.

python scripts/mutate_models.py --count 2000 --seed 0                      # open them
python scripts/mutate_models.py --count 200 --seed 0 --command verify      # or predict, evaluate: by the command line

A file may be refused by one of the package's errors, or taken. A traceback, a crash and a hang are failures; so is
another answer of a file that carries digests, and anything written elsewhere than beside the file. A command refuses
with exit code 5; any other is a failure. The seed and a file's number make the same file again: --only NUMBER --keep
FOLDER.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np

ODD_NUMBERS = (0, 1, 2, 4, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
ODD_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 2**31, 2**63, float("nan"), float("inf"), "", "x", "../x", [], [[]], {}, [None], {"a": 1},
)  # fmt: skip
INJURIES = {
    "bit": 0.3, "bytes": 0.15, "word": 0.14, "cut": 0.1, "out": 0.1, "again": 0.1, "splice": 0.08, "emptied": 0.03,
}  # fmt: skip
"""Of bytes, and how often each is done."""
WEIGHTS = (".safetensors", ".h5", ".pth")
OWN = (".keras", *WEIGHTS)
DEEP = b"[" * 100_000 + b"]" * 100_000
FINE = ("refused", "same answer", "another answer")
FAILURES = ("another exit code", "traceback", "crash", "hang", "written elsewhere")
"""With which a command may refuse a file."""
SUMS = "SHA256SUMS"
OPEN = "open"
COMMANDS = (OPEN, "predict", "evaluate", "verify")
"""What is done with files: they are opened, or given to a command of the command line."""
STARTING = 60.0
"""Seconds that a worker may take longer for its first file, before which it imports TensorFlow."""


@dataclass
class Original:
    """One undamaged file or folder.

    Args:
        kind: What to call it.
        path: Where it is.
        sealed: Whether its digests hold it: another answer is a failure.
        answer: What it gives.
    """

    kind: str
    path: Path
    sealed: bool = False
    answer: str = ""


@dataclass
class Outcome:
    counts: dict[str, Counter[str]] = field(default_factory=dict)  # by kind
    failures: list[tuple[int, str]] = field(default_factory=list)  # a file's number, and what happened

    @property
    def total(self) -> Counter[str]:
        return sum(self.counts.values(), Counter())


def corpus(folder: Path) -> list[Original]:
    """A small file of each kind, as this package, Keras and PyTorch write them."""
    import keras
    from safetensors.numpy import save_file

    from keras_resnet.exports.saved_model import write_saved_model
    from keras_resnet.exports.tflite import write_tflite
    from keras_resnet.runs.run import Run
    from keras_resnet.weights.files import variables_by_path
    from keras_resnet.weights.saving import save_model, save_weights

    model, preprocessing = network()
    images = np.random.default_rng(0).integers(0, 256, (4, *preprocessing.input_shape)).astype(np.uint8)
    save_model(model, folder / "model.keras", preprocessing)
    write_tflite(model, preprocessing, folder / "float.tflite")
    write_tflite(model, preprocessing, folder / "int8.tflite", images)
    write_saved_model(model, preprocessing, folder / "saved_model")
    save_weights(model, folder / "own.safetensors")
    tensors = {name: variable.numpy() for name, variable in variables_by_path(model).items()}
    save_file(tensors, folder / "foreign.safetensors")
    model.save_weights(folder / "keras3.weights.h5")
    write_keras2(tensors, folder / "keras2.h5")
    found = [
        Original(kind, folder / name, sealed=True)
        for kind, name in {
            ".keras": "model.keras", "float .tflite": "float.tflite", "INT8 .tflite": "int8.tflite",
            "SavedModel": "saved_model", ".safetensors": "own.safetensors",
        }.items()
    ]  # fmt: skip
    if find_spec("onnxruntime"):
        from keras_resnet.exports.material import Material
        from keras_resnet.exports.onnx import write_onnx

        write_onnx(Material(model, preprocessing), folder / "model.onnx")
        found.append(Original(".onnx", folder / "model.onnx", sealed=True))
    found += exported_folders(model, preprocessing, images, folder)
    for original in [*found[:4], *(one for one in found if one.kind == "OpenVINO")]:
        bare = original.path.with_stem(f"{original.path.stem}_bare")
        without_sums(original.path, bare)
        found.append(Original(f"{original.kind} without digests", bare))
    run = Run.start(
        folder / "run", {"recipe": {"model": "resnet8", "epochs": 1, "tta": "none"}, "data": {"name": "digits"}}
    )[0]
    shutil.copy(folder / "model.keras", run.model)
    for name, text in {
        "preprocessing.json": preprocessing.to_json(),
        "data.json": json.dumps(
            {"fingerprint": "0", "task": "classification", "images_per_class": {"train": [1, 1], "validation": [1, 1]}}
        ),
        "metrics.csv": "epoch,loss\n1,0.5\n",
    }.items():
        (run.path / name).write_text(text)
    run.finish()
    found += [
        Original("run folder", run.path),
        Original(".safetensors of others", folder / "foreign.safetensors"),
        Original(".weights.h5", folder / "keras3.weights.h5"),
        Original(".h5", folder / "keras2.h5"),
    ]
    try:
        import torch
    except ImportError:
        pass
    else:
        state = {name: torch.from_numpy(tensor.copy()) for name, tensor in tensors.items()}
        torch.save(state, folder / "net.pth")
        torch.save(state, folder / "old.pth", _use_new_zipfile_serialization=False)
        found += [Original(".pth", folder / "net.pth"), Original(".pth of old", folder / "old.pth")]
    keras.backend.clear_session()
    return found


def exported_folders(model: Any, preprocessing: Any, images: np.ndarray, folder: Path) -> list[Original]:
    """The folders for other runtimes, of which each is of several files."""
    from keras_resnet.exports.formats import FORMATS
    from keras_resnet.exports.material import Material
    from keras_resnet.quantize.post_training import Quantization

    material = Material(model, preprocessing, images, Quantization("minmax", False, False))
    found = []
    for name, one in ((name, FORMATS[name]) for name in ("openvino", "tflm", "c")):
        if all(find_spec(module) for module, _ in one.needs):
            one.write(material if one.calibrated else Material(model, preprocessing), folder / name)
            found.append(Original(one.title, folder / name, sealed=True))
    return found


def pictures(folder: Path) -> None:
    """Images for the commands: two of each class."""
    from PIL import Image

    random = np.random.default_rng(2)
    for number, name in enumerate("aabbcc"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(folder / name / f"{number}.png")


def network() -> tuple[Any, Any]:
    """The network that all files hold, and its preprocessing."""
    from keras_resnet.models.resnet import build
    from keras_resnet.models.spec import ResNetSpec
    from keras_resnet.preprocessing import Fit, Preprocessing

    preprocessing = Preprocessing(Fit((8, 8), 1), (127.0,), (74.0,), ("a", "b", "c"))
    spec = ResNetSpec("tiny", "basic", (1,), (8,), "cifar", stem_width=8)
    return build(spec, preprocessing=preprocessing, classifier_activation=None, seed=1), preprocessing


def write_keras2(tensors: dict[str, np.ndarray], path: Path) -> None:
    """Weights as Keras 2 laid them out."""
    layers = list(dict.fromkeys(name.split("/")[0] for name in tensors))
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer in layers:
            names = [name for name in tensors if name.startswith(f"{layer}/")]
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{name}:0".encode() for name in names]
            for name in names:
                group[f"{name}:0"] = tensors[name]


def without_sums(path: Path, bare: Path) -> None:
    """A copy of a model file or folder as earlier versions wrote it, without digests."""
    if path.is_dir():
        shutil.copytree(path, bare)
        next(bare.rglob(SUMS)).unlink()
        return
    content = path.read_bytes()
    start, members = unzipped(content)
    members.pop(SUMS)
    bare.write_bytes(zipped(members, content[:start]))


def unzipped(content: bytes) -> tuple[int, dict[str, bytes]]:
    """Where a zip archive begins, and its members."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = min(entry.header_offset for entry in archive.infolist())
        return start, {name: archive.read(name) for name in archive.namelist()}


def zipped(members: dict[str, bytes], before: bytes = b"", compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO(before)
    with zipfile.ZipFile(stream, "a", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), content, compression)
    return stream.getvalue()


def damage(originals: list[Original], random: np.random.Generator, folder: Path) -> tuple[Original, Path, str]:
    """One of the originals with injuries, written into a folder; with what was done to it."""
    original = originals[random.integers(len(originals))]
    target = folder / original.path.name
    if original.path.is_file():
        content, done = damaged_file(original.path.name, original.path.read_bytes(), originals, random)
        target.write_bytes(content)
        return original, target, done
    shutil.copytree(original.path, target)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    file = files[random.integers(len(files))]
    if random.random() < 0.1:
        file.unlink()
        return original, target, f"{file.name} removed"
    if random.random() < 0.1:
        other = files[random.integers(len(files))]
        file.write_bytes(other.read_bytes())
        return original, target, f"{file.name} replaced by {other.name}"
    content, done = damaged_file(file.name, file.read_bytes(), originals, random)
    file.write_bytes(content)
    return original, target, f"{file.name}: {done}"


def damaged_file(
    name: str, content: bytes, originals: list[Original], random: np.random.Generator
) -> tuple[bytes, str]:
    """The content with an injury that its format knows, or else one that any file may have."""
    injure = next((injure for ending, injure in STRUCTURED.items() if name.endswith(ending)), None)
    if injure is None or random.random() < 0.4:
        return damaged_bytes(content, originals, random)
    try:
        return injure(content, originals, random)
    except (ValueError, KeyError, OSError, RuntimeError) as error:  # an injury that the tool refuses to make
        done, how = damaged_bytes(content, originals, random)
        return done, f"{how} ({type(error).__name__})"


def damaged_bytes(content: bytes, originals: list[Original], random: np.random.Generator) -> tuple[bytes, str]:
    """One to four injuries of bytes."""
    found, done = bytearray(content), []
    for _ in range(random.integers(1, 5)):
        start, end = sorted(random.integers(0, len(found) + 1, 2).tolist())
        place = start if random.random() < 0.5 else int(random.integers(0, min(256, len(found)) + 1))  # or the header
        kind = random.choice(
            ["bit", "bytes", "cut", "out", "again", "splice", "word", "emptied"],
            p=[0.3, 0.15, 0.1, 0.1, 0.1, 0.08, 0.14, 0.03],
        )
        done.append(f"{kind} at {place}")
        match str(kind):
            case "bit":
                found[place : place + 1] = bytes(b ^ 1 << random.integers(8) for b in found[place : place + 1])
            case "bytes":
                found[place : place + 8] = random.bytes(len(found[place : place + 8]))
            case "cut":
                del found[end:]
            case "out":
                del found[start : min(end, start + 64)]
            case "again":
                found[start:start] = found[start : min(end, start + 4096)]
            case "splice":
                other = content_of(originals[random.integers(len(originals))], random)
                found[start:] = other[int(random.integers(len(other) + 1)) :]
            case "word":
                write_word(found, place, random)
            case "emptied":
                found = bytearray()
    return bytes(found), ", ".join(done)


def write_word(content: bytearray, place: int, random: np.random.Generator) -> None:
    layout = str(random.choice(["<I", ">I", "<H", "<Q"]))
    number = int(random.choice(ODD_NUMBERS)) if random.random() < 0.5 else int(random.integers(256))
    size = struct.calcsize(layout)
    content[place : place + size] = struct.pack(layout, number % 256**size)


def content_of(original: Original, random: np.random.Generator) -> bytes:
    if original.path.is_file():
        return original.path.read_bytes()
    files = sorted(path for path in original.path.rglob("*") if path.is_file())
    return files[random.integers(len(files))].read_bytes()


def damaged_json(content: bytes, _: list[Original], random: np.random.Generator) -> tuple[bytes, str]:
    """A value of another type, a key less, or a hundred thousand levels."""
    if random.random() < 0.05:
        return DEEP, "JSON too deep"
    value = json.loads(content)
    holders: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        places = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for place in places:
            holders.append((one, place))
            waiting.append(one[place])
    if not holders:
        return json.dumps(ODD_VALUES[random.integers(len(ODD_VALUES))]).encode(), "JSON of another type"
    holder, place = holders[random.integers(len(holders))]
    if random.random() < 0.2:
        del holder[place]
        return json.dumps(value).encode(), f"JSON without {place}"
    odd = ODD_VALUES[random.integers(len(ODD_VALUES))]
    holder[place] = odd
    return json.dumps(value).encode(), f"JSON with {place} = {odd!r}"


def damaged_zip(content: bytes, originals: list[Original], random: np.random.Generator) -> tuple[bytes, str]:
    """A member damaged, missing, renamed, there twice, or larger than it should be."""
    start, members = unzipped(content)
    name = list(members)[random.integers(len(members))]
    match random.integers(7):
        case 0 | 1 | 2:
            members[name], done = damaged_file(name, members[name], originals, random)
            return zipped(members, content[:start]), f"{name}: {done}"
        case 3:
            del members[name]
            return zipped(members, content[:start]), f"{name} removed"
        case 4:
            odd = str(random.choice([f"../../{name}", f"/tmp/{name}", f"{name}x", name.upper(), ""]))
            members = {odd if key == name else key: value for key, value in members.items()}
            return zipped(members, content[:start]), f"{name} renamed to {odd!r}"
        case 5:
            members[name] += bytes(1 << 27) if random.random() < 0.3 else bytes(1 << 20)
            return zipped(members, content[:start], zipfile.ZIP_DEFLATED), f"{name} inflates"
        case _:  # the sizes that the directory declares
            found = bytearray(content)
            entry = found.rfind(b"PK\x01\x02", 0, int(random.integers(len(found))) + 1)
            write_word(
                found, (entry if entry >= 0 else start) + int(random.choice([8, 10, 16, 20, 24, 28, 42])), random
            )
            return bytes(found), "a word of the zip directory"


def damaged_hdf5(content: bytes, _: list[Original], random: np.random.Generator) -> tuple[bytes, str]:
    """A dataset or attribute of a kind that weights never have."""
    stream = io.BytesIO(content)
    with h5py.File(stream, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        datasets = [name for name in names if isinstance(file[name], h5py.Dataset)]
        name = datasets[random.integers(len(datasets))]
        value, parent = file[name][()], file[name].parent
        own = name.rsplit("/", 1)[-1]
        kinds: dict[str, Callable[[], object]] = {
            "external storage": lambda: file.create_dataset(name, value.shape, "f4", external=[("/etc/passwd", 0, 99)]),
            "an external link": lambda: parent.__setitem__(own, h5py.ExternalLink("/etc/passwd", "/a")),
            "a soft link to itself": lambda: parent.__setitem__(own, h5py.SoftLink(f"/{name}")),
            "its parent": lambda: parent.__setitem__(own, parent),
            "gigabytes": lambda: file.create_dataset(name, (1 << 31,), "f4"),
            "gigabytes in pieces": lambda: file.create_dataset(name, (1 << 20, 1 << 12), "f4", chunks=(64, 64)),
            "nothing": lambda: file.create_dataset(name, data=h5py.Empty("f4")),
            "texts": lambda: file.create_dataset(name, data=["a", "b"]),
            "references": lambda: file.create_dataset(name, data=np.array([parent.ref], dtype=h5py.ref_dtype)),
            "a filter": lambda: file.create_dataset(name, data=np.atleast_1d(value), compression="lzf"),
            "a group": lambda: file.create_group(name),
            "other numbers": lambda: file.create_dataset(name, data=value.astype(random.choice(["f8", "i1", "c8"]))),
            "another shape": lambda: file.create_dataset(name, data=np.zeros([*value.shape, 2], "f4")),
            "a number": lambda: file.create_dataset(name, data=3),
            "no numbers": lambda: file.create_dataset(name, data=np.full_like(value, np.nan)),
        }
        holders = [one for one in ["/", *names] if len(file[one].attrs)]
        if holders and random.random() < 0.4:
            holder = file[holders[random.integers(len(holders))]]
            attribute = list(holder.attrs)[random.integers(len(holder.attrs))]
            reference = np.array([holder.ref], h5py.ref_dtype)
            odd = (3, 1.5, b"\xff", "x", [b"x"], np.zeros((2, 2)), h5py.Empty("f4"), reference)
            value = odd[random.integers(len(odd))]
            del holder.attrs[attribute]
            if random.random() < 0.2:
                done = f"{holder.name} without {attribute}"
            else:
                holder.attrs[attribute] = value
                done = f"{attribute} of {holder.name} became {value!r}"
        else:
            kind = str(random.choice(list(kinds)))
            del file[name]
            kinds[kind]()
            done = f"{name} became {kind}"
    return stream.getvalue(), done


def damaged_safetensors(content: bytes, originals: list[Original], random: np.random.Generator) -> tuple[bytes, str]:
    """A header with odd values, or of another length than it says."""
    (length,) = struct.unpack_from("<Q", content)
    header, done = damaged_json(content[8 : 8 + length], originals, random)
    if random.random() < 0.2:
        length += int(random.choice([-8, 8, 1 << 20, 1 << 62]))
        return struct.pack("<Q", length) + content[8:], "another length of the header"
    return struct.pack("<Q", len(header)) + header + content[8 + length :], f"header: {done}"


def damaged_flatbuffer(content: bytes, _: list[Original], random: np.random.Generator) -> tuple[bytes, str]:
    """One to three words before the zip archive: distances, indices, sizes, options."""
    start, _members = unzipped(content)
    found, places = bytearray(content), []
    for _number in range(random.integers(1, 4)):
        place = int(random.integers(min(start, 2048 if random.random() < 0.2 else start) // 2)) * 2
        places.append(place)
        write_word(found, place, random)
    return bytes(found[: len(content)]), f"words at {places}"


def damaged_torch(content: bytes, originals: list[Original], random: np.random.Generator) -> tuple[bytes, str]:
    """A tensor of a kind that NumPy lacks, or no tensor; or a damaged member of the archive."""
    import torch

    if content[:2] == b"PK" and random.random() < 0.4:
        return damaged_zip(content, originals, random)
    state = torch.load(io.BytesIO(content), weights_only=True)
    name = list(state)[random.integers(len(state))]
    tensor = state[name]
    odd: dict[str, Callable[[], object]] = {
        "sparse": tensor.to_sparse,
        "meta": lambda: tensor.to("meta"),
        "float8": lambda: tensor.to(torch.float8_e5m2),
        "quantised": lambda: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
        "bfloat16": tensor.bfloat16,
        "complex": lambda: tensor.to(torch.complex64),
        "float64": tensor.double,
        "repeated": lambda: torch.ones(1).expand(1 << 20, 1 << 20),
        "nothing": lambda: None,
        "a text": lambda: "x",
        "a list": lambda: [1],
    }
    kind = str(random.choice(list(odd)))
    state[name] = odd[kind]()
    stream = io.BytesIO()
    torch.save(state, stream, _use_new_zipfile_serialization=content[:2] == b"PK")
    return stream.getvalue(), f"{name} became {kind}"


STRUCTURED: dict[str, Callable[[bytes, list[Original], np.random.Generator], tuple[bytes, str]]] = {
    ".keras": damaged_zip, ".h5": damaged_hdf5, ".safetensors": damaged_safetensors, ".tflite": damaged_flatbuffer,
    ".pth": damaged_torch, ".json": damaged_json,
}  # fmt: skip
"""By the ending of a file's name."""


def answer(path: Path) -> str:
    """What a file gives: a digest of the logits of one image and of all that says what they mean, or of the weights."""
    import hashlib

    from keras_resnet.inference.predictors import open_predictor
    from keras_resnet.runs.run import Run, is_run
    from keras_resnet.weights.loading import load_weights

    if path.suffix in (".safetensors", ".h5", ".pth"):
        model, _ = network()
        load_weights(model, path)
        parts = [weight.tobytes() for weight in model.get_weights()]
    else:
        predictor = open_predictor(path)
        shape = predictor.preprocessing.input_shape
        image = np.random.default_rng(1).integers(0, 256, (1, *shape)).astype(np.uint8)
        parts = [predictor.logits(image).tobytes(), predictor.preprocessing.to_json().encode()]
        if is_run(path):
            run = Run.at(path)
            parts.append(repr((run.status, run.config, run.preprocessing, run.fingerprint, run.metrics())).encode())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def exit_code(command: str, path: Path, undamaged: Path) -> int:
    """What the command line ends with for a file."""
    from keras_resnet.cli import main as command_line

    data = f"folder:{undamaged / 'pictures'}"
    words = {
        "predict": [str(path), str(undamaged / "pictures")],
        "evaluate": [str(path), "--data", data, "--split", "all"],
        "verify": [str(path), "--against", str(undamaged / "model.keras"), "--data", data, "--split", "all",
                   "--max-drop", "100"],
    }  # fmt: skip
    return command_line([command, *words[command]])


def work(command: str, undamaged: Path) -> None:
    """Answer paths, a line each, until there are no more.

    Args:
        command: Of the command line, `OPEN` to open files alone.
        undamaged: The folder of the originals.
    """
    import keras

    from keras_resnet.errors import KerasResNetError, ModelError

    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no reply
    for number, line in enumerate(sys.stdin):
        try:
            path = Path(line.rstrip("\n"))
            code = 0 if command == OPEN else exit_code(command, path, undamaged)
            what = "answer" if not code else "refused" if code == ModelError.exit_code else "another exit code"
            reply = [what, answer(path) if command == OPEN else f"exit code {code}"]
        except KerasResNetError as error:
            reply = ["refused", str(error)]
        except Exception as error:
            reply = ["traceback", f"{type(error).__name__}: {error}"]
        print(json.dumps(reply), file=replies, flush=True)
        if number % 20 == 19:
            keras.backend.clear_session()


class Worker:
    """A process that opens files; another one takes its place if it dies or hangs.

    Args:
        seconds: How long it may take for one file.
        command: As `work`.
        undamaged: Likewise.
        place: Where it works; None: here.
    """

    def __init__(
        self, seconds: float, command: str = OPEN, undamaged: Path = Path(), place: Path | None = None
    ) -> None:
        self.seconds, self.command, self.undamaged, self.place = seconds, command, undamaged, place
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, path: Path) -> tuple[str, str]:
        started = self.process is not None and self.process.poll() is None
        if not started:
            script = str(Path(__file__).absolute())
            self.process = subprocess.Popen(
                [sys.executable, script, "--command", self.command, "--worker", str(self.undamaged)],
                cwd=self.place,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            )  # fmt: skip
        process = self.process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{path}\n".encode())
        process.stdin.flush()
        if not select.select([process.stdout], [], [], self.seconds + (0 if started else STARTING))[0]:
            self.close()
            return "hang", f"no answer in {self.seconds:.0f} s"
        line = process.stdout.readline()
        if not line:
            return "crash", f"exit code {process.wait()}"
        what, detail = json.loads(line)
        return what, detail

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


def mutate(
    count: int,
    seed: int,
    *,
    only: int | None = None,
    seconds: float = 20.0,
    keep: Path | None = None,
    command: str = OPEN,
) -> Outcome:
    """Open `count` damaged files.

    Args:
        count: How many.
        seed: Of all damage.
        only: The number of the only file to damage and open.
        seconds: More for one file is a hang.
        keep: A folder that damaged files which fail are copied to.
        command: What is done with each: `OPEN`, or a command of the command line.
    """
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        undamaged, around = Path(folder) / "undamaged", Path(folder) / "around"
        undamaged.mkdir()
        (around / "here").mkdir(parents=True)
        originals = corpus(undamaged)
        pictures(undamaged / "pictures")
        if command == "verify":  # of exported files alone
            originals = [one for one in originals if not one.path.name.endswith(OWN) and one.path.name != "run"]
        elif command != OPEN:
            originals = [one for one in originals if not one.path.name.endswith(WEIGHTS) and one.path.name != "run"]
        worker = Worker(seconds, command, undamaged, around / "here")
        try:
            for original in originals:
                what, original.answer = worker.ask(original.path)
                if what != "answer":
                    raise SystemExit(f"the undamaged {original.path.name} gives {what}: {original.answer}")
                outcome.counts[original.kind] = Counter()
            for number in range(count) if only is None else [only]:
                place = around / "damaged"
                place.mkdir()
                original, path, done = damage(originals, np.random.default_rng([seed, number]), place)
                what, detail = worker.ask(path)
                if what == "answer":
                    what = "same answer" if detail == original.answer else "another answer"
                elsewhere = [one.name for one in (*around.iterdir(), *(around / "here").iterdir())]
                if sorted(elsewhere) != ["damaged", "here"]:
                    what, detail = "written elsewhere", str(elsewhere)
                outcome.counts[original.kind][what] += 1
                failed = what in FAILURES or (what == "another answer" and original.sealed)
                if failed:
                    outcome.failures.append((number, f"{original.kind}, {done}: {what}: {detail[:300]}"))
                if keep and (failed or only is not None):
                    shutil.copytree(place, keep / str(number), dirs_exist_ok=True)
                shutil.rmtree(place)
        finally:
            worker.close()
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one file")
    parser.add_argument("--seconds-limit", type=float, default=20.0, help="more for one file is a hang")
    parser.add_argument("--keep", type=Path, help="a folder for the files that fail")
    parser.add_argument(
        "--command", choices=(OPEN, "predict", "evaluate", "verify"), default=OPEN, help="default: open"
    )
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.command, options.worker)
        return 0
    outcome = mutate(
        options.count,
        options.seed,
        only=options.only,
        seconds=options.seconds_limit,
        keep=options.keep,
        command=options.command,
    )
    columns = (*FINE, *FAILURES)
    print(f"{'':28}" + "".join(f"{name:>18}" for name in columns))
    for kind, counts in [*outcome.counts.items(), ("all", outcome.total)]:
        print(f"{kind:28}" + "".join(f"{counts[name]:18}" for name in columns))
    for number, error in outcome.failures:
        print(f"seed {options.seed}, file {number}: {error}", file=sys.stderr)
    return int(bool(outcome.failures))


if __name__ == "__main__":
    sys.exit(main())
