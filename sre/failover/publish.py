"""What do others (status page, checks, the next failover) learn of an operation?

failover/<cluster>/last      the last operation: action, outcome, phases
failover/<cluster>/failover  the last failover, and whether somebody has acknowledged it

Whether one was, and when, is read from its journal: that is there also after a kill.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sre.core.clock import Clock
from sre.core.facts import Facts
from sre.failover.operation.outcome import Result
from sre.failover.operation.record import records_of

__all__ = ["Last", "last_failover", "publish_ack", "publish_result"]


@dataclass(frozen=True)
class Last:
    """The last failover. `at` is Unix seconds."""

    operation: str
    old: str
    new: str
    at: float
    by: str
    acknowledged: bool


def publish_result(facts: Facts, result: Result, by: str = "") -> None:
    """After every operation that began."""
    decision = result.decision
    value = {
        "cluster": decision.cluster,
        "operation": result.id,
        "action": decision.action,
        "outcome": result.outcome,
        "old": decision.old,
        "new": decision.new,
        "phases": dict(result.phases),
        "reasons": [asdict(each) for each in result.reasons],
        "by": by,
    }
    facts.publish(f"failover/{decision.cluster}/last", value)
    if decision.action == "failover" and result.outcome != "rolled_back":
        facts.publish(f"failover/{decision.cluster}/failover", {**value, "acknowledged": False})


def last_failover(facts: Facts, cluster: str, clock: Clock) -> Last | None:
    """None when there was none that anybody knows of here. Raises IntegrityError."""
    for record in records_of(cluster, clock):
        if "-failover-" not in record.id:
            continue
        progress = record.read()
        if progress.outcome == "rolled_back" or not progress.begun:
            continue
        decision, at = progress.decision, progress.finished or progress.started
        said = facts.read(f"failover/{cluster}/ack")
        known = said is not None and said.value["operation"] == record.id
        return Last(record.id, decision.old, decision.new, at, progress.by, known)
    return None


def publish_ack(facts: Facts, cluster: str, last: Last, by: str, reason: str) -> None:
    """Somebody has looked at the last failover."""
    said = {"operation": last.operation, "by": by, "reason": reason}
    facts.publish(f"failover/{cluster}/ack", said)
    name = f"failover/{cluster}/failover"
    fact = facts.read(name)
    if fact is not None:
        facts.publish(name, {**fact.value, "acknowledged": True, "acknowledged_by": by})
