"""Weights files of every kind: their tensors by name, and copied into variables only where all of them fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from keras_resnet.compat.deep_graphs import deep_recursion
from keras_resnet.errors import MissingExtraError, ModelError, listed
from keras_resnet.regular_files import RefusedFileError, check_archive, check_regular

if TYPE_CHECKING:
    import keras

Tensors = dict[str, np.ndarray]
Expectations = dict[str, tuple[tuple[int, ...], str]]


def variables_by_path(model: keras.Model) -> dict[str, keras.Variable]:
    """Every variable of a functional model, random state included, by layer and name.

    `stage1_block1_conv1/kernel`; a layer's random state is `head_dropout/seed_generator_state`. (Keras
    numbers random states through the whole process, so that the same model built twice would have
    two different names for them.)
    """
    named: dict[str, keras.Variable] = {}
    for layer in model.layers:
        for variable in layer.variables:
            is_random_state = variable.name == "seed_generator_state"
            key = f"{layer.name}/{variable.name}" if is_random_state else variable.path
            if key in named:
                raise ModelError(f"{model.name} has two variables called {key}: give its layers different names")
            named[key] = variable
    return named


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
    try:
        check_regular(path)
    except RefusedFileError as error:
        raise ModelError(f"cannot read {path}: {error}") from None
    except OSError:
        named = "" if path.suffix else "; weights that have a name are 'imagenet', 'timm/<tag>' and 'keras'"
        raise ModelError(f"there is no weights file {path}{named}") from None
    if path.suffix not in READERS:
        raise ModelError(f"{path}: weights are read from {listed(READERS, most=20)} files")
    return READERS[path.suffix](path)


def read_tensors(path: str | os.PathLike[str]) -> tuple[Tensors, dict[str, str]]:
    """The tensors and the metadata of a safetensors file.

    Raises:
        ModelError: The file is missing or damaged.
    """
    try:
        check_regular(path)
        with safe_open(path, framework="numpy") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError) as error:  # TypeError: a dtype that NumPy lacks
        raise ModelError(f"{path} cannot be read as safetensors: {error}") from None


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a safetensors file, without its tensors.

    Raises:
        ModelError: The file is missing or damaged.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} cannot be read as safetensors: {error}") from None


def _read_torch(path: Path) -> Tensors:
    """Only tensors and plain containers are unpickled: a file from the net cannot run code here."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError(f"reading {path.name}, a PyTorch file,", "torch") from None
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch each have their own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{path} cannot be read as a PyTorch state dict: {reason}. It must hold tensors only "
            "(torch.save(model.state_dict(), path))"
        ) from None
    for key in ("state_dict", "model_state_dict", "model", "model_ema"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise ModelError(f"{path} does not hold a state dict, which maps names to tensors")
    tensors = {str(key): value for key, value in content.items()}
    odd = [f"{key} is {value.dtype}" for key, value in tensors.items() if value.dtype is torch.bfloat16]
    if odd:
        raise ModelError(f"{path}: NumPy has no bfloat16, convert the file to float32; {listed(odd)}")
    return {key: value.detach().numpy() for key, value in tensors.items()}


def _read_keras(path: Path) -> Tensors:
    import keras

    try:
        check_archive(path)
        with deep_recursion():
            model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises nearly anything for a damaged archive
        raise ModelError(f"{path} cannot be read as a .keras file: {error}") from None
    return {name: variable.numpy() for name, variable in variables_by_path(model).items()}


def _read_h5(path: Path) -> Tensors:
    import h5py

    tensors: Tensors = {}
    try:
        with h5py.File(path) as file:
            root = file.get("model_weights", file)
            # Keras cuts a list that is too long for one attribute into layer_names0, layer_names1 …
            parts = sorted((name for name in root.attrs if name.startswith("layer_names")), key=lambda n: (len(n), n))
            if not parts:
                raise KeyError("it has no layer_names")
            for layer in (layer for part in parts for layer in root.attrs[part]):
                group = root[_text(layer)]
                for name in group.attrs["weight_names"]:
                    variable = _text(name).rsplit("/", 1)[-1].removesuffix(":0")
                    tensors[f"{_text(layer)}/{variable}"] = np.asarray(group[_text(name)])
    except (OSError, KeyError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as weights that Keras 2 wrote: {error}") from None
    return tensors


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


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
