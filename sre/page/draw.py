"""How are a state, an hour of latency, a day of runs and a budget drawn as SVG? (pure)

A state is a shape before it is a colour: a disc with a tick works, a triangle is slow, a square
with a cross fails, a broken ring is not known. In the strip of a day the height says the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from sre.page import words
from sre.page.markup import escape
from sre.page.model import State

__all__ = ["ICON_LINKS", "curve", "icon", "latency_line", "meter", "strip"]

_SHAPES = {
    State.WORKS: '<circle class="f" cx="8" cy="8" r="7"/>'
    '<path class="m" d="M4.8 8.3l2.3 2.3 4.2-5"/>',
    State.SLOW: '<path class="f" d="M8 1.2l7 13.3H1z"/><path class="m" d="M8 6v4m0 2v.6"/>',
    State.FAILING: '<rect class="f" x="1" y="1" width="14" height="14" rx="2.5"/>'
    '<path class="m" d="M5 5l6 6m0-6l-6 6"/>',
    State.UNKNOWN: '<circle class="r" cx="8" cy="8" r="6.3"/>',
}  # fmt: skip
_TONES = {
    State.WORKS: "#00794f",
    State.SLOW: "#b87700",
    State.FAILING: "#b3261e",
    State.UNKNOWN: "#6b7482",
}
_HEIGHTS = {State.WORKS: 9, State.SLOW: 17, State.FAILING: 26}
_SAYS = {State.WORKS: "good", State.SLOW: "slow", State.FAILING: "with failures"}


def icon(state: State) -> str:
    """The shape of a state; the word beside it is for those who do not see it."""
    return (
        f'<svg class="icon {state}" viewBox="0 0 16 16" width="16" height="16" '
        f'aria-hidden="true">{_SHAPES[state]}</svg>'
    )


def _link(state: State) -> str:
    tone, white = _TONES[state], 'stroke="white" stroke-width="2" fill="none"'
    ring = f'stroke="{tone}" stroke-width="2.5" stroke-dasharray="4 2.6" fill="none"'
    shape = _SHAPES[state].replace('class="f"', f'fill="{tone}"').replace('class="m"', white)
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{shape}</svg>'
    text = svg.replace('class="r"', ring).replace("#", "%23").replace('"', "'")
    return f"data:image/svg+xml,{text}"


ICON_LINKS = {state: escape(_link(state)) for state in State}
"""The same shapes for the browser's tab."""


def latency_line(minutes: Sequence[float | None], name: str) -> str:
    """The last hour, oldest at the left; a gap is a minute without a good run."""
    seen = [value for value in minutes if value is not None]
    if not seen:
        return '<p class="none">no good run in this hour</p>'
    top = max(seen) * 1.15 or 1.0
    points = [
        None if value is None else (index * 2.0, round(28 - value / top * 26, 1))
        for index, value in enumerate(minutes)
    ]
    text = (
        f"Latency of {name} in the last hour: {words.latency(min(seen))} to "
        f"{words.latency(max(seen))}, now {words.latency(seen[-1])}"
    )
    return (
        f'<svg class="line" viewBox="0 0 118 30" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(text)}"><title>{escape(text)}</title>{_paths(points)}</svg>'
    )


def _paths(points: Sequence[tuple[float, float] | None]) -> str:
    """A line through neighbours (gaps of a few minutes too); a lone point is a short dash."""
    runs: list[list[tuple[float, float]]] = []
    last = -100.0
    for point in points:
        if point is None:
            continue
        if point[0] - last > _BRIDGE:
            runs.append([])
        runs[-1].append(point)
        last = point[0]
    parts = ['<path class="x" d="M0 29.5H118"/>']
    for run in runs:
        line = run if len(run) > 1 else [(max(0.0, run[0][0] - 1.5), run[0][1]), run[0]]
        path = "L".join(f"{x:g} {y:g}" for x, y in line)
        parts.append(f'<path class="a" d="M{line[0][0]:g} 30L{path}L{line[-1][0]:g} 30z"/>')
        parts.append(f'<path class="l" d="M{path}"/>')
    return "".join(parts)


_BRIDGE = 12.0
"""Widths of the line (two a minute) that it crosses: a probe may run each five minutes."""


def strip(slices: Sequence[State | None], name: str) -> str:
    """The last day, half an hour a bar; the higher, the worse."""
    counts = Counter(state for state in slices if state is not None)
    told = ", ".join(f"{counts[s]} {_SAYS[s]}" for s in (*_SAYS,) if counts[s])
    text = f"The last 24 hours of {name} in half hours: {told or 'no runs'}"
    bars = "".join(_bar(index, state) for index, state in enumerate(slices))
    return (
        f'<svg class="strip" viewBox="0 0 192 28" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(text)}"><title>{escape(text)}</title>{bars}</svg>'
    )


def _bar(index: int, state: State | None) -> str:
    height = _HEIGHTS.get(state, 2) if state is not None else 2
    return (
        f'<rect class="{state or "none"}" x="{index * 4}" y="{28 - height}" '
        f'width="3" height="{height}"/>'
    )


def curve(left: Sequence[float], name: str) -> str:
    """How a budget went, oldest at the left; the floor is where nothing is left."""
    if len(left) < 2:
        return ""
    width = 118 / (len(left) - 1)
    points = [
        (round(index * width, 1), round(2 + 26 * (1 - min(max(share, 0.0), 1.0)), 1))
        for index, share in enumerate(left)
    ]
    spent = next((index for index, share in enumerate(left) if share <= 0), None)
    text = f"Error budget of {name} over the time seen: from 100% to {left[-1]:.0%}"
    path = "L".join(f"{x:g} {y:g}" for x, y in points)
    tone = "failing" if spent is not None else "works" if left[-1] >= 0.25 else "slow"
    return (
        f'<svg class="line curve {tone}" viewBox="0 0 118 30" preserveAspectRatio="none" '
        f'role="img" aria-label="{escape(text)}"><title>{escape(text)}</title>'
        f'<path class="x" d="M0 28.5H118"/><path class="a" d="M0 28.5L{path}L118 28.5z"/>'
        f'<path class="l" d="M{path}"/></svg>'
    )


def meter(left: Fraction | None, name: str) -> str:
    """What is left of a budget, as a bar; empty when nothing is left."""
    share = 0.0 if left is None else float(min(max(left, Fraction(0)), Fraction(1)))
    tone = "unknown" if left is None else "failing" if left <= 0 else "works"
    if left is not None and 0 < left < Fraction(1, 4):
        tone = "slow"
    text = f"Error budget of {name}: {words.share(left)} left" if left is not None else (
        f"Error budget of {name}: not known yet"
    )  # fmt: skip
    return (
        f'<svg class="meter {tone}" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(text)}"><rect class="b" width="100" height="8"/>'
        f'<rect class="v" width="{share * 100:.4g}" height="8"/></svg>'
    )
