"""How do a cluster, a plan and the end of an operation read? (pure)"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sre.failover.engine import Decision, Loss, Reason, Step
from sre.failover.operation.outcome import Result
from sre.failover.operation.record import Progress
from sre.failover.snapshot import NodeSeen, Snapshot

__all__ = [
    "history_as_json", "history_as_text", "plan_as_json", "plan_as_text", "result_as_json",
    "result_as_text", "status_as_json", "status_as_text",
]  # fmt: skip

_SCHEMA = "sre.failover/1"


def status_as_json(seen: Sequence[Snapshot], unfinished: Mapping[str, str]) -> str:
    """`sre failover status --format json`."""
    clusters = [{**asdict(each), "unfinished": unfinished.get(each.cluster)} for each in seen]
    return _json({"schema": "sre.failover-status/1", "clusters": clusters})


def status_as_text(seen: Sequence[Snapshot], unfinished: Mapping[str, str]) -> str:
    """A line for each node, and what is wrong."""
    return "\n\n".join(_status(each, unfinished.get(each.cluster)) for each in seen)


def _status(seen: Snapshot, unfinished: str | None) -> str:
    lines = [f"cluster {seen.cluster}"]
    width = max((len(each.name) for each in seen.nodes), default=0)
    lines += [f"  {each.name:<{width}}  {_node(each)}" for each in seen.nodes]
    lines += [f"  traffic {name}: {', '.join(to) or 'nobody'}" for name, to in seen.open.items()]
    lines += [f"  problem: {each}" for each in seen.problems]
    lines += [f"  {node.name}: {each}" for node in seen.nodes for each in node.problems]
    if unfinished:
        lines.append(f"  unfinished: {unfinished}; sre failover resume {seen.cluster}")
    return "\n".join(lines)


def _node(node: NodeSeen) -> str:
    if not node.reachable:
        why = " ".join(str(node.more.get("why") or "").split())
        return f"unreachable  {node.state}  {why if why != node.state else ''}".rstrip()
    words = [f"{node.role:<8}", node.state]
    if node.timeline:
        words.append(f"timeline {node.timeline}")
    if node.lag_seconds is not None and node.role == "standby":
        words.append(f"lag {node.lag_seconds:.1f} s")
    if node.synchronous:
        words.append("synchronous")
    if node.role == "primary" and not node.writable:
        words.append("takes no writes")
    return "  ".join(word for word in words if word.strip())


def plan_as_json(decision: Decision, steps: Sequence[Step]) -> str:
    """`sre failover plan --format json`; outcome `ok` means: it could be done now."""
    return _json(
        {
            "schema": _SCHEMA,
            "outcome": "ok" if decision.allowed else "refused",
            "planned": True,
            **_decision(decision),
            "reasons": [_plain(each) for each in decision.blockers],
            "phases": {},
            "steps": [{"id": each.id, "says": each.says, "no_return": each.no_return}
                      for each in steps],
        }
    )  # fmt: skip


def plan_as_text(decision: Decision, steps: Sequence[Step]) -> str:
    """Blockers first; else the steps, with the point of no return."""
    lines = [_headline(decision)]
    lines += [f"  ok       {each.check}: {each.text}" for each in decision.passed]
    lines += [f"  warning  {each.check}: {each.text}" for each in decision.warnings]
    lines += [f"  blocker  {each.check}: {each.text}" for each in decision.blockers]
    if decision.loss is not None:
        lines.append(f"  may be lost: {_loss(decision.loss)}")
    for number, step in enumerate(steps, start=1):
        if step.no_return:
            lines.append("     -- point of no return --")
        lines.append(f"  {number:>2}. {step.says}")
    return "\n".join(lines)


def result_as_json(result: Result) -> str:
    """`sre failover switchover … --format json`, whatever the end."""
    return _json(
        {
            "schema": _SCHEMA,
            "outcome": result.outcome,
            "reasons": [_plain(each) for each in result.reasons],
            "phases": {name: round(spent, 4) for name, spent in result.phases.items()},
            **_decision(result.decision),
            "operation": result.id,
            "noted": result.noted,
        }
    )


def result_as_text(result: Result) -> str:
    """The outcome, the phases, and what is left."""
    lines = [f"{result.outcome}: {_headline(result.decision)}"]
    for name, spent in result.phases.items():
        lines.append(f"  {name:<12} {spent * 1000:8.0f} ms")
    lines += [f"  {each.check}: {each.text}" for each in result.reasons]
    if result.outcome in ("incomplete", "unknown"):
        lines.append(f"  go on with: sre failover resume {result.decision.cluster}")
    return "\n".join(lines)


def history_as_json(cluster: str, found: Sequence[tuple[str, Progress]]) -> str:
    """`sre failover history --format json`, newest first."""
    return _json(
        {
            "schema": "sre.failover-history/1",
            "cluster": cluster,
            "operations": [
                {
                    "operation": id, "outcome": each.outcome or "unfinished", "by": each.by,
                    "started": each.started, "finished": each.finished or None,
                    "phases": dict(each.seconds), **_decision(each.decision),
                }
                for id, each in found  # noqa: A001  what it is
            ],
        }
    )  # fmt: skip


def history_as_text(cluster: str, found: Sequence[tuple[str, Progress]]) -> str:
    """A line for each operation, newest first."""
    if not found:
        return f"no operation on {cluster} yet"
    lines = []
    for _, each in found:
        when = datetime.fromtimestamp(each.started, UTC).strftime("%Y-%m-%d %H:%M:%S")
        spent = f"{each.seconds.get('total', 0.0):.2f} s"
        ended = each.outcome or "unfinished"
        lines.append(f"{when}  {ended:<11} {spent:>8}  {_headline(each.decision)}  ({each.by})")
    return "\n".join(lines)


def _headline(decision: Decision) -> str:
    if decision.action in ("fence", "rejoin", "rebuild"):
        return f"{decision.action} of {decision.new or decision.old or '?'} in {decision.cluster}"
    way = f"{decision.old or '?'} to {decision.new or '?'}"
    return f"{decision.action} of {decision.cluster} from {way}"


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "cluster": decision.cluster,
        "action": decision.action,
        "old": decision.old or None,
        "new": decision.new or None,
        "checks": [_plain(each) for each in decision.passed],
        "warnings": [_plain(each) for each in decision.warnings],
        "loss": asdict(decision.loss) if decision.loss is not None else None,
    }


def _loss(loss: Loss) -> str:
    words = []
    if loss.writes is not None:
        words.append(f"{loss.writes} writes")
    if loss.bytes is not None:
        words.append(f"{loss.bytes} bytes of log")
    if loss.seconds is not None:
        words.append(f"{loss.seconds:.1f} s")
    return "at most " + ", ".join(words) if words else "nobody can tell how much"


def _plain(reason: Reason) -> dict[str, Any]:
    return {"check": reason.check, "text": reason.text, "evidence": dict(reason.evidence)}


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, default=str)
