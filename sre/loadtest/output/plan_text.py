"""How does the plan of a load test read? (pure)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sre.core.units import format_duration
from sre.loadtest.output.curve import draw, spark
from sre.loadtest.output.render import Table

__all__ = ["plan_text"]


def plan_text(data: dict[str, Any], table: Table, *, width: int = 80, plain: bool = False) -> str:
    """The plan for people.

    Args:
        width: columns of the terminal.
        plain: ASCII alone.
    """
    parts = [
        "\n".join(_head(data)),
        _curve(data, width, plain),
        _stages(data, table),
        _journeys(data, table, plain),
        _caps(data, table),
        _thresholds(data, table),
        "\n".join(_guards(data)),
        "\n".join(f"warning: {warning}" for warning in data["warnings"]),
    ]
    text = "\n\n".join(part.rstrip("\n") for part in parts if part)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _head(data: dict[str, Any]) -> list[str]:
    what, closed = "at most " if data["search"] else "", data["users"] is not None
    return [
        f"{data['name']}: {what}{format_duration(data['seconds'])} against {data['target']} "
        f"({'production' if data['production'] else data['environment']})",
        f"target:   {_allowed(data)}",
        f"model:    {data['model']}, seed {data['seed']}{_closed(data)}",
        f"workers:  {data['workers_needed']} (500 requests/s each; the peak is "
        f"{'unknown' if closed else format(data['peak_requests_per_second'], 'g') + '/s'})"
        f"{_cores(data)}",
        f"requests: {'unknown' if closed else 'about ' + str(data['requests'])}",
        f"orders:   {data['orders'] or 'none' if data['orders'] is not None else 'unknown'}",
        *([f"warm-up:  {format_duration(data['warmup_seconds'])}, sent but not counted"]
          if data["warmup_seconds"] else []),
        *([f"search:   run it with: sre loadtest capacity {data['name']}"]
          if data["search"] else []),
    ]  # fmt: skip


def _allowed(data: dict[str, Any]) -> str:
    if not data["allowed"]:
        return f"REFUSED: {data['refused']}"
    word = f"admitted, connects to {data['address']}"
    return f"{word}; needs --i-know-this-is-production" if data["production"] else word


def _closed(data: dict[str, Any]) -> str:
    if data["users"] is None:
        return ""
    return f", {data['users']} users: what a slow shop holds back is in no percentile"


def _cores(data: dict[str, Any]) -> str:
    cores = data["cores"]
    if cores is None:
        return ""
    return f"; this machine has {cores} core{'s' * (cores != 1)}"


def _curve(data: dict[str, Any], width: int, plain: bool) -> str:  # noqa: FBT001
    curve = data["curve"]
    closed = curve["unit"] == "users"
    what, unit = ("users", "") if closed else ("journeys a second, all together", "/s")
    lines = draw(curve["points"], data["seconds"], width=min(width, 120), unit=unit, plain=plain)
    return "\n".join([what, *lines])


def _stages(data: dict[str, Any], table: Table) -> str:
    rows = [_stage_row(stage) for stage in data["stages"]]
    return table(["stage", "at", "lasts", "rate"], rows)


def _stage_row(stage: dict[str, Any]) -> Sequence[str]:
    first, last = stage["from_percent"], stage["to_percent"]
    ends = [f"{name} {rate:g}/s" for name, rate in stage["to_per_second"].items()]
    level = f"{last:g}%" if first == last else f"{first:g}% to {last:g}%"
    return [
        stage["stage"],
        format_duration(stage["start_seconds"]),
        format_duration(stage["seconds"]),
        f"{level}: {', '.join(ends)}" if ends else level,
    ]


def _journeys(data: dict[str, Any], table: Table, plain: bool) -> str:  # noqa: FBT001
    if data["users"] is not None:
        return ""
    peaks = {
        name: max(max(s["from_per_second"][name], s["to_per_second"][name]) for s in data["stages"])
        for name in data["arrivals"]
    }
    line = spark(data["curve"]["points"], plain=plain)
    rows = [[name, count, f"{peaks[name]:g}/s", line] for name, count in data["arrivals"].items()]
    return table(["journey", "arrivals", "peak", "rate"], rows, right=["arrivals", "peak"])


def _caps(data: dict[str, Any], table: Table) -> str:
    rows = [
        [cap["cap"], cap["shown_used"], cap["shown_limit"], "ABOVE" if cap["exceeded"] else ""]
        for cap in data["caps"]
    ]
    rows.append(["in flight", "", str(data["max_in_flight"]), ""])
    return table(["caps", "would use", "limit", ""], rows, right=["would use", "limit"])


def _thresholds(data: dict[str, Any], table: Table) -> str:
    if not data["thresholds"]:
        return ""
    rows = [
        [
            each["expression"],
            "unknown" if each["expected_samples"] is None else each["expected_samples"],
            each["min_samples"],
            _aborts(each["abort"]),
        ]
        for each in data["thresholds"]
    ]
    columns = ["threshold", "expected samples", "needed", ""]
    return table(columns, rows, right=columns[1:3])


def _aborts(abort: dict[str, Any] | None) -> str:
    if abort is None:
        return ""
    over = abort["over_seconds"]
    span = "since then" if over is None else f"in the last {over:g} s"
    return f"aborts when broken {span}, after {abort['after_seconds']:g} s"


def _guards(data: dict[str, Any]) -> list[str]:
    lines = [f"stops when {' or '.join(data['kill_files'])} appears"] if data["kill_files"] else []
    if data["only_between"] is not None:
        lines.append(f"runs only between {data['only_between']}")
    for objective in (data["burn"] or {"objectives": []})["objectives"]:
        slow = objective["below_seconds"]
        what = "bad" if slow is None else f"bad or above {format_duration(slow)}"
        burn = data["burn"]
        lines.append(
            f"stops when {objective['limit'] * 100:.4g}% of {objective['of']} are {what} in the "
            f"last {burn['over_seconds']:g} s and {burn['and_over_seconds']:g} s "
            f"({objective['name']})"
        )
    if data["invariants"]:
        lines.append(f"then checks the invariants {', '.join(data['invariants'])}")
    if data["regression"]:
        lines.append("then compares with earlier runs (regression)")
    return lines
