"""A terminal or a notebook that shows lines, and a bar while something takes long."""

from __future__ import annotations

import html
import sys
import time
from typing import IO, Any, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keras_resnet.streams import LossyStream
from keras_resnet.visible import visible

REDRAWN = 0.25
"""Seconds between two states of a notebook's bar: each is a message to the browser."""


def in_notebook() -> bool:
    """Whether this code runs in a Jupyter kernel, also that of Colab and the like, which derive from it."""
    ipython = sys.modules.get("IPython")  # a kernel has imported it
    shell = ipython and ipython.get_ipython()
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)


def for_people() -> LossyStream:
    """Where lines for people go: standard error; in a notebook standard output, since it shows the other in red."""
    # Lossy: Rich ends the process where nobody reads what it writes.
    return LossyStream(sys.stdout if in_notebook() else sys.stderr)


class NotebookBar:
    """A bar in the output of a notebook's cell. It is redrawn where it is, so a saved notebook has its last state only.

    Rich's own needs ipywidgets, and leaves nothing in a saved notebook that can be read.
    """

    def __init__(self) -> None:
        self._place: Any = None
        self._drawn = 0.0

    def show(self, what: str, done: int, total: int, beside: str) -> None:
        """Draw it, unless that was done a moment ago.

        Args:
            what, done, total: As `Display.show`.
            beside: Stands to the right of it.
        """
        now = time.monotonic()
        if self._place is not None and now - self._drawn < REDRAWN:
            return
        self._drawn = now
        bar = f'{html.escape(what)} <progress value="{done}" max="{total}"></progress> {html.escape(beside)}'
        self._draw({"text/plain": f"{what} {beside}", "text/html": bar})

    def close(self) -> None:
        """Remove it. A bar that is shown later has a place of its own."""
        if self._place is not None:
            self._draw({"text/plain": "", "text/html": ""})
            self._place = None

    def _draw(self, shown: dict[str, str]) -> None:
        if self._place is None:
            self._place = sys.modules["IPython"].display.display(shown, raw=True, display_id=True)
        else:
            self._place.update(shown, raw=True)


class Display:
    """Shows lines and a bar: on standard error, or in the output of a notebook's cell.

    Where standard error is closed or full, what was to be shown is lost.

    Args:
        verbose: False shows nothing.
    """

    def __init__(self, verbose: bool = True) -> None:
        notebook = in_notebook()
        self.console = Console(
            file=cast(IO[str], for_people()),
            quiet=not verbose,
            highlight=False,
            force_terminal=False if notebook else None,
            force_jupyter=False,  # which would make each line an output of its own
        )
        self._in_cell = NotebookBar() if notebook and verbose else None
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not verbose or not self.console.is_terminal,
        )
        self._task: Any = None

    @property
    def has_bar(self) -> bool:
        """Whether anyone sees the bar."""
        return self._in_cell is not None or not self._bars.disable

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reading(self, done: int, total: int) -> None:
        """Called by the data reader."""
        self.show("reading images", done, total)
        if done == total:
            self.close()

    def note(self, text: str) -> None:
        """Show a text on a line of its own."""
        self.console.print(visible(text), markup=False, soft_wrap=True)

    def show(self, what: str, done: int, total: int, note: str = "") -> None:
        """Show the bar, or how far it has come.

        Args:
            what: Is being done.
            done, total: How much of how much.
            note: Stands beside it.
        """
        if self._task is None:
            self._bars.start()
            self._task = self._bars.add_task(what, total=total, completed=done, note=note)
        self._bars.update(self._task, completed=done, note=note)
        if self._in_cell is not None:
            left = TimeRemainingColumn().render(self._bars.tasks[0]).plain
            self._in_cell.show(what, done, total, visible(f"{done}/{total}  {note}  {left}"))

    def close(self) -> None:
        """Remove the bar; a bar that keeps running hides the terminal's cursor."""
        self._bars.stop()
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
        if self._in_cell is not None:
            self._in_cell.close()
