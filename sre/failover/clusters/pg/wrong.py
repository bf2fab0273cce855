"""What is wrong with a set, as `status` says it? (pure)"""

from __future__ import annotations

from collections.abc import Iterable

from sre.failover.clusters.pg.quorum import parse_names, waits
from sre.failover.snapshot import Snapshot

__all__ = ["problems_of", "process_of", "twins"]


def process_of(pid_file: str) -> tuple[str, ...]:
    """Which run of which server a postmaster.pid is of: process, folder, start, port. Its later
    lines change while it runs."""
    return tuple(line.strip() for line in pid_file.splitlines()[:4])


def twins(seen: Snapshot) -> str:
    """Nodes at whose dsn one and the same server answers, for people; empty: there are none."""
    runs: dict[tuple[str, ...], list[str]] = {}
    for node in seen.nodes:
        if node.reachable and node.more.get("process"):
            run = (str(node.more["system"]), *process_of(node.more["process"]))
            runs.setdefault(run, []).append(node.name)
    return "; ".join(
        f"one server answers at the dsn of {' and of '.join(names)}: give each node its own, past "
        "switches and poolers"
        for names in runs.values()
        if len(names) > 1
    )


def problems_of(seen: Snapshot) -> Iterable[str]:
    """A line for each thing that concerns more than one node alone."""
    primaries = [each.name for each in seen.primaries()]
    if not primaries:
        yield "no-primary: no node says that it is primary"
    same = twins(seen)
    if same:
        yield f"same-server: {same}"
    if len(primaries) > 1:
        yield f"two-primaries: {', '.join(primaries)}"
    systems = {each.more["system"] for each in seen.nodes if each.reachable}
    if len(systems) > 1:
        yield "system-id: the nodes are not copies of one another"
    yield from _uncontrolled(seen)
    for name, problems in seen.more["switches"].items():
        for problem in problems:
            yield f"traffic {name}: {problem}"
    if len(primaries) == 1:
        yield from _waiting(seen)


def _waiting(seen: Snapshot) -> Iterable[str]:
    """Whether commits wait for more standbys than there are."""
    primary = seen.primaries()[0]
    settings = primary.more["settings"]
    try:
        names = parse_names(settings["synchronous_standby_names"] or "")
    except ValueError as error:
        yield str(error)
        return
    there = [s for s in primary.more["senders"] if s["sync"] in ("sync", "quorum")]
    if names.count > len(there) and waits(settings["synchronous_commit"]):
        yield f"synchronous: commits on {primary.name} wait for {names.count}, {len(there)} there"


def _uncontrolled(seen: Snapshot) -> Iterable[str]:
    """Nodes that run and could not be stopped or fenced."""
    for node in seen.nodes:
        machine = seen.more["machines"].get(node.name, {"missing": (), "unreachable": ""})
        if node.reachable and (machine["missing"] or machine["unreachable"]):
            yield f"control {node.name}: {machine['unreachable'] or '; '.join(machine['missing'])}"
