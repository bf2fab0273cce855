"""How does a rate over time look on a terminal? (pure)"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from sre.core.units import format_duration
from sre.loadtest.shape import Shape

__all__ = ["draw", "levels", "spark"]

_BLOCKS = " ▁▂▃▄▅▆▇█"
_PLAIN = " .:-=+*%#"
_COLUMNS = 240


def levels(shape: Shape, columns: int = _COLUMNS) -> list[float]:
    """The highest level in each of `columns` equal stretches: no spike gets lost between two."""
    wide = shape.seconds / columns
    found = []
    for column in range(columns):
        first, last = column * wide, (column + 1) * wide
        inside = [
            piece.level(min(max(at, piece.start), piece.start + piece.seconds))
            for piece in shape.pieces
            if piece.start < last and piece.start + piece.seconds > first
            for at in (first, last)
        ]
        found.append(max(inside))
    return found


def draw(
    values: Sequence[float],
    seconds: float,
    *,
    width: int,
    height: int = 6,
    unit: str = "/s",
    plain: bool = False,
) -> list[str]:
    """`values` over `seconds` as lines of text, a scale on the left and below.

    Args:
        width: of the whole, columns; at least 30 are taken.
        plain: ASCII alone, for terminals without block characters.
    """
    top = max(values, default=0.0) or 1.0
    marks = [f"{top * row / height:.3g}{unit}" for row in range(height, 0, -1)]
    margin = max(len(mark) for mark in marks)
    bars = _squeezed(values, max(30, width) - margin - 2)
    lines = []
    for number, mark in enumerate(marks):
        floor = height - number - 1
        cells = "".join(_cell(value / top * height - floor, plain) for value in bars)
        shown = mark if number % 2 == 0 or height < 4 else ""
        lines.append(f"{shown:>{margin}} {'|' if plain else '┤'}{cells}".rstrip())
    end = format_duration(seconds)
    axis = ("-" if plain else "─") * len(bars)
    lines.append(f"{'':>{margin}} {'+' if plain else '└'}{axis}")
    lines.append(f"{'':>{margin}}  0 s{end:>{max(1, len(bars) - 3)}}")
    return lines


def spark(values: Sequence[float], *, width: int = 20, plain: bool = False) -> str:
    """`values` in one line."""
    top = max(values, default=0.0) or 1.0
    return "".join(_cell(value / top, plain) for value in _squeezed(values, width))


def _squeezed(values: Sequence[float], width: int) -> list[float]:
    if len(values) <= width:
        return [values[int(at * len(values) / width)] for at in range(width)] if values else []
    edges = [round(at * len(values) / width) for at in range(width + 1)]
    return [max(values[first:last]) for first, last in itertools.pairwise(edges)]


def _cell(filled: float, plain: bool) -> str:  # noqa: FBT001  one cell, two alphabets
    """A cell that is `filled` of 1; anything above nothing shows."""
    if filled >= 1:
        return "#" if plain else "█"
    if filled <= 0:
        return " "
    return (_PLAIN if plain else _BLOCKS)[max(1, math.floor(filled * 8))]
