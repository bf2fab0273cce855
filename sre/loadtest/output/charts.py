"""How is a series of numbers drawn as SVG that needs nothing but a browser? (pure)

Colours are CSS variables of the page (light and dark); lines differ in dash as well as in colour.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Axis", "Bars", "Line", "chart", "linear", "logarithmic", "seconds_label"]

WIDTH, HEIGHT = 480.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 10.0, 12.0, 34.0


@dataclass(frozen=True)
class Axis:
    """Maps values to a share of the axis, 0 to 1, and knows its ticks.

    Attributes:
        ticks: (value, text).
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    label: str
    log: bool = False

    def share(self, value: float) -> float:
        """Where `value` lies, clipped to the axis."""
        low, high = (self.low, self.high)
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-12))
        return min(1.0, max(0.0, (value - low) / (high - low)))


@dataclass(frozen=True)
class Line:
    """A line through (x, y); None breaks it. `tone` names a CSS variable, `dash` a stroke pattern.

    Attributes:
        step: drawn as stairs, for rates.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    tone: str
    dash: str = ""
    step: bool = False
    width: float = 1.8


@dataclass(frozen=True)
class Bars:
    """Stacked bars: for each x a height, above those drawn before it."""

    name: str
    heights: Sequence[float]
    tone: str


def linear(high: float, label: str, *, low: float = 0.0, count: int = 4) -> Axis:
    """An axis from `low` with about `count` round ticks."""
    high = high if high > low else low + 1.0
    step = _round_step((high - low) / count)
    top = low + math.ceil((high - low) / step - 1e-9) * step
    values = [low + step * index for index in range(round((top - low) / step) + 1)]
    return Axis(low, top, tuple((value, f"{value:,.10g}") for value in values), label)


def logarithmic(
    low: float, high: float, label: str, text: Callable[[float], str] = "{:g}".format
) -> Axis:
    """An axis of whole decades around `low` to `high`; 1-2-5 ticks when there are few decades."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(max(high, low * 1.001)))
    last = max(last, first + 1)
    steps = (1, 2, 5) if last - first <= 2 else (1,)
    values = [s * 10.0**e for e in range(first, last + 1) for s in steps]
    top = 10.0**last
    ticks = tuple((value, text(value)) for value in values if value <= top * 1.0001)
    return Axis(10.0**first, top, ticks, label, log=True)


def seconds_label(milliseconds: float) -> str:
    """A tick on an axis of latencies: `5 ms`, `2 s`."""
    return f"{milliseconds / 1000:g} s" if milliseconds >= 1000 else f"{milliseconds:g} ms"


def chart(
    title: str,
    words: str,
    x: Axis,
    y: Axis,
    *,
    lines: Sequence[Line] = (),
    bars: Sequence[Bars] = (),
    limits: Sequence[tuple[str, float]] = (),
    hints: Sequence[tuple[float, float, str]] = (),
) -> str:
    """One figure: caption, legend, SVG.

    Args:
        words: the chart in a sentence, for those who cannot see it.
        limits: (name, x) of thresholds, drawn from top to bottom.
        hints: (x from, x to, text) shown when the pointer rests there.
    """
    slug = f"chart-{zlib.crc32(title.encode()):08x}"
    body = [
        *_grid(x, y),
        *_bars(bars, x, y),
        *(_line(line, x, y) for line in lines),
        *(_limit(name, value, x) for name, value in limits),
        *(_hint(a, b, text, x) for a, b, text in hints),
    ]
    return (
        f'<figure><figcaption id="{slug}">{escape(title)}</figcaption>'
        f"{_legend(lines, bars, limits)}"
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-labelledby="{slug}" '
        f'aria-describedby="{slug}-words"><desc id="{slug}-words">{escape(words)}</desc>'
        f"{''.join(body)}</svg></figure>"
    )


def _legend(
    lines: Sequence[Line], bars: Sequence[Bars], limits: Sequence[tuple[str, float]]
) -> str:
    items = [_swatch(line.name, line.tone, line.dash, line.width) for line in lines]
    items += [
        f'<li><svg class="key" viewBox="0 0 22 10" aria-hidden="true"><rect width="22" height="10" '
        f'rx="2" fill="var(--{bar.tone})"/></svg>{escape(bar.name)}</li>'
        for bar in bars
    ]
    if limits:
        items.append(_swatch("threshold", "bad", "2 3", 1.5))
    return f'<ul class="legend">{"".join(items)}</ul>'


def _swatch(name: str, tone: str, dash: str, width: float) -> str:
    return (
        f'<li><svg class="key" viewBox="0 0 22 10" aria-hidden="true"><line x1="0" x2="22" y1="5" '
        f'y2="5" stroke="var(--{tone})" stroke-width="{width + 0.4:g}"{_dashed(dash)}/></svg>'
        f"{escape(name)}</li>"
    )


def _dashed(dash: str) -> str:
    return f' stroke-dasharray="{dash}"' if dash else ""


def _px(x: Axis, value: float) -> float:
    return round(_LEFT + x.share(value) * (WIDTH - _LEFT - _RIGHT), 1)


def _py(y: Axis, value: float) -> float:
    return round(HEIGHT - _BOTTOM - y.share(value) * (HEIGHT - _TOP - _BOTTOM), 1)


def _grid(x: Axis, y: Axis) -> list[str]:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = []
    for value, text in y.ticks:
        at = _py(y, value)
        parts.append(f'<line class="grid" x1="{_LEFT:g}" x2="{right:g}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{_LEFT - 6:g}" y="{at + 4:g}" text-anchor="end">{text}</text>')
    for value, text in x.ticks:
        at = _px(x, value)
        anchor = "end" if at > right - 12 else "middle"
        if x.log:
            parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{_TOP:g}" y2="{bottom:g}"/>')
        parts.append(f'<text x="{at}" y="{bottom + 15:g}" text-anchor="{anchor}">{text}</text>')
    parts.append(f'<line class="axis" x1="{_LEFT:g}" x2="{right:g}" y1="{bottom}" y2="{bottom}"/>')
    middle = (_LEFT + right) / 2
    parts.append(
        f'<text class="label" x="{middle:g}" y="{HEIGHT - 3:g}" text-anchor="middle">'
        f"{escape(x.label)}</text>"
    )
    return parts


def _line(line: Line, x: Axis, y: Axis) -> str:
    path, pen, last = [], "M", 0.0
    for at, value in line.points:
        if value is None:
            pen = "M"
            continue
        px, py = _px(x, at), _py(y, value)
        if pen == "L" and line.step:
            path.append(f"L{px} {last}")
        path.append(f"{pen}{px} {py}")
        pen, last = "L", py
    return (
        f'<path class="line" d="{"".join(path)}" stroke="var(--{line.tone})" '
        f'stroke-width="{line.width:g}"{_dashed(line.dash)}/>'
    )


def _bars(bars: Sequence[Bars], x: Axis, y: Axis) -> list[str]:
    count = max((len(bar.heights) for bar in bars), default=0)
    if not count:
        return []
    floor = [0.0] * count
    each = (WIDTH - _LEFT - _RIGHT) / count
    gap = 1.0 if each > 4 else 0.0
    parts = []
    for bar in bars:
        for index, height in enumerate(bar.heights):
            if height > 0:
                top, bottom = _py(y, floor[index] + height), _py(y, floor[index])
                left = round(_LEFT + index * each, 1)
                parts.append(
                    f'<rect x="{left}" y="{top}" width="{max(0.8, each - gap):.1f}" '
                    f'height="{bottom - top:.1f}" fill="var(--{bar.tone})"/>'
                )
                floor[index] += height
    return parts


def _limit(name: str, value: float, x: Axis) -> str:
    at = _px(x, value)
    return (
        f'<line x1="{at}" x2="{at}" y1="{_TOP:g}" y2="{HEIGHT - _BOTTOM:g}" stroke="var(--bad)" '
        f'stroke-width="1.5" stroke-dasharray="2 3"><title>{escape(name)}</title></line>'
    )


def _hint(start: float, end: float, text: str, x: Axis) -> str:
    left, right = _px(x, start), _px(x, end)
    return (
        f'<rect class="hint" x="{left}" y="{_TOP:g}" width="{max(1.0, right - left):.1f}" '
        f'height="{HEIGHT - _TOP - _BOTTOM:g}"><title>{escape(text)}</title></rect>'
    )


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1, 2, 2.5, 5, 10):
        if rough <= factor * power * 1.0001:
            return factor * power
    return 10 * power
