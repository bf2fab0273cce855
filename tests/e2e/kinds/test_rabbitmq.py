"""Does the kind `rabbitmq` say what a real server says, and end in time?"""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from sre.core.secrets import Secret
from sre.core.units import Duration, Share
from sre.journey.result import Outcome, Reason
from sre.probes.kinds.rabbitmq import RabbitmqLimits, RabbitmqProbe
from sre.probes.model import Reading
from tests.servers.examples import run_example, serve_example
from tests.servers.looks import look, sample, values
from tests.servers.net import wait_until
from tests.servers.rabbitmq import Rabbit
from tests.servers.redis import RedisFamily
from tests.servers.tls import TlsServers

STAMP = 1_700_000_000
GUEST = {"password": Secret.literal("guest")}


@pytest.fixture(scope="module")
def filled(rabbit: Rabbit) -> Rabbit:
    """Two vhosts with queues of which the server has numbers already."""
    rabbit.api("PUT", "vhosts/a%2Fb")
    rabbit.user("sre", "watch-sesam", "monitoring")
    for vhost in ("/", "a/b"):
        rabbit.may("sre", vhost)
    rabbit.queue("orders")
    rabbit.queue("Rückgabe/ünï")
    rabbit.queue("orders.dlq")
    rabbit.queue("mail", vhost="a/b")
    rabbit.publish("orders", 3, timestamp=STAMP)
    rabbit.publish("orders.dlq", 1)
    rabbit.publish("mail", 2, vhost="a/b")

    def counted() -> bool:
        rows = rabbit.api("GET", "queues")
        by_name = {row["name"]: row.get("messages_ready") for row in rows}
        published = rabbit.api("GET", "overview")["message_stats"].get("publish")
        return (by_name["orders"], by_name["mail"], published) == (3, 2, 6)

    wait_until(counted, 30, "the queues' numbers")
    wait_until(lambda: "mem_used" in rabbit.api("GET", "nodes")[0], 30, "the node's numbers")
    return rabbit


def asked(rabbit: Rabbit, **config: Any) -> Reading:
    reading = look("rabbitmq", **{"port": rabbit.port, **GUEST, **config})
    assert "sesam" not in reading.message
    return reading


def test_the_example(filled: Rabbit, tmp_path: Path) -> None:
    at = {
        "127.0.0.1:15672": f"127.0.0.1:{filled.port}",
        "127.0.0.1:5672": f"127.0.0.1:{filled.amqp}",
        "port: 15672": f"port: {filled.port}, every: 1s",
        "amqp_port: 5672": f"amqp_port: {filled.amqp}",
        ", age: 10m": "",
    }
    env = {"RABBITMQ_PASSWORD": "watch-sesam"}
    code, data = run_example("rabbitmq", tmp_path, at, env)
    assert (code, [one["outcome"] for one in data["results"]]) == (0, ["ok"]), data
    with serve_example("rabbitmq", tmp_path, at, env) as metrics:
        assert sample(metrics, "sre_probe_up", probe="queues") == 1
        name, labels = "sre_probe_rabbitmq_queue_ready", {"vhost": "/", "queue": "orders"}
        assert sample(metrics, name, probe="queues", **labels) == 3


def test_the_numbers_are_the_server_s_own(filled: Rabbit) -> None:
    reading = asked(filled, amqp_port=filled.amqp)
    found = values(reading, "rabbitmq")
    assert (reading.outcome, reading.reason, reading.message) == (Outcome.OK, Reason.NONE, "")
    assert {"connect", "processing"} <= set(reading.steps[0].phases)
    assert found["queue_ready", "/", "orders"] == 3
    assert found["queue_ready", "a/b", "mail"] == 2
    assert found["queue_ready", "/", "Rückgabe/ünï"] == 0
    assert found["queue_consumers", "/", "orders"] == 0
    assert found["queue_oldest_age_seconds", "/", "orders"] > 1000
    assert ("queue_oldest_age_seconds", "a/b", "mail") not in found, "it has no timestamp"
    assert found["queue_published_total", "/", "orders"] == 3
    assert (found["messages_ready"], found["published_total"], found["queues"]) == (6, 6, 4)
    [node] = filled.api("GET", "nodes")
    assert found["node_memory_limit_bytes", node["name"]] == node["mem_limit"]
    assert (found["nodes"], found["nodes_running"], found["partitions"]) == (1, 1, 0)
    assert found["other_queues"] == 0


def test_one_vhost_alone_and_few_with_names(filled: Rabbit) -> None:
    found = values(asked(filled, vhosts=("a/b",)), "rabbitmq")
    assert [key for key in found if key[0] == "queue_ready"] == [("queue_ready", "a/b", "mail")]
    few = values(asked(filled, most=1), "rabbitmq")
    assert [key for key in few if key[0] == "queue_ready"] == [("queue_ready", "/", "orders")]
    assert (few["other_queues"], few["other_ready"]) == (3, 3)
    missing = asked(filled, vhosts=("no/such",))
    assert (missing.outcome, missing.reason) == (Outcome.FAILED, Reason.STATUS)
    assert "vhost" in missing.message


def test_limits_are_judged(filled: Rabbit) -> None:
    for limits, words in (
        (RabbitmqLimits(ready=2), "ready of 'orders' 3 (limit 2)"),
        (RabbitmqLimits(age=Duration(60)), "age of 'orders'"),
        (RabbitmqLimits(min_consumers=1), "consumers of 'orders' 0 (at least 1)"),
        (RabbitmqLimits(memory=Share(0.0001)), "memory of node"),
        (RabbitmqLimits(dead_letters=0), "dead letters 1 (limit 0)"),
    ):
        reading = asked(filled, queues=("orders",), dead_letters=("*.dlq",), max=limits)
        assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.STATUS)
        assert reading.message.startswith(words)
    gone = asked(filled, queues=("refunds",))
    assert gone.outcome is Outcome.FAILED
    assert "no queue 'refunds'" in gone.message


@pytest.mark.parametrize(
    ("user", "tags", "outcome", "words"),
    [
        ("sre", "monitoring", Outcome.FAILED, "password is wrong"),
        ("plain", "", Outcome.FAILED, "tag monitoring"),
        ("few", "management", Outcome.DEGRADED, "tag monitoring"),
    ],
)
def test_who_may_not_is_told_why(
    filled: Rabbit, user: str, tags: str, outcome: Outcome, words: str
) -> None:
    password = "wrong-sesam"
    if user != "sre":
        filled.user(user, password, tags)
    reading = asked(filled, username=user, password=Secret.literal(password))
    assert (reading.outcome, reading.reason) == (outcome, Reason.STATUS)
    assert words in reading.message


def test_a_user_without_a_permission_sees_no_queue(filled: Rabbit) -> None:
    filled.user("blind", "x", "monitoring")
    blind = {"username": "blind", "password": Secret.literal("x")}
    assert "may see" in asked(filled, queues=("orders",), **blind).message
    assert "may not see this vhost" in asked(filled, vhosts=("/",), **blind).message


def test_an_alarm_fails_while_the_port_still_greets(filled: Rabbit) -> None:
    filled.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        reading = wait_until(
            lambda: (r := asked(filled)).outcome is Outcome.FAILED and r, 20, "the alarm"
        )
    finally:
        filled.ctl("set_vm_memory_high_watermark", "absolute", "2GB")
    assert (reading.reason, "memory alarm" in reading.message) == (Reason.STATUS, True)
    wait_until(lambda: asked(filled).outcome is Outcome.OK, 20, "the end of the alarm")


def test_the_amqp_port_alone(
    filled: Rabbit, redis_family: RedisFamily, tls_servers: TlsServers
) -> None:
    alone = {"management": False, "password": None, "seconds": 0.5}
    assert asked(filled, amqp_port=filled.amqp, **alone).outcome is Outcome.OK
    mute = asked(filled, amqp_port=redis_family.sentinel.port, **alone)
    assert (mute.outcome, mute.reason) == (Outcome.FAILED, Reason.TIMEOUT)
    other = asked(filled, amqp_port=tls_servers.good, **alone)
    assert (other.outcome, other.reason) == (Outcome.FAILED, Reason.PROTOCOL)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"AMQP\x00\x01\x00\x00", "speaks 1.0.0, not 0.9.1"),
        (b"SSH-2.0-OpenSSH_9\r\n", "something else"),
        (b"", "closed without a word"),
    ],
)
def test_an_answer_of_another_protocol(answer: bytes, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reply() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(8)
                connection.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        port = listener.getsockname()[1]
        reading = look("rabbitmq", management=False, amqp_port=port, seconds=5)
        thread.join(5)
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.PROTOCOL)
    assert words in reading.message


def test_what_is_no_management_api(filled: Rabbit) -> None:
    reading = asked(filled, prefix="/elsewhere")
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.STATUS)
    assert "prefix" in reading.message
    other = asked(filled, port=filled.amqp)
    assert other.reason is Reason.PROTOCOL
    assert "`amqp_port`" in other.message


def test_a_frozen_server_ends_at_the_deadline(filled: Rabbit) -> None:
    os.killpg(filled.process.pid, signal.SIGSTOP)
    try:
        api = asked(filled, seconds=0.5)
        greeting = asked(
            filled, seconds=0.5, amqp_port=filled.amqp, management=False, password=None
        )
    finally:
        os.killpg(filled.process.pid, signal.SIGCONT)
    for reading in (api, greeting):
        assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.TIMEOUT)
        assert reading.seconds < 1


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "wants a password"),
        ({"management": False}, "nothing to ask"),
        ({**GUEST, "prefix": "rabbit/"}, "prefix must"),
        ({**GUEST, "most": 101}, "most must"),
        ({**GUEST, "max": RabbitmqLimits(min_consumers=1)}, "needs queues"),
        ({**GUEST, "warn": RabbitmqLimits(dead_letters=1)}, "needs dead_letters"),
        ({**GUEST, "amqp_port": 0}, "amqp_port must be"),
    ],
)
def test_a_bad_declaration_is_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RabbitmqProbe("127.0.0.1", **config)
