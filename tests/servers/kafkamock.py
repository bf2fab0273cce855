"""How does a test talk Kafka where no broker can be had? To librdkafka's own MOCK cluster.

It is part of the official client, listens on real ports and answers the real protocol (metadata,
produce, fetch, offsets, groups' commits), but it is no Apache Kafka: no SASL, no TLS, no
controller, no authorisation, and every replica is always in sync.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.servers.child import child
from tests.servers.net import missing

__all__ = ["KafkaMock", "running_kafka_mock"]

_PROGRAM = """
import json, sys
from confluent_kafka import Producer
mock = Producer({"bootstrap.servers": "mock:1", "test.mock.num.brokers": 2, "log_level": 0})
brokers = mock.list_topics(timeout=20).brokers.values()
print(json.dumps([broker.port for broker in brokers]), flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class KafkaMock:
    """A mock cluster of two brokers in a process of its own."""

    ports: Sequence[int]
    process: Any = field(repr=False)

    @property
    def bootstrap(self) -> tuple[str, ...]:
        return (f"127.0.0.1:{self.ports[0]}",)

    def produce(self, topic: str, count: int, *, partition: int = 0, stamp: float = 0.0) -> None:
        """Messages into one partition; a topic that is new has four of them."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.bootstrap[0], "log_level": 0})
        for number in range(count):
            producer.produce(
                topic, f"m{number}".encode(), partition=partition, timestamp=int(stamp * 1000)
            )
        assert producer.flush(10) == 0

    def commit(self, group: str, topic: str, offsets: dict[int, int]) -> None:
        """Where a group stands, by partition."""
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer(
            {"bootstrap.servers": self.bootstrap[0], "group.id": group, "log_level": 0}
        )
        wanted = [TopicPartition(topic, number, offset) for number, offset in offsets.items()]
        consumer.commit(offsets=wanted, asynchronous=False)
        consumer.close()


@contextlib.contextmanager
def running_kafka_mock(home: Path) -> Iterator[KafkaMock]:
    """A mock cluster that listens; the brokers' ports are its own choice."""
    if importlib.util.find_spec("confluent_kafka") is None:
        missing("the Python package confluent-kafka")
    with child([sys.executable, "-c", _PROGRAM], home=home, pipes=True) as process:
        line = process.stdout.readline() if process.stdout else ""
        assert line, (home / "log").read_text()
        yield KafkaMock(json.loads(line), process)


@pytest.fixture(scope="session")
def kafka_mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaMock]:
    """One mock cluster for the whole run; every test has topics and groups of its own."""
    with running_kafka_mock(tmp_path_factory.mktemp("kafka")) as mock:
        yield mock
