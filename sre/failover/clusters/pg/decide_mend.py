"""Whom to cut off, and who can come back as a standby? (pure)"""

from __future__ import annotations

from typing import Any

from sre.failover.clusters.common.sheet import machine_of
from sre.failover.clusters.pg.quorum import Names
from sre.failover.clusters.pg.sheet import Rules, Sheet, names_after, slots_used
from sre.failover.clusters.pg.wrong import twins
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
        life = machine["life"]
        bad = ""
        if machine["unreachable"] and life in (None, "unknown") and name not in rules.fences:
            bad = (
                f"the control of {name} does not reach it ({machine['unreachable']}), and it has "
                "no `fence:` program; declare one, or make it reachable"
            )
        sheet.judge("fence", bad, f"{name} can be fenced")
        if seen.node(name).role == "primary":
            sheet.warn("primary", f"{name} is primary: until a failover nobody can write")
    systems = {str(each.more["system"]) for each in seen.nodes if each.reachable}
    return Decision(
        "fence", seen.cluster, "", name, tuple(sheet.blockers), tuple(sheet.passed),
        tuple(sheet.warnings),
        facts={
            "system": systems.pop() if len(systems) == 1 else "",
            "open": any(seen.more["servers"].get(name) in each for each in seen.open.values()),
        },
    )  # fmt: skip


def decide_rejoin(wish: Wish, seen: Snapshot, rules: Rules) -> Decision:
    """The node that is named, or the only one that does not stream."""
    sheet = Sheet(wish, seen, rules)
    sheet.known(wish.node)
    primary = _primary(sheet)
    node = _meant(sheet, primary)
    facts: dict[str, Any] = {}
    if node is not None and primary is not None:
        if node.role == "primary":
            sheet.judge("same-node", f"{node.name} is the primary; name another node")
        machine = machine_of(seen, node.name)
        missing = [each for each in machine["missing"] if "sre-fenced" not in each]
        bad = machine["unreachable"] or "; ".join(missing)
        sheet.judge("control", f"the control of {node.name}: {bad}; mend it" if bad else "",
                    f"{node.name} can be controlled")  # fmt: skip
        sheet.rewindable(primary)
        facts = _facts(sheet, primary, node)
    return Decision(
        "rejoin", seen.cluster, primary.name if primary else "", node.name if node else "",
        tuple(sheet.blockers), tuple(sheet.passed), tuple(sheet.warnings), facts=facts,
    )  # fmt: skip


def _primary(sheet: Sheet) -> NodeSeen | None:
    found = sheet.seen.primaries()
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(each.name for each in found)
        same = twins(sheet.seen)
        sheet.judge("two-primaries", same or f"{names} both take writes; fence the wrong one first")
    else:
        sheet.judge("no-primary", "no node is primary: there is nobody to follow")
    return None


def _meant(sheet: Sheet, primary: NodeSeen | None) -> NodeSeen | None:
    if sheet.wish.node is not None:
        return sheet.seen.node(sheet.wish.node) if sheet.wish.node in sheet.rules.nodes else None
    rest = [n for n in sheet.seen.nodes if n != primary]
    out = [n for n in rest if not _streams(n)] or [n for n in rest if not n.more.get("known")]
    if len(out) == 1:
        return out[0]
    names = ", ".join(each.name for each in out) or "none"
    sheet.judge("unknown-node", f"nodes that do not stream: {names}; name one of them")
    return None


def _streams(node: NodeSeen) -> bool:
    return node.role == "standby" and node.state == "streaming"


def _facts(sheet: Sheet, primary: NodeSeen, node: NodeSeen) -> dict[str, Any]:
    seen, slots = sheet.seen, slots_used(sheet.seen)
    return {
        "names": _names(sheet, primary, node).text(),
        "slot": slots.get(node.name, ""),
        "slots_in_use": bool(slots),
        "taken": [slot for name, slot in slots.items() if name != node.name],
        "timeline": primary.timeline,
        "system": primary.more["system"],
        "version": primary.more["version"],
        "streams": _streams(node) and node.timeline == primary.timeline,
        "known": bool(node.more.get("known")),
        "history": primary.more.get("history") or "",
        "segment": _segment(primary),
        "rewindable": "on" in (primary.more["settings"].get("wal_log_hints"),
                               primary.more["settings"].get("data_checksums")),
        "at": seen.at,
    }  # fmt: skip


def _names(sheet: Sheet, primary: NodeSeen, node: NodeSeen) -> Names:
    """The synchronous rule once the node is back: also one that could not be kept before."""
    seen, rules = sheet.seen, sheet.rules
    remembered = seen.more["remembered"].get("wanted") or {}
    now = str(primary.more["settings"]["synchronous_standby_names"] or "")
    try:
        if rules.synchronous:
            names = names_after(seen, rules, "", primary.name, now)
        else:
            before, text = str(remembered.get("primary", "")), str(remembered.get("names", ""))
            names = names_after(seen, rules, before, primary.name, now or text)
    except ValueError as error:
        sheet.warn("synchronous", str(error))
        return Names()
    there = {n.name for n in seen.standbys() if n.state == "streaming"} | {node.name}
    able = [each for each in there if names.everybody or names.has(each)]
    return names if names.count <= len(able) else Names()


def _segment(primary: NodeSeen) -> int:
    shown = str(primary.more["settings"].get("wal_segment_size") or "16MB")
    number = int("".join(c for c in shown if c.isdigit()) or 16)
    return number * (2**30 if shown.endswith("GB") else 2**20)
