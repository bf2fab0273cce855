"""What do others (status page, checks, the next failover) learn of an operation?

failover/<cluster>/last      the last operation: action, outcome, phases
failover/<cluster>/failover  the last failover, and whether somebody has acknowledged it
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sre.core.facts import Facts
from sre.failover.operation.outcome import Result

__all__ = ["Last", "last_failover", "publish_ack", "publish_result"]


@dataclass(frozen=True)
class Last:
    """The last failover. `at` is Unix seconds."""

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


def last_failover(facts: Facts, cluster: str) -> Last | None:
    """None when there was none that anybody knows of here."""
    fact = facts.read(f"failover/{cluster}/failover")
    if fact is None:
        return None
    value = fact.value
    return Last(
        str(value["old"]), str(value["new"]), float(value.get("at", fact.at)),
        str(value.get("by", "")), bool(value["acknowledged"]),
    )  # fmt: skip


def publish_ack(facts: Facts, cluster: str, by: str, reason: str) -> None:
    """Somebody has looked at the last failover."""
    name = f"failover/{cluster}/failover"
    fact = facts.read(name)
    if fact is not None:
        said = {"acknowledged": True, "acknowledged_by": by, "reason": reason, "at": fact.at}
        facts.publish(name, {**fact.value, **said})
