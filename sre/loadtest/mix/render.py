"""How is a mix from a log written: as an entry of `loadtests:`, and as JSON?"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from sre.core.units import format_duration
from sre.loadtest.mix.model import Estimate, Found, Row, Window, clock_time

__all__ = ["to_json", "to_yaml"]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})
_WIDTH = 98


def to_yaml(name: str, found: Estimate) -> str:
    """A whole `loadtests:` block with one entry; comments say where its numbers come from."""
    seen = [one for one in found.journeys if one.rate > 0]
    rates = [f"{_name(one.name)}: {_rate(one.rate)}" for one in seen]
    wide = max(len(rate) for rate in rates)
    lines = ["loadtests:", f"  {_name(name)}:"]
    lines += [f"    # {line}" for line in _about(found)]
    lines.append("    mix:")
    lines += [
        f"      {rate:<{wide}}  # {one.customers:,.0f} customers in the window"
        for rate, one in zip(rates, seen, strict=True)
    ]
    if found.bursts is not None and found.bursts.dispersion < 0.3:
        lines.append("    arrivals: uniform")
    lines += ["    stages:", *(f"      - {_stage(found, n)}" for n in range(len(found.legs)))]
    if found.knots[0].rate > 0 and len(found.legs) > 1:
        lines.append(f"    warmup: {found.legs[0].seconds:g}s")
    lines.append("    # A beginning: say what you promise; see docs/loadtest.md.")
    lines.append("    thresholds:")
    lines += [f"      - {json.dumps(f'{one.name}.failed < 1%')}" for one in seen]
    lines += [f"    # {line}" for line in _pauses(found)]
    return "\n".join(lines)


def _about(found: Estimate) -> Iterator[str]:
    for text in _facts(found):
        yield from textwrap.wrap(text, _WIDTH - 6, subsequent_indent="  ", break_long_words=False)


def _facts(found: Estimate) -> Iterator[str]:
    window, offset = found.window, found.offset
    yield (
        f"From {found.log.requests:,} requests of {clock_time(found.log.start, offset)} and the "
        f"{format_duration(found.log.seconds)} after it ({_left(found)})."
    )
    if found.busiest_hour is not None:
        hour = found.busiest_hour
        yield (
            f"Busiest hour: {clock_time(hour.start, offset)}, {hour.requests:,} requests, "
            f"{_rate(hour.requests / hour.seconds)}; in the mean of the log "
            f"{_rate(found.log.requests / found.log.seconds)}."
        )
    rates = {"peak": found.peak, "mean": found.mean}
    other = "mean" if found.level == "peak" else "peak"
    yield (
        f"Mix and curve: {clock_time(window.start, offset)} and the "
        f"{format_duration(window.seconds)} after it, {window.requests:,} requests. "
        f"100% is the {found.level} of the curve: {_rate(rates[found.level])} customers; "
        f"{other} {_rate(rates[other])}. "
        f"One point of the curve: {format_duration(found.interval)}."
    )
    yield f"The journeys explain {found.explained:.0%} of the requests."
    yield _bursts(found)
    yield from _doubts(found)


def _left(found: Estimate) -> str:
    words = {
        "ours": "of sre itself",
        "bots": "of bots",
        "health": "health checks",
        "assets": "assets",
        "redirects": "ends of redirects",
    }
    parts = [f"{count:,} {words[reason]}" for reason, count in found.left.items() if count]
    if found.unread:
        parts.append(f"{found.unread:,} lines that cannot be read")
    return f"left out: {', '.join(parts)}" if parts else "nothing left out"


def _bursts(found: Estimate) -> str:
    come = found.bursts
    if come is None:
        return "Too few customers to tell whether they come one by one."
    said = f"Index of dispersion {come.dispersion:.2f} over {come.cells} cells of {come.cell} s: "
    if come.dispersion > 1.5:
        return (
            said + "customers come in bursts, which `arrivals: poisson` has less of; add a step, "
            "such as {step: 200%, hold: 1m}."
        )
    if come.dispersion < 0.7:
        return said + "customers come more evenly than by chance: something paces them."
    return said + "customers come one by one; `arrivals: poisson` is fair."


def _doubts(found: Estimate) -> Iterator[str]:
    if found.unexplained:
        yield f"Not explained: {', '.join(_row(row) for row in found.unexplained)}."
    if found.poor:
        yield f"Poor fit: {', '.join(_row(row) for row in found.poor)}."
    for one in found.journeys:
        if one.rate <= 0:
            yield f"Not in the mix: {one.name}: {one.unseen}."
    if found.never:
        steps = ", ".join(f"{journey}/{step}" for journey, step in found.never)
        yield f"Steps that the window does not show: {steps}."
    for journey, step, why in found.left_out:
        yield f"Not recognised: {journey}/{step}: {why}."
    for group in found.alike:
        yield f"This log cannot tell apart: {', '.join(group)}; set their rates by what you know."


def _pauses(found: Estimate) -> Iterator[str]:
    if not found.pauses:
        return
    yield "Between a step and the next one of the same visitor; for these steps of the journeys:"
    for one in found.pauses:
        median, p95 = _number(one.median), _number(one.p95)
        told = (
            f"pause: {{median: {median}s, p95: {p95}s}}" if median != p95 else f"pause: {median}s"
        )
        told = told if float(median) > 0 else "no pause"
        yield f"  {one.journey}/{one.step}  {told}  ({one.samples:,} seen)"


def _row(row: Row) -> str:
    if row.expected is None:
        return f"{row.label} {row.counted:,}"
    return f"{row.label} {row.counted:,} (journeys: {row.expected:,.0f})"


def _stage(found: Estimate, number: int) -> str:
    leg = found.legs[number]
    if leg.flat:
        return f"{{hold: {leg.seconds:g}s}}"
    return f"{{ramp: {leg.seconds:g}s, to: {leg.level:.0%}}}"


def _name(name: str) -> str:
    """A key of YAML."""
    return name if _PLAIN.fullmatch(name) and name.lower() not in _WORDS else json.dumps(name)


def _rate(rate: float) -> str:
    """In the unit that shows it with few digits."""
    for unit, seconds in (("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0)):
        if rate * seconds >= 1 or unit == "d":
            return f"{_number(rate * seconds, least=6)}/{unit}"
    raise AssertionError


def _number(value: float, least: int = 2) -> str:
    """Four digits, never with an exponent."""
    if value >= 1000:
        return f"{value:.0f}"
    for digits in range(least + 1):
        text = f"{value:.{digits}f}"
        if abs(float(text) - value) <= 0.0005 * value:
            return text
    return f"{value:.{least}f}"


def to_json(name: str, found: Estimate) -> dict[str, Any]:
    """Schema `sre.loadtest-mix/1`."""
    offset = found.offset
    hour = found.busiest_hour
    return {
        "schema": "sre.loadtest-mix/1",
        "name": name,
        "log": _stretch(found.log, offset) | {"lines": found.lines, "unread": found.unread},
        "left_out": dict(found.left),
        "busiest_hour": _stretch(hour, offset) if hour is not None else None,
        "window": _stretch(found.window, offset),
        "level": found.level,
        "customers_per_second": {"peak": found.peak, "mean": found.mean},
        "journeys": {one.name: _journey_json(one) for one in found.journeys},
        "interval_seconds": found.interval,
        "curve": [{"at": knot.at, "requests_per_second": knot.rate} for knot in found.knots],
        "stages": [
            {"seconds": leg.seconds, "level": leg.level, "hold": leg.flat} for leg in found.legs
        ],
        "bursts": found.bursts._asdict() if found.bursts is not None else None,
        "pauses": [
            {"journey": p.journey, "step": p.step, "median": p.median, "p95": p.p95,
             "samples": p.samples}
            for p in found.pauses
        ],
        "explained": found.explained,
        "unexplained": [_row_json(row) for row in found.unexplained],
        "poor": [_row_json(row) for row in found.poor],
        "never": [{"journey": journey, "step": step} for journey, step in found.never],
        "not_recognised": [
            {"journey": journey, "step": step, "why": why} for journey, step, why in found.left_out
        ],
        "alike": [list(group) for group in found.alike],
    }  # fmt: skip


def _journey_json(one: Found) -> dict[str, Any]:
    return {
        "customers": one.customers,
        "rate_per_second": one.rate,
        "mix": _rate(one.rate) if one.rate > 0 else None,
        "why_not": one.unseen or None,
    }


def _stretch(window: Window, offset: int) -> dict[str, Any]:
    return {
        "from": clock_time(window.start, offset),
        "seconds": window.seconds,
        "requests": window.requests,
    }


def _row_json(row: Row) -> dict[str, Any]:
    return {"route": row.label, "counted": row.counted, "expected": row.expected}
