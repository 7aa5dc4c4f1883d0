"""Every public function with three or more parameters says what they are."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import keras_resnet

PACKAGE = Path(keras_resnet.__file__).parent
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
CLASSES = {node.name: node for tree in TREES.values() for node in tree.body if isinstance(node, ast.ClassDef)}


def methods(node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    return {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}


def bases(node: ast.ClassDef) -> Iterator[ast.ClassDef]:
    """The classes of this package that a class derives from."""
    for base in node.bases:
        name = base.value if isinstance(base, ast.Subscript) else base
        if isinstance(name, ast.Name) and name.id in CLASSES:
            yield CLASSES[name.id]
            yield from bases(CLASSES[name.id])


def parameters(function: ast.FunctionDef) -> list[str]:
    """Their names without `self` and `cls`."""
    arguments = function.args
    names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def explains(docstring: str | None) -> bool:
    return docstring is not None and any(line.lstrip().startswith("Args") for line in docstring.splitlines())


def is_explained(function: ast.FunctionDef, owner: ast.ClassDef | None) -> bool:
    """By its own docstring, a constructor by its class's, a method without any by the one that it overrides."""
    own = ast.get_docstring(function)
    found = [own]
    if owner and function.name == "__init__":
        found.append(ast.get_docstring(owner))
    elif owner:
        overridden = [methods(base)[function.name] for base in bases(owner) if function.name in methods(base)]
        found += [ast.get_docstring(one) for one in overridden]
        if own is None and any(isinstance(base, ast.Attribute) for one in (owner, *bases(owner)) for base in one.bases):
            return True  # of another package, as `keras.optimizers.Optimizer.update_step`
    return any(map(explains, found)) or (own is not None and "Args: as" in own)


def public_functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, ast.ClassDef | None]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node, None
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for name, method in methods(node).items():
                if not name.startswith("_") or name == "__init__":
                    yield method, node


@pytest.mark.parametrize("path", TREES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_functions_of_three_parameters_say_what_these_are(path: Path) -> None:
    missing = [
        f"{path.relative_to(PACKAGE)}:{function.lineno} {function.name}({', '.join(parameters(function))})"
        for function, owner in public_functions(TREES[path])
        if len(parameters(function)) >= 3 and not is_explained(function, owner)
    ]

    assert not missing
