"""Are the answers of RabbitMQ's management API read as they are meant? (no server)"""

from __future__ import annotations

from typing import Any

import pytest

from sre.journey.result import Outcome
from sre.probes.bounds import verdict
from sre.probes.fitting import SAMPLES
from sre.probes.judged import Seen
from sre.probes.kinds.rabbitmq import RabbitmqLimits
from sre.probes.rabbitparts import Chosen, read_nodes, read_queues

NOW = 1_800_000_000.0


def queue(name: str, ready: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "name": name, "vhost": "/", "state": "running", "exclusive": False, "auto_delete": False,
        "messages_ready": ready, "messages_unacknowledged": 0, "consumers": 1,
        "head_message_timestamp": None, "consumer_capacity": 1.0, **changes,
    }  # fmt: skip


def seen(rows: list[dict[str, Any]], chosen: Chosen | None = None) -> Seen:
    found = Seen()
    read_queues(rows, chosen or Chosen(), NOW, found)
    return found


def shown(found: Seen) -> list[str]:
    return [
        dict(gauge.labels)["queue"] for gauge in found.gauges if gauge.name.endswith("queue_ready")
    ]


def judged(found: Seen, **limits: Any) -> tuple[Outcome, str]:
    outcome, _, message = verdict(
        RabbitmqLimits(**limits), RabbitmqLimits(), found.measured, bad=found.bad, poor=found.poor
    )
    return outcome, message


def test_the_worst_queue_is_named() -> None:
    found = seen([queue("a", 5), queue("b", 70, head_message_timestamp=int(NOW) - 90)])
    assert judged(found, ready=70) == (Outcome.OK, "")
    assert judged(found, ready=69) == (Outcome.FAILED, "ready of 'b' 70 (limit 69)")
    assert judged(found, age=60)[0] is Outcome.FAILED
    assert judged(found, age=91)[0] is Outcome.OK


def test_the_chosen_queues_alone_are_judged_and_must_be_there() -> None:
    rows = [queue("orders", 1, consumers=2), queue("mail", 9000, consumers=0)]
    assert judged(seen(rows, Chosen(("ord*",))), ready=10, min_consumers=2) == (Outcome.OK, "")
    outcome, message = judged(seen(rows, Chosen(("mail", "gone.*"))), min_consumers=1)
    assert outcome is Outcome.FAILED
    assert "there is no queue 'gone.*'" in message
    assert "consumers of 'mail' 0 (at least 1)" in message


def test_dead_letters_are_counted_together_and_not_as_a_backlog() -> None:
    rows = [queue("orders", 1), queue("orders.dlq", 500), queue("mail.dlq", 2)]
    found = seen(rows, Chosen(dead_letters=("*.dlq",)))
    assert judged(found, ready=10, dead_letters=502) == (Outcome.OK, "")
    assert judged(found, dead_letters=501)[1] == "dead letters 502 (limit 501)"


def test_the_largest_have_numbers_and_the_rest_is_summed() -> None:
    found = seen([queue(f"q{n}", n) for n in range(100)], Chosen(most=3))
    assert shown(found) == ["q99", "q98", "q97"]
    sums = {gauge.name: gauge.value for gauge in found.gauges if "_other_" in gauge.name}
    assert sums["sre_probe_rabbitmq_other_queues"] == 97
    assert sums["sre_probe_rabbitmq_other_ready"] == sum(range(97))


def test_a_queue_on_two_pages_is_one_queue() -> None:
    found = seen([queue("a", 1), queue("b", 2), queue("a", 3)])
    assert sorted(shown(found)) == ["a", "b"]


def test_queues_that_pass_get_no_label_unless_they_are_asked_for() -> None:
    rows = [queue("amq.gen-x", 9), queue("reply", 8, exclusive=True), queue("orders", 1)]
    assert shown(seen(rows)) == ["orders"]
    assert shown(seen(rows, Chosen(("reply",)))) == ["reply"]


def test_a_run_never_exports_more_than_there_is_room_for() -> None:
    found = Seen()
    read_nodes([node(f"rabbit@n{n}") for n in range(60)], found)
    read_queues([queue(f"q{n}", n) for n in range(500)], Chosen(most=100), NOW, found)
    assert len(found.gauges) <= SAMPLES
    assert shown(found)[0] == "q499"


def node(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name, "running": True, "partitions": [], "uptime": 5000, "mem_used": 10,
        "mem_limit": 100, "mem_alarm": False, "disk_free": 5, "disk_free_limit": 1,
        "disk_free_alarm": False, "fd_used": 1, "fd_total": 2, "sockets_used": 1,
        "sockets_total": 2, "proc_used": 1, "proc_total": 2, **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "outcome", "words"),
    [
        ({}, Outcome.OK, ""),
        ({"mem_alarm": True}, Outcome.FAILED, "memory alarm"),
        ({"disk_free_alarm": True}, Outcome.FAILED, "disk space alarm"),
        ({"partitions": ["rabbit@a"]}, Outcome.FAILED, "partitioned"),
        ({"running": False}, Outcome.DEGRADED, "1 of 2 nodes do not run"),
        ({"mem_used": 95}, Outcome.FAILED, "memory of node rabbit@b"),
    ],
)
def test_nodes(changes: dict[str, Any], outcome: Outcome, words: str) -> None:
    found = Seen()
    read_nodes([node("rabbit@a"), node("rabbit@b", **changes)], found)
    told = judged(found, memory=0.9)
    assert told[0] is outcome
    assert words in told[1]


def test_a_node_that_is_down_tells_little_and_a_young_one_has_no_numbers_yet() -> None:
    found = Seen()
    read_nodes(
        [{"name": "rabbit@a", "running": False}, {"name": "rabbit@b", "running": True}], found
    )
    assert judged(found)[0] is Outcome.DEGRADED
    assert judged(found, memory=0.9)[1].endswith("'memory' cannot be judged: not measured")
