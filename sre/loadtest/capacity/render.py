"""How does the result of a search read, for people on a terminal and for programs? (pure)"""

from __future__ import annotations

from typing import Any

from sre.core.units import format_duration
from sre.loadtest.capacity.result import Found, LevelResult
from sre.loadtest.capacity.search import Ending, Showed
from sre.loadtest.output.render import Table

__all__ = ["HEADLINES", "between", "text", "to_plain", "to_value"]

SCHEMA = "sre.capacity/1"
HEADLINES = {
    Ending.FOUND: "FOUND",
    Ending.NOTHING_HOLDS: "NOTHING HOLDS",
    Ending.LIMIT: "NOT FOUND",
    Ending.GENERATOR: "INVALID",
    Ending.UNCONFIRMED: "INVALID",
    Ending.STUCK: "DOES NOT RECOVER",
    Ending.ABORTED: "ABORTED",
}
_WORDS = {Showed.HELD: "held", Showed.BROKE: "BROKE", Showed.UNMEASURED: "not measured"}


def text(found: Found, table: Table) -> str:
    """The result, what limits the shop, and the table of levels."""
    lines = [f"{HEADLINES[found.ending]}  capacity of {found.name} against {found.target}"]
    lines += [f"  {line}" for line in _result_lines(found)]
    if found.levels:
        columns = ["#", "arrivals/s", "of mix", "failed", "dropped", "p50", "p95", "p99", "back",
                   "result"]  # fmt: skip
        rows = [_row(level) for level in found.levels]
        lines += ["", table(columns, rows, right=columns[:9])]
    lines.append(f"{len(found.levels)} levels in {format_duration(found.seconds)}")
    return "\n".join(line.rstrip("\n") for line in lines)


def _result_lines(found: Found) -> list[str]:
    lines = [found.why]
    if found.held is not None:
        rates = found.per_second(found.held) or {}
        names = ", ".join(f"{name} {between(found, name)}" for name in rates)
        lines.append(f"arrivals a second: {names}")
        if found.ordering:
            lines.append(f"orders a second: {_orders(found)}")
    for number, reason in enumerate(found.limited_by):
        lines.append(f"{'limited by: ' if not number else '            '}{reason}")
    if found.recovery is not None:
        at = f"at {found.recovery.level:.0%} of the mix"
        lines.append(f"back after overload, {at}: {found.recovery.words}")
    return lines


def between(found: Found, name: str) -> str:
    """What holds of one journey: `38.1 to 40.0`, or `at least 38.1` where nothing broke."""
    low, high = found.per_second(found.held), found.per_second(found.broke)
    return _between(None if low is None else low[name], None if high is None else high[name])


def _orders(found: Found) -> str:
    return _between(found.orders_per_second(found.held), found.orders_per_second(found.broke))


def _between(low: float | None, high: float | None) -> str:
    if low is None:
        return "none" if high is None else f"less than {high:.4g}"
    return f"at least {low:.4g}" if high is None else f"{low:.4g} to {high:.4g}"


def _row(level: LevelResult) -> list[str]:
    reason = f": {level.reasons[0]}" if level.reasons else ""
    again = ", confirming" if level.level.confirming else ""
    return [
        str(level.number),
        f"{level.rate:.4g}",
        f"{level.level.share:.1%}",
        f"{level.share_failed():.2%}",
        str(level.dropped),
        *(_ms(level.response(q)) for q in (0.5, 0.95, 0.99)),
        "" if level.recovery is None else level.recovery.words,
        f"{_WORDS[level.showed]}{again}{reason}",
    ]


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value * 1000:.4g} ms"


def to_plain(found: Found) -> dict[str, Any]:
    """The whole search, JSON-ready."""
    return {
        "schema": SCHEMA,
        "name": found.name,
        "ending": found.ending.value,
        "confirmed": found.confirmed,
        "why": found.why,
        "limited_by": list(found.limited_by),
        "target": found.target,
        "environment": found.environment,
        "started": found.started,
        "seconds": round(found.seconds, 3),
        "result": _result(found),
        "recovery": _recovery(found.recovery),
        "levels": [_level(level) for level in found.levels],
        "comparable": dict(found.comparable),
    }


def to_value(found: Found) -> dict[str, Any]:
    """What the other wings are told: the proven capacity, and what it is good for."""
    return {
        "name": found.name,
        "target": found.target,
        "environment": found.environment,
        "started": found.started,
        **_result(found),
        "limited_by": list(found.limited_by),
        "recovery": _recovery(found.recovery),
        "comparable": dict(found.comparable),
    }


def _result(found: Found) -> dict[str, Any]:
    low, high = found.per_second(found.held), found.per_second(found.broke)
    orders = [found.orders_per_second(found.held), found.orders_per_second(found.broke)]
    return {
        "held_percent": None if found.held is None else round(found.held * 100, 4),
        "broke_percent": None if found.broke is None else round(found.broke * 100, 4),
        "arrivals_per_second": {
            name: [None if low is None else low[name], None if high is None else high[name]]
            for name in found.mix
        },
        "orders_per_second": orders if found.ordering else None,
    }


def _recovery(recovery: Any) -> dict[str, Any] | None:
    if recovery is None:
        return None
    return {
        "seconds": None if recovery.seconds is None else round(recovery.seconds, 1),
        "at_most": recovery.at_most,
        "recovered": recovery.seconds is not None,
        "at_percent": round(recovery.level * 100, 4),
        "waited_seconds": recovery.waited,
    }


def _level(level: LevelResult) -> dict[str, Any]:
    growth = level.growth
    whole = level.whole
    return {
        "number": level.number,
        "percent": round(level.level.share * 100, 4),
        "confirming": level.level.confirming,
        "showed": level.showed.value,
        "reasons": list(level.reasons),
        "arrivals_per_second": {name: round(rate, 6) for name, rate in level.rates.items()},
        "arrivals": level.arrivals,
        "dropped": level.dropped,
        "outcomes": {name: count for name, count in whole.counts.items() if count},
        "response_ms": {
            name: None if (value := level.response(q)) is None else round(value * 1000, 3)
            for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
        },
        "queue_growth": {
            "journeys_per_second": growth.slope,
            "interval": [growth.low, growth.high],
            "share_of_arrivals": round(growth.share, 6),
        },
        "seconds": round(level.report.facts.seconds, 3),
        "stopped_at_seconds": level.report.facts.stopped,
        "run_id": level.report.facts.run_id,
        "folder": level.folder,
        "recovery": _recovery(level.recovery),
    }
