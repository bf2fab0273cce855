"""What do the clusters, switches and levels of a declaration come to, together?"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from sre.core.config import Kinded, Node, Problems, decode, decode_kind, items_of, keys_of
from sre.failover.clusters import CLUSTERS
from sre.failover.control import CONTROLS
from sre.failover.degrade.declare import declare_levels
from sre.failover.engine import Cluster, Placed
from sre.failover.model import ClusterFields, Declared, NodeFields, Nothing, Switch, Switching
from sre.failover.nodes import Control
from sre.failover.traffic import SWITCHES

__all__ = ["declare"]


def declare(root: Node, problems: Problems) -> Switching:
    """The sections of a resolved root, every problem at its line. Contacts nothing."""
    switches: dict[str, Switch] = {}
    for name, item in items_of(root, "traffic", problems):
        where = f"traffic.{name}"
        made = decode_kind(SWITCHES, item, where=where, problems=problems, common=Nothing)
        if made is not None:
            switches[name] = Switch(name, made.kind, made.own)
    clusters = {}
    for name, item in items_of(root, "clusters", problems):
        found = _cluster(name, item, root, switches, problems)
        if found is not None:
            clusters[name] = found
    return Switching(clusters, switches, declare_levels(root, switches, problems))


def _cluster(
    name: str, item: Node, root: Node, switches: dict[str, Switch], problems: Problems
) -> Declared | None:
    where = f"clusters.{name}"
    before = len(problems)
    made: Kinded[Cluster, ClusterFields] | None = decode_kind(
        CLUSTERS, item.without("nodes"), where=where, problems=problems, common=ClusterFields
    )
    if made is None:
        return None
    nodes = tuple(_nodes(item, made.own, where, problems))
    known = [each for each, _ in items_of(root, "traffic", Problems())]
    for wanted in made.common.switches:
        if wanted not in known:
            at = item.get("traffic") or item
            problems.add(at, f"{where}.traffic", _unknown("traffic", wanted, known))
    if len(problems) > before:
        return None
    before_it = {each: switches[each].traffic for each in made.common.switches if each in switches}
    return Declared(name, made.kind, made.own, nodes, made.common, before_it)


def _nodes(item: Node, cluster: Cluster, where: str, problems: Problems) -> Iterator[Placed]:
    listed = item.get("nodes")
    if listed is None or listed.kind != "sequence" or not listed.elements:
        message = "a cluster needs its nodes: a list of {name: …, dsn: …}"
        problems.add(listed or item, f"{where}.nodes", message)
        return
    seen: dict[str, set[str]] = {"name": set(), "server": set()}
    for index, each in enumerate(listed.elements):
        placed = _node(each, cluster, f"{where}.nodes[{index}]", problems)
        if placed is None:
            continue
        for what, value in (("name", placed.name), ("server", placed.server)):
            if value in seen[what]:
                message = f"two nodes have the {what} {value!r}"
                problems.add(each.get(what) or each, f"{where}.nodes[{index}].{what}", message)
            seen[what].add(value)
        yield placed


def _node(item: Node, cluster: Cluster, where: str, problems: Problems) -> Placed | None:
    if item.kind != "mapping":
        problems.add(item, where, "expected a mapping: {name: …, dsn: …}")
        return None
    own_class: type[Any] = cluster.NODE
    own_keys, shared = keys_of(own_class), keys_of(NodeFields)
    hidden = ("control", *(key for key in shared if key not in own_keys))
    rest = item.without(*hidden)
    own = decode(own_class, rest, where=where, problems=problems, also=hidden)
    common = decode(NodeFields, item.only(*shared), where=where, problems=problems)
    control = _control(item.get("control"), f"{where}.control", problems)
    if own is None or common is None or control is None:
        return None
    return Placed(
        name=common.name,
        server=common.server or common.name,
        service=cluster.service(own),
        control=control,
        dsn=common.dsn,
        fence=common.fence,
        own=own,
    )


def _control(item: Node | None, where: str, problems: Problems) -> Control | None:
    if item is None:
        return CONTROLS.load("local")()
    made = decode_kind(CONTROLS, item, where=where, problems=problems, common=Nothing)
    return None if made is None else made.own


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"
    return f"there is no {what} {name!r}; {hint}"
