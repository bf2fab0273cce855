"""How does a table of the report read on a wide screen, and as cards on a narrow one? (pure)"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sre.loadtest.book import Latency
from sre.loadtest.judge.finding import State

__all__ = [
    "Cell",
    "code",
    "head",
    "ms",
    "number",
    "percent",
    "quantile",
    "section",
    "state",
    "table",
]

Cell = tuple[str, str, str]
"""(class, label on narrow screens, HTML)."""

_STATES = {State.KEPT: "✓ kept", State.BROKEN: "✗ broken", State.UNKNOWN: "? unknown"}


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Rows under their columns; the first cell of a row is its head."""
    kinds = [cell[0] for cell in rows[0]] if rows else [""] * len(columns)
    top = "".join(
        f'<th scope="col" class="{kind}">{escape(column)}</th>'
        for column, kind in zip(columns, kinds, strict=True)
    )
    body = "".join(f"<tr>{_row(row)}</tr>" for row in rows)
    whole = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="card">{whole}</div>'


def _row(cells: Sequence[Cell]) -> str:
    first, *rest = cells
    return f'<th scope="row">{first[2]}</th>' + "".join(
        f'<td class="{kind}{"" if html else " none"}" data-label="{escape(label)}">'
        f"<span>{html}</span></td>"
        for kind, label, html in rest
    )


def section(title: str, *parts: str) -> str:
    """A part of the page under its headline."""
    slug = "".join(char if char.isalnum() else "-" for char in title.lower()).strip("-")
    return f'<section id="{slug}"><h2>{escape(title)}</h2>{"".join(parts)}</section>'


def head(text: str) -> Cell:
    """The first cell of a row."""
    return ("", "", escape(text))


def code(text: str) -> str:
    """What a declaration says, as it is written there."""
    return f"<code>{escape(text)}</code>"


def number(label: str, html: str) -> Cell:
    """A cell that is aligned to the right."""
    return ("n", label, html)


def state(found: State) -> str:
    """Kept, broken or unknown, in a word and a colour."""
    return f'<span class="state {found.value}">{_STATES[found]}</span>'


def quantile(latency: Latency, q: float) -> str:
    """A percentile of response or service time."""
    return ms(latency.quantile(q))


def ms(value: float | None) -> str:
    """Seconds for people."""
    if value is None:
        return "–"
    if value >= 10:
        return f"{value:.1f} s"
    return f"{value * 1000:,.0f} ms" if value >= 0.1 else f"{value * 1000:.3g} ms"


def percent(value: float | None) -> str:
    """A share for people."""
    return "not told" if value is None else f"{value:.1%}"
