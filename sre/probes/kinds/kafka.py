"""Is a Kafka cluster whole, and do its consumers keep up?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from sre.core.secrets import Secret
from sre.core.units import Duration
from sre.journey.guard import Admission
from sre.journey.result import Reason
from sre.probes.dial import Attempt, Trouble, admitted
from sre.probes.drivers import needs
from sre.probes.facts import Facts
from sre.probes.judged import Seen, judged
from sre.probes.kafkaparts import FACTS, Broker, Cluster, Place, read_cluster, read_groups
from sre.probes.kafkawire import Login, named_brokers
from sre.probes.model import ProbeContext, Reading
from sre.probes.peer import Trust, trusting
from sre.probes.wire import check_port, dialled, revealed

if TYPE_CHECKING:
    from sre.probes.kafkalink import Link

__all__ = ["KafkaLimits", "KafkaProbe"]


@dataclass(frozen=True)
class KafkaLimits:
    """What a cluster and its groups may come to; each is about the worst of the groups.

    Attributes:
        lag: messages of one topic that a group has not processed, all partitions together.
        age: seconds; of the oldest message that a group has not processed; needs `age: true`.
        under_replicated: partitions with a replica that is not in sync.
        min_brokers: least number of brokers.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    lag: int | None = None
    age: Duration | None = None
    under_replicated: int | None = None
    min_brokers: int | None = None


@dataclass(frozen=True)
class KafkaProbe:
    """Asks one broker for the cluster's metadata, then the cluster for offsets. Writes nothing.

    Built on the official client (confluent-kafka, librdkafka) and tested against librdkafka's own
    mock cluster, which speaks the real protocol; not yet against a broker of Apache Kafka, and
    SASL against no server at all.

    An offline partition, a topic of `topics` that is not there, and a group that has committed
    nothing have failed; under-replicated partitions degrade. Every broker that the cluster names
    must be on the allow-list, or the official client is not even started (blocked): it connects
    by itself to any of them. It resolves their names again: what pins an address elsewhere cannot
    do so here. The brokers to begin with are contacted at the one admitted address; with TLS the
    official client uses their name, which the certificate must bear. The user needs DESCRIBE on
    the cluster's topics and groups, and READ for `age`.

    Attributes:
        bootstrap: brokers to begin with, `kafka-1:9092`; the first that accepts a connection.
        groups: consumer groups whose lag is measured.
        topics: topics to measure, and those of each group that count; without it, all topics that
            a group has committed an offset for.
        age: also read one message of each partition that lags, for the age of the oldest. It is
            read without joining the group, and nothing is committed.
        username: for SASL.
        password: a reference such as "${env:KAFKA_PASSWORD}".
        sasl: the mechanism for `username`.
        tls: speak TLS, verified.
        ca_file: PEM file of the authorities to trust instead of the system's.
        cert_file, key_file: PEM files of our own certificate, where the brokers want one.
        warn: beyond one of these it is degraded.
        max: beyond one of these it has failed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    bootstrap: tuple[str, ...]
    groups: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    age: bool = False
    username: str | None = None
    password: Secret | None = None
    sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    warn: KafkaLimits = KafkaLimits()
    max: KafkaLimits = KafkaLimits()

    def __post_init__(self) -> None:
        if not self.bootstrap:
            raise ValueError("bootstrap needs a broker such as 'kafka-1:9092'")
        for server in self.bootstrap:
            _place(server)
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if not self.tls and (self.ca_file or self.cert_file):
            raise ValueError("ca_file and cert_file need tls: true")
        if len(self.groups) > 20 or len(self.topics) > 50:
            raise ValueError("at most 20 groups and 50 topics; use two probes")
        if self.age and not self.groups:
            raise ValueError("age needs groups: whose unprocessed messages?")
        self._check_limits()

    def _check_limits(self) -> None:
        for limits in (self.warn, self.max):
            if limits.age is not None and not self.age:
                raise ValueError("a limit on age needs age: true, which reads messages")
            if limits.lag is not None and not self.groups:
                raise ValueError("a limit on lag needs groups: whose lag?")

    def check(self, context: ProbeContext) -> Reading:
        """Connect, ask, judge."""
        return judged("kafka", context, self._look, highest=self.max, warn=self.warn)

    def _look(self, attempt: Attempt, seen: Seen) -> None:
        with needs("kafka", "queues"):
            from sre.probes.kafkalink import Link, Settings, metadata  # noqa: PLC0415  the driver
        first, brokers = self._first(attempt)
        _admit_all(attempt, brokers)
        by_name = f"{_bracketed(first.host)}:{first.port}"
        settings = Settings(by_name if self.tls else first.authority, self._security())
        with attempt.phase("processing"):
            cluster = metadata(attempt, settings)
            read_cluster(cluster, self.topics, seen)
            if self.groups or self.topics:
                self._measure(Link(attempt, settings), cluster, attempt, seen)

    def _first(self, attempt: Attempt) -> tuple[Admission, tuple[Broker, ...]]:
        """The first broker that can be reached, and those that it names."""
        tls = trusting(Trust(self.ca_file, self.cert_file, self.key_file)) if self.tls else None
        last: Trouble | None = None
        for server in self.bootstrap:
            try:
                admission = admitted(attempt, *_place(server))
                with dialled(attempt, admission, tls) as connection:
                    return admission, named_brokers(attempt, connection, self._login())
            except Trouble as trouble:
                if trouble.reason not in (Reason.CONNECT, Reason.DNS, Reason.TLS):
                    raise
                last = trouble
        raise last or Trouble(Reason.CONNECT, "no broker to begin with")

    def _login(self) -> Login | None:
        password = revealed(self.password)
        if self.username is None or password is None:
            return None
        return Login(self.sasl, self.username, password)

    def _security(self) -> dict[str, str]:
        found = {
            "security.protocol": ("SASL_" if self.username else "")
            + ("SSL" if self.tls else "PLAINTEXT"),
            "ssl.ca.location": self.ca_file,
            "ssl.certificate.location": self.cert_file,
            "ssl.key.location": self.key_file,
            "sasl.mechanism": self.sasl if self.username else None,
            "sasl.username": self.username,
            "sasl.password": revealed(self.password),
        }
        return {name: value for name, value in found.items() if value is not None}

    def _measure(self, link: Link, cluster: Cluster, attempt: Attempt, seen: Seen) -> None:
        wanted = [name for name in self.topics if name in cluster.topics]
        among = _partitions(cluster, wanted) if self.topics else None
        committed = {group: link.committed(group, among) for group in self.groups}
        topics = {topic for offsets in committed.values() for topic, _ in offsets} | {*wanted}
        alive = [where for where in _partitions(cluster, sorted(topics)) if _led(cluster, where)]
        ends, begins = link.offsets(alive, end=True), link.offsets(alive, end=False)
        groups = {}
        for group, offsets in committed.items():
            mine = {topic for topic, _ in offsets}
            places = {
                where: Place(offsets.get(where), begins[where], ends[where])
                for where in alive
                if where[0] in mine and where in ends and where in begins
            }
            groups[group] = _by_topic(link.stamped(group, places) if self.age else places)
        totals: dict[str, int] = defaultdict(int)
        for (topic, _), end in ends.items():
            totals[topic] += end
        read_groups(groups, totals, attempt.context.clock.wall(), seen)


def _admit_all(attempt: Attempt, brokers: Sequence[Broker]) -> None:
    """Every broker that the cluster names is on the allow-list. Raises Trouble."""
    aside = Attempt("brokers", attempt.context)
    for broker in brokers:
        try:
            admitted(aside, broker.host, broker.port)
        except Trouble as trouble:
            why = f"a broker that the cluster names: {trouble.message}"
            raise Trouble(trouble.reason, why, trouble.outcome) from trouble


def _partitions(cluster: Cluster, topics: Sequence[str]) -> list[tuple[str, int]]:
    return [(topic, number) for topic in topics for number in cluster.topics.get(topic, ())]


def _led(cluster: Cluster, where: tuple[str, int]) -> bool:
    return cluster.topics[where[0]][where[1]].leader >= 0


def _by_topic(places: Mapping[Any, Place]) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = defaultdict(list)
    for (topic, _), place in places.items():
        found[topic].append(place)
    return dict(found)


def _place(server: str) -> tuple[str, int]:
    """`kafka-1:9092` or `[::1]:9092`. Raises ValueError."""
    host, _, port = server.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"bootstrap: {server!r} is not HOST:PORT, such as 'kafka-1:9092'")
    check_port(int(port), f"bootstrap: the port of {server!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
