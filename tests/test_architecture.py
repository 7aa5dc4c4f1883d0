"""Who may import whom: a room knows the rooms below it and nothing of those above."""

import ast
from pathlib import Path

import pytest

import keras_resnet

PACKAGE = Path(keras_resnet.__file__).parent

# A room may import itself, the modules at the top of the package, and the rooms named here.
ALLOWED = {
    "compat": set(),
    "weights": {"compat"},
    "models": {"weights", "compat"},
    "images": set(),
    "augment": set(),
    "data": {"augment", "images"},
    "inspection": {"data", "images"},
    "optimizers": {"weights", "compat"},
    "runs": {"data", "weights", "models"},
    "inference": {"runs", "data", "images", "models", "weights", "compat"},
    "explanation": {"runs"},
    "training": {"runs", "data", "images", "models", "weights", "augment", "optimizers", "compat"},
    "tuning": {"training", "runs", "data", "images", "models", "weights", "augment", "optimizers"},
    "evaluation": {"inference", "explanation", "runs", "data", "images"},
    "exports": {"evaluation", "inference", "runs", "data", "images", "models"},
}
ALLOWED["cli"] = set(ALLOWED)
FOUNDATION = {"errors", "preprocessing", "atomic", "allowed", "settings", "pictures", "schedules", "losses", "_version"}


def imports(path: Path) -> set[str]:
    """The rooms and top modules of this package that a file imports anywhere, functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [node.module] if node.module != "keras_resnet" else [f"keras_resnet.{a.name}" for a in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name and name.startswith("keras_resnet.")}
    return found


def test_every_room_has_a_rule() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}

    assert rooms == set(ALLOWED)


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    for path in (PACKAGE / room).rglob("*.py"):
        above = imports(path) - ALLOWED[room] - FOUNDATION - {room}

        assert not above, f"{path.relative_to(PACKAGE)} imports {sorted(above)}"


@pytest.mark.parametrize("module", sorted(FOUNDATION))
def test_the_foundation_imports_no_room(module: str) -> None:
    assert imports(PACKAGE / f"{module}.py") <= FOUNDATION


def test_no_rule_forms_a_circle() -> None:
    def below(room: str, seen: tuple[str, ...] = ()) -> None:
        assert room not in seen, f"{' → '.join((*seen, room))}"
        for lower in ALLOWED[room]:
            below(lower, (*seen, room))

    for room in ALLOWED:
        below(room)
