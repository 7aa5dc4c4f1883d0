"""Settings from a YAML file: flat, each name once, every mistake with its line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from keras_resnet.errors import UsageError
from keras_resnet.settings import Setting, refuse_unknown


@dataclass(frozen=True)
class Value:
    """A setting's value.

    Args:
        value: Checked.
        origin: Where it comes from, in words.
        said: Whether a user said it, rather than a default or a recipe.
    """

    value: Any
    origin: str
    said: bool = False


@dataclass(frozen=True)
class Nested:
    """What stands where a value should, and is none."""

    kind: str

    def __repr__(self) -> str:
        return f"a nested {self.kind}"


class Loader(yaml.SafeLoader):
    """YAML's plain types; 1e-3 is a number, as in YAML 1.2 (PyYAML's 1.1 takes it for a text)."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_settings(path: str | os.PathLike[str], known: Mapping[str, Setting]) -> dict[str, Value]:
    """The settings in a YAML file, checked, each with its line.

    Args:
        path: The file, UTF-8.
        known: Which settings there are, by name.

    Raises:
        UsageError: It cannot be read, is no YAML, names a setting that does not exist or twice, or a
            value does not fit; the message gives the line.
    """
    path = Path(path)
    loader, pairs = _mapping(path)
    found: dict[str, Value] = {}
    lines: dict[str, int] = {}
    for key, node in pairs:
        line = key.start_mark.line + 1
        with _located(f"{path}:{line}"):
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            refuse_unknown(name, known)
            if name in found:
                raise UsageError(f"{name} is set twice, first in line {lines[name]}")
            found[name] = Value(known[name].checked(_plain(loader, node)), f"file {path}:{line}", said=True)
            lines[name] = line
    return found


def written(value: Any) -> str:
    """A setting's value as YAML on one line."""
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.removesuffix("...\n").strip()


def _mapping(path: Path) -> tuple[Loader, list[tuple[yaml.Node, yaml.Node]]]:
    try:
        loader = Loader(path.read_text(encoding="utf-8"))
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


def _plain(loader: Loader, node: yaml.Node) -> Any:
    """The value of a node; of deeper ones, which no setting has, only what they are."""
    if isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value):
        return [loader.construct_object(item) for item in node.value]
    return loader.construct_object(node) if isinstance(node, yaml.ScalarNode) else Nested(node.id)


@contextmanager
def _located(where: str) -> Iterator[None]:
    try:
        yield
    except (UsageError, yaml.YAMLError, ValueError) as error:  # such as a date of the 35th of May
        raise UsageError(f"{where}: {getattr(error, 'problem', None) or error}") from None
