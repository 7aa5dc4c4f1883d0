"""All that a training must remember to go on: one safetensors file, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import keras

from keras_resnet.errors import ModelError
from keras_resnet.weights.files import assign, read_tensors, variables_by_path
from keras_resnet.weights.saving import write_tensors


def save_model_variables(model: keras.Model, path: Path) -> None:
    """Write the model's variables."""
    _save(variables_by_path(model), path, {})


def save_checkpoint(model: keras.Model, path: Path, *, epoch: int, best_accuracy: float) -> None:
    """Write the variables of a model and its optimizer, and how far the training is.

    Args:
        model: Compiled and trained.
        path: The file.
        epoch: Epochs that are complete.
        best_accuracy: The highest validation accuracy so far.
    """
    _save(_training_variables(model), path, {"epoch": str(epoch), "best_accuracy": repr(best_accuracy)})


def load_checkpoint(model: keras.Model, path: Path) -> tuple[int, float]:
    """Fill a compiled model and its built optimizer from a checkpoint.

    Returns:
        The number of complete epochs, and the best validation accuracy so far.

    Raises:
        ModelError: The file is damaged or does not fit.
    """
    tensors, metadata = read_tensors(path)
    try:
        epoch, best_accuracy = int(metadata["epoch"]), float(metadata["best_accuracy"])
    except (KeyError, ValueError):
        raise ModelError(f"{path} is not a checkpoint: it does not say how far the training was") from None
    assign(_training_variables(model), tensors, str(path))
    return epoch, best_accuracy


def _training_variables(model: keras.Model) -> dict[str, keras.Variable]:
    named = {f"model/{name}": variable for name, variable in variables_by_path(model).items()}
    return named | {f"optimizer/{variable.path}": variable for variable in model.optimizer.variables}


def _save(variables: dict[str, keras.Variable], path: Path, metadata: dict[str, str]) -> None:
    write_tensors({name: variable.numpy() for name, variable in variables.items()}, path, metadata)
