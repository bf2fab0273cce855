"""How does one result read for Nagios: a line, numbers it can draw, an exit code? (pure)

After the guidelines of monitoring-plugins: `TEXT | 'label'=value[UOM];warn;crit;min`, then lines of
detail. Nagios reads 8 KiB at most and takes `|` for the beginning of the numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

from sre.core.units import format_duration
from sre.journey.result import Outcome, Row
from sre.probes.model import Check, Gauge, Reading
from sre.probes.runner import Result

__all__ = ["UNKNOWN", "as_nagios", "code_of", "unknown"]

OK, WARNING, CRITICAL, UNKNOWN = range(4)
_STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_CODES = {
    Outcome.OK: OK,
    Outcome.DEGRADED: WARNING,
    Outcome.REFUSED: WARNING,
    Outcome.FAILED: CRITICAL,
    Outcome.BLOCKED: UNKNOWN,
    Outcome.THROTTLED: UNKNOWN,
}
_TEXT, _NUMBERS, _ALL = 600, 5000, 7800
"""Bytes: of the first line's words, of its numbers, of everything."""

_UNITS = (("_timestamp_seconds", ""), ("_seconds", "s"), ("_bytes", "B"), ("_total", "c"))


def code_of(reading: Reading) -> int:
    """0 ok; 1 degraded or refused; 2 failed; 3 blocked, throttled, or our own failure."""
    return UNKNOWN if reading.is_prober else _CODES[reading.outcome]


def as_nagios(result: Result, check: Check, objective: float | None = None) -> tuple[int, str]:
    """Exit code and output.

    Args:
        objective: seconds below which an objective wants the runs; drawn as the warning where the
            probe has no `slow` of its own.
    """
    reading = result.reading
    code = code_of(reading)
    rows = [row for step in reading.steps for row in step.rows]
    first = f"{_name(result.probe)} {_STATES[code]} - {_shortened(_summary(reading, rows), _TEXT)}"
    warn = check.slow if check.slow is not None else objective
    numbers = [_number("time", reading.seconds, "s", warn, check.timeout)]
    if len(reading.steps) > 1:
        numbers += _steps(reading)
    numbers += _gauges(result.kind, reading.gauges)
    line = f"{first} | {' '.join(_fitting(numbers, _NUMBERS))}"
    detail = (_detail(row) for row in rows) if len(rows) > 1 else iter(())
    return code, "\n".join(_fitting([line, *detail], _ALL))


def unknown(name: str, message: str) -> str:
    """The output when there is no result at all."""
    return f"{_name(name)} {_STATES[UNKNOWN]} - {_shortened(_clean(message), _TEXT)}"


def _name(probe: str) -> str:
    return _clean(probe).upper()[:70] or "SRE"


def _summary(reading: Reading, rows: list[Row]) -> str:
    took = format_duration(reading.seconds)
    if reading.outcome is Outcome.OK:
        return f"{len(rows)} requests in {took}" if len(rows) > 1 else f"good in {took}"
    words = reading.reason.value or reading.outcome.value
    return _clean(f"{words}: {reading.message}" if reading.message else f"{words} after {took}")


def _steps(reading: Reading) -> Iterator[str]:
    """One number for each step; one that ran again gets a number behind its name."""
    seen: dict[str, int] = {}
    for step in reading.steps:
        seen[step.name] = seen.get(step.name, 0) + 1
        again = f" {seen[step.name]}" if seen[step.name] > 1 else ""
        yield _number(step.name + again, step.seconds, "s")


def _gauges(kind: str, gauges: Iterable[Gauge]) -> Iterator[str]:
    for gauge in gauges:
        short = gauge.name.removeprefix("sre_probe_").removeprefix(f"{kind}_")
        unit = next((unit for end, unit in _UNITS if gauge.name.endswith(end)), "")
        yield _number(" ".join((short, *(value for _, value in gauge.labels))), gauge.value, unit)


def _number(
    label: str, value: float, unit: str, warn: float | None = None, crit: float | None = None
) -> str:
    text = re.sub(r"[=|]", "_", _clean(label)) or "value"
    quoted = text if re.fullmatch(r"[A-Za-z0-9_.-]+", text) else f"""'{text.replace("'", "''")}'"""
    limits = ";".join("" if limit is None else _plain(limit) for limit in (warn, crit))
    least = "0" if unit in ("s", "B", "c") else ""
    return f"{quoted}={_plain(value)}{unit};{limits};{least}".rstrip(";")


def _plain(value: float) -> str:
    """Digits alone: Nagios knows no exponents; U is what cannot be said."""
    if not math.isfinite(value):
        return "U"
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _detail(row: Row) -> str:
    status = f" {row.status}" if row.status else ""
    why = f" ({row.reason.value})" if row.reason.value else ""
    told = f": {row.message}" if row.message else ""
    words = f"{row.step} {row.outcome.value}{why}{status} in {row.seconds * 1000:.0f} ms{told}"
    return _shortened(_clean(words), _TEXT)


def _fitting(parts: Iterable[str], limit: int) -> Iterator[str]:
    """The first of them that fit into `limit` bytes together."""
    used = 0
    for part in parts:
        used += len(part.encode()) + 1
        if used > limit:
            return
        yield part


def _clean(text: str) -> str:
    """One line without `|`."""
    return re.sub(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+", " ", text).replace("|", "/").strip()


def _shortened(text: str, limit: int) -> str:
    data = text.encode("utf-8", "replace")
    return text if len(data) <= limit else data[: limit - 3].decode("utf-8", "ignore") + "..."
