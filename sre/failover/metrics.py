"""What do Prometheus and its alerts see of clusters?"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sre.core.clock import Clock
from sre.core.facts import Facts
from sre.core.files import replace_file
from sre.core.metrics import CATALOGUE
from sre.failover.job import Planned
from sre.failover.snapshot import Snapshot

__all__ = ["Writer", "exposition", "samples_of"]

log = logging.getLogger(__name__)

Sample = tuple[str, Mapping[str, str], float]
_EVERY = 5.0


def samples_of(seen: Snapshot, facts: Facts) -> Iterator[Sample]:
    """(name, labels, value) of one cluster."""
    cluster = {"cluster": seen.cluster}
    yield "primaries", cluster, float(len(seen.primaries()))
    yield "seen_timestamp_seconds", cluster, seen.at
    yield "ready", cluster, float(_ready(seen))
    for node in seen.nodes:
        yield "node_up", {**cluster, "node": node.name}, float(node.reachable)
        if node.role == "standby" and node.lag_seconds is not None:
            yield "standby_lag_seconds", {**cluster, "node": node.name}, node.lag_seconds
    last = facts.read(f"failover/{seen.cluster}/last")
    if last is not None:
        how = {"action": str(last.value["action"]), "outcome": str(last.value["outcome"])}
        yield "last_timestamp_seconds", {**cluster, **how}, last.at
        for phase, spent in last.value["phases"].items():
            yield "phase_seconds", {**cluster, "phase": str(phase)}, float(spent)
    failed = facts.read(f"failover/{seen.cluster}/failover")
    if failed is not None:
        yield "unacknowledged", cluster, float(not failed.value["acknowledged"])


def _ready(seen: Snapshot) -> bool:
    primaries = seen.primaries()
    timeline = primaries[0].timeline if len(primaries) == 1 else -1
    return any(each.synchronous and each.timeline == timeline for each in seen.standbys())


def exposition(found: Iterable[Sample]) -> str:
    """The text format of Prometheus."""
    by_name: dict[str, list[str]] = {}
    for name, labels, value in found:
        text = ",".join(f'{key}="{_escaped(each)}"' for key, each in sorted(labels.items()))
        by_name.setdefault(f"sre_failover_{name}", []).append(f"{{{text}}} {value!r}")
    lines: list[str] = []
    for name in sorted(by_name):
        metric = CATALOGUE[name]
        lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.type}"]
        lines += [f"{name}{rest}" for rest in by_name[name]]
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Writer:
    """Keeps a file for node_exporter's textfile collector; without a path it does nothing."""

    def __init__(self, path: Path | None, facts: Facts, clock: Clock) -> None:
        self._path, self._facts, self._clock = path, facts, clock
        self._last = float("-inf")

    def see(self, planned: Planned) -> None:
        """One look; written at most every five seconds. A disk that is full stops no watching."""
        if self._path is None or self._clock.now() - self._last < _EVERY:
            return
        self._last = self._clock.now()
        text = exposition(samples_of(planned.seen, self._facts))
        try:
            replace_file(self._path, text.encode(), mode=0o644)
        except OSError as error:
            log.warning("cannot write %s: %s", self._path, error.strerror)
