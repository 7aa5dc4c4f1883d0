"""Tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

UNBOUNDED = 400


def table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[str] = ()) -> None:
    """Print a table; columns but the first and those named in `left` are aligned to the right."""
    shown = Table(title=escape(title) if title else None, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        to_left = number == 0 or column in left
        shown.add_column(column, justify="left" if to_left else "right", no_wrap=number > 0 and column not in left)
    for row in rows:
        shown.add_row(*(escape(cell) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:  # a file or pipe has no screen to fit
        console = Console(highlight=False, width=UNBOUNDED)
    console.print(shown)
