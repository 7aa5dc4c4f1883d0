"""Tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keras_resnet.visible import visible, visible_cell

UNBOUNDED = 400


def table(
    title: str | None,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: Sequence[str] = (),
    whole: Sequence[str] = (),
    compact: bool = False,
) -> None:
    """Print a table; numbers, in all columns but the first, are aligned to the right and never cut.

    Args:
        title: Above it.
        columns: Their heads.
        rows: One text a column each, which is shown on one line, whatever a file is called.
        left: Columns of text, aligned to the left and wrapped where the screen is narrow.
        whole: Columns of text that are not wrapped.
        compact: Without vertical lines.
    """
    shown = Table(
        title=escape(visible(title)) if title else None,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD if compact else box.HEAVY_HEAD,
        padding=(0, 1, 0, 0) if compact else (0, 1),
    )
    for number, column in enumerate(columns):
        text = number == 0 or column in left
        shown.add_column(visible_cell(column), justify="left" if text else "right", no_wrap=not text or column in whole)
    for row in rows:
        shown.add_row(*(escape(visible_cell(cell)) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:  # a file or pipe has no width
        console = Console(highlight=False, width=UNBOUNDED)
    console.print(shown)
