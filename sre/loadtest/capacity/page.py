"""What does the page about a search show? One self-contained file, the result first. (pure)"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from sre.core.units import format_duration
from sre.loadtest.capacity.render import between
from sre.loadtest.capacity.result import Found, LevelResult
from sre.loadtest.capacity.search import Ending, Showed
from sre.loadtest.output.charts import Axis, Line, chart, linear, logarithmic, seconds_label
from sre.loadtest.output.page_style import STYLE

__all__ = ["render_page"]

_CLASSES = {
    Ending.FOUND: "passed",
    Ending.NOTHING_HOLDS: "failed",
    Ending.STUCK: "failed",
    Ending.LIMIT: "invalid",
    Ending.GENERATOR: "invalid",
    Ending.UNCONFIRMED: "invalid",
    Ending.ABORTED: "aborted",
}
_STATES = {
    Showed.HELD: ("kept", "✓ held"),
    Showed.BROKE: ("broken", "✗ broke"),
    Showed.UNMEASURED: ("unknown", "? not measured"),
}
_HOW = (
    "A level holds if its thresholds are kept, nobody was dropped, journeys in flight did not grow "
    "and the generator is beyond doubt. It is stopped as soon as it cannot hold any more, so the "
    "latencies of levels that broke are those of the time until then. “Back” is the time from the "
    "last customer of a level that broke to the first five seconds in which 95 % of the customers "
    "of a level that holds were served within the limit again."
)
Cell = tuple[str, str, str]
"""(class, label on narrow screens, HTML)."""


def render_page(found: Found) -> str:
    """The whole page; nothing in it needs the network."""
    title = f"Capacity of {found.name}: {_headline(found)}"
    body = "".join((_header(found), _tiles(found), _charts(found), _levels(found), _footer(found)))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _headline(found: Found) -> str:
    rate = _total(found, found.held)
    known = "none" if rate is None else f"{rate:.4g}"
    return {
        Ending.FOUND: f"The shop holds {known} customers a second",
        Ending.NOTHING_HOLDS: "The shop does not even hold the lowest level",
        Ending.STUCK: "After overload the shop does not recover by itself",
        Ending.LIMIT: f"The shop holds at least {known} customers a second",
        Ending.GENERATOR: f"Not found: at least {known} customers a second"
        if rate is not None
        else "Not found: nothing could be measured",
        Ending.UNCONFIRMED: "Not found: what held once did not hold for longer",
        Ending.ABORTED: "Aborted before the capacity was found",
    }[found.ending]


def _total(found: Found, share: float | None) -> float | None:
    rates = found.per_second(share)
    return None if rates is None else sum(rates.values())


def _header(found: Found) -> str:
    when = escape(found.started.replace("T", " ").replace("+00:00", " UTC"))
    limits = "".join(f"<li>limited by {escape(reason)}</li>" for reason in found.limited_by)
    return (
        f'<header><p class="eyebrow">Capacity of <b>{escape(found.name)}</b> against '
        f"<b>{escape(found.target)}</b> · {when} · {format_duration(found.seconds)}</p>"
        f'<div class="verdict {_CLASSES[found.ending]}"><h1>{escape(_headline(found))}</h1>'
        f"<p>{escape(found.why)}</p>{f'<ul>{limits}</ul>' if limits else ''}</div></header>"
    )


def _tiles(found: Found) -> str:
    tiles = [
        (f"{name}, arrivals a second", between(found, name).replace(" to ", "–"), "holds to breaks")
        for name in list(found.mix)[:4]
    ]
    orders = found.orders_per_second(found.held)
    if found.ordering and orders is not None:
        tiles.append(("Orders a second", f"{orders:.4g}", f"{orders * 3600:,.0f} an hour"))
    if found.recovery is not None:
        at = f"at {found.recovery.level:.0%} of the mix"
        tiles.append(("Back after overload", found.recovery.words, at))
    cells = "".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd>{escape(value)}</dd>'
        f"<small>{escape(small)}</small></div>"
        for name, value, small in tiles
    )
    return f'<dl class="tiles">{cells}</dl>'


def _charts(found: Found) -> str:
    seen = [level for level in found.levels if level.showed is not Showed.UNMEASURED]
    if not seen:
        return ""
    last = {level.rate: level for level in seen}  # of a level held twice, the longer one
    levels = [last[rate] for rate in sorted(last)]
    x = linear(max(last) * 1.05, "arrivals a second, all journeys")
    x = Axis(
        x.low, max(last) * 1.05, tuple(t for t in x.ticks if t[0] <= max(last) * 1.05), x.label
    )
    figures = _knee(found, levels, x) + _bad(found, levels, x)
    return (
        '<section aria-label="Charts"><h2>The knee</h2>'
        f'<div class="charts">{figures}</div></section>'
    )


def _knee(found: Found, levels: Sequence[LevelResult], x: Axis) -> str:
    def line(name: str, tone: str, q: float, dash: str = "") -> Line:
        points = [
            (v.rate, None if (value := v.response(q)) is None else value * 1000) for v in levels
        ]
        return Line(name, points, tone, dash, width=2.0)

    lines = [
        line("p99", "orange", 0.99, "2 2"),
        line("p95", "red", 0.95),
        line("p50", "blue", 0.5, "6 3"),
    ]
    values = [y for each in lines for _, y in each.points if y]
    low, high = max(0.1, min(values, default=1.0)), max(values, default=1000.0)
    y = logarithmic(low, high, "", seconds_label)
    words = f"from {seconds_label(round(low, 1))} to {seconds_label(round(high, 1))}"
    return chart(
        "Response time by rate",
        f"Response times of all journeys at each level, {words}.",
        x,
        y,
        lines=[*lines, *_bounds(found, y.low, y.high)],
        hints=_hints(levels, x),
    )


def _bad(found: Found, levels: Sequence[LevelResult], x: Axis) -> str:
    failed = [(v.rate, 100 * v.share_failed()) for v in levels]
    dropped = [(v.rate, 100 * v.dropped / v.arrivals if v.arrivals else 0.0) for v in levels]
    high = max(1.0, *(y for _, y in (*failed, *dropped)))
    y = linear(high, "")
    y = Axis(y.low, y.high, tuple((value, f"{text}%") for value, text in y.ticks), "")
    return chart(
        "Customers who were not served, by rate",
        f"Failed and dropped customers at each level, at most {high:.3g} %.",
        x,
        y,
        lines=[
            Line("failed", failed, "red", width=2.0),
            Line("dropped", dropped, "grey", "2 2", width=2.0),
            *_bounds(found, y.low, y.high),
        ],
        hints=_hints(levels, x),
    )


def _bounds(found: Found, low: float, high: float) -> list[Line]:
    held, broke = _total(found, found.held), _total(found, found.broke)
    lines = []
    if held is not None:
        lines.append(Line("holds", [(held, low), (held, high)], "green", "8 3", width=1.5))
    if broke is not None:
        lines.append(Line("breaks", [(broke, low), (broke, high)], "bad", "2 3", width=1.5))
    return lines


def _hints(levels: Sequence[LevelResult], x: Axis) -> list[tuple[float, float, str]]:
    edges = [x.low, *((a.rate + b.rate) / 2 for a, b in pairwise(levels))]
    return [
        (
            edge,
            after,
            f"{level.rate:.4g}/s {level.showed.value}: p50 {_ms(level.response(0.5))}, "
            f"p95 {_ms(level.response(0.95))}, p99 {_ms(level.response(0.99))}, "
            f"{level.share_failed():.2%} failed",
        )
        for level, edge, after in zip(levels, edges, [*edges[1:], x.high], strict=True)
    ]


def _levels(found: Found) -> str:
    if not found.levels:
        return ""
    columns = ["Level", "Arrivals/s", "Of the mix", "Failed", "Dropped", "p50", "p95", "p99",
               "Back", "Result"]  # fmt: skip
    head = "".join(
        f'<th scope="col" class="{"n" if 0 < index < 9 else "state"}">{name}</th>'
        for index, name in enumerate(columns)
    )
    body = "".join(_row(level, columns) for level in found.levels)
    return (
        '<section><h2>Levels</h2><div class="card"><table><thead><tr>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f'<p class="note">{_HOW}</p></section>'
    )


def _row(level: LevelResult, columns: Sequence[str]) -> str:
    tone, word = _STATES[level.showed]
    reasons = "".join(f"<br>{escape(reason)}" for reason in level.reasons[:3])
    values = [
        f"{level.rate:.4g}",
        f"{level.level.share:.1%}",
        f"{level.share_failed():.2%}",
        f"{level.dropped:,}",
        *(_ms(level.response(q)) for q in (0.5, 0.95, 0.99)),
        "–" if level.recovery is None else level.recovery.words,
    ]
    cells = "".join(
        f'<td class="n" data-label="{name}"><span>{escape(value)}</span></td>'
        for name, value in zip(columns[1:], values, strict=False)
    )
    again = " once more, for longer" if level.level.confirming else ""
    link = f'<a href="{escape(level.folder)}/report.html">{level.number}</a>'
    return (
        f'<tr><th scope="row" class="state">{link}</th>{cells}<td class="wide" data-label="Result">'
        f'<span><span class="state {tone}">{word}{again}</span>{reasons}</span></td></tr>'
    )


def _footer(found: Found) -> str:
    facts = ", ".join(f"{escape(str(k))} {escape(str(v))}" for k, v in found.comparable.items())
    return f"<footer>Environment {escape(found.environment)}. {facts}</footer>"


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    if value >= 10:
        return f"{value:.1f} s"
    return f"{value * 1000:,.0f} ms" if value >= 0.1 else f"{value * 1000:.3g} ms"
