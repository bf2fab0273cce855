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
    if decision.action == "fence":
        return
    yield from _exchanged(decision, seen)
    if decision.action == "rejoin":
        if primaries != {decision.old}:
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
    if decision.old and decision.old in primaries and "promote" in begun:
        yield Reason("old-primary", f"{decision.old} answers as primary again; fence it: "
                     f"sre failover resume {cluster} --abandon REASON, "
                     f"then sre failover fence {cluster} {decision.old}")  # fmt: skip


def _exchanged(decision: Decision, seen: Snapshot) -> Iterator[Reason]:
    """Nodes that are not the server that they were."""
    servers = decision.facts.get("servers", {})
    for node in seen.nodes:
        was = servers.get(node.name)
        if node.reachable and was is not None and int(node.more["server_id"]) != was:
            yield Reason("server-id", f"{node.name} was server {was} and is "
                         f"{node.more['server_id']} now; look at its dsn")  # fmt: skip


def settled(decision: Decision, seen: Snapshot) -> Reasons:
    """What is not as it was wanted."""
    if decision.action == "fence":
        return tuple(_fenced(decision, seen))
    if decision.action == "rejoin":
        return tuple(_rejoined(decision, seen))
    return tuple(_switched(decision, seen))


def _fenced(decision: Decision, seen: Snapshot) -> Iterator[Reason]:
    name = decision.new
    if seen.node(name).reachable:
        yield Reason("alive", f"{name} still answers")
    servers = seen.more["servers"]
    for switch, states in seen.more["states"].items():
        if "open" in states.get(servers[name], ("closed", "closed")):
            yield Reason("traffic", f"{switch} still sends work to {name}")


def _rejoined(decision: Decision, seen: Snapshot) -> Iterator[Reason]:
    yield from _follows(seen, decision.new, decision.old)
    yield from _semi_sync(decision, seen, decision.old)


def _switched(decision: Decision, seen: Snapshot) -> Iterator[Reason]:
    new, primaries = decision.new, [each.name for each in seen.primaries()]
    if primaries != [new]:
        yield Reason("primary", f"{', '.join(primaries) or 'nobody'} is primary, not {new} alone")
    yield from _pointed(seen, new)
    for name in decision.facts["siblings"]:
        yield from _follows(seen, name, new)
    if decision.action == "switchover":
        yield from _follows(seen, decision.old, new)
    yield from _semi_sync(decision, seen, new)


def _follows(seen: Snapshot, name: str, primary: str) -> Iterator[Reason]:
    node = seen.node(name)
    if node.role != "standby" or node.state != "streaming" or not node.more.get("known"):
        state = node.state or "no answer"
        yield Reason("not-streaming", f"{name} does not follow {primary}: {state}; "
                     f"sre failover rejoin {seen.cluster} {name}")  # fmt: skip
    elif node.writable:
        yield Reason("writable", f"{name} takes writes as a replica: set global read_only = 1")


def _pointed(seen: Snapshot, new: str) -> Iterator[Reason]:
    """Every switch sends work to the new primary alone, and would after a reload."""
    servers = seen.more["servers"]
    for name, states in seen.more["states"].items():
        runs = [server for server, (state, _) in states.items() if state == "open"]
        files = [server for server, (_, state) in states.items() if state == "open"]
        known = any(state != "unknown" for _, state in states.values())
        if runs != [servers[new]] or (known and files != [servers[new]]):
            yield Reason("traffic", f"{name} sends work to {', '.join(runs) or 'nobody'}, after a "
                         f"reload to {', '.join(files) or 'nobody'}")  # fmt: skip
    for name in seen.more["switches"]:
        if name not in seen.more["states"]:
            yield Reason("traffic", f"{name} does not answer")


def _semi_sync(decision: Decision, seen: Snapshot, primary: str) -> Iterator[Reason]:
    if decision.facts["semi_sync"].get("rpl_semi_sync_master_enabled") != "ON":
        return
    node = seen.node(primary)
    if node.reachable and node.more.get("rpl_semi_sync_master_status") != "ON":
        yield Reason("semi-sync", f"commits on {primary} wait for no replica yet")
