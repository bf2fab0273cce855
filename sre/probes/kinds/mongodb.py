"""Is a MongoDB server up, how near is it to its limits, and is its replica set whole?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from sre.core.secrets import Secret
from sre.core.units import Duration, Share
from sre.probes.dial import Attempt, admitted
from sre.probes.drivers import needs
from sre.probes.facts import Facts
from sre.probes.judged import Seen, judged
from sre.probes.model import ProbeContext, Reading
from sre.probes.mongoparts import (
    FACTS,
    Denied,
    read_hello,
    read_members,
    read_oplog,
    read_status,
)
from sre.probes.peer import Trust, trusting
from sre.probes.wire import check_port, dialled, revealed

if TYPE_CHECKING:
    from sre.probes.mongolink import Link

__all__ = ["MongodbLimits", "MongodbProbe"]

T = TypeVar("T")


@dataclass(frozen=True)
class MongodbLimits:
    """What a MongoDB server may come to; a limit that the server has no number for degrades.

    Attributes:
        connections: share of the allowed connections that is taken.
        queue: operations that wait for a lock.
        cache: share of WiredTiger's cache in use; evicting keeps it near 80 %.
        lag: seconds; of the member of the replica set that is farthest behind the primary.
        min_oplog_window: least seconds that a member may be away and still catch up.
        min_members: least number of members that are primary, secondary or arbiter.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    connections: Share | None = None
    queue: int | None = None
    cache: Share | None = None
    lag: Duration | None = None
    min_oplog_window: Duration | None = None
    min_members: int | None = None


@dataclass(frozen=True)
class MongodbProbe:
    """Asks one server for `hello`, `serverStatus`, `replSetGetStatus` and the oplog's two ends.

    Built on the official client (pymongo) and tested with documents as MongoDB's manual describes
    them and against a mock that speaks the wire protocol; not yet against a real server.

    Always a direct connection: members that a replica set names are never contacted, so each
    member that matters wants a probe of its own. Without TLS the server is contacted at the one
    admitted address; with TLS the official client uses the name, which the certificate must bear,
    and resolves it again. The user needs the role `clusterMonitor`; what it may not ask degrades.
    A set without a primary and a member that is itself in no working state have failed.

    Attributes:
        username: of a user with the role clusterMonitor.
        password: a reference such as "${env:MONGODB_PASSWORD}".
        auth_source: the database that knows the user.
        tls: speak TLS, verified.
        ca_file: PEM file of the authorities to trust instead of the system's.
        cert_file: PEM file of our own certificate with its key, where the server wants one.
        role: which role the server must have; any when left out.
        warn: beyond one of these it is degraded.
        max: beyond one of these it has failed.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    facts: ClassVar[Facts] = FACTS
    host: str
    port: int = 27017
    username: str | None = None
    password: Secret | None = None
    auth_source: str = "admin"
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    role: Literal["primary", "secondary", "arbiter", "standalone", "mongos"] | None = None
    warn: MongodbLimits = MongodbLimits()
    max: MongodbLimits = MongodbLimits()

    def __post_init__(self) -> None:
        check_port(self.port)
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if not self.tls and (self.ca_file or self.cert_file):
            raise ValueError("ca_file and cert_file need tls: true")

    def check(self, context: ProbeContext) -> Reading:
        """Connect, ask, hang up."""
        return judged(
            "mongodb", context, self._look, highest=self.max, warn=self.warn, role=self.role
        )

    def _look(self, attempt: Attempt, seen: Seen) -> None:
        with needs("mongodb", "databases"):
            from sre.probes.mongolink import Settings, linked  # noqa: PLC0415  the driver
        context = trusting(Trust(self.ca_file, self.cert_file)) if self.tls else None
        admission = admitted(attempt, self.host, self.port)
        with dialled(attempt, admission, context):
            pass  # a port that is closed, and a certificate that is wrong, are told at once
        settings = Settings(
            self.host if self.tls else admission.address,
            self.port,
            self.username,
            revealed(self.password),
            self.auth_source,
            self._tls(),
        )
        with attempt.phase("processing"), linked(attempt, settings) as link:
            _ask(link, seen)

    def _tls(self) -> dict[str, Any]:
        files = {"tlsCAFile": self.ca_file, "tlsCertificateKeyFile": self.cert_file}
        given = {name: file for name, file in files.items() if file is not None}
        return {"tls": True, **given} if self.tls else {}


def _ask(link: Link, seen: Seen) -> None:
    hello = _allowed(lambda: link.command("hello"))
    if hello is None:  # before 4.4.2
        hello = _allowed(lambda: link.command("isMaster")) or {}
    questions = {"serverStatus": (partial(link.command, "serverStatus"), read_status)}
    if read_hello(hello, seen):
        questions["replSetGetStatus"] = (partial(link.command, "replSetGetStatus"), read_members)
    denied = []
    for name, (question, read) in questions.items():
        answer = _allowed(question)
        if answer is None:
            denied.append(name)
        else:
            read(answer, seen)
    if "replSetGetStatus" in questions and seen.role != "arbiter":
        denied += _oplog(link, seen)
    if denied:
        seen.poor.append(
            f"it answers, but refuses {', '.join(denied)}; the user needs the role clusterMonitor"
        )


def _oplog(link: Link, seen: Seen) -> list[str]:
    try:
        read_oplog(link.oplog(), seen)
    except Denied:
        return ["the oplog"]
    return []


def _allowed(question: Callable[[], T]) -> T | None:
    """The answer; None if this user may not ask."""
    try:
        return question()
    except Denied:
        return None
