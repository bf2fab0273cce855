"""Is the world still the one that was decided on, and did it become what was wanted? (pure)"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sre.failover.engine import Decision, Reason, Reasons
from sre.failover.snapshot import Snapshot

__all__ = ["obstacles", "settled"]


def obstacles(decision: Decision, seen: Snapshot, begun: Sequence[str]) -> Reasons:
    """Why a killed run must not go on."""
    return tuple(_obstacles(decision, seen, begun))


def _obstacles(decision: Decision, seen: Snapshot, begun: Sequence[str]) -> Iterator[Reason]:
    if decision.action == "fence":
        return
    give_up = f"sre failover resume {seen.cluster} --abandon REASON, then look"
    system = decision.facts["system"]
    for node in seen.nodes:
        if node.reachable and node.more["system"] not in (system, None):
            yield Reason("system-id", f"{node.name} is another database now; look at its api:")
    yield from _taken_over(decision, seen, begun, give_up)


def _taken_over(
    decision: Decision, seen: Snapshot, begun: Sequence[str], give_up: str
) -> Iterator[Reason]:
    primaries = {each.name for each in seen.primaries()}
    strangers = primaries - {decision.old, decision.new}
    if decision.action == "rejoin":
        strangers = primaries - {decision.old}
    if strangers:
        who = ", ".join(sorted(strangers))
        yield Reason("another-primary", f"{who} became primary meanwhile; {give_up}")
    if decision.action == "rejoin":
        return
    if decision.new in primaries and "request" not in begun:
        yield Reason("another-primary", f"somebody else made {decision.new} primary; {give_up}")
    if decision.action == "failover" and decision.old in primaries:
        yield Reason("old-primary", f"{decision.old} is primary again; {give_up}")


def settled(decision: Decision, seen: Snapshot) -> Reasons:
    """What is not as it was wanted."""
    if decision.action == "fence":
        return tuple(_fenced(decision, seen))
    if decision.action == "rejoin":
        return tuple(_follows(decision.new, seen))
    return tuple(_changed(decision, seen))


def _fenced(decision: Decision, seen: Snapshot) -> Iterator[Reason]:
    node = seen.node(decision.new)
    if node.reachable:
        yield Reason("fence", f"Patroni on {node.name} answers again: {node.state}")
    elif any(problem.startswith("not-led") for problem in node.problems):
        yield Reason("fence", f"PostgreSQL on {node.name} is there again")


def _follows(name: str, seen: Snapshot) -> Iterator[Reason]:
    node = seen.node(name)
    if node.role != "standby" or not node.more.get("streams"):
        yield Reason("not-streaming", f"{name} does not stream: {node.state or node.role}")


def _changed(decision: Decision, seen: Snapshot) -> Iterator[Reason]:
    new, primaries = decision.new, [each.name for each in seen.primaries()]
    if primaries != [new] or seen.more["leader"] != new:
        who = ", ".join(primaries) or "nobody"
        yield Reason("primary", f"{who} is primary and {seen.more['leader'] or 'nobody'} leads, "
                     f"not {new} alone")  # fmt: skip
    elif not seen.node(new).writable:
        yield Reason("writable", f"{new} takes no writes: default_transaction_read_only is on")
    server = seen.more["servers"][new]
    for name in (*decision.facts["alone"], *decision.facts["told"]):
        goes = list(seen.open.get(name, ()))
        if goes != [server]:
            yield Reason("traffic", f"{name} sends work to {', '.join(goes) or 'nobody'}")
    if decision.action == "switchover":
        yield from _follows(decision.old, seen)
    there = any(each.more.get("streams") for each in seen.standbys())
    if decision.facts["synchronous"] and there and not any(n.synchronous for n in seen.nodes):
        yield Reason("synchronous", f"no standby of {new} is synchronous yet")
