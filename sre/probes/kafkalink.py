"""How is librdkafka asked, within the deadline, without a word of it on our terminal?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
    admin,
)

from sre.journey.result import Reason
from sre.probes.dial import Attempt, Trouble
from sre.probes.kafkaparts import Broker, Cluster, Partition, Place

__all__ = ["Link", "Settings", "metadata"]

T = TypeVar("T")
Where = tuple[str, int]
"""A partition: topic and number."""

_SPECS: Any = admin.OffsetSpec  # type: ignore[attr-defined] # public, and not declared so
_STEP = 0.25
_SPARE = 0.05
_MOST_READ = 200

_DENIED = frozenset(
    getattr(KafkaError, name)
    for name in (
        "TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """How to connect; values, so it lives no longer than a run.

    Attributes:
        servers: `host:port` of the broker to begin with.
        security: librdkafka's settings for TLS and SASL.
    """

    servers: str
    security: Mapping[str, str]

    def client(self, attempt: Attempt, errors: list[Any]) -> dict[str, Any]:
        """The configuration of a client that says nothing and gives up with the deadline."""
        left = max(10, int(attempt.time_left() * 1000))
        return {
            "bootstrap.servers": self.servers,
            "client.id": "sre-probe",
            "socket.timeout.ms": left,
            "log_level": 0,
            "log.connection.close": False,
            "allow.auto.create.topics": False,
            "error_cb": errors.append,
            **self.security,
        }


def metadata(attempt: Attempt, settings: Settings) -> Cluster:
    """What a broker of the cluster says; librdkafka may ask any of them, so all are admitted.

    Raises:
        Trouble: `status` (login refused), `tls` or `timeout`.
    """
    errors: list[Any] = []
    client = _made(admin.AdminClient, settings.client(attempt, errors))
    while True:
        try:
            found = client.list_topics(timeout=min(_STEP, _left(attempt)))
        except KafkaException as error:
            client.poll(0)
            _fatal([*errors, error.args[0]])
            if attempt.context.deadline.left() <= _SPARE:
                raise Trouble(Reason.TIMEOUT, "connected, but no metadata came in time") from error
            continue
        brokers = {number: Broker(str(one.host), one.port) for number, one in found.brokers.items()}
        return Cluster(brokers, found.controller_id, _topics(found))


def _topics(found: Any) -> dict[str, dict[int, Partition]]:
    return {
        name: {
            number: Partition(one.leader, tuple(one.replicas), tuple(one.isrs))
            for number, one in topic.partitions.items()
        }
        for name, topic in found.topics.items()
        if topic.error is None or topic.partitions
    }


class Link:
    """A client for a cluster whose brokers have all been admitted."""

    def __init__(self, attempt: Attempt, settings: Settings) -> None:
        self._attempt = attempt
        self._settings = settings
        self._errors: list[Any] = []
        self._client: Any = _made(admin.AdminClient, settings.client(attempt, self._errors))

    def committed(self, group: str, among: Iterable[Where] | None) -> dict[Where, int | None]:
        """The next offset of a group by partition; of all that it knows without `among`.

        Raises:
            Trouble: `status` (not allowed) or `timeout`.
        """
        parts = None if among is None else [TopicPartition(*where) for where in among]
        asked = [ConsumerGroupTopicPartitions(group, parts)]
        futures = self._asked(self._client.list_consumer_group_offsets, asked)
        [answer] = [self._awaited(future) for future in futures.values()]
        return {
            (one.topic, one.partition): one.offset if one.offset >= 0 else None
            for one in answer.topic_partitions
            if one.error is None
        }

    def offsets(self, among: Iterable[Where], *, end: bool) -> dict[Where, int]:
        """The offset behind the last message of each partition, or that of the first.

        A partition without a leader has none. Raises Trouble.
        """
        spec = _SPECS.latest() if end else _SPECS.earliest()
        asked = {TopicPartition(*where): spec for where in among}
        if not asked:
            return {}
        futures = self._asked(self._client.list_offsets, asked)
        found = {}
        for part, future in futures.items():
            try:
                found[part.topic, part.partition] = self._awaited(future, partial=True).offset
            except KafkaException:
                continue
        return found

    def stamped(self, group: str, places: Mapping[Where, Place]) -> dict[Where, Place]:
        """With the time of the first unprocessed message of each partition that has one.

        The messages are read without joining the group, and nothing is committed. What cannot be
        read in time, or has no time, stays unknown.
        """
        found = dict(places)
        behind = [where for where, place in places.items() if place.lag]
        behind.sort(key=lambda where: -(places[where].lag or 0))
        wanted = {where: places[where].next or 0 for where in behind[:_MOST_READ]}
        if not wanted:
            return found
        consumer = self._consumer(group)
        try:
            consumer.assign([TopicPartition(*where, offset) for where, offset in wanted.items()])
            while wanted and (left := self._attempt.context.deadline.left() - _SPARE) > 0:
                message = consumer.poll(min(_STEP, left))
                _fatal(self._errors)
                if message is None or message.error() is not None:
                    continue
                where = (message.topic(), message.partition())
                if wanted.pop(where, None) is not None:
                    kind, stamp = message.timestamp()
                    if kind != TIMESTAMP_NOT_AVAILABLE:
                        found[where] = replace(places[where], stamp=stamp / 1000)
                    consumer.incremental_unassign([TopicPartition(*where)])
        finally:
            consumer.close()
        return found

    def _consumer(self, group: str) -> Any:
        config = self._settings.client(self._attempt, self._errors)
        return _made(
            Consumer,
            config
            | {
                "group.id": group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_uncommitted",
                "fetch.wait.max.ms": 50,
                "fetch.message.max.bytes": 16 * 2**10,
                "queued.min.messages": 1,
            },
        )

    def _asked(self, call: Callable[..., Any], asked: Any) -> Any:
        try:
            return call(asked, request_timeout=self._attempt.time_left())
        except (KafkaException, ValueError, TypeError) as error:
            raise Trouble(Reason.PROBER, f"librdkafka refuses the question: {error}") from error

    def _awaited(self, future: Any, *, partial: bool = False) -> Any:
        """The answer. A partition's own error is raised as it is with `partial`."""
        try:
            return future.result(timeout=self._attempt.time_left())
        except TimeoutError as error:
            raise Trouble(Reason.TIMEOUT, "no answer came in time") from error
        except KafkaException as error:
            code = error.args[0].code()
            _fatal([*self._errors, error.args[0]])
            if code in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT):
                raise Trouble(Reason.TIMEOUT, "no answer came in time") from error
            if partial:
                raise
            raise Trouble(Reason.STATUS, _words(error.args[0])) from error


def _made(kind: Callable[[dict[str, Any]], T], config: dict[str, Any]) -> T:
    try:
        return kind(config)
    except (KafkaException, ValueError, TypeError) as error:
        raise Trouble(Reason.PROBER, f"librdkafka takes no such setting: {error}") from error


def _left(attempt: Attempt) -> float:
    return max(0.01, attempt.context.deadline.left() - _SPARE)


def _fatal(errors: Iterable[Any]) -> None:
    """Errors that waiting does not heal."""
    for error in errors:
        code = error.code()
        if code in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
            raise Trouble(Reason.STATUS, "the login was refused: user name, password or mechanism")
        if code == KafkaError._SSL:
            raise Trouble(Reason.TLS, "no TLS session with a broker")
        if code in _DENIED:
            raise Trouble(Reason.STATUS, _words(error))


def _words(error: Any) -> str:
    """The name of the error alone: its text may hold addresses."""
    if error.code() in _DENIED:
        what = error.name().split("_")[0].lower()
        return f"this user may not do that: give it the right to describe the {what}"
    return f"refused: {error.name()}"
