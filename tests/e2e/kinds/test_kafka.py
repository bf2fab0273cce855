"""Does the kind `kafka` measure librdkafka's MOCK cluster right, and stay on the allow-list?

No Apache Kafka can be had here: what the mock cannot do (see tests/servers/kafkamock.py) is not
tested against a server.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.journey.result import Outcome, Reason
from sre.probes.kinds.kafka import KafkaLimits, KafkaProbe
from sre.probes.model import Reading
from tests.servers.examples import run_example, serve_example
from tests.servers.hostile import Hostile
from tests.servers.kafkamock import KafkaMock, running_kafka_mock
from tests.servers.looks import look, sample, values
from tests.servers.net import Canary
from tests.servers.redis import RedisFamily
from tests.servers.tls import TlsServers


def asked(mock: KafkaMock, **config: Any) -> Reading:
    return look("kafka", **{"host": None, "bootstrap": mock.bootstrap, **config})


def test_the_example(kafka_mock: KafkaMock, tmp_path: Path) -> None:
    kafka_mock.produce("orders", 5)
    kafka_mock.commit("billing", "orders", {0: 2})
    allow = ", ".join(f'"127.0.0.1:{port}"' for port in kafka_mock.ports)
    at = {
        'allow: ["127.0.0.1:9092"]': f"allow: [{allow}]",
        'bootstrap: ["127.0.0.1:9092"]': f'every: 1s, bootstrap: ["{kafka_mock.bootstrap[0]}"]',
    }
    code, data = run_example("kafka", tmp_path, at)
    assert (code, [one["outcome"] for one in data["results"]]) == (0, ["ok"]), data
    with serve_example("kafka", tmp_path, at) as metrics:
        assert sample(metrics, "sre_probe_up", probe="events") == 1
        name, labels = "sre_probe_kafka_group_lag_messages", {"group": "billing", "topic": "orders"}
        assert sample(metrics, name, probe="events", **labels) == 3


def test_the_cluster_alone(kafka_mock: KafkaMock) -> None:
    kafka_mock.produce("seen", 1)
    reading = asked(kafka_mock, max=KafkaLimits(min_brokers=2))
    found = values(reading, "kafka")
    assert (reading.outcome, reading.reason, reading.message) == (Outcome.OK, Reason.NONE, "")
    assert set(reading.steps[0].phases) == {"connect", "processing"}
    assert (found["brokers"], found["offline_partitions"]) == (2, 0)
    assert found["partitions"] >= 4
    assert asked(kafka_mock, max=KafkaLimits(min_brokers=3)).outcome is Outcome.FAILED


def test_lag_and_age_of_a_group(kafka_mock: KafkaMock) -> None:
    now = time.time()
    kafka_mock.produce("lagging", 3, stamp=now - 500)
    kafka_mock.produce("lagging", 4, stamp=now - 100)
    kafka_mock.produce("lagging", 2, partition=1, stamp=now - 40)
    kafka_mock.commit("slow", "lagging", {0: 3, 1: 2})
    asking = {"groups": ("slow",), "topics": ("lagging",), "age": True}
    reading = asked(kafka_mock, **asking)
    found = values(reading, "kafka")
    assert (reading.outcome, reading.message) == (Outcome.OK, "")
    assert found["group_lag_messages", "slow", "lagging"] == 4
    assert found["group_worst_lag_messages", "slow", "lagging"] == 4
    assert found["group_uncommitted_partitions", "slow", "lagging"] == 2
    assert found["group_oldest_age_seconds", "slow", "lagging"] == pytest.approx(100, abs=20)
    assert found["topic_messages_total", "lagging"] == 9
    late = asked(kafka_mock, **asking, max=KafkaLimits(lag=3, age=Duration(60)))
    assert (late.outcome, late.reason) == (Outcome.FAILED, Reason.STATUS)
    assert late.message.startswith("lag of group 'slow' in 'lagging' 4 (limit 3); age of")
    again = values(asked(kafka_mock, **asking), "kafka")
    assert again["group_lag_messages", "slow", "lagging"] == 4, "looking must not commit"


def test_a_group_and_a_topic_that_are_not_there(kafka_mock: KafkaMock) -> None:
    kafka_mock.produce("there", 1)
    reading = asked(kafka_mock, groups=("nobody",), topics=("there", "gone"))
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.STATUS)
    assert "no topic 'gone'" in reading.message
    assert "group 'nobody' has committed nothing" in reading.message
    assert "gone" not in asked(kafka_mock).message, "asking must not create a topic"


def test_the_first_broker_may_be_down(kafka_mock: KafkaMock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        dead = f"127.0.0.1:{free.getsockname()[1]}"
    reading = asked(kafka_mock, bootstrap=(dead, *kafka_mock.bootstrap))
    assert reading.outcome is Outcome.OK


@contextmanager
def another_port(mock: KafkaMock, advertised: int) -> Iterator[int]:
    """A way to the first broker on which the second one is advertised at another port."""
    old, new = (b"127.0.0.1" + struct.pack(">i", port) for port in (mock.ports[1], advertised))
    listener = socket.create_server(("127.0.0.1", 0))
    pairs: list[socket.socket] = []

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data.replace(old, new))
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", mock.ports[0]))
                pairs.extend((client, server))
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=copy, args=(one, other), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        for one in pairs:
            one.close()


def test_a_broker_that_is_advertised_and_not_allowed_is_never_contacted(
    kafka_mock: KafkaMock,
) -> None:
    kafka_mock.produce("guarded", 2)
    kafka_mock.commit("careful", "guarded", {0: 0, 1: 0, 2: 0, 3: 0})
    with Canary() as canary, another_port(kafka_mock, canary.port) as port:
        allow = (f"127.0.0.1:{port}", f"127.0.0.1:{kafka_mock.ports[0]}")
        asking = {"bootstrap": (f"127.0.0.1:{port}",), "allow": allow}
        blocked = asked(kafka_mock, groups=("careful",), topics=("guarded",), **asking)
        time.sleep(0.2)
        assert canary.connections == 0
        assert (blocked.outcome, blocked.reason) == (Outcome.BLOCKED, Reason.NONE)
        assert f"127.0.0.1:{canary.port} is not on the allow-list" in blocked.message
        assert asked(kafka_mock, **asking).outcome is Outcome.BLOCKED
        time.sleep(0.2)
        assert canary.connections == 0


def test_something_else_on_the_port(hostile: Hostile, redis_family: RedisFamily) -> None:
    for port in (hostile.port, redis_family.sentinel.port):
        reading = look("kafka", host=None, bootstrap=(f"127.0.0.1:{port}",), seconds=0.5)
        assert reading.outcome is Outcome.FAILED
        assert reading.reason in (Reason.PROTOCOL, Reason.TIMEOUT)


def test_frozen_brokers_end_at_the_deadline_and_dead_ones_at_once(tmp_path: Path) -> None:
    with running_kafka_mock(tmp_path) as mock:
        mock.produce("orders", 1)
        mock.commit("billing", "orders", {0: 0})
        asking = {"groups": ("billing",), "topics": ("orders",), "age": True}
        assert asked(mock, **asking).outcome is Outcome.OK
        os.kill(mock.process.pid, signal.SIGSTOP)
        frozen = asked(mock, seconds=0.6, **asking)
        assert (frozen.outcome, frozen.reason) == (Outcome.FAILED, Reason.TIMEOUT)
        assert frozen.seconds < 1.1
        mock.process.kill()
        mock.process.wait(5)
        dead = asked(mock, **asking)
        assert (dead.outcome, dead.reason) == (Outcome.FAILED, Reason.CONNECT)


def test_a_certificate_that_is_not_trusted(tls_servers: TlsServers) -> None:
    server = (f"localhost:{tls_servers.good}",)
    distrusted = look("kafka", host=None, bootstrap=server, tls=True)
    assert (distrusted.outcome, distrusted.reason) == (Outcome.FAILED, Reason.TLS)
    trust = {"tls": True, "ca_file": tls_servers.ca_file}
    other = look("kafka", host=None, bootstrap=server, seconds=0.8, **trust)
    assert other.outcome is Outcome.FAILED
    assert other.reason in (Reason.TIMEOUT, Reason.PROTOCOL), "TLS, but no Kafka behind it"


def test_a_login_that_the_broker_does_not_know_stays_secret(kafka_mock: KafkaMock) -> None:
    login = {"username": "sre", "password": Secret.literal("kafka-sesam")}
    reading = asked(kafka_mock, seconds=0.8, **login)
    assert (reading.outcome, reading.reason) == (Outcome.FAILED, Reason.PROTOCOL)
    assert "sesam" not in reading.message


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"bootstrap": ()}, "bootstrap needs"),
        ({"bootstrap": ("kafka",)}, "HOST:PORT"),
        ({"bootstrap": ("kafka:99999",)}, "port"),
        ({"username": "a"}, "belong together"),
        ({"ca_file": "x"}, "need tls"),
        ({"age": True}, "age needs groups"),
        ({"max": KafkaLimits(lag=1)}, "lag needs groups"),
        ({"groups": ("g",), "max": KafkaLimits(age=Duration(1))}, "needs age: true"),
    ],
)
def test_a_bad_declaration_is_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KafkaProbe(**{"bootstrap": ("kafka:9092",), **config})
