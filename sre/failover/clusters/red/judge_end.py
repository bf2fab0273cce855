"""Is the world still the one that was decided on, and did it become what was wanted? (pure)"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sre.failover.clusters.red.sheet import watching
from sre.failover.engine import Decision, Reason, Reasons
from sre.failover.snapshot import Snapshot

__all__ = ["obstacles", "settled"]


def obstacles(decision: Decision, seen: Snapshot, begun: Sequence[str]) -> Reasons:
    """Why a killed run must not go on."""
    return tuple(_obstacles(decision, seen, begun))


def _obstacles(decision: Decision, seen: Snapshot, begun: Sequence[str]) -> Iterator[Reason]:
    give_up = f"sre failover resume {seen.cluster} --abandon REASON, then look"
    primaries = {each.name for each in seen.primaries()}
    if decision.action == "fence":
        return
    if decision.action == "rejoin":
        if decision.old not in primaries or primaries - {decision.old, decision.new}:
            who = ", ".join(sorted(primaries)) or "nobody"
            yield Reason("another-primary", f"{decision.old} was primary, now it is {who}; "
                         f"{give_up}")  # fmt: skip
        return
    strangers = primaries - {decision.old, decision.new}
    if strangers:
        yield Reason("another-primary", f"{', '.join(sorted(strangers))} became primary meanwhile; "
                     f"{give_up}")  # fmt: skip
    if decision.new in primaries and "promote" not in begun:
        yield Reason("another-primary", f"somebody else made {decision.new} primary; {give_up}")
    if decision.action == "failover" and decision.old in primaries and "fence" in begun:
        yield Reason("old-primary", f"{decision.old} answers as primary again; fence it: {give_up}")
    yield from _moved(decision, seen, give_up, begun)


def _moved(
    decision: Decision, seen: Snapshot, give_up: str, begun: Sequence[str]
) -> Iterator[Reason]:
    """The new one has no longer what it had when it was chosen."""
    new, replid = seen.node(decision.new), decision.facts.get("replid")
    if not new.reachable:
        yield Reason("no-answer", f"{decision.new} does not answer: {new.more.get('why', '')}; "
                     f"bring it back, or {give_up}")  # fmt: skip
    elif replid not in (new.more["replid"], new.more["replid2"]):
        yield Reason("history", f"{decision.new} has another history than when it was chosen; "
                     f"{give_up}")  # fmt: skip
    started = decision.facts.get("runids", {}).get(decision.new)
    if new.reachable and "promote" in begun and started != new.more["runid"]:
        yield Reason("restarted", f"{decision.new} was started again since it was chosen, and may "
                     f"have lost what it had; {give_up}")  # fmt: skip


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
        yield Reason("primary", f"{name} still answers")
    server = seen.more["servers"][name]
    for switch, states in seen.more["states"].items():
        if "open" in states.get(server, ()):
            yield Reason("traffic", f"{switch} still sends work to {name}")


def _rejoined(decision: Decision, seen: Snapshot) -> Iterator[Reason]:
    yield from _follows(seen, decision.new, decision.old)


def _follows(seen: Snapshot, name: str, primary: str) -> Iterator[Reason]:
    node = seen.node(name)
    if node.role != "standby" or node.state != "streaming" or node.more["follows"] != primary:
        what = node.state or node.role
        yield Reason("not-streaming", f"{name} does not follow {primary}: {what}; "
                     f"sre failover rejoin {seen.cluster} {name}")  # fmt: skip


def _switched(decision: Decision, seen: Snapshot) -> Iterator[Reason]:
    new, primaries = decision.new, [each.name for each in seen.primaries()]
    if primaries != [new]:
        yield Reason("primary", f"{', '.join(primaries) or 'nobody'} is primary, not {new} alone")
    elif not seen.node(new).writable:
        yield Reason("writable", f"{new} takes no writes: {seen.node(new).problems[0]}")
    for name, each in watching(seen).items():
        if each["master"] != new:
            yield Reason("sentinels-agree", f"the sentinel {name} does not name {new}")
    yield from _pointed(seen, new)
    for name in decision.facts["siblings"]:
        yield from _follows(seen, name, new)
    if decision.action == "switchover":
        yield from _follows(seen, decision.old, new)


def _pointed(seen: Snapshot, new: str) -> Iterator[Reason]:
    """Every switch sends work to the new primary alone, and would after a reload."""
    server = seen.more["servers"][new]
    for name, states in seen.more["states"].items():
        runs = [each for each, (state, _) in states.items() if state == "open"]
        files = [each for each, (_, state) in states.items() if state == "open"]
        known = any(state != "unknown" for _, state in states.values())
        if runs != [server] or (known and files != [server]):
            yield Reason("traffic", f"{name} sends work to {', '.join(runs) or 'nobody'}, after a "
                         f"reload to {', '.join(files) or 'nobody'}")  # fmt: skip
    for name in seen.more["switches"]:
        if name not in seen.more["states"]:
            yield Reason("traffic", f"{name} does not answer")
