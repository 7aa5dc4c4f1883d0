"""Arrays in files: named tensors in safetensors, and strictly from a file into a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from safetensors import SafetensorError, safe_open

from keras_resnet.errors import ModelError


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


def load_weights(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Fill a model from a `.safetensors` or `.weights.h5` file, all of it or nothing.

    Raises:
        ModelError: The file is missing, damaged, of another kind, or does not fit this model.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"there is no weights file {path}")
    if path.name.endswith(".weights.h5"):
        try:
            model.load_weights(path)
        except (ValueError, OSError, KeyError) as error:
            raise ModelError(f"{path} does not fit {model.name}: {error}") from error
    elif path.suffix == ".safetensors":
        assign(variables_by_path(model), read_tensors(path)[0], str(path))
    else:
        raise ModelError(f"{path}: weights are read from .safetensors and .weights.h5 files")


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors and the metadata of a safetensors file.

    Raises:
        ModelError: The file is missing or damaged.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} cannot be read as safetensors: {error}") from None


def assign(variables: Mapping[str, keras.Variable], tensors: Mapping[str, np.ndarray], source: str) -> None:
    """Copy tensors into variables of the same names, shapes and dtypes, or change nothing.

    Raises:
        ModelError: Something does not match; ten mismatches at most are listed.
    """
    problems = [f"{name} is missing" for name in variables if name not in tensors]
    problems += [f"{name} is not part of this model" for name in tensors if name not in variables]
    for name in variables.keys() & tensors.keys():
        expected, found = variables[name], tensors[name]
        if tuple(expected.shape) != found.shape or keras.backend.standardize_dtype(expected.dtype) != found.dtype.name:
            problems.append(
                f"{name} is {found.dtype.name}{list(found.shape)}, expected {expected.dtype}{list(expected.shape)}"
            )
    if problems:
        more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ModelError(f"{source} does not fit, nothing was loaded: {'; '.join(sorted(problems)[:10])}{more}")
    for name, variable in variables.items():
        variable.assign(tensors[name])
