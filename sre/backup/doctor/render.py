"""How does an examination look, to people and to programs? (pure)"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from sre.backup.doctor.judge import (
    CAPABILITIES,
    capability,
    degraded,
    exit_code,
    failed,
    undecided,
)
from sre.backup.doctor.model import Report, Result
from sre.core.console import table

__all__ = ["report_as_json", "report_as_text"]

_WORDS = {
    "holds": "good", "absent": "no", "broken": "BROKEN", "denied": "DENIED", "unknown": "unknown",
    "skipped": "-",
}  # fmt: skip
_VERDICTS = {
    0: "everything that matters works",
    1: "no backup is safe here",
    3: "degraded",
    4: "not found out: run it again",
    5: "these credentials may not do what backups need",
}


def report_as_json(report: Report) -> str:
    """`sre.doctor/1`."""
    content = {
        "schema": "sre.doctor/1",
        "store": report.store,
        "kind": report.kind,
        "where": report.where,
        "at": report.at,
        "seconds": round(report.seconds, 3),
        "exit_code": exit_code(report),
        "failed": [each.name for each in failed(report)],
        "degraded": [each.name for each in degraded(report)],
        "undecided": [each.name for each in undecided(report)],
        "capabilities": {name: capability(report.results, name) for name in CAPABILITIES},
        "measured": dict(report.measured),
        "left": list(report.left),
        "checks": [asdict(each) for each in report.results],
    }
    return json.dumps(content, indent=2)


def report_as_text(report: Report) -> str:
    """A table, and below it what follows."""
    rows = [
        (each.name, _WORDS[each.state], each.found, each.matters, _weight(each))
        for each in report.results
    ]
    text = table(("CHECK", "FOUND", "WHAT", "MATTERS FOR", "IF NOT"), rows).rstrip("\n")
    return "\n".join([text, "", *_after(report)])


def _weight(result: Result) -> str:
    return {"data": "unsafe", "feature": "degraded", "note": "-"}[result.severity]


def _after(report: Report) -> list[str]:
    code = exit_code(report)
    lines = [f"{report.store} ({report.where}): {_VERDICTS[code]}; {report.seconds:.1f}s"]
    lines += _each("unsafe", failed(report))
    lines += _each("no answer", undecided(report))
    lines += _each("degraded", degraded(report))
    off = [name for name in CAPABILITIES if capability(report.results, name) is False]
    if off:
        lines.append(f"not used here: {', '.join(off)}")
    if "conditional_put" in off:
        lines.append("several writers are refused: let one host alone write to this store")
    return lines + [f"left behind: {each}" for each in report.left]


def _each(word: str, results: Sequence[Result]) -> list[str]:
    return [f"{word}: {each.name}: {each.found}; matters for {each.matters}" for each in results]
