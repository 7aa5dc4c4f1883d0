"""Weights files of every kind: their tensors by name, and copied into variables only where all of them fit."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from keras_resnet.errors import MissingExtraError, ModelError, listed
from keras_resnet.json_files import parsed
from keras_resnet.regular_files import MOST_TEXT, RefusedFileError, check_regular, read_member
from keras_resnet.shortage import refuse_shortage
from keras_resnet.stamp import ArchiveError, opened_archive
from keras_resnet.weights.hdf5 import names_in, numbers_at, open_hdf5
from keras_resnet.weights.keras_archive import load_archive

if TYPE_CHECKING:
    import keras

Tensors = dict[str, np.ndarray]
Expectations = dict[str, tuple[tuple[int, ...], str]]
DIGEST = "sha256"
"""The entry of a safetensors file's metadata with the digest of its tensors, in files that this package wrote."""
NETWORK = "network"
"""The entry with what the network was called that was saved; likewise."""
NUMPY_HAS = {"BOOL", *(f"{kind}{bits}" for kind in "IU" for bits in (8, 16, 32, 64)), "F16", "F32", "F64"}
TORCH_AND_NUMPY = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


def variables_by_path(model: keras.Model) -> dict[str, keras.Variable]:
    """Every variable of a model, random state included, by layer and name.

    `stage1_block1_conv1/kernel`; a layer's random state is `head_dropout/seed_generator_state`, and the second one of a
    model inside `augment/seed_generator_state#2`. (Keras numbers random states through the whole process, so that the
    same model built twice would have two different names for them.)

    Raises:
        ModelError: Two variables have one name.
    """
    named: dict[str, keras.Variable] = {}
    seen: set[int] = set()
    own = [("", model.variables)]  # at last: of a subclassed model, those that are no layer's
    for layer, variables in [*((layer.name, layer.variables) for layer in model.layers), *own]:
        states = 0
        for variable in variables:
            if id(variable) in seen:  # of a layer that stands in a model inside, too
                continue
            seen.add(id(variable))
            key = variable.path
            if variable.name == "seed_generator_state":
                states += 1
                key = f"{layer}/{variable.name}" + (f"#{states}" if states > 1 else "")
            if key in named:
                raise ModelError(f"{model.name} has two variables called {key}: give its layers different names")
            named[key] = variable
    return named


def check_there(path: str | os.PathLike[str]) -> None:
    """Refuse a weights file that is missing or no file.

    Raises:
        ModelError: It is.
    """
    path = Path(path)
    try:
        check_regular(path)
    except RefusedFileError as error:
        raise ModelError(f"cannot read {path}: {error}") from None
    except OSError as error:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            raise ModelError(f"cannot read {path}: {error.strerror or error}") from None
        named = "" if path.suffix else "; weights that have a name are 'imagenet', 'timm/<tag>' and 'keras'"
        raise ModelError(f"there is no weights file {path}{named}") from None


def read_weights(path: str | os.PathLike[str]) -> Tensors:
    """The tensors of a weights file, by the names the file gives them.

    Args:
        path: `.safetensors`; a PyTorch state dict (`.pth`, `.pt`, `.th`, `.bin`), by itself or under
            the key `state_dict`, `model`, `model_state_dict` or `model_ema`; `.keras`; or an `.h5`
            that Keras 2 wrote, weights or whole model.

    Raises:
        ModelError: The file is missing, damaged or of another kind.
        MissingExtraError: A PyTorch file, and PyTorch is not installed.
    """
    path = Path(path)
    check_there(path)
    if path.suffix not in READERS:
        raise ModelError(f"{path}: weights are read from {listed(READERS, most=20)} files")
    return READERS[path.suffix](path)


def read_tensors(path: str | os.PathLike[str]) -> tuple[Tensors, dict[str, str]]:
    """The tensors and the metadata of a safetensors file.

    Raises:
        ModelError: The file is missing or damaged, or holds tensors of a type that NumPy lacks.
    """
    try:
        check_regular(path)
        with safe_open(path, framework="numpy") as file:
            # Asked for first: of such a tensor, safetensors raises what NumPy happens to raise.
            types = {key: file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118
            odd = [f"{key} is {kind}" for key, kind in types.items() if kind not in NUMPY_HAS]
            if odd:
                raise ModelError(f"{path}: NumPy lacks a type, convert the file to float32; {listed(odd)}")
            tensors, metadata = {key: file.get_tensor(key) for key in types}, file.metadata() or {}
    except (SafetensorError, OSError, ValueError, TypeError, OverflowError, MemoryError) as error:
        if isinstance(error, ModelError):
            raise
        refuse_shortage(error, f"read {path}")
        raise ModelError(f"{path} cannot be read as safetensors: {error}") from None
    if metadata.get(DIGEST, digest := tensor_digest(tensors)) != digest:
        raise ModelError(
            f"{path} is damaged: its tensors are not those that were written (the digest in it says so). Restore the "
            "file from a copy"
        )
    return tensors, metadata


def tensor_digest(tensors: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of names, types, shapes and numbers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype.name} {tensor.shape}\n".encode())
        digest.update(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a safetensors file, without its tensors.

    Raises:
        ModelError: The file is missing or damaged.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        refuse_shortage(error, f"read {path}")
        raise ModelError(f"{path} cannot be read as safetensors: {error}") from None


def network_said(path: Path) -> str | None:
    """What a weights file that can be read calls the network that it is of: the name of the model that was saved.

    Args:
        path: The file. Only a safetensors file of this package and a `.keras` file say it.

    Returns:
        None where it says nothing. The model's user may have called it anything.
    """
    if path.suffix == ".safetensors":
        return read_metadata(path).get(NETWORK)
    if path.suffix != ".keras":
        return None
    try:
        name = parsed(read_member(path, "config.json", MOST_TEXT).decode())["config"]["name"]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None
    return name if isinstance(name, str) else None


def _read_torch(path: Path) -> Tensors:
    """Only tensors and plain containers are unpickled: a file from the net cannot run code here."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError(f"reading {path.name}, a PyTorch file,", "torch") from None
    try:
        _refuse_inflated(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch each have their own
        refuse_shortage(error, f"read {path}")
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{path} cannot be read as a PyTorch state dict: {reason}. It must hold tensors only "
            "(torch.save(model.state_dict(), path))"
        ) from None
    for key in ("state_dict", "model_state_dict", "model", "model_ema"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping):
        raise ModelError(f"{path} does not hold a state dict, which maps names to tensors")
    odd = [f"{name} is {oddity}" for name, value in content.items() if (oddity := _oddity(value))]
    if odd:
        raise ModelError(
            f"{path} does not hold a state dict of plain tensors, which NumPy can hold: {listed(odd)}. Save it from "
            "a model in float32"
        )
    return {str(name): value.detach().resolve_conj().resolve_neg().numpy() for name, value in content.items()}


def _oddity(value: Any) -> str | None:
    """Why a value of a state dict is no tensor that NumPy can hold; None: it is one."""
    import torch

    if not isinstance(value, torch.Tensor):
        return f"a {type(value).__name__}"
    if value.layout is not torch.strided:
        return f"sparse ({value.layout})"
    if value.is_quantized or value.dtype not in {torch.from_numpy(np.zeros(1, kind)).dtype for kind in TORCH_AND_NUMPY}:
        return f"{value.dtype}"
    if value.device.type != "cpu":
        return f"on the device {value.device.type}"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():  # strides of 0 repeat what is stored
        return f"of {value.numel():,} numbers, of which the file does not have so many"
    return None


def _refuse_inflated(path: Path) -> None:
    """PyTorch does not compress: an archive that inflates was made to fill the memory."""
    if zipfile.is_zipfile(path):
        with opened_archive(path) as archive:
            declared = sum(entry.file_size for entry in archive.infolist())
        if declared > path.stat().st_size:
            raise ArchiveError(f"it inflates from {path.stat().st_size:,} bytes to {declared:,}")


def _read_keras(path: Path) -> Tensors:
    return {name: variable.numpy() for name, variable in variables_by_path(load_archive(path)).items()}


def _read_h5(path: Path) -> Tensors:
    tensors: Tensors = {}
    with open_hdf5(path, path) as file:
        try:
            root = file.get("model_weights", file)
            # Keras cuts a list that is too long for one attribute into layer_names0, layer_names1 …
            parts = sorted((name for name in root.attrs if name.startswith("layer_names")), key=lambda n: (len(n), n))
            if not parts:
                raise KeyError("it has no layer_names")
            for layer in (layer for part in parts for layer in names_in(root, part)):
                group = root[layer]
                for name in names_in(group, "weight_names"):
                    variable = name.rsplit("/", 1)[-1].removesuffix(":0")
                    tensors[f"{layer}/{variable}"] = numbers_at(group, name)
        except Exception as error:  # h5py raises nearly anything for a damaged file
            refuse_shortage(error, f"read {path}")
            raise ModelError(f"{path} cannot be read as weights that Keras 2 wrote: {error}") from None
    return tensors


READERS: dict[str, Callable[[Path], Tensors]] = {
    ".safetensors": lambda path: read_tensors(path)[0],
    ".pth": _read_torch,
    ".pt": _read_torch,
    ".th": _read_torch,
    ".bin": _read_torch,
    ".keras": _read_keras,
    ".h5": _read_h5,
}


def assign(variables: Mapping[str, keras.Variable], tensors: Mapping[str, np.ndarray], source: str) -> None:
    """Copy tensors into variables of the same names, shapes and dtypes, or change nothing.

    Args:
        variables: Where to, by name.
        tensors: What to copy, by name.
        source: What to call the tensors in an error.

    Raises:
        ModelError: Something does not match; ten mismatches at most are listed.
    """
    refuse_mismatches(expectations(variables), tensors, source)
    for name, variable in variables.items():
        variable.assign(tensors[name])


def expectations(variables: Mapping[str, keras.Variable]) -> Expectations:
    """Shape and dtype of each variable."""
    import keras

    return {
        name: (tuple(variable.shape), keras.backend.standardize_dtype(variable.dtype))
        for name, variable in variables.items()
    }


def refuse_mismatches(expected: Expectations, tensors: Mapping[str, np.ndarray], source: str) -> None:
    """Compare names, shapes and dtypes.

    Args:
        expected: Shape and dtype by name.
        tensors: What there is.
        source: What to call it in an error.

    Raises:
        ModelError: Something does not match; ten mismatches at most are listed.
    """
    problems = [f"{name} is missing" for name in expected if name not in tensors]
    problems += [f"{name} is not part of this model" for name in tensors if name not in expected]
    for name in expected.keys() & tensors.keys():
        (shape, dtype), found = expected[name], tensors[name]
        if shape != found.shape or dtype != found.dtype.name:
            problems.append(f"{name} is {found.dtype.name}{list(found.shape)}, expected {dtype}{list(shape)}")
    if problems:
        more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ModelError(f"{source} does not fit, nothing was loaded: {'; '.join(sorted(problems)[:10])}{more}")
