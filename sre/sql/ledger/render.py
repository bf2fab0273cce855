"""How does a ledger's report look, for people and for programs? Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sre.core.units import format_duration
from sre.sql.ledger.model import Gap, Report, Verdict

__all__ = ["as_json", "as_text"]

_STALL = 0.1
_SHOWN = 10
_WORDS = {True: "passed", False: "failed", None: "unknown"}


def as_json(report: Report) -> str:
    """One document, `sre.ledger/1`. What is not known is null, never 0."""
    counts, seen, gaps = report.counts, report.verdict, report.gaps
    document: dict[str, Any] = {
        "schema": "sre.ledger/1",
        "verdict": _WORDS[report.good],
        "acknowledged": counts.acknowledged,
        "lost": seen and seen.lost,
        "ambiguous": counts.ambiguous,
        "recovered": seen and seen.recovered,
        "failed": counts.failed,
        "unexpected": seen and seen.unexpected,
        "duplicates": seen and seen.duplicates,
        "longest_gap_seconds": gaps.longest and round(gaps.longest.seconds, 6),
        "longest_gap": gaps.longest and _gap(gaps.longest),
        "gap_since": gaps.since and _gap(gaps.since),
        "gaps": [_gap(each) for each in gaps.above],
        "gap_threshold_seconds": gaps.threshold,
        "read_back": seen is not None,
        "unread": report.unread or None,
        "rows_read": seen and seen.read,
        "lost_ids": list(seen.lost_ids) if seen else None,
        "unexpected_ids": list(seen.unexpected_ids) if seen else None,
        **_about(report),
    }
    return json.dumps(document, indent=2)


def _about(report: Report) -> dict[str, Any]:
    """Which run it was, and what its clients and its clock went through."""
    head, counts, ending = report.head, report.counts, report.ending
    return {
        "run": head.run,
        "engine": head.engine,
        "cluster": head.cluster or None,
        "table": head.table,
        "writers": head.writers,
        "rate_per_second": head.rate,
        "started": _time(head.wall),
        "first_acknowledged": _time(report.first),
        "last_acknowledged": _time(report.last),
        "ended_in_order": ending is not None,
        "errors": dict(counts.errors),
        "errors_by_writer": {str(who): dict(each) for who, each in counts.by_writer.items()},
        "late": counts.late,
        "latest_seconds": counts.latest,
        "unstarted": ending and ending.unstarted,
        "reconnects": ending and ending.reconnects,
        "stall_seconds": ending and round(ending.stall, 6),
        "damaged_lines": counts.damaged,
    }


def as_text(report: Report) -> str:
    """A few lines: the verdict first."""
    counts, ending = report.counts, report.ending
    lines = [
        _headline(report),
        f"{counts.acknowledged} acknowledged, {counts.ambiguous} ambiguous, {counts.failed} failed",
    ]
    if counts.errors:
        shown = sorted(counts.errors.items(), key=lambda each: -each[1])[:_SHOWN]
        lines.append("errors: " + ", ".join(f"{name} {many}" for name, many in shown))
    lines += _gap_lines(report)
    if report.verdict and not report.verdict.read and counts.acknowledged:
        lines.append("no row of this run was found: is this the database that it was written to?")
    if counts.late:
        latest = format_duration(counts.latest)
        lines.append(f"{counts.late} writes were sent late, the latest {latest} after it was due")
    if ending is None:
        lines.append("the record ends without its last line: the ledger was killed, or still runs")
    elif ending.stall > _STALL:
        lines.append(
            f"this machine kept an idle writer waiting for up to {format_duration(ending.stall)}: "
            "a gap may be overstated by that"
        )
    return "\n".join(lines)


def _gap_lines(report: Report) -> list[str]:
    gaps, lines = report.gaps, []
    if gaps.longest:
        lines.append(f"longest write gap {_gap_text(gaps.longest)}")
    if gaps.since:
        lines.append(f"longest write gap since the mark {_gap_text(gaps.since)}")
    if len(gaps.above) > 1:
        lines.append(f"{len(gaps.above)} gaps above {format_duration(gaps.threshold)}:")
        lines += [f"  {_gap_text(each)}" for each in gaps.above[:_SHOWN]]
    return lines


def _headline(report: Report) -> str:
    seen = report.verdict
    if seen is None:
        why = f": {report.unread}" if report.unread else ""
        return f"unknown: not read back{why}"
    if report.good is None:
        return (
            f"unknown: {report.counts.damaged} lines of the record are damaged, what they said is "
            f"not known; {seen.lost} of the others lost"
        )
    return f"{'passed' if report.good else 'FAILED'}: {_found(seen)}"


def _found(seen: Verdict) -> str:
    parts = [f"{seen.lost} lost{_named(seen.lost, seen.lost_ids)}"]
    if seen.unexpected:
        parts.append(f"{seen.unexpected} unexpected{_named(seen.unexpected, seen.unexpected_ids)}")
    if seen.duplicates:
        parts.append(f"{seen.duplicates} twice")
    return ", ".join([*parts, f"{seen.recovered} ambiguous were there, {seen.read} rows read"])


def _named(count: int, ids: tuple[str, ...]) -> str:
    if not ids:
        return ""
    return f" ({', '.join(ids[:_SHOWN])}{', …' if count > _SHOWN else ''})"


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "seconds": round(gap.seconds, 6),
        "began": _time(gap.wall),
        "ended": _time(gap.wall + gap.seconds),
        "edge": gap.edge or None,
    }


def _gap_text(gap: Gap) -> str:
    edge = {
        "": "",
        "start": ", before the first acknowledgement",
        "end": ", still open when the record ends",
    }[gap.edge]
    return f"{format_duration(gap.seconds)} from {_time(gap.wall)}{edge}"


def _time(moment: float | None) -> str | None:
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
