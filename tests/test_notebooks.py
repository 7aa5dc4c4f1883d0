"""`docs/first-training.ipynb`: what it shows is what its code does now, and says nothing of where it was run."""

import ast
import functools
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import keras_resnet

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "first-training.ipynb"


@pytest.fixture
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def sources(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: nbformat.NotebookNode, kind: str) -> list[nbformat.NotebookNode]:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [one for cell in code for one in cell.outputs if one.output_type == kind]


def printed(notebook: nbformat.NotebookNode) -> str:
    return "".join(one.text for one in outputs(notebook, "stream"))


def assert_has_its_figures(notebook: nbformat.NotebookNode) -> None:
    """Each is there, and is that of a network that has learned something."""
    text = printed(notebook)
    assert "350 training, 50 validation, 100 test images" in text
    accuracy, low, high = map(
        float, re.findall(r"accuracy (\S+)% on 100 test images, 95 % interval (\S+)% to (\S+)%", text)[0]
    )
    assert 90 <= accuracy <= 100
    assert low < accuracy <= high
    agreement = float(re.findall(r"decides as the network on (\S+)% of 256 images", text)[0])
    assert agreement >= 98
    of_file, of_own_fit = map(float, re.findall(r"accuracy (\S+)% on the test images", text))
    assert abs(of_file - accuracy) <= 3
    assert of_own_fit >= 80
    assert len(re.findall(r"^epoch ", text, re.MULTILINE)) == 12 + 8
    pictures = [one for one in outputs(notebook, "execute_result") if "image/png" in one.data]
    assert len(pictures) == 2
    # Of each bar the place is left, where it was while something went on: reading images, and two trainings.
    assert [one.data for one in outputs(notebook, "display_data")] == [{"text/plain": "", "text/html": ""}] * 3
    assert {one.name for one in outputs(notebook, "stream")} == {"stdout"}, "no warnings, no log"


def test_what_the_notebook_shows_is_small_and_names_no_place_of_a_machine(notebook: nbformat.NotebookNode) -> None:
    nbformat.validate(notebook)
    assert_has_its_figures(notebook)
    assert outputs(notebook, "error") == []
    assert NOTEBOOK.stat().st_size < 300_000
    text = printed(notebook) + "".join(one.data.get("text/plain", "") for one in outputs(notebook, "execute_result"))
    assert not re.search(r"(^|[\s'\"(=])(/|~/|[A-Z]:\\)\w", text), "a path from the root"
    assert " at 0x" not in text


def test_the_notebooks_code_compiles_and_names_only_what_there_is(notebook: nbformat.NotebookNode) -> None:
    named = set()
    for source in sources(notebook):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Attribute) and re.fullmatch(r"keras_resnet(\.\w+)+", ast.unparse(node)):
                named.add(ast.unparse(node).removeprefix("keras_resnet."))

    assert {"fit", "first_choice", "inspect_data", "callbacks.Progress", "export_tflite"} <= named
    for name in named:
        first, _, rest = name.partition(".")
        assert first in keras_resnet.__all__, name
        functools.reduce(getattr, rest.split(".") if rest else [], getattr(keras_resnet, first))


def test_the_documents_that_the_notebook_links_to_are_there(notebook: nbformat.NotebookNode) -> None:
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)]+)\)", text)

    assert len(links) >= 3
    for link in links:
        path, _, anchor = link.partition("#")
        document = (NOTEBOOK.parent / path).read_text("utf-8")
        headings = re.findall(r"^#+ (.+)", document, re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
        assert not anchor or anchor in anchors, link


class Watched(NotebookClient):
    """Counts how often an output was drawn anew."""

    redrawn = 0

    def process_message(self, msg: dict[str, Any], cell: nbformat.NotebookNode, cell_index: int) -> Any:
        self.redrawn += msg["msg_type"] == "update_display_data"
        return super().process_message(msg, cell, cell_index)


@pytest.mark.slow  # a kernel is a fresh process, which imports TensorFlow and trains two networks
def test_the_notebook_runs_from_its_first_cell_to_its_last(notebook: nbformat.NotebookNode, tmp_path: Path) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    client = Watched(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    # Where a kernel finds this, it does not catch what native code writes, and log lines would be missed.
    del env["PYTEST_CURRENT_TEST"]

    client.execute(env=env)

    assert_has_its_figures(notebook)
    assert client.redrawn > 10, "there was a bar, and it moved"
    assert {path.name for path in tmp_path.iterdir()} == {"first-training"}
