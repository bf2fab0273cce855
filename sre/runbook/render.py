"""How are runbooks, findings, runs and their history shown? (pure)"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sre.core.console import table
from sre.core.masking import masked
from sre.core.units import format_duration
from sre.runbook.lint import errors
from sre.runbook.model import Block, Finding, Runbook, Section
from sre.runbook.shelltext import fill
from sre.runbook.summary import Summary

__all__ = [
    "findings_text", "history_text", "list_text", "plan_text", "runbook_text", "summary_text",
    "to_json",
]  # fmt: skip


def to_json(schema: str, **data: Any) -> str:
    """One document of schema `sre.SCHEMA/1`, secrets masked."""
    return json.dumps(masked({"schema": f"sre.{schema}/1", **data}), indent=2)


def findings_text(findings: Sequence[Finding], files: int) -> str:
    """A line for each finding, then the count."""
    wrong = len(errors(findings))
    plural = "" if files == 1 else "s"
    end = f"{files} runbook{plural}: {_count(wrong, 'error')}"
    if len(findings) > wrong:
        end += f", {_count(len(findings) - wrong, 'warning')}"
    return "\n".join([*map(str, findings), end])


def findings_data(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """For JSON."""
    return [
        {
            "rule": each.rule,
            "severity": each.severity,
            "file": each.file,
            "line": each.line,
            "message": (parts := each.message.partition("; "))[0],
            "remedy": parts[2],
        }
        for each in findings
    ]


def list_text(runbooks: Iterable[Runbook], rehearsed: Mapping[str, str]) -> str:
    """A line for each runbook; `rehearsed` says what is known of the last rehearsal."""
    rows = [
        (each.id, each.front.severity, each.front.owner, ", ".join(each.alerts),
         rehearsed.get(each.id, "never"), each.front.title)
        for each in runbooks
    ]  # fmt: skip
    return table(("id", "severity", "owner", "alerts", "rehearsed", "title"), rows).rstrip("\n")


def list_data(runbooks: Iterable[Runbook], facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For JSON."""
    return [
        {
            "id": each.id, "title": each.front.title, "severity": each.front.severity,
            "owner": each.front.owner, "alerts": list(each.alerts), "file": str(each.path),
            **(facts.get(each.id) or {}),
        }
        for each in runbooks
    ]  # fmt: skip


def runbook_text(runbook: Runbook, values: Mapping[str, str]) -> str:
    """The runbook as a person follows it: steps numbered, variables filled in."""
    front = runbook.front
    goals = {"RTO": front.targets.rto, "MTTR": front.targets.mttr}
    wanted = [f"{name} {format_duration(goal)}" for name, goal in goals.items() if goal is not None]
    head = [
        f"{front.id}: {front.title}",
        f"owner {front.owner}, severity {front.severity}"
        + "".join(f", {each}" for each in wanted)
        + (f", answers {', '.join(runbook.alerts)}" if runbook.alerts else ""),
    ]
    parts = ["\n".join(head)]
    parts += ["\n".join(_section(section, values)) for section in runbook.sections]
    return "\n\n".join(parts)


def _section(section: Section, values: Mapping[str, str]) -> Iterator[str]:
    yield section.name.upper()
    for step in section.steps:
        if step.title:
            yield f"\n{step.title}"
        for part in step.parts:
            if isinstance(part, Block):
                yield from _block(part, values)
            elif part.strip():
                yield part.strip("\n")


def _block(block: Block, values: Mapping[str, str]) -> Iterator[str]:
    yield f"\n  [{block.role} {block.id}] {_manner(block)}".rstrip()
    for line in fill(block.text, values.get).rstrip("\n").splitlines():
        yield f"    {line}"


def _manner(block: Block) -> str:
    notes = [f"only when {block.when}"] if block.when else []
    notes += [f"at most {format_duration(block.timeout)}"] if block.timeout else []
    notes += [f"every {format_duration(block.every)}"] if block.every else []
    notes += [f"expects {block.expect}"] if block.role == "check" else []
    notes += [block.danger] if block.danger not in {"", "none"} else []
    notes += [f"type ${block.confirm}"] if block.confirm else []
    notes += ["point of no return"] if block.pnr else []
    notes += [f"sets ${block.capture}"] if block.capture else []
    return ", ".join(notes)


def plan_text(blocks: Iterable[Block], values: Mapping[str, str]) -> str:
    """What a run would do, in order."""
    lines = []
    for block in blocks:
        if block.when is None or block.when.holds(values):
            lines += list(_block(block, values))
    return "\n".join(lines).strip("\n")


def runbook_data(runbook: Runbook, values: Mapping[str, str]) -> dict[str, Any]:
    """For JSON."""
    front = runbook.front
    return {
        "id": front.id, "title": front.title, "severity": front.severity, "owner": front.owner,
        "alerts": list(front.alerts), "target": front.target, "file": str(runbook.path),
        "sections": [
            {
                "name": section.name,
                "steps": [
                    {"title": step.title, "text": step.prose,
                     "blocks": [_block_data(block, values) for block in step.blocks]}
                    for step in section.steps
                ],
            }
            for section in runbook.sections
        ],
    }  # fmt: skip


def _block_data(block: Block, values: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": block.id, "role": block.role, "line": block.line,
        "text": fill(block.text, values.get), "timeout": block.timeout,
        "expect": str(block.expect), "danger": block.danger or None,
        "confirm": block.confirm or None, "when": str(block.when) if block.when else None,
        "idempotent": block.idempotent, "pnr": block.pnr, "capture": block.capture or None,
    }  # fmt: skip


def summary_text(summary: Summary) -> str:
    """How a run ended, and how to go on."""
    kind = "rehearsal" if summary.rehearsal else "run"
    head = f"{kind} {summary.run} on {summary.target}: {summary.result}"
    lines = [f"{head}, {format_duration(summary.seconds)}"]
    if summary.reason:
        lines.append(summary.reason)
    if summary.resumable:
        lines.append(f"go on with: sre runbook resume {summary.run}")
    return "\n".join(lines)


def summary_data(summary: Summary) -> dict[str, Any]:
    """For JSON."""
    return {
        "run": summary.run, "runbook": summary.runbook, "target": summary.target,
        "rehearsal": summary.rehearsal, "started": _iso(summary.started),
        "result": summary.result, "reason": summary.reason, "exit_code": summary.exit_code,
        "seconds": round(summary.seconds, 3), "resumable": summary.resumable,
        "blocks": [
            {"block": row.block, "outcome": row.outcome, "seconds": row.seconds,
             "exit_code": row.exit_code, "attempts": row.attempts, "why": row.why, "by": row.by}
            for row in summary.rows
        ],
    }  # fmt: skip


def history_text(summaries: Iterable[Summary]) -> str:
    """A line for each run, the latest last."""
    rows = [
        (_iso(each.started), each.runbook, each.target, "rehearsal" if each.rehearsal else "run",
         each.result, f"{each.seconds:.1f}", each.run)
        for each in summaries
    ]  # fmt: skip
    head = ("started", "runbook", "target", "kind", "result", "seconds", "run")
    return table(head, rows, right=("seconds",)).rstrip("\n")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _iso(moment: float) -> str:
    utc = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    return utc.isoformat(timespec="seconds").replace("+00:00", "Z")
