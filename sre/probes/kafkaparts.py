"""What do metadata and offsets of a Kafka cluster say: which numbers, and what is wrong? (pure)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sre.probes.bounds import Of
from sre.probes.facts import Facts
from sre.probes.fitting import SAMPLES, fitting
from sre.probes.judged import Seen
from sre.probes.model import Gauge

__all__ = [
    "FACTS",
    "Broker",
    "Cluster",
    "Partition",
    "Place",
    "Seen",
    "read_cluster",
    "read_groups",
]

FACTS = Facts(
    "kafka",
    ("brokers", "Brokers that the cluster's metadata names."),
    ("controller_known", "Whether the cluster names a controller."),
    ("topics", "Topics that this user may see, Kafka's own left out."),
    ("partitions", "Partitions of all topics that this user may see."),
    ("under_replicated_partitions", "Partitions with a replica that is not in sync."),
    ("offline_partitions", "Partitions without a leader: nobody can write or read them."),
    ("topic_messages_total", "End offsets of a topic, all partitions together.", "topic"),
    ("group_lag_messages", "Messages that a group has not processed.", "group", "topic"),
    ("group_worst_lag_messages", "The same of its partition with the most.", "group", "topic"),
    ("group_uncommitted_partitions", "Partitions without a committed offset.", "group", "topic"),
    ("group_oldest_age_seconds", "Age of the oldest unprocessed message.", "group", "topic"),
    ("left_out", "Topics, and topics of groups, beyond those that have numbers of their own."),
)
"""What Kafka tells."""


@dataclass(frozen=True)
class Broker:
    """Where the cluster says that one of its brokers is."""

    host: str
    port: int


@dataclass(frozen=True)
class Partition:
    """One partition: who leads it (-1: nobody), who should have it, who is in sync."""

    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


@dataclass(frozen=True)
class Cluster:
    """What one answer to a metadata request says."""

    brokers: Mapping[int, Broker]
    controller: int
    topics: Mapping[str, Mapping[int, Partition]]


@dataclass(frozen=True)
class Place:
    """Where a group stands in one partition.

    Attributes:
        committed: the next offset to process; None if it never said.
        begin, end: the first offset that is still there, and the one behind the last.
        stamp: seconds since the epoch of the first unprocessed message, where it is known.
    """

    committed: int | None
    begin: int
    end: int
    stamp: float | None = None

    @property
    def next(self) -> int | None:
        """The first unprocessed offset that still exists."""
        return None if self.committed is None else max(self.committed, self.begin)

    @property
    def lag(self) -> int | None:
        """Messages that are there and not processed."""
        return None if self.next is None else max(0, self.end - self.next)


def read_cluster(cluster: Cluster, wanted: Iterable[str], seen: Seen) -> None:
    """Offline partitions and missing topics fail; under-replicated ones degrade."""
    every = [part for topic in cluster.topics.values() for part in topic.values()]
    offline = sum(part.leader < 0 for part in every)
    behind = sum(len(part.in_sync) < len(part.replicas) for part in every)
    own = [name for name in cluster.topics if not name.startswith("__")]
    seen.gauges += [
        FACTS("brokers", len(cluster.brokers)),
        FACTS("controller_known", cluster.controller >= 0),
        FACTS("topics", len(own)),
        FACTS("partitions", len(every)),
        FACTS("under_replicated_partitions", behind),
        FACTS("offline_partitions", offline),
    ]
    seen.measured |= {"min_brokers": len(cluster.brokers), "under_replicated": behind}
    if offline:
        seen.bad.append(f"{offline} of {len(every)} partitions are offline: they have no leader")
    if behind:
        seen.poor.append(f"{behind} of {len(every)} partitions are under-replicated")
    if cluster.controller < 0:
        seen.poor.append("the cluster names no controller")
    for name in wanted:
        if name not in cluster.topics:
            seen.bad.append(f"there is no topic {name!r} that this user may see")


def read_groups(
    groups: Mapping[str, Mapping[str, Sequence[Place]]],
    ends: Mapping[str, int],
    now: float,
    seen: Seen,
) -> None:
    """Lag and age of each group by topic; `ends` are end offsets by topic."""
    pairs = [(group, topic, places) for group, by in groups.items() for topic, places in by.items()]
    pairs.sort(key=lambda pair: -_lag(pair[2]))
    for group, topics in groups.items():
        places = [place for each in topics.values() for place in each]
        if all(place.committed is None for place in places):
            seen.bad.append(f"group {group!r} has committed nothing; is its name right?")
    lags = [Of(_lag(places), _what(group, topic)) for group, topic, places in pairs]
    ages = [
        Of(age, _what(group, topic))
        for group, topic, places in pairs
        if (age := _age(places, now)) is not None
    ]
    seen.measured |= {"lag": max(lags, default=None), "age": max(ages, default=None)}
    parts = [_pair(group, topic, places, now) for group, topic, places in pairs]
    parts += [[FACTS("topic_messages_total", end, topic=topic)] for topic, end in ends.items()]
    gauges, left_out = fitting(parts, SAMPLES - len(seen.gauges) - 1)
    seen.gauges += [*gauges, FACTS("left_out", left_out)]


def _pair(group: str, topic: str, places: Sequence[Place], now: float) -> list[Gauge]:
    labels = {"group": group, "topic": topic}
    known = [place.lag for place in places if place.lag is not None]
    gauges = [FACTS("group_uncommitted_partitions", len(places) - len(known), **labels)]
    if known:
        gauges.append(FACTS("group_lag_messages", sum(known), **labels))
        gauges.append(FACTS("group_worst_lag_messages", max(known), **labels))
    if (age := _age(places, now)) is not None:
        gauges.append(FACTS("group_oldest_age_seconds", age, **labels))
    return gauges


def _lag(places: Iterable[Place]) -> int:
    return sum(place.lag or 0 for place in places)


def _age(places: Iterable[Place], now: float) -> float | None:
    stamps = [place.stamp for place in places if place.stamp is not None]
    return max(0.0, now - min(stamps)) if stamps else None


def _what(group: str, topic: str) -> str:
    return f"group {group!r} in {topic!r}"
