"""What is wrong with a cluster as a whole, in bounded words with their evidence? (pure)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from sre.failover.clusters.pat.said import Heard, holder, rows_of
from sre.failover.snapshot import Snapshot

__all__ = ["problems_of"]


def problems_of(
    seen: Snapshot, heard: Heard, rows: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    primaries = [each.name for each in seen.primaries()]
    stray = [n.name for n in seen.nodes if (n.more["sql"] or {}).get("recovering") is False
             and n.name not in primaries]  # fmt: skip
    if len(primaries) + len(stray) > 1:
        yield f"two-primaries: {', '.join([*primaries, *stray])}"
    if not primaries:
        kind = "a standby cluster" if seen.more["standby_cluster"] else "no leader that runs"
        yield f"no-primary: Patroni has {kind}"
    if seen.more["pause"]:
        by = f" (paused by {heard.paused})" if heard.paused else ""
        yield f"paused: Patroni fails over to nobody{by}; sre failover unpause {seen.cluster}"
    yield from _disagreement(seen, heard)
    for name in sorted(set(rows) - set(heard.members.values())):
        yield f"undeclared: Patroni has a member {name!r} that is none of nodes:"
    for name, problems in seen.more["switches"].items():
        yield from (f"traffic {name}: {problem}" for problem in problems)
    if seen.more["config"].get("synchronous_mode") and primaries:
        yield from _synchronous(seen)


def _synchronous(seen: Snapshot) -> Iterator[str]:
    if not any(each.synchronous for each in seen.nodes):
        yield "synchronous: no standby is synchronous now; commits wait for nobody, or hang"


def _disagreement(seen: Snapshot, heard: Heard) -> Iterator[str]:
    scopes = {
        name: str((s.patroni.get("patroni") or {}).get("scope"))
        for name, s in heard.said.items() if s.patroni is not None
    }  # fmt: skip
    wanted = heard.scope or (Counter(scopes.values()).most_common(1)[0][0] if scopes else "")
    for name, scope in scopes.items():
        if scope != wanted:
            yield f"scope: {name} is of the cluster {scope!r}, not {wanted!r}; mend api: of {name}"
    systems = {n.more["system"] for n in seen.nodes if n.reachable and n.more["system"]}
    if len(systems) > 1:
        yield "system-id: the nodes are not copies of one another; mend api:"
    answering = [s for s in heard.said.values() if s.patroni is not None]
    if answering and not any(s.cluster is not None for s in answering):
        yield "dcs: no member can read its configuration store (etcd, Consul, …); mend that first"
    holders = {holder(s.cluster) for s in answering if s.cluster is not None}
    if len(holders) > 1:
        words = " and ".join(sorted(each or "nobody" for each in holders))
        yield f"disagree: members say that {words} leads; look again in a moment"
    yield from _misnamed(heard)


def _misnamed(heard: Heard) -> Iterator[str]:
    """A node whose declared address is what Patroni says of another member."""
    told = {
        urlsplit(str(row.get("api_url"))).netloc: str(row["name"])
        for row in rows_of(heard).values() if row.get("api_url")
    }  # fmt: skip
    for name, said in heard.said.items():
        own = str(((said.patroni or {}).get("patroni") or {}).get("name") or "")  # since 4.0
        at = own or told.get(urlsplit(heard.apis.get(name, "")).netloc, "")
        if at and at != heard.members[name]:
            yield f"misnamed: api of {name} is that of the member {at!r}; mend api: or member:"
