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
    cluster = seen.cluster
    primaries = {each.name for each in seen.primaries()}
    if decision.action in ("fence", "rejoin"):
        if decision.action == "rejoin" and primaries != {decision.old}:
            who = ", ".join(sorted(primaries)) or "nobody"
            yield Reason("another-primary", f"{decision.old} was primary, now it is {who}; give it "
                         f"up: sre failover resume {cluster} --abandon REASON")  # fmt: skip
        return
    strangers = primaries - {decision.old, decision.new}
    if strangers:
        yield Reason("another-primary", f"{', '.join(sorted(strangers))} became primary meanwhile; "
                     f"sre failover resume {cluster} --abandon REASON, then look")  # fmt: skip
    if decision.new in primaries and "promote" not in begun:
        yield Reason("another-primary", f"somebody else made {decision.new} primary; "
                     f"sre failover resume {cluster} --abandon REASON, then look")  # fmt: skip
    if decision.action == "failover" and decision.old in primaries and "promote" not in begun:
        yield Reason("primary-alive", f"{decision.old} answers as primary again; take this back: "
                     f"sre failover resume {cluster} --rollback")  # fmt: skip
    if decision.old and decision.old in primaries and "promote" in begun:
        yield Reason("old-primary", f"{decision.old} answers as primary again; fence it: "
                     f"sre failover resume {cluster} --abandon REASON, "
                     f"then sre failover fence {cluster} {decision.old}")  # fmt: skip
    yield from _strange(decision, seen)


def _strange(decision: Decision, seen: Snapshot) -> Iterator[Reason]:
    """Nodes that are not what they were."""
    cluster, system = seen.cluster, decision.facts.get("system")
    for node in seen.nodes:
        if node.reachable and node.more["system"] != system:
            yield Reason("system-id", f"{node.name} is another database now; look at its dsn")
    limit = int(decision.facts["timeline"]) + 1
    for node in seen.nodes:
        if node.reachable and node.timeline > limit:
            yield Reason("timeline", f"{node.name} is on timeline {node.timeline}, later than this "
                         f"operation: sre failover resume {cluster} --abandon REASON")  # fmt: skip


def settled(decision: Decision, seen: Snapshot) -> Reasons:
    """What is not as it was wanted."""
    if decision.action == "fence":
        return tuple(_fenced(decision, seen))
    if decision.action == "rejoin":
        return tuple(_rejoined(decision, seen))
    return tuple(_switched(decision, seen))


def _fenced(decision: Decision, seen: Snapshot) -> Iterator[Reason]:
    name = decision.new
    if seen.node(name).role == "primary":
        yield Reason("primary", f"{name} still answers as primary")
    yield from _closed(seen, [name])


def _rejoined(decision: Decision, seen: Snapshot) -> Iterator[Reason]:
    node = seen.node(decision.new)
    if node.role != "standby" or node.state != "streaming":
        yield Reason("not-streaming", f"{node.name} does not stream: {node.state or node.role}")
    yield from _synchronous(decision, seen, decision.old)


def _switched(decision: Decision, seen: Snapshot) -> Iterator[Reason]:
    new, primaries = decision.new, [each.name for each in seen.primaries()]
    if primaries != [new]:
        yield Reason("primary", f"{', '.join(primaries) or 'nobody'} is primary, not {new} alone")
    elif not seen.node(new).writable:
        yield Reason("writable", f"{new} takes no writes: default_transaction_read_only is on")
    yield from _pointed(seen, new)
    for name in decision.facts["siblings"]:
        node = seen.node(name)
        if node.role != "standby" or node.state != "streaming":
            yield Reason("not-streaming", f"{name} does not follow {new}: {node.state}")
    old = seen.node(decision.old)
    if decision.action == "switchover" and (old.role, old.state) != ("standby", "streaming"):
        yield Reason("not-streaming", f"{old.name} is no standby of {new} yet: {old.state}; "
                     f"sre failover rejoin {seen.cluster} {old.name}")  # fmt: skip
    yield from _synchronous(decision, seen, new)


def _pointed(seen: Snapshot, new: str) -> Iterator[Reason]:
    """Every switch sends work to the new primary alone, and would after a reload."""
    servers = seen.more["servers"]
    for name, states in seen.more["states"].items():
        if not set(states) & set(servers.values()):  # it points at another switch
            continue
        runs = [server for server, (state, _) in states.items() if state == "open"]
        files = [server for server, (_, state) in states.items() if state == "open"]
        known = any(state != "unknown" for _, state in states.values())
        if runs != [servers[new]] or (known and files != [servers[new]]):
            yield Reason("traffic", f"{name} sends work to {', '.join(runs) or 'nobody'}, after a "
                         f"reload to {', '.join(files) or 'nobody'}")  # fmt: skip
    for name in seen.more["switches"]:
        if name not in seen.more["states"]:
            yield Reason("traffic", f"{name} does not answer")


def _synchronous(decision: Decision, seen: Snapshot, primary: str) -> Iterator[Reason]:
    if not decision.facts.get("names"):
        return
    if not any(each.synchronous for each in seen.nodes) and seen.node(primary).reachable:
        yield Reason("synchronous", f"no standby of {primary} counts for commits yet")


def _closed(seen: Snapshot, names: Sequence[str]) -> Iterator[Reason]:
    servers = seen.more["servers"]
    for name, states in seen.more["states"].items():
        for node in names:
            state, configured = states.get(servers[node], ("closed", "closed"))
            if "open" in (state, configured):
                yield Reason("traffic", f"{name} still sends work to {node}")
