"""A terminal that shows lines, and a bar below them while something takes long."""

from __future__ import annotations

import sys
from typing import IO, Any, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keras_resnet.streams import LossyStream
from keras_resnet.visible import visible


class Display:
    """Shows lines and a bar on standard error. Where that is closed or full, what was to be shown is lost.

    Args:
        verbose: False shows nothing.
    """

    def __init__(self, verbose: bool = True) -> None:
        # Lossy: Rich ends the process where nobody reads what it writes.
        self.console = Console(file=cast(IO[str], LossyStream(sys.stderr)), quiet=not verbose, highlight=False)
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
        return not self._bars.disable

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

    def close(self) -> None:
        """Remove the bar; a bar that keeps running hides the terminal's cursor."""
        self._bars.stop()
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
