"""How does the demo's story look on one page that opens offline? (pure)"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from sre.core.units import format_duration
from sre.demo.act import Act
from sre.demo.loop import Numbers
from sre.loadtest.output.page_style import STYLE

__all__ = ["render"]

_MORE = """
.acts{list-style:none;margin:0;padding:0}
.act{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 18px;
margin-top:12px;border-left:5px solid var(--good)}
.act.off{border-left-color:var(--bad)}
.act h3{margin:0;font-size:16px}
.act code{display:block;color:var(--dim);font-size:13px;margin:4px 0 8px;white-space:pre-wrap}
.act pre{margin:0;font-size:13px;line-height:1.5;white-space:pre-wrap}
.act p{color:var(--dim);font-size:13px;margin-top:8px}
.strip{width:100%;height:auto;display:block}
figcaption{color:var(--dim);font-size:13px;margin-top:8px}
@media(max-width:600px){.strip text{display:none}}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px 18px}
"""

Seen = Sequence[tuple[float, int, int]]


def render(acts: Sequence[Act], numbers: Numbers, seen: Seen, shop: str) -> str:
    """The whole page.

    Args:
        seen: (seconds since the epoch, good, bad purchases so far), at each look of the watch.
        shop: its address, for the heading.
    """
    good = sum(act.as_planned for act in acts)
    whole = good == len(acts)
    verdict = "The loop held" if whole else "The loop did not hold"
    body = [
        f'<p class="eyebrow">sre demo · <b>{escape(shop)}</b></p>',
        f'<section class="verdict {"passed" if whole else "failed"}" aria-label="Verdict">',
        f"<h1>{verdict}</h1>",
        f"<p>{good} of {len(acts)} acts went as planned. {_sentence(numbers)}</p></section>",
        _tiles(numbers, acts),
        _strip(seen, numbers),
        '<h2>Act by act</h2><ol class="acts">',
        *(_act(number, act) for number, act in enumerate(acts, 1)),
        "</ol>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>sre demo: {verdict}</title><style>{STYLE}{_MORE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _sentence(numbers: Numbers) -> str:
    if numbers.rto is None or numbers.detection is None:
        return "The damage was not mended."
    return (
        f"The damage paged after {_time(numbers.detection)} and the shop sold again "
        f"{_time(numbers.rto)} after it; orders of the {_time(numbers.rpo)} between backup and "
        "damage are lost."
    )


def _time(seconds: float | None) -> str:
    return "–" if seconds is None else format_duration(seconds)


def _tiles(numbers: Numbers, acts: Sequence[Act]) -> str:
    verdicts = [str(act.data["verdict"]) for act in acts if "verdict" in act.data]
    tiles = (
        ("Detection", _time(numbers.detection), "damage to page"),
        ("RTO", _time(numbers.rto), "damage to a purchase that works"),
        ("RPO", _time(numbers.rpo), "backup to damage"),
        ("Restore alone", _time(numbers.restore_rto), "measured by verification, level 3"),
        ("Gate", " / ".join(verdicts) or "–", "healthy shop / payment down"),
    )
    cells = (
        f'<div class="tile"><dt>{name}</dt><dd>{escape(value)}</dd><small>{note}</small></div>'
        for name, value, note in tiles
    )
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def _strip(seen: Seen, numbers: Numbers) -> str:
    """Each look at checkout as a bar on a time line: up for good, down for failed purchases."""
    pairs = [
        (at, good - before[1], bad - before[2])
        for before, (at, good, bad) in pairwise(seen)
        if good + bad > before[1] + before[2]
    ]
    if not pairs:
        return ""
    first, last = seen[0][0], max(seen[-1][0], seen[0][0] + 1)
    marks = [_bar(_x(at, first, last), good, bad) for at, good, bad in pairs]
    if numbers.damaged_at is not None:
        marks.append(_flag(_x(numbers.damaged_at, first, last), "damage"))
        if numbers.detection is not None:
            marks.append(_flag(_x(numbers.damaged_at + numbers.detection, first, last), "page", 26))
    return (
        '<h2>Purchases of the probe</h2><figure class="card"><svg class="strip" '
        'viewBox="0 0 1000 130" role="img" aria-label="Purchases over time: good ones above the '
        'line, failed ones below it">'
        '<line x1="0" x2="1000" y1="80" y2="80" stroke="var(--grey)"/>'
        f"{''.join(marks)}"
        f'<text x="0" y="126" font-size="15" fill="var(--dim)">0 s</text>'
        f'<text x="1000" y="126" font-size="15" fill="var(--dim)" text-anchor="end">'
        f"{last - first:.0f} s</text></svg>"
        f"<figcaption>{_caption(numbers, first)}</figcaption></figure>"
    )


def _caption(numbers: Numbers, first: float) -> str:
    """What the picture says, in words that stay readable on a telephone."""
    text = "Up, green: a purchase that worked. Down, orange: one that failed."
    if numbers.damaged_at is not None:
        text += f" The damage came at {numbers.damaged_at - first:.0f} s"
        text += "." if numbers.detection is None else f", the page {numbers.detection:.1f} s later."
    return text


def _x(at: float, first: float, last: float) -> float:
    return 10 + 980 * min(1.0, max(0.0, (at - first) / (last - first)))


def _bar(x: float, good: int, bad: int) -> str:
    up = f'<rect x="{x:.1f}" y="50" width="5" height="29" fill="var(--green)"/>' if good else ""
    down = f'<rect x="{x:.1f}" y="81" width="5" height="22" fill="var(--red)"/>' if bad else ""
    return up + down


def _flag(x: float, text: str, drop: int = 0) -> str:
    anchor = "end" if x > 850 else "start"
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{8 + drop}" y2="106" stroke="var(--ink)" '
        f'stroke-dasharray="3 3"/><text x="{x + (-6 if anchor == "end" else 6):.1f}" '
        f'y="{18 + drop}" font-size="15" fill="var(--ink)" text-anchor="{anchor}">{text}</text>'
    )


def _act(number: int, act: Act) -> str:
    mark = "as planned" if act.as_planned else f"not as planned: exit {act.expected} was expected"
    lines = escape("\n".join(act.lines))
    return (
        f'<li class="act{"" if act.as_planned else " off"}"><h3>{number}. {escape(act.title)}</h3>'
        f"<code>$ {escape(act.command)}</code><pre>{lines}</pre>"
        f"<p>exit {act.code}, {act.seconds:.1f} s, {mark}</p></li>"
    )
