"""Who may import whom: a room knows the rooms below it and nothing of those above."""

import ast
from collections.abc import Iterator
from pathlib import Path

import keras
import pytest

import keras_resnet

PACKAGE = Path(keras_resnet.__file__).parent

# A room may import itself, the modules at the top of the package, and the rooms named here.
ALLOWED = {
    "compat": set(),
    "weights": {"compat"},
    "models": {"weights", "compat"},
    "applications": {"models", "weights"},
    "images": set(),
    "augment": {"compat"},
    "tasks": set(),
    "data": {"augment", "images", "tasks", "compat"},
    "inspection": {"data", "images", "tasks"},
    "optimizers": {"weights", "compat"},
    "runs": {"data", "weights", "models"},
    "c_code": {"quantize"},
    "inference": {"c_code", "quantize", "runs", "data", "images", "tasks", "models", "weights", "compat"},
    "compression": {"inference", "models", "compat"},
    "attribution": {"inference", "runs", "data", "tasks", "models", "compat"},
    "explanation": {"runs", "weights"},
    "transfer": {"inference", "runs", "data", "images", "tasks", "models", "weights", "compat"},
    "tuning": {
        "training",
        "inspection",
        "runs",
        "data",
        "images",
        "tasks",
        "models",
        "weights",
        "augment",
        "optimizers",
    },
    "evaluation": {
        "inference",
        "explanation",
        "inspection",
        "runs",
        "data",
        "images",
        "tasks",
        "models",
        "weights",
    },
    "quantize": set(),
    "exports": {"c_code", "quantize", "evaluation", "inference", "runs", "data", "images", "tasks", "models"},
    "callbacks": {
        "compression",
        "exports",
        "evaluation",
        "explanation",
        "inference",
        "runs",
        "data",
        "optimizers",
        "weights",
        "compat",
    },
    "training": {
        "callbacks",
        "compression",
        "inference",
        "transfer",
        "runs",
        "data",
        "images",
        "tasks",
        "models",
        "weights",
        "augment",
        "optimizers",
        "compat",
    },
}
ALLOWED["experiments"] = {
    "training", "evaluation", "exports", "inference", "quantize", "runs", "data", "tasks", "models", "compat"
}  # fmt: skip
ALLOWED["failures"] = {"evaluation", "transfer", "inspection", "inference", "runs", "data", "images", "tasks"}
ALLOWED["reporting"] = {
    "failures", "training", "exports", "evaluation", "attribution", "explanation", "inspection", "inference", "runs",
    "data", "images", "tasks"
}  # fmt: skip
ALLOWED["cli"] = set(ALLOWED)
FOUNDATION = {
    "errors",
    "layer_names",
    "preprocessing",
    "stamp",
    "registration",
    "json_files",
    "regular_files",
    "visible",
    "spreadsheet",
    "streams",
    "display",
    "likeness",
    "shortage",
    "plain_paths",
    "atomic",
    "allowed",
    "settings",
    "pictures",
    "html_page",
    "schedules",
    "losses",
    "_version",
}

# Python's own documented names.
NOT_PRIVATE = {"_exit", "_asdict", "_fields", "_replace"}


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


def imported_modules(path: Path) -> set[str]:
    """The modules of this package that a file imports anywhere, by their dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_no_modules_form_a_circle_not_even_by_imports_inside_functions() -> None:
    paths = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    left = {name: imported_modules(path) & paths.keys() for name, path in paths.items()}
    while leaves := {name for name, known in left.items() if not known & left.keys() - {name}}:
        left = {name: known for name, known in left.items() if name not in leaves}

    assert not left, f"these modules know each other: {sorted(left)}"


READS_FILES_OF_ITS_OWN = {
    "images/image_file.py",  # gives a reason code for what is no file
    "weights/pretrained.py",  # reads a table of this package
    "weights/pixels.py",  # likewise
    "c_code/source.py",  # reads kernels of this package
}


def calls(path: Path) -> set[str]:
    """The names of the functions that a file calls, as `json.loads` or `….read_bytes`."""
    called = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    names = {ast.unparse(one) for one in called if isinstance(one, ast.Name | ast.Attribute)}
    return names | {f"….{one.attr}" for one in called if isinstance(one, ast.Attribute)}


@pytest.mark.parametrize("path", PACKAGE.rglob("*.py"), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_json_is_parsed_and_files_of_others_are_read_in_one_place_each(path: Path) -> None:
    name, found = str(path.relative_to(PACKAGE)), calls(path)

    assert name == "json_files.py" or not found & {"json.loads", "json.load", "loads", "load"}
    assert name in READS_FILES_OF_ITS_OWN or not found & {"….read_bytes", "….read_text"}


def private_to_keras() -> set[str]:
    """The names with an underscore that Keras's models, layers and optimizers have once they are built."""
    inputs = keras.Input((2, 2, 2))
    layers = [keras.layers.Conv2D(2, 1), keras.layers.BatchNormalization()]
    model = keras.Model(inputs, layers[1](layers[0](inputs)))
    optimizers = [
        keras.optimizers.Adafactor(0.1, gradient_accumulation_steps=2),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)),
    ]
    for optimizer in optimizers:
        optimizer.build(model.trainable_variables)
    model.compile(optimizers[0], "mse", metrics=["mae"])
    names = {name for thing in (model, *layers, *optimizers) for name in dir(thing)}
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def uses_of_private_keras(path: Path, private: set[str]) -> Iterator[str]:
    """Imports of `keras.src`, names with an underscore of other objects, and those that a subclass has of Keras."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (f"line {node.lineno} imports {name}" for name in names if name.startswith("keras.src"))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "keras.src":
            yield f"line {node.lineno} uses keras.src"
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            of_itself = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not of_itself and node.attr not in own | NOT_PRIVATE:
                yield f"line {node.lineno} touches {ast.unparse(node)}"
        if isinstance(node, ast.ClassDef) and node.bases:
            for inside in ast.walk(node):
                name = getattr(inside, "name", getattr(inside, "attr", None))
                if isinstance(inside, ast.FunctionDef | ast.Attribute) and name in private:
                    yield f"line {inside.lineno}: {node.name} has {name}, which is Keras's"


def test_private_keras_is_touched_in_compat_alone() -> None:
    private = private_to_keras()
    assert {"_inbound_nodes", "_symbolic_build", "_get_variable_index", "_accumulated_gradients", "_r"} <= private
    files = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "compat"]

    found = {
        f"{path.relative_to(PACKAGE.parent)} {use}"
        for path in [*files, *(PACKAGE.parent / "scripts").glob("*.py")]
        for use in uses_of_private_keras(path, private)
    }

    assert not found, "move it to keras_resnet/compat, with the reason and a contract test: " + "; ".join(sorted(found))


@pytest.mark.parametrize(
    "source",
    [
        "from keras.src.models.functional import operation_fn",
        "import keras.src",
        "import keras\nkeras.src.models.Functional",
        "model._flatten_layers()",
        "class Mine(keras.layers.Layer):\n    def _lock_state(self): ...",
        "class Mine(Momentum):\n    def f(self): return self._learning_rate",
        "class Mine(Momentum):\n    def f(self): super()._apply_weight_decay([])",
    ],
)
def test_each_way_to_private_keras_is_seen(source: str, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(source)

    assert list(uses_of_private_keras(path, private_to_keras()))


def test_what_is_the_modules_own_is_no_private_keras(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("class A(B):\n    def _read(self):\n        return self._kept\nA()._read(); os._exit(1)\n")

    assert list(uses_of_private_keras(path, private_to_keras())) == []
