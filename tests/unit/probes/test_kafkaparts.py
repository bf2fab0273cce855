"""Are metadata and offsets of Kafka judged as they should be? (no broker)"""

from __future__ import annotations

from typing import Any

from sre.journey.result import Outcome
from sre.probes.bounds import verdict
from sre.probes.fitting import SAMPLES
from sre.probes.kafkaparts import (
    Broker,
    Cluster,
    Partition,
    Place,
    Seen,
    read_cluster,
    read_groups,
)
from sre.probes.kinds.kafka import KafkaLimits

NOW = 1_800_000_000.0
BROKERS = {n: Broker(f"kafka-{n}", 9092) for n in (1, 2, 3)}
WHOLE = Partition(1, (1, 2, 3), (1, 2, 3))


def judged(seen: Seen, **limits: Any) -> tuple[Outcome, str]:
    none = KafkaLimits()
    outcome, _, message = verdict(
        KafkaLimits(**limits), none, seen.measured, bad=seen.bad, poor=seen.poor
    )
    return outcome, message


def cluster(*parts: Partition, controller: int = 1) -> Seen:
    seen = Seen()
    read_cluster(Cluster(BROKERS, controller, {"orders": dict(enumerate(parts))}), ["orders"], seen)
    return seen


def values(seen: Seen) -> dict[str, float]:
    return {gauge.name.removeprefix("sre_probe_kafka_"): gauge.value for gauge in seen.gauges}


def test_a_whole_cluster() -> None:
    seen = cluster(WHOLE, WHOLE)
    assert judged(seen, min_brokers=3) == (Outcome.OK, "")
    assert values(seen)["partitions"] == 2


def test_a_replica_out_of_sync_degrades_and_fails_beyond_its_limit() -> None:
    seen = cluster(WHOLE, Partition(2, (1, 2, 3), (2, 3)))
    assert judged(seen) == (Outcome.DEGRADED, "1 of 2 partitions are under-replicated")
    assert judged(seen, under_replicated=0)[0] is Outcome.FAILED
    assert values(seen)["under_replicated_partitions"] == 1


def test_a_partition_without_a_leader_fails() -> None:
    seen = cluster(WHOLE, Partition(-1, (1, 2, 3), (1,)))
    assert judged(seen)[0] is Outcome.FAILED
    assert "1 of 2 partitions are offline" in judged(seen)[1]


def test_too_few_brokers_no_controller_and_a_missing_topic() -> None:
    assert judged(cluster(WHOLE), min_brokers=4)[0] is Outcome.FAILED
    assert judged(cluster(WHOLE, controller=-1))[0] is Outcome.DEGRADED
    seen = Seen()
    read_cluster(Cluster(BROKERS, 1, {}), ["orders"], seen)
    assert "no topic 'orders'" in judged(seen)[1]


def test_lag_counts_what_is_there_and_not_processed() -> None:
    assert Place(5, 0, 8).lag == 3
    assert Place(5, 6, 8).lag == 2, "what retention removed cannot be processed any more"
    assert Place(9, 0, 8).lag == 0, "a topic that was made anew has smaller offsets"
    assert Place(None, 0, 8).lag is None


def test_the_worst_group_is_named() -> None:
    seen = Seen()
    groups = {
        "billing": {"orders": [Place(5, 0, 8, NOW - 60), Place(0, 0, 1, NOW - 90)]},
        "mail": {"orders": [Place(8, 0, 8), Place(None, 0, 1)]},
    }
    read_groups(groups, {"orders": 9}, NOW, seen)
    assert judged(seen, lag=4, age=90.0) == (Outcome.OK, "")
    assert judged(seen, lag=3)[1] == "lag of group 'billing' in 'orders' 4 (limit 3)"
    assert judged(seen, age=80.0)[0] is Outcome.FAILED
    by = {(g.name.rpartition("kafka_")[2], dict(g.labels).get("group")): g for g in seen.gauges}
    assert by["group_lag_messages", "billing"].value == 4
    assert by["group_worst_lag_messages", "billing"].value == 3
    assert by["group_oldest_age_seconds", "billing"].value == 90
    assert ("group_oldest_age_seconds", "mail") not in by
    assert by["group_uncommitted_partitions", "mail"].value == 1


def test_a_group_that_never_committed_is_a_fault() -> None:
    seen = Seen()
    read_groups({"typo": {}, "new": {"orders": [Place(None, 0, 5)]}}, {}, NOW, seen)
    outcome, message = judged(seen)
    assert outcome is Outcome.FAILED
    assert "'typo'" in message
    assert "'new'" in message


def test_many_topics_are_cut_whole_and_counted() -> None:
    seen = Seen()
    groups = {"g": {f"t{n}": [Place(0, 0, n)] for n in range(300)}}
    read_groups(groups, {f"t{n}": n for n in range(300)}, NOW, seen)
    assert len(seen.gauges) <= SAMPLES
    lags = [dict(g.labels)["topic"] for g in seen.gauges if g.name.endswith("lag_messages")]
    assert lags[0] == "t299"
    assert values(seen)["left_out"] > 0
