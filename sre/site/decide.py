"""May a cluster be built anew on these nodes, from that backup, and how? (pure)"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sre.failover.clusters.pg.quorum import Names, parse_names
from sre.failover.clusters.pg.sheet import Rules, Sheet
from sre.failover.engine import Decision, Loss, Wish
from sre.failover.snapshot import Snapshot

__all__ = ["decide_rebuild"]

Seen = Mapping[str, Any]
_VERSION = re.compile(r"\b(\d+)(?:\.\d+)?")
_THERE = ("no-login", "starting")
_STATES = {
    "full": "is not empty: nothing is overwritten; move it away, or name another data_dir",
    "mount": "is a mount point: name a folder inside it as data_dir",
    "link": "is a symbolic link: name the folder itself as data_dir",
    "file": "is not a folder",
}


def decide_rebuild(wish: Wish, seen: Snapshot, rules: Rules, *, replication: bool) -> Decision:
    """On the node that is named, or the first; the others are copied from it.

    `seen.more["site"]` is what `looking` and `source` found.
    """
    sheet, site = Sheet(wish, seen, rules), seen.more["site"]
    source: Seen = site["source"]
    nodes: Mapping[str, Seen] = site["nodes"]
    first = wish.node or rules.nodes[0]
    if not sheet.known(wish.node):
        return _decision(sheet, "", {})
    _lost(sheet, seen)
    _source(sheet, source)
    others = _usable(sheet, nodes, first, source)
    sheet.traffic()
    if not replication and others:
        sheet.warn("replication", "no `replication:` is declared: standbys log in as each dsn does")
    names = _names(sheet, others)
    facts = {
        "siblings": others,
        "names": names,
        "rule": rules.synchronous,
        "source": dict(source),
        "token": site["token"],
        "uid": nodes[first].get("uid"),
        "open": sorted({each for servers in seen.open.values() for each in servers}),
        "remembered": dict(seen.more["remembered"]),
        "at": seen.at,
    }
    return _decision(sheet, first, facts, _loss(source, seen))


def _decision(
    sheet: Sheet, first: str, facts: Mapping[str, Any], loss: Loss | None = None
) -> Decision:
    return Decision(
        "rebuild", sheet.seen.cluster, "", first, tuple(sheet.blockers), tuple(sheet.passed),
        tuple(sheet.warnings), loss, facts,
    )  # fmt: skip


def _lost(sheet: Sheet, seen: Snapshot) -> None:
    """What still answers is not built anew: there is something to fail over to."""
    there = [each.name for each in seen.nodes if each.reachable or each.state in _THERE]
    bad = ""
    if there:
        bad = (
            f"{', '.join(there)} still answers: this cluster is not lost; use sre failover failover"
            " or rejoin, or fence what must not answer"
        )
    sheet.judge("alive", bad, "no node answers")
    sheet.warn("old-site", "nobody can tell from here whether the lost site still takes writes: "
               "see that it is off, or cut off from its clients")  # fmt: skip


def _source(sheet: Sheet, source: Seen) -> None:
    bad = "" if source["identity"] else (
        "keys.identity is not declared on this host: without it no backup opens; add it here"
    )  # fmt: skip
    sheet.judge("identity", bad, "the key that opens backups is here")
    what = f"{source['database']} in {source['store']}"
    if source["problem"]:
        sheet.judge("backup", f"{what}: {source['problem']}")
        return
    kind = "" if source["engine"] == "postgres" else f"{what} is {source['engine']}, not postgres"
    sheet.judge("backup", kind, f"{what}: {source['id']}, to {source['target']}",
                id=source["id"], bytes=source["bytes"], lsn=source["lsn"])  # fmt: skip
    if not source["invariants"]:
        sheet.warn("invariants", f"{source['database']} declares no invariants: that it starts "
                   "says little of what is in it")  # fmt: skip
    if source["tablespaces"]:
        sheet.warn("tablespaces", "its tablespaces will stand inside data_dir")
    for note in source["notes"]:
        sheet.warn("backup", note)


def _usable(sheet: Sheet, nodes: Mapping[str, Seen], first: str, source: Seen) -> list[str]:
    """The nodes beside the first that can be built; those that are away are told and left out."""
    others = []
    for name in sheet.rules.nodes:
        node = nodes[name]
        if node["unreachable"]:
            text = f"the control of {name} does not reach it: {node['unreachable']}"
            if name == first:
                sheet.judge("control", f"{text}; mend it, or begin on another with --node")
            else:
                later = f"sre failover rejoin {sheet.seen.cluster} {name}"
                sheet.warn("left-out", f"{text}; it is left out: see that nothing runs there; "
                           f"once it is back, with data_dir empty: {later}")  # fmt: skip
            continue
        _node(sheet, name, node, source, first=name == first)
        if name != first:
            others.append(name)
    return others


def _node(sheet: Sheet, name: str, node: Seen, source: Seen, *, first: bool) -> None:
    missing = "; ".join(node["missing"])
    sheet.judge("control", f"on {name}: {missing}; mend it" if missing else "",
                f"{name} can be controlled")  # fmt: skip
    bad = _STATES.get(node["state"], "")
    if not bad and node["life"] in ("alive", "frozen"):
        bad = "has a server process left: end it first"
    if not bad and node["above"] != "writable":
        bad = f"cannot be made: {node['above'] or '/'} may not be written by its user"
        bad = "" if node["local"] and first else bad
    sheet.judge("not-empty" if node["state"] == "full" else "folder",
                f"data_dir of {name} {bad}" if bad else "", f"{name} is empty")  # fmt: skip
    root = "runs as root, which PostgreSQL refuses: name its user in control, or let an empty " \
           "data_dir belong to it" if node["uid"] == 0 else ""  # fmt: skip
    sheet.judge("user", f"{name} {root}" if root else "")
    if source["problem"]:
        return
    _version(sheet, name, node["version"], source["version"])
    needed, free = source["needed"], node["free"]
    if free is None:
        sheet.warn("disk", f"nobody can tell how much room {name} has")
        return
    short = (
        f"{name} has {free} bytes free, up to {needed} are needed; make room"
        if free < needed
        else ""
    )
    sheet.judge("disk", short, f"{name} has {free // 2**20} MiB, {needed // 2**20} are needed",
                free=free, needed=needed)  # fmt: skip


def _version(sheet: Sheet, name: str, said: str, wanted: str) -> None:
    found = _VERSION.search(said.partition(")")[2] or said)
    major = found[1] if found else ""
    bad = ""
    if major != wanted.split(".", maxsplit=1)[0]:
        bad = (
            f"{name} has {said or 'no postgres'}, the backup is of {wanted}: install that major "
            "version there, or mend bin_dir"
        )
    sheet.judge("version", bad, f"{name} has PostgreSQL {major}")


def _names(sheet: Sheet, others: list[str]) -> str:
    """The synchronous rule at the end: as declared, or as it last was; empty: ask the server."""
    rules, remembered = sheet.rules, sheet.seen.more["remembered"].get("wanted") or {}
    try:
        if rules.synchronous:
            all_others = [
                each for each in rules.nodes if each != (sheet.wish.node or rules.nodes[0])
            ]
            names = parse_names(f"{rules.synchronous} (x)").over(all_others)
        else:
            names = parse_names(str(remembered.get("names", "")))
    except ValueError as error:
        sheet.warn("synchronous", str(error))
        return ""
    _enough(sheet, names, others)
    return names.text()


def _enough(sheet: Sheet, names: Names, others: list[str]) -> None:
    able = [each for each in others if names.everybody or names.has(each)]
    bad = ""
    if names.count > len(able):
        bad = (
            f"commits are to wait for {names.text()}, but only {', '.join(able) or 'nobody'} can "
            "be built; bring the others up, or lower `synchronous:`"
        )
    if names.count:
        sheet.judge("quorum", bad, f"commits will wait for {names.text()}")


def _loss(source: Seen, seen: Snapshot) -> Loss | None:
    """By what was last seen of the cluster that is lost; None: nobody here looked."""
    had = seen.more["remembered"]
    if source["problem"] or not had.get("position") or not source.get("end"):
        return None
    return Loss(bytes=max(0, int(had["position"]) - int(source["end"])))
