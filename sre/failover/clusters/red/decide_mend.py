"""Whom to cut off, and who can come back as a replica? (pure)"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sre.failover.clusters.common.sheet import machine_of
from sre.failover.clusters.red.sheet import Rules, Sheet, watching
from sre.failover.engine import Decision, Wish
from sre.failover.snapshot import NodeSeen, Snapshot

__all__ = ["decide_fence", "decide_rejoin"]


def decide_fence(wish: Wish, seen: Snapshot, rules: Rules) -> Decision:
    """Whoever is named; the reachable control or the program must be there."""
    sheet = Sheet(wish, seen, rules)
    name = wish.node or ""
    if not name:
        sheet.judge("unknown-node", f"name the node: sre failover fence {seen.cluster} NODE")
    elif sheet.known(name):
        machine = machine_of(seen, name)
        bad = ""
        if machine["unreachable"] and name not in rules.fences:
            bad = (
                f"the control of {name} does not reach it ({machine['unreachable']}), and it has "
                "no `fence:` program; declare one, or make it reachable"
            )
        sheet.judge("fence", bad, f"{name} can be fenced")
        if seen.node(name).role == "primary":
            then = "the sentinels fail over" if rules.sentinels else "a failover"
            sheet.warn("primary", f"{name} is primary: until {then} nobody can write")
    return Decision(
        "fence", seen.cluster, "", name, tuple(sheet.blockers), tuple(sheet.passed),
        tuple(sheet.warnings), facts={"primary": seen.node(name).role == "primary"},
    )  # fmt: skip


def decide_rejoin(wish: Wish, seen: Snapshot, rules: Rules) -> Decision:
    """The node that is named, or the only one that does not stream from the primary."""
    sheet = Sheet(wish, seen, rules)
    sheet.known(wish.node)
    primary = _primary(sheet)
    node = _meant(sheet, primary)
    facts: dict[str, Any] = {}
    if node is not None and primary is not None:
        if node.name == primary.name:
            sheet.judge("same-node", f"{node.name} is the primary; name another node")
        machine = machine_of(seen, node.name)
        missing = [each for each in machine["missing"] if "sre-fenced" not in each]
        bad = machine["unreachable"] or "; ".join(missing)
        sheet.judge("control", f"the control of {node.name}: {bad}; mend it" if bad else "",
                    f"{node.name} can be controlled")  # fmt: skip
        sheet.no_cluster()
        _login(sheet, primary, node)
        facts = _facts(seen, primary, node)
    return Decision(
        "rejoin", seen.cluster, primary.name if primary else "", node.name if node else "",
        tuple(sheet.blockers), tuple(sheet.passed), tuple(sheet.warnings), facts=facts,
    )  # fmt: skip


def _primary(sheet: Sheet) -> NodeSeen | None:
    """The only one; of two, the one that the sentinels, the switches or the replicas mean."""
    found = sheet.seen.primaries()
    if not found:
        sheet.judge("no-primary", "no node is primary: there is nobody to follow")
        return None
    if len(found) == 1:
        return found[0]
    names = " and ".join(each.name for each in found)
    right = [n for n in found if n.name != sheet.wish.node]
    told = {each["master"] for each in watching(sheet.seen).values()}
    if sheet.wish.node is None or len(right) != 1 or (told and told != {right[0].name}):
        sheet.judge("two-primaries", f"{names} both say that they are primary, and the sentinels "
                    f"{', '.join(sorted(told)) or 'are none'}; name the wrong one")  # fmt: skip
        return None
    sheet.warn("two-primaries", f"what was written to {sheet.wish.node} since it left "
               f"{right[0].name} is lost to clients; a copy is kept")  # fmt: skip
    return right[0]


def _meant(sheet: Sheet, primary: NodeSeen | None) -> NodeSeen | None:
    if sheet.wish.node is not None:
        return sheet.seen.node(sheet.wish.node) if sheet.wish.node in sheet.rules.nodes else None
    out = [n for n in sheet.seen.nodes if n != primary and not _streams(n, primary)]
    if len(out) == 1:
        return out[0]
    names = ", ".join(each.name for each in out) or "none"
    sheet.judge("unknown-node", f"nodes that do not stream: {names}; name one of them")
    return None


def _streams(node: NodeSeen, primary: NodeSeen | None) -> bool:
    if node.role != "standby" or node.state != "streaming" or primary is None:
        return False
    return bool(node.more["follows"] == primary.name)


def _login(sheet: Sheet, primary: NodeSeen, node: NodeSeen) -> None:
    if not node.reachable:
        return
    wants = primary.more["settings"].get("requirepass")
    if wants and node.more["settings"].get("masterauth") == "":
        sheet.judge("masterauth", f"{node.name} has no masterauth, and {primary.name} wants a "
                    f"password: CONFIG SET masterauth on {node.name}")  # fmt: skip


def _facts(seen: Snapshot, primary: NodeSeen, node: NodeSeen) -> dict[str, Any]:
    settings = node.more["settings"] if node.reachable else {}
    stamp = datetime.fromtimestamp(seen.at, UTC).strftime("%Y%m%dT%H%M%SZ")
    return {
        "keep": "" if node.role == "standby" else f"kept-{stamp}",
        "dump": settings.get("dbfilename", "") or "dump.rdb",
        "replid": primary.more["replid"],
        "runids": {n.name: n.more["runid"] for n in seen.nodes if n.reachable},
        "siblings": [],
    }
