"""What may be drawn for a person, and where? Progress on stderr's terminal, tables on stdout."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

__all__ = ["progress", "status", "table"]

Advance = Callable[[int], None]


@contextlib.contextmanager
def progress(total: int, label: str, *, enabled: bool = True) -> Iterator[Advance]:
    """A bar on stderr; call what it yields with the number of things just done.

    Draws nothing unless `enabled` (not --no-progress) and stderr is a terminal.
    """
    if not _may_draw(enabled):
        yield lambda _count: None
        return
    from rich.console import Console  # noqa: PLC0415  only people at terminals pay for rich
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda count: bar.advance(task, count)


@contextlib.contextmanager
def status(label: str, *, enabled: bool = True) -> Iterator[Callable[[str], None]]:
    """A spinner with a line of text on stderr; call what it yields to change the text."""
    if not _may_draw(enabled):
        yield lambda _text: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415

    with Console(file=sys.stderr).status(escape(label)) as spinner:
        yield lambda text: spinner.update(escape(text))


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    right: Sequence[str] = (),
    stream: TextIO | None = None,
) -> str:
    """Rows under their columns, as text that ends in a line break; a bold head on a terminal.

    Columns named in `right` are aligned to the right. Without a terminal, or with NO_COLOR set,
    the text is plain: two spaces between columns, nothing cut.
    """
    cells = [[_one_line(cell) for cell in row] for row in rows]
    widths = [
        max(len(column), *(len(row[i]) for row in cells), 0) for i, column in enumerate(columns)
    ]
    sides = [column in right for column in columns]
    head = _line(columns, widths, sides)
    if coloured(stream or sys.stdout):
        head = f"\033[1m{head}\033[0m"
    return "\n".join([head, *(_line(row, widths, sides) for row in cells)]) + "\n"


def coloured(stream: TextIO) -> bool:
    """Whether colour may be written to `stream`."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _may_draw(enabled: bool) -> bool:  # noqa: FBT001  the one argument it has
    return enabled and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if side else cell.ljust(width)
        for cell, width, side in zip(cells, widths, right, strict=True)
    )
    return "  ".join(padded).rstrip()


def _one_line(cell: object) -> str:
    return "" if cell is None else " ".join(str(cell).split())
