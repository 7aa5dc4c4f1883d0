"""The settings of a training from everywhere: defaults < recipe < YAML file < command line, each with its origin.

A file has one setting in each line, with the names of the options and `_` for `-`: every field of a recipe, `recipe`
(the one to start from), `data` (what is trained on), the settings of its source, `num_classes` and `budget`. Paths in
it are relative to the working folder, as on the command line.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from keras_resnet.allowed import BUDGET, COUNT
from keras_resnet.data.sources import source as sources
from keras_resnet.data.sources.source import Source
from keras_resnet.errors import UsageError
from keras_resnet.models.recognition import network_of_file
from keras_resnet.regular_files import read_bytes
from keras_resnet.settings import Setting, Values, refuse_unknown
from keras_resnet.training.recipe import SETTINGS as RECIPE_SETTINGS
from keras_resnet.training.recipe import Recipe, stretched
from keras_resnet.training.recipes import DEFAULTS, recipe
from keras_resnet.visible import visible
from keras_resnet.weights.pretrained import is_name

if TYPE_CHECKING:
    from keras_resnet.runs.run import Run


def _recipe_name(name: str) -> str:
    recipe(name)
    return name


RECIPE_NAME = Values(str, optional=True, canonical=_recipe_name)
RECIPE = Setting("recipe", RECIPE_NAME, None, "the recipe to start from", "training")
SOURCE_SETTINGS = {name: one for name, one in sources.SETTINGS.items() if name not in RECIPE_SETTINGS}
"""The settings of a source that a recipe does not have, as it has image size, crop and seed."""
RUN_SETTINGS = {
    one.name: one
    for one in (
        Setting("num_classes", COUNT.or_none, None, "refuse data with another number of classes", "run"),
        Setting("budget", BUDGET.or_none, None, "a time to choose model and epochs for, as 90s, 10min or 2h", "run"),
    )
}
KNOWN = {
    "recipe": RECIPE,
    "data": RECIPE_SETTINGS["data"],
    **SOURCE_SETTINGS,
    **{name: one for name, one in RECIPE_SETTINGS.items() if name != "data"},
    **RUN_SETTINGS,
}
"""Every setting of a training, in the order in which they are shown."""

_SGD = {"learning_rate": 0.1, "weight_decay": 1e-4}  # He et al., 2015
_ADAM = {"learning_rate": 1e-3, "weight_decay": 0.0}  # Kingma & Ba, 2014; Keras's default for all of these
GOING_ON = {True: (0.1, 0.02), False: (0.5, 0.2)}
"""Of a run whose network is trained on, for integers or with less in it: the shares of its epochs and of its rate."""
FINETUNE = "finetune"
"""The recipe where weights are named and no recipe is."""
CHOSEN_KINDS = ("folder", "csv", "jsonl")
"""Sources for which no recipe fits all."""
MOST_BYTES = 2**20
"""Of a file of settings."""
USUAL: dict[str, dict[str, Any]] = {
    "sgd": _SGD,
    "sgdw": _SGD,
    "adam": _ADAM,
    "adamax": _ADAM,
    "nadam": _ADAM,
    "rmsprop": _ADAM,
    "adafactor": _ADAM,
    "adagrad": {"learning_rate": 0.01, "weight_decay": 0.0},  # PyTorch's default
    "adadelta": {"learning_rate": 1.0, "weight_decay": 0.0},  # Zeiler, 2012, has no rate; PyTorch's default
    "adamw": {"learning_rate": 1e-3, "weight_decay": 0.05},  # DeiT III (Touvron et al., 2022) and ConvNeXt decay so
    "lamb": {"learning_rate": 5e-3, "weight_decay": 0.02, "clip": "norm"},  # Wightman et al., 2021, A2; clips at 1
    "lion": {"learning_rate": 3e-4, "weight_decay": 0.15},  # Chen et al., 2023: AdamW's / 3 to 10 and × 3 to 10
    "muon": {"learning_rate": 1e-3, "weight_decay": 0.1},  # Liu et al., Moonlight, 2025; Keras's default rate
}
"""Settings that are usual for each optimizer, for users who change a recipe's optimizer and nothing else."""


@dataclass(frozen=True)
class Value:
    """A setting's value.

    Args:
        value: Checked.
        origin: Where it comes from, in words.
        said: Whether a user set it, in a file or by an argument.
    """

    value: Any
    origin: str
    said: bool = False


@dataclass(frozen=True)
class Configuration:
    """What is trained, on what, and where each setting comes from.

    Args:
        recipe: With every setting resolved.
        values: The value and origin of each setting, in the order in which they are shown.
        named: The source, at the recipe's image size; None if nothing names the data.
        reasons: Why it was chosen, where nobody said it: a line each.
    """

    recipe: Recipe
    values: Mapping[str, Value]
    named: Source | None = field(repr=False)
    reasons: tuple[str, ...] = ()

    @property
    def source(self) -> Source:
        """Where the images come from.

        Raises:
            UsageError: Nothing names the data.
        """
        if self.named is None:
            if start := self.recipe.qat or self.recipe.prune:
                raise UsageError(
                    f"{visible(start)} is no run folder, so that its images are not known: name a SOURCE beside it, or "
                    "the folder of a finished run"
                )
            raise UsageError("what is to be trained on? Name a SOURCE, or a recipe that names its data by --recipe")
        return self.named

    def __getitem__(self, name: str) -> Any:
        return self.values[name].value

    def is_said(self, name: str) -> bool:
        """Whether a user set it, in a file or by an argument."""
        return self.values[name].said

    def __str__(self) -> str:
        """A YAML file of this configuration, with the origin of each value in a comment."""
        lines = [(f"{name}: {_as_yaml(one.value)}", one.origin) for name, one in self.values.items()]
        width = min(40, max(len(line) for line, _ in lines))
        return "\n".join(f"{line:<{width}}  # {_visible(origin)}" for line, origin in lines)


class Chosen(Protocol):
    """What is trained where nobody says it, as `FirstChoice`."""

    @property
    def recipe(self) -> Recipe:
        """To train by."""
        ...

    @property
    def origin(self) -> str:
        """Of its settings, as `--print-config` shows it."""
        ...

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, a line each."""
        ...


def configure(
    *,
    recipe: str | None = None,
    config: str | os.PathLike[str] | None = None,
    said_by: str = "argument",
    choose: Callable[[Source, Mapping[str, Any]], Chosen] | None = None,
    **settings: Any,
) -> Configuration:
    """Combine the settings of a training: defaults < recipe < file < `settings`.

    If the file or `settings` set `epochs`, what the recipe (and for `settings` the file) counts in epochs is stretched.
    If they set another optimizer than the recipe's, learning rate and weight decay become those usual for it, unless
    they set these, too. If they name weights and no recipe, it is `finetune`; if the weights are a file and they name
    no network, it is the file's own.

    Args:
        recipe: The recipe to start from; None: that of the file, or else the default for the kind of data.
        config: A YAML file of settings.
        said_by: The origin of `settings`, as it is shown.
        choose: Chooses for a folder or a table of images where neither a recipe nor weights are named, as
            `keras_resnet.first_choice`; None: the default for the kind of data.
        **settings: `data`, and everything that may be in a file; those that are None are not set.

    Returns:
        The configuration; `fit(c.recipe, c.source)` trains by it.

    Raises:
        UsageError: There is no such setting, or a value does not fit; the message names it.
    """
    for name in settings:
        refuse_unknown(name, KNOWN)
    said = {**settings, "recipe": recipe}
    given = {
        name: Value(KNOWN[name].checked(value), said_by, said=True) for name, value in said.items() if value is not None
    }
    layers = [_read(Path(config)) if config is not None else {}, given]
    named, base, reasons = _base(layers, choose)
    values = {"recipe": named} | {
        name: Value(one.default, "default") for name, one in KNOWN.items() if name != "recipe"
    }
    for name, one in RECIPE_SETTINGS.items():
        if getattr(base, name) != one.default:
            values[name] = Value(getattr(base, name), f"recipe {named.value}" if named.value else named.origin)
    for layer in layers:
        before = {name: values[name].value for name in RECIPE_SETTINGS}
        for name, value in stretched(before, {name: one.value for name, one in layer.items()}).items():
            values[name] = Value(value, f"{values[name].origin}, in {layer['epochs'].value} epochs")
        values |= layer
    weights = values["weights"]
    if weights.said and weights.value and not is_name(weights.value) and not values["model"].said:
        values["model"] = Value(network_of_file(weights.value), "of the weights", said=True)
    optimizer = values["optimizer"].value
    if USUAL[optimizer] != USUAL[base.optimizer]:  # otherwise the recipe's still fit
        for name, value in USUAL[optimizer].items():
            if not values[name].said:
                values[name] = Value(value, f"usual for {optimizer}")
    # The recipe keeps its own `data`, a description, so that a run is the same however its data were named.
    resolved = Recipe(**{name: values[name].value for name in RECIPE_SETTINGS} | {"data": base.data})
    data, own = values["data"].value, {name: values[name].value for name in SOURCE_SETTINGS}
    start = _start(values)
    if not data and start:
        source = _data_of(start, {name: value for name, value in own.items() if values[name].said})
        if source is not None:
            values["data"] = Value(source.name, f"of the run {start}")
        return Configuration(resolved, values, source, reasons)
    return Configuration(resolved, values, source_for(resolved, data, **own) if data else None, reasons)


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """The recipe in a YAML file of settings; `configure` also gives its source.

    Raises:
        UsageError: The file cannot be read, or a setting in it does not fit; the message gives the line.
    """
    found = configure(config=path)
    return found.recipe.but(data=found["data"])


def source_for(recipe: Recipe, source: Source | str, **settings: Any) -> Source:
    """The source that a recipe trains on: with the recipe's image size and crop unless the source has its own.

    Args:
        recipe: Of the training. Its seed is that of a source that is given by name.
        source: A source, or the name of one.
        **settings: Of a source that is given by name.

    Raises:
        UsageError: There is no such source.
    """
    sized: dict[str, Any] = {"image_size": recipe.image_size or None, "crop_fraction": recipe.crop_fraction or None}
    if isinstance(source, str):
        return Source(source, seed=recipe.seed, **sized, **settings)
    missing = {name: value for name, value in sized.items() if getattr(source, name) is None and value is not None}
    return replace(source, **missing) if missing else source


def _base(
    layers: list[dict[str, Value]], choose: Callable[[Source, Mapping[str, Any]], Chosen] | None
) -> tuple[Value, Recipe, tuple[str, ...]]:
    """The recipe to start from: its name with the origin, the recipe, and why it was chosen."""
    merged = {**layers[0], **layers[1]}
    named = merged.get("recipe", Value(None, "default"))
    if named.value is not None:
        return named, recipe(named.value), ()
    start = _start(merged)
    if start:
        return (*_going_on(start, bool(merged.get("qat"))), ())
    if "weights" in merged and merged["weights"].value:
        return Value(FINETUNE, "default with weights"), recipe(FINETUNE), ()
    if "data" not in merged:
        return named, Recipe(), ()
    kind = sources.full_name(merged["data"].value).partition(":")[0]
    if choose is not None and kind in CHOSEN_KINDS and "weights" not in merged:
        said = {name: one.value for name, one in merged.items()}
        settings = {name: said[name] for name in SOURCE_SETTINGS if name in said}
        found = choose(Source(said["data"], seed=said.get("seed", 0), **settings), said)
        return Value(None, found.origin), found.recipe, found.reasons
    return Value(DEFAULTS[kind], f"default for {kind}"), recipe(DEFAULTS[kind]), ()


def _start(merged: Mapping[str, Value]) -> str:
    """The finished run that a training goes on with; empty: none, or a file that says nothing of its training."""
    from keras_resnet.runs.run import is_run

    path = next((merged[name].value for name in ("qat", "prune") if name in merged and merged[name].value), "")
    return path if path and is_run(Path(path)) else ""


def _going_on(start: str, qat: bool) -> tuple[Value, Recipe]:
    """How the network of a run is trained on: as it was, but shorter and at lower rates."""
    from keras_resnet.runs.run import Run

    settings: dict[str, Any] = {**Run.at(start, finished=True).config["recipe"]}
    recorded = {name: one for name, one in settings.items() if name in RECIPE_SETTINGS}
    before = Recipe(**recorded).without_weights()
    share, factor = GOING_ON[qat]
    epochs = max(1, math.ceil(share * before.epochs))
    recipe = replace(
        before,
        epochs=epochs,
        learning_rate=factor * before.learning_rate,
        schedule="cosine",
        milestones=(),
        warmup_epochs=0.0,
        warmup_from=0.0,
        head_epochs=0,
        frozen="",
        train_sizes=(),
        precision="float32",
        recompute=False,
        ema=0.0,
        qat="",
        prune="",
        keep=1.0,
        sparsity=0.0,
        sparsity_pattern="",
        teacher="",
    )
    return Value(None, f"of the run {start}, to go on"), recipe


def _data_of(start: str, said: Mapping[str, Any]) -> Source | None:
    """What the run that a training goes on with was trained on, but for what is said; None: its caller alone has it."""
    from keras_resnet.runs.run import Run

    settings: dict[str, Any] = {**Run.at(start, finished=True).config["data"]}
    return None if "arrays" in settings else Source(**{**settings, **said})


class _Loader(yaml.SafeLoader):
    """YAML's plain types. 1e-3 is a number, as in YAML 1.2; in PyYAML's 1.1 it is a text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


@dataclass(frozen=True)
class _Nested:
    """Something nested, where a plain value should be."""

    kind: str

    def __repr__(self) -> str:
        return f"a nested {self.kind}"


def _read(path: Path) -> dict[str, Value]:
    """The settings in a YAML file, checked. A mistake is refused with its line."""
    loader, pairs = _mapping(path)
    found: dict[str, Value] = {}
    lines: dict[str, int] = {}
    for key, node in pairs:
        line = key.start_mark.line + 1
        with _located(f"{path}:{line}"):
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            refuse_unknown(name, KNOWN)
            if name in found:
                raise UsageError(f"{name} is set twice, first in line {lines[name]}")
            found[name] = Value(KNOWN[name].checked(_plain(loader, node)), f"file {path}:{line}", said=True)
            lines[name] = line
    return found


def _mapping(path: Path) -> tuple[_Loader, list[tuple[yaml.Node, yaml.Node]]]:
    try:
        loader = _Loader(read_bytes(path, MOST_BYTES).decode())
        node = loader.get_single_node()
    except OSError as error:
        raise UsageError(f"cannot read the settings {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"cannot read the settings {path}: it is not UTF-8 text") from None
    except RecursionError:
        raise UsageError(f"cannot read the settings {path}: it is nested too deeply") from None
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or error
        raise UsageError(f"{path}{f':{mark.line + 1}' if mark else ''} is not YAML: {problem}") from None
    if node is None:  # nothing, or comments only
        return loader, []
    if not isinstance(node, yaml.MappingNode):
        raise UsageError(f"{path} must hold lines such as `epochs: 30`; received a {node.id}")
    return loader, node.value


def _plain(loader: _Loader, node: yaml.Node) -> Any:
    """The value of a node; deeper nodes, which no setting has, are only named."""
    if isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value):
        return [loader.construct_object(item) for item in node.value]
    return loader.construct_object(node) if isinstance(node, yaml.ScalarNode) else _Nested(node.id)


@contextmanager
def _located(where: str) -> Iterator[None]:
    try:
        yield
    except (UsageError, yaml.YAMLError, ValueError) as error:  # such as a date of the 35th of May
        raise UsageError(f"{where}: {getattr(error, 'problem', None) or error}") from None


def _as_yaml(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    # YAML's own escapes, so that the file that is shown still says the same.
    readable = visible(str(plain)) == str(plain)
    text = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=readable, width=float("inf"))
    return text.removesuffix("...\n").strip()


def _visible(origin: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in origin)


def recipe_of(run: Run) -> Recipe:
    """The recipe that a run folder records.

    Raises:
        UsageError: Another version wrote it, whose recipes had other settings, or values that this one refuses.
    """
    try:
        return Recipe(**run.config["recipe"])
    except (KeyError, TypeError, UsageError) as error:
        raise UsageError(
            f"the recipe in {run.path} is another version's ({error}): go on with that version, or begin anew by "
            "--overwrite"
        ) from None
