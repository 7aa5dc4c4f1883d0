"""What people see of something that takes long: on a terminal, in a notebook, and where nobody looks."""

import io
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from keras_resnet import display as module
from keras_resnet.callbacks.notes import note
from keras_resnet.display import Display, in_notebook


class ZMQInteractiveShell:
    """Named as the shell of a Jupyter kernel, by which it is known."""


class Shell(ZMQInteractiveShell):
    """Colab's derives from it."""


class TerminalInteractiveShell:
    """That of `ipython`, which has a terminal."""


class Notebook:
    """The outputs of a cell, and how often one was drawn anew."""

    def __init__(self, shell: object) -> None:
        self.outputs: list[dict[str, str]] = []
        self.updates = 0
        self.module = ModuleType("IPython")
        vars(self.module).update(get_ipython=lambda: shell, display=SimpleNamespace(display=self.display))

    def display(self, shown: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        place = len(self.outputs)
        self.outputs.append(shown)

        def update(anew: dict[str, str], *, raw: bool) -> None:
            assert raw
            self.outputs[place] = anew
            self.updates += 1

        return SimpleNamespace(update=update)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    found = Notebook(Shell())
    monkeypatch.setitem(sys.modules, "IPython", found.module)
    return found


def test_a_kernel_is_known_by_its_shell_and_ipython_on_a_terminal_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for shell, expected in (
        (ZMQInteractiveShell(), True),
        (Shell(), True),
        (TerminalInteractiveShell(), False),
        (None, False),
    ):
        monkeypatch.setitem(sys.modules, "IPython", Notebook(shell).module)
        assert in_notebook() is expected, shell

    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()
    assert "IPython" not in sys.modules, "it need not be there"


def test_a_notebook_has_one_bar_that_is_drawn_anew_in_its_place(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: clock.now, now=0.0)
    monkeypatch.setattr(module, "time", clock)
    display = Display()

    assert display.has_bar
    for done in range(1, 101):
        clock.now = done / 20
        display.show("training", done, 100, note="loss 0.5 <&")

    assert len(notebook.outputs) == 1
    assert 15 <= notebook.updates <= 20, "four times a second, not each time"
    shown = notebook.outputs[0]
    assert shown["text/html"].startswith('training <progress value="')
    assert 'max="100"></progress>' in shown["text/html"]
    assert "loss 0.5 &lt;&amp;" in shown["text/html"]
    assert "/100  loss 0.5 <&  0:00:0" in shown["text/plain"], "with the time left"

    display.close()

    assert notebook.outputs == [{"text/plain": "", "text/html": ""}]

    display.reading(1, 2)
    assert notebook.outputs[1]["text/html"].startswith('reading images <progress value="1" max="2">')
    display.reading(2, 2)
    assert notebook.outputs[1]["text/html"] == "", "it is at its end"


def test_lines_in_a_notebook_are_ordinary_output_and_not_red(
    notebook: Notebook, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # which would make Rich take anything for a terminal
    display = Display()
    display.show("training", 1, 2)
    display.note("epoch 1/2 " + "x" * 200)
    note("a callback's [bold]line")
    display.close()

    assert capsys.readouterr() == ("epoch 1/2 " + "x" * 200 + "\na callback's [bold]line\n", "")
    assert len(notebook.outputs) == 1, "a line is no output of its own"


def test_nothing_is_shown_in_a_notebook_where_nothing_is_asked_for(
    notebook: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    with Display(verbose=False) as display:
        assert not display.has_bar
        display.show("training", 1, 2)
        display.note("a line")

    assert notebook.outputs == []
    assert capsys.readouterr() == ("", "")


def test_where_no_one_looks_there_are_lines_and_no_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stderr", pipe := io.StringIO())
    with Display() as display:
        assert not display.has_bar
        display.show("training", 1, 2)
        display.note("a line")
        note("another")

    assert pipe.getvalue().split() == ["a", "line", "another"]
    assert capsys.readouterr().out == ""
